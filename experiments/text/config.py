"""The text study: seven domains of real text, four sizes to fit, and a larger one to predict."""

from dataclasses import replace

from experiments import tiny
from experiments.design import FamilyStudy
from jaxmix.studies import CorpusSpec

_DOMAINS = (
    "api_docs",
    "dictionary",
    "code_python",
    "code_cpp",
    "legal",
    "multilingual",
    "music",
)

STUDY = FamilyStudy(
    CorpusSpec("text", "bpe-1024"),
    _DOMAINS,
    goals={"mean": _DOMAINS, "scripture": ("scripture",)},  # scripture is never trained on
    sizes=("tiny-24", "tiny-32", "tiny-48", "tiny-64"),
    largest="tiny-96",
    tokens=400_000,
    largest_tokens=500_000,
    random=15,
    minimum=0.01,
    held=32,
    proof_held=128,
    tiny=(
        "tiny-16",
        tiny.text,
        ("api_docs", "dictionary", "code_python"),
    ),
)

# For one accelerator; nothing of it has been measured yet.
GPU = replace(
    STUDY,
    sizes=("tiny-96", "tiny-128", "tiny-192"),
    largest="tiny-256",
    tokens=20_000_000,
    largest_tokens=25_000_000,
    batch=64,
)
