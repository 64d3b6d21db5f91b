"""Six designs of three to eight domains: the same text, told apart more or less finely.

The groups of domains that are one domain of a design stand in `counted.py`.
"""

from experiments.counted import GROUPS
from jaxmix.studies import CorpusSpec, Size, Study

CORPUS = CorpusSpec("text", "bpe-1024")
PRESET = "tiny-32"
TOKENS = 200_000
MIXTURES = 36

DOMAINS = tuple(GROUPS["k8"])


def study(mixtures: dict[str, dict[str, float]]) -> Study:
    """The runs of one design."""
    return Study(
        CORPUS,
        (Size(PRESET, TOKENS),),
        mixtures=mixtures,
        domains=DOMAINS,
        checkpoints=4,
        batch=8,
        length=128,
        held_windows=32,
        fleet=36,
    )
