"""The early-fusion study: text, captioned pictures and illustrated pages, five sizes."""

import dataclasses

from jaxmix.studies import CorpusSpec, Design, Size, Study

CORPUS = CorpusSpec("nmm", "bpe-1024")
DOMAINS = ("text", "image_caption", "interleaved")
GOALS = {"mean": DOMAINS, "image_caption": ("image_caption",)}
LADDER = ("nmm-tiny-24", "nmm-tiny-32", "nmm-tiny-48", "nmm-tiny-64")
LARGER = "nmm-tiny-96"
TOKENS = 500_000
LARGER_TOKENS = 600_000
SEEDS = (0, 1, 2, 3)
HELD = tuple(f"random{i}" for i in range(0, 12, 4))

_UNIFORM, _PROPORTIONAL = Design("uniform"), Design("proportional")

# 17 mixtures: uniform, proportional, three near a vertex, twelve random ones.
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
    batch=8,
    held_windows=120,
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
        sizes=(dataclasses.replace(study.sizes[0], preset="nmm-tiny-16", tokens=8_192),),
        checkpoints=2,
        held_windows=4,
        seeds=study.seeds[:2],
    )
