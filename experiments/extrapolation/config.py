"""Which tables are fitted, on which of their rows, and what is predicted."""

from collections.abc import Callable
from dataclasses import dataclass

from experiments import family_tables as tables
from jaxmix.runs import RunTable

LAWS = ("simple", "additive", "joint", "full")


@dataclass(frozen=True)
class Case:
    """One table, split by size.

    Attributes:
        name: in the results.
        paper: the paper's table of it.
        read: the run table.
        train: expression of the rows to fit.
        tests: expressions of held-out rows by name.
        targets: names, None for all.
    """

    name: str
    paper: str
    read: Callable[[], RunTable]
    train: str
    tests: dict[str, str]
    targets: tuple[str, ...] | None = None


def _without(preset: str) -> str:
    return f"preset != '{preset}'"


def _only(preset: str) -> str:
    return f"preset == '{preset}'"


CASES = (
    Case("text", "Table 8", tables.text, _without("tiny-96"), {"larger": _only("tiny-96")}),
    Case(
        "multimodal",
        "Table 9",
        tables.multimodal,
        _without("nmm-tiny-96"),
        {"larger": _only("nmm-tiny-96")},
    ),
    Case(
        "vision",
        "Table 10",
        tables.vision,
        _without("lvm-tiny-96"),
        {"larger": _only("lvm-tiny-96")},
        ("emoji", "icons", "paths", "brands"),  # losses of untrained ones mostly rise
    ),
    Case(
        "text, two sizes ahead",
        "Table 11",
        tables.text,
        "preset in ('tiny-24', 'tiny-32', 'tiny-48')",
        {"next": _only("tiny-64"), "larger": _only("tiny-96")},
    ),
)
# Published runs of language models of 70M to 410M parameters on seven domains, as the paper's.
PUBLISHED = Case(
    "RedPajama",
    "Table 8",
    tables.redpajama,
    "n_params < 3.02e8",
    {"larger": "n_params > 3.02e8"},
    (
        "arxiv",
        "books3",
        "openwebtext2",
        "github",
        "pile_cc",
        "stackexchange",
        "wikipedia_en",
        "pile_weighted_mean",
    ),
)
