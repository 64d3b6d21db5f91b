"""The vision study: four domains of captioned pictures, of different quality, five sizes."""

from dataclasses import replace

from experiments import tiny
from experiments.design import FamilyStudy
from jaxmix.studies import CorpusSpec

# Clean, compositional, noisy, and next to unlearnable captions.
_DOMAINS = ("emoji", "icons", "paths", "brands")

STUDY = FamilyStudy(
    CorpusSpec("lvm", "bpe-1024"),
    _DOMAINS,
    goals={"mean": _DOMAINS, "emoji": ("emoji",), "icons": ("icons",)},
    sizes=("lvm-tiny-24", "lvm-tiny-32", "lvm-tiny-48", "lvm-tiny-64"),
    largest="lvm-tiny-96",
    tokens=500_000,
    largest_tokens=600_000,
    random=12,
    minimum=0.03,
    held=256,
    proof_held=256,
    tiny=("lvm-tiny-16", tiny.captioned, ("emoji", "icons", "brands")),
    batch=32,
    length=32,  # 16 patches and 16 places for a caption
    # Losses of digits and glyphs, which no model is trained on, mostly rise: no law has that shape.
    scored=_DOMAINS,
)

# For one accelerator; nothing of it has been measured yet.
GPU = replace(
    STUDY,
    sizes=("lvm-gpu-256", "lvm-gpu-384"),
    largest="lvm-gpu-512",
    tokens=20_000_000,
    largest_tokens=25_000_000,
    batch=256,
    length=80,  # 64 patches and 16 places for a caption
)
