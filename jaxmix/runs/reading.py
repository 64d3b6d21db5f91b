"""Files and data frames to raw tables: typed columns, and the line on which each row stands."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jaxmix.errors import clip
from jaxmix.files import json_fault
from jaxmix.quantities import as_number, count, quantity
from jaxmix.runs.errors import RunTableError

File = str | os.PathLike[str]
Table = str | os.PathLike[str] | pd.DataFrame | Mapping[str, Any]

TEXT_COLUMNS = ("run", "tokenizer", "schedule", "config_hash")
_JSONL = (".jsonl", ".ndjson", ".json")
PARQUET = (".parquet", ".pq")
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})


@dataclass(frozen=True)
class Origin:
    """Where a column came from, if not from the table's own file."""

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

    def origin(self, column: str) -> Origin:
        """Returns where a column came from."""
        return self.origins.get(column, Origin(self.source, column, self.lines))

    def fail(self, column: str, row: int, problem: str) -> RunTableError:
        """Returns an error that names file, column and row; `problem` ends with the remedy."""
        origin = self.origin(column)
        place = f"column {origin.column!r}, {self.line(column, row)}"
        return RunTableError(f"{origin.source}: {place}: {problem}")

    def line(self, column: str, row: int) -> str:
        """Returns "line 7" for a cell."""
        return f"{self.unit} {self.origin(column).lines[row]}"

    def take(self, mask: np.ndarray, *notes: str) -> Raw:
        """Returns the rows for which `mask` [p] holds."""
        origins = {
            name: replace(origin, lines=origin.lines[mask]) for name, origin in self.origins.items()
        }
        frame = self.frame.loc[mask].reset_index(drop=True)
        notes = (*self.notes, *notes)
        return replace(self, frame=frame, lines=self.lines[mask], origins=origins, notes=notes)


def read_raw(table: Table, *, source: str = "<frame>", text_columns: Sequence[str] = ()) -> Raw:
    """Returns a table before any rule is checked.

    Args:
        table: a .csv (the default), .tsv, .parquet (.pq) or .jsonl (.ndjson, .json) file; a data
            frame; or columns of equal length by name.
        source: what messages call a table that is no file; they count its rows from 1.
        text_columns: columns that stay text even if every cell is a number (CSV only).

    Raises:
        RunTableError: the file cannot be opened, is empty, binary or ragged, or a name repeats.
    """
    if isinstance(table, pd.DataFrame):
        return _from_frame(table, source)
    if isinstance(table, Mapping):
        return _from_frame(pd.DataFrame(dict(table)), source)
    path, data = Path(table), read_bytes(Path(table))
    if path.suffix.lower() in PARQUET:
        return _from_frame(parquet_frame(data, str(path)), str(path))
    text = decode(data, str(path))
    if path.suffix.lower() in _JSONL:
        return jsonl_table(text, str(path))
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    return csv_table(text, str(path), delimiter, text_columns)


