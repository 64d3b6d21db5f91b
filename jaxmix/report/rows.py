"""Which rows of a run table a law was fitted on, from what its file says of its origin."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmix.fitting.files import read_provenance as read_provenance
from jaxmix.runs import RunTable, RunTableError, evaluate_where, read_runs


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a report.

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
        """The other rows; None where there are none."""
        return self.table.select(~self.fitted) if not self.fitted.all() else None


def read_rows(
    path: str | os.PathLike[str], provenance: Mapping[str, Any], where: str | None = None
) -> Rows:
    """Reads a run table and marks the rows that a law was fitted on.

    Args:
        path: the run table.
        provenance: of the law (``read_provenance``): ``where`` and ``pool`` of its fit.
        where: show only rows where this holds; those fitted on stay in any case.

    Raises:
        RunTableError: the table cannot be read, or no row of it took part in the fit.
    """
    chosen, pool = provenance.get("where"), tuple(provenance.get("pool") or ())
    if not chosen:
        table = read_runs(path, where=where, pool=pool)
        if where and provenance:  # that says that all rows were fitted, so all stay
            table = read_runs(path, pool=pool)
        return Rows(table, np.ones(len(table), bool))
    used = read_runs(path, where=chosen, pool=pool)
    wanted = f"({chosen}) or ({where})" if where else None
    try:
        table = read_runs(path, where=wanted, pool=pool)
    except RunTableError as error:
        return Rows(
            used,
            np.ones(len(used), bool),
            (f"rows that took no part in the fit cannot be read and are not shown: {error}",),
        )
    columns = {str(name): table.frame[name].to_numpy() for name in table.frame.columns}
    return Rows(table, np.asarray(evaluate_where(str(chosen), columns)))
