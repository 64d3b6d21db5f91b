"""Six designs of three to eight domains: the same text, told apart more or less finely.

Domains of a group are mixed in proportion to their size, so a group is a domain: its inside never
changes. The weights in runs.csv are those of the eight real domains; merging them by `GROUPS` loses
nothing.
"""

from jaxmix.studies import CorpusSpec, Size, Study

CORPUS = CorpusSpec("text", "bpe-1024")
PRESET = "tiny-32"
TOKENS = 200_000
MIXTURES = 36

_CODE = ("code_python", "code_cpp")
_FORMAL = ("api_docs", "legal")

GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "k3": {
        "code": _CODE,
        "english": (*_FORMAL, "dictionary"),
        "other": ("multilingual", "music"),
    },
    "k4": {
        "code": _CODE,
        "english": (*_FORMAL, "dictionary"),
        "multilingual": ("multilingual",),
        "music": ("music",),
    },
    "k5": {
        "code": _CODE,
        "formal": _FORMAL,
        **{name: (name,) for name in ("dictionary", "multilingual", "music")},
    },
    "k6": {
        "code": _CODE,
        **{name: (name,) for name in (*_FORMAL, "dictionary", "multilingual", "music")},
    },
    "k7": {name: (name,) for name in (*_CODE, *_FORMAL, "dictionary", "multilingual", "music")},
    "k8": {
        name: (name,)
        for name in (*_CODE, *_FORMAL, "dictionary", "multilingual", "music", "world_facts")
    },
}
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