def read_bytes(path: Path) -> bytes:
    """Returns what a file holds; an unreadable or empty one is a RunTableError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise RunTableError(f"{path}: no such file; check the path") from None
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise RunTableError(f"{path}: cannot be read ({reason}); name a readable file") from None
    if not data.strip(b" \t\r\n\xef\xbb\xbf"):
        raise RunTableError(f"{path}: the file is empty; a run table has a header and rows")
    return data


def decode(data: bytes, source: str) -> str:
    """Returns UTF-8 text without its byte-order mark; binary data is a RunTableError."""
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise RunTableError(
            f"{source}: line {line} holds NUL bytes, so this is binary (or UTF-16), not text; "
            "save it as UTF-8 text, or name it .parquet if it is Parquet"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RunTableError(
            f"{source}: line {line} holds the byte 0x{data[error.start]:02x}, which is not UTF-8; "
            "save the file as UTF-8 text (or unpack it, if it is compressed)"
        ) from None


def csv_table(text: str, source: str, delimiter: str, text_columns: Sequence[str]) -> Raw:
    """Returns the rows of delimited text; arguments and errors as of `read_raw`."""
    rows, lines = _csv_rows(text, source, delimiter)
    names, notes = _header(rows[0], source)
    body, lines = rows[1:], lines[1:]
    for row, line in zip(body, lines, strict=True):
        if row and len(row) != len(names):
            raise RunTableError(
                f"{source}: line {line} has {len(row)} fields, but the header has {len(names)}; "
                "add or remove fields (text that holds a comma needs quotes)"
            )
    if not body:
        raise RunTableError(f"{source}: a header but no rows; nothing to read")
    blank = [""] * len(names)
    cells = zip(names, zip(*(row or blank for row in body), strict=True), strict=True)
    columns = {name: as_column(name, column, name in text_columns) for name, column in cells}
    return _without_empty_rows(Raw(pd.DataFrame(columns), source, "line", np.array(lines), notes))


def _csv_rows(text: str, source: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Returns the records and the line on which each begins, without blank lines at the ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    start = 1
    try:
        for row in reader:
            if row or rows:
                rows.append(row)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise RunTableError(f"{source}: line {start}: {error}; repair the quotes") from None
    while not rows[-1]:
        rows.pop()
        lines.pop()
    return rows, lines


def _header(fields: list[str], source: str) -> tuple[list[str], tuple[str, ...]]:
    names = [name.strip() for name in fields]
    notes = ("spaces around column names were removed",) if names != fields else ()
    names = [name or f"unnamed_{i}" for i, name in enumerate(names, start=1)]
    _check_header(names, source)
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise RunTableError(
            f"{source}: line 1 has no comma: {clip(names[0], 40)!r}; separate fields with commas "
            "(or with tabs in a .tsv file)"
        )
    return names, notes


def _check_header(names: Sequence[str], source: str) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            fields = f"as fields {names.index(name) + 1} and {i + 1}"
            raise RunTableError(
                f"{source}: column {clip(name)!r} stands twice in the header ({fields}); "
                "rename or remove one"
            )


def parquet_frame(data: bytes, source: str) -> pd.DataFrame:
    """Returns the frame in a Parquet file; a damaged one is a RunTableError."""
    try:
        return pd.read_parquet(io.BytesIO(data))
    except (OSError, ValueError, TypeError, NotImplementedError) as error:  # as pyarrow raises
        raise RunTableError(
            f"{source}: not a readable Parquet file ({clip(error, 60)}); write it again, or name "
            "it .csv if it is text"
        ) from None


def jsonl_table(text: str, source: str) -> Raw:
    """Returns the rows of JSON objects, one on each line; errors as of `read_raw`."""
    numbered = enumerate(text.split("\n"), start=1)
    found = [(line, _record(row, source, line)) for line, row in numbered if row.strip()]
    names = dict.fromkeys(name for _, record in found for name in record)
    columns = {name: as_column(name, [record.get(name) for _, record in found]) for name in names}
    frame = pd.DataFrame(columns, index=range(len(found)))
    lines = np.array([line for line, _ in found])
    return _without_empty_rows(Raw(frame, source, "line", lines))


def _record(row: str, source: str, line: int) -> dict[str, object]:
    try:
        pairs = json.loads(row, object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise RunTableError(
            f"{source}: line {line} is not JSON ({json_fault(error)}); write one object per line"
        ) from None
    if not isinstance(pairs, tuple):
        raise RunTableError(
            f"{source}: line {line} is not a JSON object; write one object per line"
        )
    _check_header([name for name, _ in pairs], f"{source}: line {line}")
    for name, cell in pairs:
        if isinstance(cell, (list, tuple)):
            raise RunTableError(
                f"{source}: column {clip(name)!r}, line {line}: holds a list or an object; "
                "write one number or string per column"
            )
    return dict(pairs)


def _from_frame(frame: pd.DataFrame, source: str) -> Raw:
    """Returns the rows of a data frame; a named index becomes a column."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    _check_header([str(name) for name in frame.columns], source)
    columns = {str(name): _from_series(str(name), pd.Series(frame[name])) for name in frame.columns}
    lines = np.arange(1, len(frame) + 1)
    return _without_empty_rows(Raw(pd.DataFrame(columns), source, "row", lines))


