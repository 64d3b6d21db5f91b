"""The repetition study: music in three small stocks beside three domains that never run out."""

from collections.abc import Mapping
from dataclasses import replace

from experiments import tiny
from jaxmix.studies import CorpusSpec, Design, Size, Study

CORPUS = CorpusSpec("text", "bpe-1024")
SCARCE = "music"
DOMAINS = (SCARCE, "code_python", "legal", "dictionary")
STOCKS = (5_120, 20_480, 81_920)  # unique tokens of the scarce domain
SIZES = ("tiny-24", "tiny-32", "tiny-48", "tiny-64")
LARGEST = "tiny-96"
TOKENS = 256_000
GOALS = {SCARCE: (SCARCE,), "mean": DOMAINS}  # targets whose mean loss is minimized
SEEDS = (0, 1, 2, 3)  # of the proof
RECORD = 128

_WEIGHTS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)  # of the scarce domain: 32 epochs at most
# What the other domains share of the rest, in turn.
_REST = {"a": (0.6, 0.2, 0.2), "b": (0.1, 0.2, 0.7), "c": (0.2, 0.6, 0.2), "d": (0.3, 0.1, 0.6)}


def mixtures(each: int = 2) -> dict[str, dict[str, float]]:
    """Every weight of the scarce domain with so many arrangements of the rest."""
    made = {}
    for i, weight in enumerate(_WEIGHTS):
        for name in ("ab", "cd")[i % 2][:each]:
            rest = [(1 - weight) * share for share in _REST[name]]
            made[f"{weight:g}{name}"] = dict(zip(DOMAINS, (weight, *rest), strict=True))
    return made


UNSEEN = ("0.04d", "0.16c", "0.32b", "0.64d")  # kept from the scored fits
REPEATED = ("0.16d", "0.32a", "0.64c")  # with further seeds


def ladder(stock: int) -> Study:
    """Mixtures at the sizes that are fitted, with one stock; fewer of both if it hardly repeats."""
    sizes = SIZES if stock < STOCKS[-1] else (SIZES[0], SIZES[-1])
    return Study(
        CORPUS,
        tuple(Size(preset, TOKENS) for preset in sizes),
        (Design("uniform"), Design("proportional")),
        mixtures(2 if stock < STOCKS[-1] else 1),
        DOMAINS,
        checkpoints=8,
        batch=8,
        length=RECORD,
        held_windows=32,
        fleet=14,
        unique_tokens={SCARCE: stock},
    )


def seeds() -> Study:
    """Further seeds of runs that repeat the smallest stock most often."""
    named = mixtures()
    sizes = tuple(Size(preset, TOKENS) for preset in (SIZES[0], SIZES[-1]))
    chosen = {name: named[name] for name in REPEATED}
    return replace(ladder(STOCKS[0]), sizes=sizes, designs=(), mixtures=chosen, seeds=(1, 2))


def larger() -> Study:
    """Uniform weights and some of the mixtures at the size that is predicted, least stock."""
    named = mixtures()
    chosen = {name: named[name] for name in ("0.04c", "0.08a", "0.16d", "0.32a", "0.64c")}
    sizes = (Size(LARGEST, TOKENS),)
    designs = (Design("uniform"),)
    return replace(ladder(STOCKS[0]), sizes=sizes, designs=designs, mixtures=chosen)


def matched() -> Study:
    """Proxies of a quarter of the tokens that repeat as a run of `TOKENS` with the least stock."""
    sizes = tuple(Size(preset, TOKENS / 4) for preset in (SIZES[1], SIZES[-1]))
    return replace(ladder(STOCKS[0]), sizes=sizes, checkpoints=2, match_epochs=TOKENS)


def proof(proposed: Mapping[str, Mapping[str, float]]) -> Study:
    """Proposed mixtures beside uniform and proportional ones at the larger size, by seed."""
    return replace(
        ladder(STOCKS[0]),
        sizes=(Size(LARGEST, TOKENS),),
        mixtures=proposed,
        seeds=SEEDS,
        checkpoints=2,
        warmup=0.125,  # as many steps as in the ladder, which has four times the checkpoints
        held_windows=64,
        fleet=6,
    )


def smoke(study: Study) -> Study:
    """The same study in seconds, on a corpus that needs no download."""
    return replace(
        study,
        corpus=tiny.text(DOMAINS),
        sizes=(Size("tiny-16", 4_096),),
        mixtures=dict(list(study.mixtures.items())[:1]),
        checkpoints=2,
        held_windows=4,
        seeds=study.seeds[:1],
        unique_tokens={SCARCE: 2 * RECORD},
    )
