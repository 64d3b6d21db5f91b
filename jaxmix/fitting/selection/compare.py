"""Several laws fitted on one selection of rows and scored on another: tables 2, 4 and 8."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fit import fit
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.loading import resolve_law
from jaxmix.fitting.nested import Nested, NestedLaw, fit_nested
from jaxmix.fitting.scores import Score, mean, score
from jaxmix.laws import NESTED, Law
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
        fits: the fitted laws, or nested laws, by the name of their law.
        notes: what reading the rows changed, one sentence each.
    """

    rows: tuple[ComparisonRow, ...]
    fits: dict[str, tuple[FittedLaw, ...] | tuple[NestedLaw, ...]]
    notes: tuple[str, ...] = ()

    def means(self) -> tuple[Means, ...]:
        """One line per law, in the order asked."""
        return tuple(_means([r for r in self.rows if r.law == name]) for name in self.fits)


def compare(
    runs: RunTable | str | os.PathLike[str],
    laws: Sequence[Law | Nested | str],
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
        laws: laws or their names; ``"nested"`` or ``Nested(...)`` for nested laws.
        train: expression for the rows to fit on, as ``"n_params < 3e8"``.
        test: expression for the rows to score on.
        targets: names in either spelling; None for all.
        pool: as in ``read_runs``, where ``runs`` is a file.
        progress: called with the law's name and the progress of its fit.
        **fit_options: ``solver``, ``restarts``, ``seed`` and whatever else ``fit`` takes, or
            ``fit_nested`` where nested laws are among them.

    Raises:
        JaxmixError: one line: a selection is empty, a law is unknown, rows are too few, ...
    """
    resolved = [_resolved(law) for law in laws]
    names = [law.name for law in resolved]
    if not names or len(set(names)) != len(names):
        raise JaxmixError("name at least one law, and each law once")
    train_runs, test_runs = (_selection(runs, where, pool) for where in (train, test))
    rows: list[ComparisonRow] = []
    fits: dict[str, tuple[FittedLaw, ...] | tuple[NestedLaw, ...]] = {}
    for law in resolved:
        options = {"targets": targets, "progress": _reporter(progress, law.name), **fit_options}
        if isinstance(law, Nested):
            fits[law.name] = fit_nested(train_runs, law, **options)
        else:
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


def _resolved(law: Law | Nested | str) -> Law | Nested:
    if law == NESTED:
        return Nested()
    return law if isinstance(law, Nested) else resolve_law(law)


def _reporter(
    progress: Callable[[str, int, int], None] | None, name: str
) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def count_parameters(fitted: FittedLaw | NestedLaw) -> int:
    """Number of free parameters of one target's law, or of all the laws of a nested one."""
    if isinstance(fitted, NestedLaw):
        return fitted.report.n_parameters
    return fitted.law.count(1 if fitted.law.own_weight else len(fitted.domains))


def _rows(
    name: str, fits: Sequence[FittedLaw] | Sequence[NestedLaw], train: RunTable, test: RunTable
) -> list[ComparisonRow]:
    on_train, on_test = score(fits, train), score(fits, test)
    return [
        ComparisonRow(
            name,
            count_parameters(f),
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
