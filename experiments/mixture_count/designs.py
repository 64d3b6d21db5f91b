"""The tables of `run.py`: rows, targets, how many mixtures are fitted, and by what laws."""

import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from experiments import counted, family_tables
from experiments.masked_fits import at_one_size
from jaxmix.laws import Law, get_law
from jaxmix.runs import RunTable, merge_domains, split_domain

COUNTS = (4, 6, 8, 10, 14, 20, 28)


@dataclass(frozen=True)
class Design:
    """One table whose mixtures are dealt to fits and to tests.

    Attributes:
        name: in the results.
        group: its picture.
        read: the run table.
        targets: whose errors are averaged.
        counts: mixtures to fit, q.
        laws: by name.
        larger: expression of rows of a larger size, never fitted; empty where there is one size.
    """

    name: str
    group: str
    read: Callable[[], RunTable]
    targets: tuple[str, ...]
    counts: tuple[int, ...] = COUNTS
    laws: tuple[str, ...] = ("additive", "joint")
    larger: str = ""

    def law(self, name: str) -> Law:
        """The law; for a table of one size without its term in N, as in the paper."""
        return get_law(name) if self.larger else at_one_size(name)


def designs(table: pathlib.Path) -> Iterator[Design]:
    """All designs; those that we trained for this are in `table`, where it exists."""
    if table.is_file():
        for name in counted.GROUPS:
            read = partial(counted.read_design, table, name)
            yield Design(f"trained-{name}", "trained", read, ("code_python", "scripture"))
    laws = ("simple", "additive", "joint")
    yield Design(
        "multimodal-k3",
        "tables",
        lambda: thinned(family_tables.multimodal(), 3),
        ("text", "image_caption", "interleaved"),
        (4, 5, 6, 8, 10, 12, 14),
        laws,
        "preset == 'nmm-tiny-96'",
    )
    yield Design(
        "text-k7",
        "tables",
        lambda: thinned(family_tables.text(), 3),
        ("code_python", "scripture"),
        (4, 8, 12, 16, 20),
        laws,
        "preset == 'tiny-96'",
    )
    if family_tables.published_are_here():
        for k in (3, 5, 7, 8):
            read = partial(redpajama, k)
            yield Design(f"RedPajama-k{k}", "tables", read, ("github", "pile_cc"))


_MERGED = {
    5: {"web": ("commoncrawl", "c4"), "papers": ("arxiv", "books")},
    3: {
        "web": ("commoncrawl", "c4"),
        "prose": ("arxiv", "books", "wikipedia"),
        "code": ("github", "stackexchange"),
    },
}


def redpajama(k: int) -> RunTable:
    """Published 70M models on 39 mixtures, seven domains merged to fewer or one split in two."""
    runs = thinned(family_tables.redpajama().where("model_label == '70M'"), 4)
    for name, members in _MERGED.get(k, {}).items():
        runs = merge_domains(runs, members, name)
    return split_domain(runs, "c4", {"c4_a": 0.5, "c4_b": 0.5}) if k == 8 else runs


def thinned(runs: RunTable, keep: int) -> RunTable:
    """A few checkpoints of every run, evenly spaced, the last one among them."""
    order = runs.frame.groupby("run")["tokens"].rank(method="first").to_numpy() - 1
    total = runs.frame.groupby("run")["tokens"].transform("size").to_numpy()
    kept = np.round(np.linspace(0, 1, keep + 1)[1:, None] * (total - 1))  # [keep, p]
    return runs.select((order == kept).any(0))
