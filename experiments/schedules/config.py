"""Cosine against constant learning rates: the same mixtures and sizes under either schedule."""

from dataclasses import replace

from jaxmix.studies import CorpusSpec, Design, Size, Study

CORPUS = CorpusSpec("text", "bpe-1024")
DOMAINS = ("dictionary", "code_python", "legal", "multilingual")
FITTED = ("tiny-24", "tiny-32", "tiny-48")
LARGEST = "tiny-64"
# A run that ends at each of these under a cosine; checkpoints of one run under a constant rate.
BUDGETS = (100_000, 200_000, 400_000)
SCHEDULES = ("constant", "cosine")

# As many steps as under the constant rate, where it is half of the first of four checkpoints.
_WARMUP = 0.5 / 4

_LADDER = Study(
    CORPUS,
    tuple(Size(preset, BUDGETS[-1]) for preset in FITTED),
    designs=(
        Design("uniform"),
        Design("vertices", minimum=0.05),
        Design("dirichlet", 9, minimum=0.03, seed=1),
    ),
    domains=DOMAINS,
    checkpoints=4,
    batch=8,
    length=128,
    held_windows=64,
    fleet=24,
)
# Mixtures that no smaller size has seen, but for the uniform one.
_LARGER = replace(
    _LADDER,
    sizes=(Size(LARGEST, BUDGETS[-1]),),
    designs=(Design("uniform"), Design("dirichlet", 5, minimum=0.03, seed=2)),
)


def studies(schedule: str) -> dict[str, Study]:
    """All studies of a schedule by name: one under a constant rate, one a budget under a cosine."""
    both = {"ladder": _LADDER, "larger": _LARGER}
    if schedule == "constant":
        return both
    return {
        f"{name}-{budget}": replace(
            study,
            sizes=tuple(replace(size, tokens=budget) for size in study.sizes),
            schedule="cosine",
            checkpoints=1,
            warmup=_WARMUP * BUDGETS[-1] / budget,
        )
        for name, study in both.items()
        for budget in BUDGETS
    }
