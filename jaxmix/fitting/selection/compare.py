"""Several laws fitted on one selection of rows and scored on another: tables 2, 4 and 8."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fit import fit
from jaxmix.fitting.fitted import FittedLaws
from jaxmix.fitting.scores import Score, mean, score
from jaxmix.laws import Law, get_law
from jaxmix.runs import RunTable, read_runs


@dataclass(frozen=True)
class ComparisonRow:
    """One law on one target.

    Attributes:
        law: name of the law.
        n_parameters: its number of free parameters.
        target: bare name of the target.
        train: scores on the rows it was fitted on.
        test: scores on the other selection.
    """

    law: str
    n_parameters: int
    target: str
    train: Score
    test: Score


@dataclass(frozen=True)
class Means:
    """Scores of one law averaged over targets.

    Attributes:
        law: name of the law.
        n_parameters: its number of free parameters, per target.
        train_mre: on the rows it was fitted on, percent.
        test_mre: on the other selection, percent.
        r2: on the other selection.
        spearman: on the other selection.
    """

    law: str
    n_parameters: int
    train_mre: float
    test_mre: float
    r2: float
    spearman: float


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found.

    Attributes:
        rows: one per law and target, in the order asked.
        fits: the fitted laws by the name of their law.
        notes: what reading the rows changed, one sentence each.
    """

    rows: tuple[ComparisonRow, ...]
    fits: dict[str, FittedLaws]
    notes: tuple[str, ...] = ()

    def means(self) -> tuple[Means, ...]:
        """One line per law, in the order asked."""
        return tuple(_means([r for r in self.rows if r.law == name]) for name in self.fits)


def compare(
    runs: RunTable | str | os.PathLike[str],
    laws: Sequence[Law | str],
    train: str,
    test: str,
    *,
    targets: Sequence[str] | None = None,
    pool: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
    **fit_options: Any,
) -> Comparison:
    """Fits several laws on one selection of rows and scores them on another.

    Args:
        runs: a run table, or its file; of a file, only rows that a selection keeps are validated.
        laws: laws or their names.
        train: expression for the rows to fit on, as ``"n_params < 3e8"``.
        test: expression for the rows to score on.
        targets: names in either spelling; None for all.
        pool: as in ``read_runs``, where ``runs`` is a file.
        progress: called with the law's name and the progress of its fit.
        **fit_options: ``solver``, ``restarts``, ``seed`` and whatever else ``fit`` takes.

    Raises:
        JaxmixError: one line: a selection is empty, a law is unknown, rows are too few, ...
    """
    resolved = [get_law(law) for law in laws]
    names = [law.name for law in resolved]
    if not names or len(set(names)) != len(names):
        raise JaxmixError("name at least one law, and each law once")
    train_runs, test_runs = (_selection(runs, where, pool) for where in (train, test))
    rows: list[ComparisonRow] = []
    fits: dict[str, FittedLaws] = {}
    for law in resolved:
        options = {"targets": targets, "progress": _reporter(progress, law.name), **fit_options}
        fits[law.name] = fit(train_runs, law, **options)
        rows += _rows(law.name, fits[law.name], train_runs, test_runs)
    notes = dict.fromkeys((*train_runs.notes, *test_runs.notes))
    return Comparison(tuple(rows), fits, tuple(notes))


def _selection(
    runs: RunTable | str | os.PathLike[str], where: str, pool: Sequence[str]
) -> RunTable:
    return (
        runs.where(where) if isinstance(runs, RunTable) else read_runs(runs, where=where, pool=pool)
    )


def _reporter(
    progress: Callable[[str, int, int], None] | None, name: str
) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _rows(name: str, fits: FittedLaws, train: RunTable, test: RunTable) -> list[ComparisonRow]:
    on_train, on_test = score(fits, train), score(fits, test)
    return [
        ComparisonRow(
            name,
            f.law.count(len(f.domains)),
            f.target,
            on_train[f.target],
            on_test[f.target],
        )
        for f in fits
    ]


def _means(rows: Sequence[ComparisonRow]) -> Means:
    return Means(
        rows[0].law,
        rows[0].n_parameters,
        mean(r.train.mre for r in rows),
        mean(r.test.mre for r in rows),
        mean(r.test.r2 for r in rows),
        mean(r.test.spearman for r in rows),
    )
