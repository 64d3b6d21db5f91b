"""Run tables from columns in memory, for rooms that do not speak pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from .table import RunTable, runs_from_frame


def runs_from_columns(
    columns: Mapping[str, Sequence[Any]], *, source: str, pool: Sequence[str] = ()
) -> RunTable:
    """Validates columns of equal length as `read_runs` does a file.

    Args:
        columns: by the names of the run-table contract.
        source: what messages call the table.
        pool: as of `read_runs`.

    Raises:
        RunTableError: a value is out of bounds; messages count rows from 1.

    >>> runs_from_columns({"n_params": [1e6], "tokens": [1e8], "loss_a": [3.5]}, source="x").targets
    ('a',)
    """
    return runs_from_frame(pd.DataFrame(dict(columns)), source=source, pool=pool)