def _from_series(name: str, series: pd.Series) -> np.ndarray:
    if name not in TEXT_COLUMNS and pd.api.types.is_bool_dtype(series) and not series.hasnans:
        return series.to_numpy(dtype=bool)
    real = pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_complex_dtype(series)
    if name not in TEXT_COLUMNS and real:
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    missing = series.isna().to_numpy()
    plain = [c if isinstance(c, (str, int, float, np.number)) else str(c) for c in series]
    cells = [None if gone else cell for cell, gone in zip(plain, missing, strict=True)]
    return as_column(name, cells)


def _without_empty_rows(raw: Raw) -> Raw:
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


# --- cells ----------------------------------------------------------------------------------------


def is_number_column(name: str) -> bool:
    """Whether the run-table contract wants numbers in this column."""
    known = ("w_", "loss_", "sem_", "base_loss_")
    return name in ("n_params", "tokens", "loss") or name.startswith(known)


def is_text(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column of a raw table holds text."""
    return frame[name].dtype.kind not in "biuf"


def is_size_column(name: str) -> bool:
    """Whether a column counts parameters or tokens, so that its cells may have a unit: 70M."""
    return name in ("n_params", "n_params_total", "tokens") or name.startswith("unique_")


def number(cell: object, column: str = "") -> float | None:
    """Returns a cell as a float (NaN if it is missing), or None if it is text.

    Args:
        cell: as it was read.
        column: its name; sizes may have a unit, and weights a percent sign.

    >>> number("1e9"), number("NA"), number("70M"), number("1_000")
    (1000000000.0, nan, None, None)
    >>> number("70M", "n_params"), number("25%", "w_web")
    (70000000.0, 0.25)
    """
    if cell is None:
        return math.nan
    if isinstance(cell, str) and "_" in cell:  # which float() would take anywhere
        return None
    try:
        return float(cell)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf
    except ValueError:
        text = str(cell).strip()
        return math.nan if text.lower() in _MISSING else _with_unit(text, column)


def _with_unit(text: str, column: str) -> float | None:
    value = math.nan
    if is_size_column(column):
        value = quantity(text)
    elif column.startswith("w_") and text.endswith("%"):
        value = as_number(text[:-1]) / 100.0
    return None if math.isnan(value) else value


def as_column(name: str, cells: Sequence[Any], typed: bool = True) -> np.ndarray:
    """Returns one column [p]: float64 if every cell that is present is a number, else text.

    Args:
        name: the column; ids stay text, and contract columns without a value become NaN.
        cells: strings, numbers, or None if missing.
        typed: whether strings are meant as strings (JSON, Parquet) or are all there is (CSV).
    """
    numbers = is_number_column(name) or is_size_column(name)
    text_meant = typed and not numbers and any(isinstance(c, str) for c in cells)
    values = [] if name in TEXT_COLUMNS or text_meant else [number(cell, name) for cell in cells]
    if not values or None in values:
        return _text_column(name, cells)
    column = np.array(values, dtype=np.float64)
    empty = all(cell is None or (isinstance(cell, str) and cell.strip() == "") for cell in cells)
    if np.isnan(column).all() and not is_number_column(name) and (empty or not typed):
        return _text_column(name, cells)
    return column


def _text_column(name: str, cells: Sequence[Any]) -> np.ndarray:
    column = np.empty(len(cells), dtype=object)
    column[:] = [_text(cell, name) for cell in cells]
    return column


def _text(cell: object, name: str) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if not isinstance(cell, (float, np.floating)):
        return str(cell)
    whole = name in TEXT_COLUMNS and float(cell).is_integer()
    return str(int(cell)) if whole else repr(float(cell))
