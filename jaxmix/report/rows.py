"""The rows of a report: which of them a law was fitted on, and the best of what was measured."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxmix.fitting.files import read_provenance as read_provenance
from jaxmix.runs import RunTable, RunTableError, evaluate_where, read_runs
from jaxmix.runs.filters import columns_of
from jaxmix.runs.reading import Table

_ALIKE = 0.01  # relative difference of sizes or tokens that count as equal


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedRows:
    """A run table, and which of its rows a law was fitted on.

    Attributes:
        table: p rows.
        fitted: bool [p], True for those that the law was fitted on.
        notes: what a reader should know, one sentence each.
    """

    table: RunTable
    fitted: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def used(self) -> RunTable:
        """The rows that the law was fitted on."""
        return self.table.select(self.fitted)

    @property
    def held_out(self) -> RunTable | None:
        """The other rows; None if there are none."""
        return self.table.select(~self.fitted) if not self.fitted.all() else None


class BestRun(NamedTuple):
    """The run with the lowest measured weighted loss (nats), and its mixture [k]."""

    run: str
    n_params: float
    tokens: float
    loss: float
    weights: np.ndarray


def mark_rows(runs: Table | RunTable | FittedRows, where: str | None = None) -> FittedRows:
    """A run table with the rows marked that a law was fitted on.

    Args:
        runs: the table; rows that are marked already stay so.
        where: holds for the rows that were fitted; None if all of them were.

    Raises:
        RunTableError: the table or the expression cannot be read.
    """
    if isinstance(runs, FittedRows):
        return runs
    table = read_runs(runs)
    fitted = np.ones(len(table), bool)
    if where is not None:
        fitted = np.asarray(evaluate_where(where, columns_of(table.frame)))
    return FittedRows(table=table, fitted=fitted)


def read_rows(
    path: str | os.PathLike[str], provenance: Mapping[str, Any], where: str | None = None
) -> FittedRows:
    """Reads the rows that a law was fitted on and those held out, and marks the former.

    Rows that the fit left out with ``where`` are left out here too.

    Args:
        path: the run table.
        provenance: of the law (``read_provenance``): ``where``, ``held_out`` and ``pool`` of its
            fit.
        where: holds for further rows to show as held out.

    Raises:
        RunTableError: the table cannot be read, or no row of it took part in the fit.
    """
    chosen, pool = provenance.get("where"), tuple(provenance.get("pool") or ())
    # A law whose file names no filter was fitted on all rows, and so they all stay.
    whole = bool(provenance) and not chosen
    used = read_runs(path, where=None if whole else chosen or where, pool=pool)
    if where:
        evaluate_where(where, columns_of(used.frame))  # an error in it is no error of the rows
    if not chosen:
        return mark_rows(used)
    shown = [str(one) for one in (chosen, provenance.get("held_out"), where) if one]
    try:
        table = read_runs(path, where=" or ".join(f"({one})" for one in shown), pool=pool)
    except RunTableError as error:  # of rows that nothing on the page depends on
        note = f"rows that took no part in the fit cannot be read and are not shown: {error}"
        return FittedRows(table=used, fitted=np.ones(len(used), bool), notes=(note,))
    return mark_rows(table, str(chosen))


def best_run(
    table: RunTable, mixtures: np.ndarray, target_weights: Mapping[str, float]
) -> BestRun | None:
    """The best mixture that was run, by what was measured; no law takes part.

    Losses of different sizes or token counts are not comparable, so only the longest runs of the
    largest size count.

    Args:
        table: p rows.
        mixtures: [p, k] their weights.
        target_weights: of the weighted loss by target.

    Returns:
        The run; None if no such row has the losses of all targets that count.
    """
    counted = {t: w for t, w in target_weights.items() if w > 0}
    if not all(map(table.measured, counted)):
        return None
    loss = np.array(list(counted.values())) @ table.losses(list(counted))  # [p], NaN if missing
    n, d = table.n_params, table.tokens
    fits = np.isfinite(loss) & (n >= (1 - _ALIKE) * n.max())
    if not fits.any():
        return None
    fits &= d >= (1 - _ALIKE) * d[fits].max()
    best = int(np.argmin(np.where(fits, loss, np.inf)))
    name = str(table.frame["run"].iloc[best])
    return BestRun(name, float(n[best]), float(d[best]), float(loss[best]), mixtures[best])
