"""A table as it was read: typed columns, and where in the file each row stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from .errors import RunTableError, clip

TEXT_COLUMNS = ("run", "tokenizer", "schedule", "config_hash")
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})


@dataclass(frozen=True)
class Origin:
    """Where a column came from, when not from the table's own file."""

    source: str
    column: str
    lines: np.ndarray  # [p] int


@dataclass(frozen=True)
class Raw:
    """Columns of float64, bool or text; no value has been judged yet."""

    frame: pd.DataFrame
    source: str
    unit: str  # "line" or "row"
    lines: np.ndarray  # [p] int, 1-based
    notes: tuple[str, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def fail(self, column: str, row: int, problem: str) -> RunTableError:
        """Returns an error that names file, column and row; `problem` ends with the remedy."""
        origin = self.origins.get(column, Origin(self.source, column, self.lines))
        place = f"column {origin.column!r}, {self.unit} {origin.lines[row]}"
        return RunTableError(f"{origin.source}: {place}: {problem}")

    def line(self, column: str, row: int) -> str:
        """Returns "line 7" for a cell."""
        origin = self.origins.get(column)
        return f"{self.unit} {(origin.lines if origin else self.lines)[row]}"

    def take(self, mask: np.ndarray, *notes: str) -> Raw:
        """Returns the rows where `mask` [p] holds."""
        origins = {
            name: replace(origin, lines=origin.lines[mask]) for name, origin in self.origins.items()
        }
        frame = self.frame.loc[mask].reset_index(drop=True)
        notes = (*self.notes, *notes)
        return replace(self, frame=frame, lines=self.lines[mask], origins=origins, notes=notes)


def is_number_column(name: str) -> bool:
    """Whether the run-table contract wants numbers in this column."""
    return name in ("n_params", "tokens", "loss") or name.startswith(("w_", "loss_", "sem_"))


def is_text(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column of a raw table holds text."""
    return frame[name].dtype.kind not in "biuf"


def number(cell: object) -> float | None:
    """Returns a cell as a float (NaN where it is missing), or None where it is text.

    >>> number("1e9"), number("NA"), number("70M"), number("1_000")
    (1000000000.0, nan, None, None)
    """
    if cell is None:
        return math.nan
    if isinstance(cell, str) and "_" in cell:
        return None
    try:
        return float(cell)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan if str(cell).strip().lower() in _MISSING else None


def column_from_cells(name: str, cells: Sequence[Any], typed: bool) -> np.ndarray:
    """Returns one column [p]: float64 where every cell that is present is a number, else text.

    Args:
        name: the column; ids stay text, and contract columns without a value become NaN.
        cells: strings, numbers, or None where missing.
        typed: whether strings were meant as strings (JSON, Parquet) or are all there is (CSV).
    """
    text_meant = typed and not is_number_column(name) and any(isinstance(c, str) for c in cells)
    if name in TEXT_COLUMNS or text_meant:
        return _text_column(name, cells)
    values = [number(cell) for cell in cells]
    if None in values:
        return _text_column(name, cells)
    column = np.array(values, dtype=np.float64)
    empty = all(cell is None or (isinstance(cell, str) and cell.strip() == "") for cell in cells)
    if np.isnan(column).all() and not is_number_column(name):
        return _text_column(name, cells) if empty or not typed else column
    return column


def _text_column(name: str, cells: Sequence[Any]) -> np.ndarray:
    column = np.empty(len(cells), dtype=object)
    column[:] = [_text(cell, name) for cell in cells]
    return column


def _text(cell: object, name: str) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, (float, np.floating)) and name in TEXT_COLUMNS and float(cell).is_integer():
        return str(int(cell))
    if isinstance(cell, (float, np.floating)):
        return repr(float(cell))
    return str(cell)


def raw_from_frame(frame: pd.DataFrame, source: str, unit: str = "row") -> Raw:
    """Returns the rows of a data frame; a named index becomes a column."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    check_header([str(name) for name in frame.columns], source)
    columns = {str(name): _from_series(str(name), pd.Series(frame[name])) for name in frame.columns}
    lines = np.arange(1, len(frame) + 1)
    return drop_empty_rows(Raw(pd.DataFrame(columns), source, unit, lines))


def _from_series(name: str, series: pd.Series) -> np.ndarray:
    if name not in TEXT_COLUMNS and pd.api.types.is_bool_dtype(series) and not series.hasnans:
        return series.to_numpy(dtype=bool)
    if name not in TEXT_COLUMNS and pd.api.types.is_numeric_dtype(series):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    missing = series.isna().to_numpy()
    cells = [None if gone else _scalar(cell) for cell, gone in zip(series, missing, strict=True)]
    return column_from_cells(name, cells, typed=True)


def _scalar(cell: object) -> object:
    return cell if isinstance(cell, (str, int, float, np.number)) else str(cell)


def check_header(names: Sequence[str], source: str) -> None:
    """Raises RunTableError where a column name stands twice."""
    for i, name in enumerate(names):
        if name in names[:i]:
            where = f"as fields {names.index(name) + 1} and {i + 1}"
            raise RunTableError(
                f"{source}: column {clip(name)!r} stands twice in the header ({where}); "
                "rename or remove one"
            )


def drop_empty_rows(raw: Raw) -> Raw:
    """Returns `raw` without the rows that hold nothing, counted in its notes."""
    if not len(raw.frame):
        raise RunTableError(f"{raw.source}: no rows (a header at most); nothing to read")
    empty = np.ones(len(raw.frame), dtype=bool)
    for name in raw.frame.columns:
        values = raw.frame[name].to_numpy()
        text = is_text(raw.frame, name)
        empty &= np.array([not c.strip() for c in values]) if text else pd.isna(values)
        if not empty.any():
            return raw
    if empty.all():
        raise RunTableError(f"{raw.source}: every row is empty; nothing to read")
    return raw.take(~empty, f"{count(empty.sum(), 'empty row')} dropped")


def count(number_of: int, noun: str) -> str:
    """Returns "1 row" or "2 rows"."""
    return f"{number_of} {noun}" if number_of == 1 else f"{number_of} {noun}s"
