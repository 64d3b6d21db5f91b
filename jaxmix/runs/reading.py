"""Files to raw tables: CSV, TSV, Parquet and JSONL, with every structural fault named."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import RunTableError, clip
from .raw import Raw, check_header, column_from_cells, drop_empty_rows, raw_from_frame

_JSONL = (".jsonl", ".ndjson", ".json")
_PARQUET = (".parquet", ".pq")


def read_raw(path: str | os.PathLike[str], text_columns: tuple[str, ...] = ()) -> Raw:
    """Returns the table in a file; the suffix says its format, and CSV is the default.

    Args:
        path: a .csv, .tsv, .parquet (.pq) or .jsonl (.ndjson, .json) file.
        text_columns: columns that stay text even where every cell is a number (CSV only).

    Raises:
        RunTableError: the file cannot be opened, is empty, binary or ragged, or a name repeats.
    """
    path = Path(path)
    data = read_bytes(path)
    if path.suffix.lower() in _PARQUET:
        return _read_parquet(data, str(path))
    text = decode(data, str(path))
    if path.suffix.lower() in _JSONL:
        return _read_jsonl(text, str(path))
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    return _read_csv(text, str(path), delimiter, text_columns)


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


def _read_csv(text: str, source: str, delimiter: str, text_columns: tuple[str, ...]) -> Raw:
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
    cells = dict(zip(names, zip(*(row or blank for row in body), strict=True), strict=True))
    columns = {
        name: column_from_cells(name, column, typed=name in text_columns)
        for name, column in cells.items()
    }
    raw = Raw(pd.DataFrame(columns), source, "line", np.array(lines), notes)
    return drop_empty_rows(raw)


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
    check_header(names, source)
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise RunTableError(
            f"{source}: line 1 has no comma: {clip(names[0], 40)!r}; separate fields with commas "
            "(or with tabs in a .tsv file)"
        )
    return names, notes


def _read_parquet(data: bytes, source: str) -> Raw:
    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except (OSError, ValueError, TypeError, NotImplementedError) as error:
        raise RunTableError(
            f"{source}: not a readable Parquet file ({clip(error, 60)}); write it again, or name "
            "it .csv if it is text"
        ) from None
    return raw_from_frame(frame, source)


def _read_jsonl(text: str, source: str) -> Raw:
    numbered = enumerate(text.split("\n"), start=1)
    found = [(line, _record(row, source, line)) for line, row in numbered if row.strip()]
    names = list(dict.fromkeys(name for _, record in found for name in record))
    columns = {
        name: column_from_cells(name, [record.get(name) for _, record in found], typed=True)
        for name in names
    }
    frame = pd.DataFrame(columns, index=range(len(found)))
    return drop_empty_rows(Raw(frame, source, "line", np.array([line for line, _ in found])))


def _record(row: str, source: str, line: int) -> dict[str, object]:
    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        check_header([name for name, _ in items], f"{source}: line {line}")
        return dict(items)

    try:
        record = json.loads(row, object_pairs_hook=pairs)
    except RunTableError:
        raise
    except (ValueError, RecursionError) as error:
        raise RunTableError(
            f"{source}: line {line} is not JSON ({clip(error, 60)}); write one object per line"
        ) from None
    if not isinstance(record, dict):
        raise RunTableError(
            f"{source}: line {line} is not a JSON object; write one object per line"
        )
    for name, cell in record.items():
        if isinstance(cell, (list, dict)):
            raise RunTableError(
                f"{source}: column {clip(name)!r}, line {line}: holds a list or an object; "
                "write one number or string per column"
            )
    return record
