"""The text that was trained on for counting mixtures: six designs of three to eight domains.

Domains of a group are mixed in proportion to their size, so a group is a domain: its inside never
changes. The weights in the run table are those of the eight real domains; merging them by `GROUPS`
loses nothing.
"""

import pathlib

from jaxmix.runs import RunTable, merge_domains, read_runs, remove_domain

TABLE = pathlib.Path(__file__).resolve().parent / "mixture_count" / "results" / "runs.csv"

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


def read_design(table: pathlib.Path, design: str) -> RunTable:
    """The runs of one design that was trained for this, over its own groups of domains."""
    runs = read_runs(table, where=f"design == '{design}'")
    for name, members in GROUPS[design].items():
        if len(members) > 1:
            runs = merge_domains(runs, members, name)
    return without_idle(runs)


def without_idle(runs: RunTable) -> RunTable:
    """Without domains that no run was trained on."""
    idle = [d for d, w in zip(runs.domains, runs.weights.T, strict=True) if not w.any()]
    for domain in idle:
        runs = remove_domain(runs, domain)
    return runs
