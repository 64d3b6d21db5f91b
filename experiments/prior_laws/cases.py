"""The tables of `run.py`: one size each, at one number of tokens or at several."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from experiments import counted, family_tables
from jaxmix.runs import RunTable, read_runs

YE = ("additive-fixed-nd", "ye-m1", "ye-m2", "ye-m3", "ye-m4")
GE = ("additive-fixed-n", "ge")


@dataclass(frozen=True)
class Case:
    """One table whose mixtures are dealt to fits and to tests.

    Attributes:
        name: in the results.
        paper: the paper's table of it.
        read: the run table.
        laws: by name.
        targets: names.
        counts: mixtures to fit.
        draws: random sets of them.
        tested: expression of rows that are tested in every draw and never dealt; empty where the
            mixtures that are not fitted are the test.
    """

    name: str
    paper: str
    read: Callable[[], RunTable]
    laws: tuple[str, ...]
    targets: tuple[str, ...]
    counts: tuple[int, ...]
    draws: int = 20
    tested: str = ""


def cases() -> Iterator[Case]:
    """All cases that can be read here."""
    text = lambda: family_tables.text().where("preset == 'tiny-64'")  # noqa: E731
    domains = family_tables.text().domains
    yield Case("text", "Table 13", lambda: last(text()), YE, domains, (18,))
    yield Case("text", "Table 14", text, GE, domains, (18,))
    if counted.TABLE.is_file():
        four = partial(counted.read_design, counted.TABLE, "k4")
        targets = ("multilingual", "music", "code_python", "scripture")
        yield Case("text, 4 domains", "Table 13", lambda: last(four()), YE, targets, (25,))
        own = ("multilingual", "music")
        yield Case("text, 4 domains", "Table 14", four, GE, own, (25,))
    if family_tables.published_are_here():
        yield from _published()


def _published() -> Iterator[Case]:
    small = lambda: family_tables.redpajama().where("model_label == '70M'")  # noqa: E731
    targets = ("arxiv", "github", "stackexchange", "wikipedia_en", "books3", "pile_cc")
    yield Case("RedPajama", "Table 13", lambda: last(small()), YE, targets, (25,))
    own = ("arxiv", "github", "stackexchange", "wikipedia")
    yield Case("RedPajama", "Table 14", lambda: _with_wikipedia(small()), GE, own, (25,))
    # 25 mixtures are fewer than the 35 parameters that two of the laws have for 17 domains.
    wide = ("pile_cc", "github", "arxiv")
    tested = "split == 'test'"
    yield Case("RegMix", "Table 13", _regmix, YE, wide, (25, 100), 10, tested)


def last(runs: RunTable) -> RunTable:
    """The last checkpoint of every run."""
    end = runs.frame.groupby("run")["tokens"].transform("max").to_numpy()
    return runs.select(runs.tokens == end)


def _with_wikipedia(runs: RunTable) -> RunTable:
    """English Wikipedia under the name of the training domain, as Ge's law needs it."""
    return read_runs(runs.frame.rename(columns={"loss_wikipedia_en": "loss_wikipedia"}))


def _regmix() -> RunTable:
    """200 mixtures to choose from and 256 to test."""
    runs = family_tables.regmix()
    testing = runs.frame["split"].to_numpy() == "test"
    return runs.select(testing | (np.cumsum(~testing) <= 200))


def tiny(case: Case) -> Case:
    """For a trial."""
    return replace(case, laws=case.laws[:2], targets=case.targets[:1], draws=3)
