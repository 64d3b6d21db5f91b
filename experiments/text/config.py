"""The text study: seven domains of real text, four sizes to fit, and a larger one to predict."""

import dataclasses

from jaxmix.studies import CorpusSpec, Design, Size, Study

CORPUS = CorpusSpec("text", "bpe-1024")
DOMAINS = (
    "api_docs",
    "dictionary",
    "code_python",
    "code_cpp",
    "legal",
    "multilingual",
    "music",
)
GOALS = {"mean": DOMAINS, "scripture": ("scripture",)}  # scripture is never trained on
HELD = tuple(f"random{i}" for i in range(0, 15, 4))
LADDER = ("tiny-24", "tiny-32", "tiny-48", "tiny-64")
LARGER = "tiny-96"
TOKENS = 400_000
LARGER_TOKENS = 500_000
SEEDS = (0, 1, 2, 3)

_UNIFORM, _PROPORTIONAL = Design("uniform"), Design("proportional")

# 24 mixtures: uniform, proportional, seven near a vertex, fifteen random ones.
ladder = Study(
    CORPUS,
    tuple(Size(preset, TOKENS) for preset in LADDER),
    designs=(
        _UNIFORM,
        _PROPORTIONAL,
        Design("vertices", minimum=0.05),
        Design("dirichlet", 15, minimum=0.01, seed=1),
    ),
    domains=DOMAINS,
    checkpoints=6,
    batch=8,
    held_windows=32,
    fleet=24,
)

# Mixtures that no smaller size has seen (but for uniform), and a quarter more tokens.
larger = dataclasses.replace(
    ladder,
    sizes=(Size(LARGER, LARGER_TOKENS),),
    designs=(_UNIFORM, Design("dirichlet", 6, minimum=0.01, seed=2)),
)


def proof(mixtures: dict[str, dict[str, float]]) -> Study:
    """Proposed mixtures beside uniform and proportional ones at the larger size, by seed."""
    return dataclasses.replace(
        ladder,
        sizes=(Size(LARGER, TOKENS),),
        designs=(_UNIFORM, _PROPORTIONAL),
        mixtures=mixtures,
        seeds=SEEDS,
        checkpoints=3,
        held_windows=128,
    )


def smoke(study: Study) -> Study:
    """The same study in seconds: one tiny size, few tokens, a small corpus."""
    return dataclasses.replace(
        study,
        corpus=CorpusSpec("text-mini", "bytes", 300_000),
        sizes=(dataclasses.replace(study.sizes[0], preset="tiny-16", tokens=8_192),),
        domains=("api_docs", "dictionary", "code_python"),
        checkpoints=2,
        held_windows=4,
        seeds=study.seeds[:2],
    )
