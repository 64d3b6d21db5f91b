"""The vision study: four domains of captioned pictures, of different quality, five sizes."""

import dataclasses

from jaxmix.studies import CorpusSpec, Design, Size, Study

CORPUS = CorpusSpec("lvm", "bpe-1024")
# Clean, compositional, noisy, and next to unlearnable captions.
DOMAINS = ("emoji", "icons", "paths", "brands")
GOALS = {"mean": DOMAINS, "emoji": ("emoji",)}
LADDER = ("lvm-tiny-24", "lvm-tiny-32", "lvm-tiny-48", "lvm-tiny-64")
LARGER = "lvm-tiny-96"
TOKENS = 500_000
LARGER_TOKENS = 600_000
SEEDS = (0, 1, 2, 3)
HELD = tuple(f"random{i}" for i in range(0, 12, 4))

_UNIFORM, _PROPORTIONAL = Design("uniform"), Design("proportional")

# 18 mixtures: uniform, proportional, four near a vertex, twelve random ones. A record has 16
# patches and 16 places for a caption.
ladder = Study(
    CORPUS,
    tuple(Size(preset, TOKENS) for preset in LADDER),
    designs=(
        _UNIFORM,
        _PROPORTIONAL,
        Design("vertices", minimum=0.05),
        Design("dirichlet", 12, minimum=0.03, seed=1),
    ),
    domains=DOMAINS,
    checkpoints=6,
    batch=32,
    length=32,
    held_windows=256,
    fleet=18,
)

# Mixtures that no smaller size has seen (but for uniform), and a fifth more tokens.
larger = dataclasses.replace(
    ladder,
    sizes=(Size(LARGER, LARGER_TOKENS),),
    designs=(_UNIFORM, Design("dirichlet", 6, minimum=0.03, seed=2)),
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
    )


def smoke(study: Study) -> Study:
    """The same study in seconds, once the corpus is prepared: one tiny size, few tokens."""
    return dataclasses.replace(
        study,
        corpus=CorpusSpec("lvm-mini", "bpe-1024"),
        domains=("emoji", "icons", "brands"),
        sizes=(dataclasses.replace(study.sizes[0], preset="lvm-tiny-16", tokens=8_192),),
        checkpoints=2,
        held_windows=8,
        seeds=study.seeds[:2],
    )
