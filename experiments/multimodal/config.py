"""The early-fusion study: text, captioned pictures and illustrated pages, five sizes."""

from dataclasses import replace

from experiments import tiny
from experiments.design import FamilyStudy
from jaxmix.studies import CorpusSpec

_DOMAINS = ("text", "image_caption", "interleaved")

STUDY = FamilyStudy(
    CorpusSpec("nmm", "bpe-1024"),
    _DOMAINS,
    goals={"mean": _DOMAINS, "image_caption": ("image_caption",)},
    sizes=("nmm-tiny-24", "nmm-tiny-32", "nmm-tiny-48", "nmm-tiny-64"),
    largest="nmm-tiny-96",
    tokens=500_000,
    largest_tokens=600_000,
    random=12,
    minimum=0.03,
    held=120,
    proof_held=120,
    tiny=("nmm-tiny-16", lambda names: tiny.interleaved(*names), _DOMAINS),
)

# For one accelerator; nothing of it has been measured yet.
GPU = replace(
    STUDY,
    sizes=("nmm-gpu-256", "nmm-gpu-384"),
    largest="nmm-gpu-512",
    tokens=20_000_000,
    largest_tokens=25_000_000,
    batch=64,
    length=256,  # a picture has 64 patches
)
