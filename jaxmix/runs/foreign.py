"""Tables of other tools to raw tables: other separators, decimal commas, nested records."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jaxmix.errors import clip
from jaxmix.runs import reading
from jaxmix.runs.reading import Raw, Table

_SEPARATORS = ",;\t|"
_DECIMAL_COMMA = re.compile(r"-?(\d{1,3}(\.\d{3})*|\d+),\d+([eE][-+]?\d+)?\s*[%kKmMbBtT]?")
_POINTS = re.compile(r"-?[1-9]\d{0,2}(\.\d{3})+\s*[kKmMbBtT]?")  # beside decimal commas: thousands
_THOUSANDS = re.compile(r"-?[1-9]\d{0,2}(,\d{3})+")


def read_foreign(table: Table, text_columns: Sequence[str] = ()) -> Raw:
    """Returns a table of another tool before any rule is checked.

    Text may be UTF-16; fields may be separated by semicolons, tabs or bars, and then numbers may
    have decimal commas. Records may be nested, as {"config": {"lr": 1}}, or be in one JSON list;
    the column is called config.lr. Columns that hold lists are left out, with a note.

    Args:
        table: as of `read_raw`.
        text_columns: likewise.

    Raises:
        RunTableError: as `read_raw` does.
    """
    if isinstance(table, pd.DataFrame | Mapping):
        frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(dict(table))
        return _from_frame(frame, "<frame>")
    path, data = Path(table), reading.read_bytes(Path(table))
    if path.suffix.lower() in reading.PARQUET:
        return _from_frame(reading.parquet_frame(data, str(path)), str(path))
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        data = data.decode("utf-16").encode() if utf16 else data
    except UnicodeError:
        utf16 = False  # and what is wrong with the bytes is said below
    text = reading.decode(data, str(path))
    if text.lstrip().startswith(("{", "[")):
        return _from_records(text, str(path))
    separator = max(_SEPARATORS, key=text.lstrip().partition("\n")[0].count)
    text = text if separator == "," else _with_points(text, separator)
    return reading.csv_table(text, str(path), separator, text_columns)


def _with_points(text: str, separator: str) -> str:
    """Returns text with decimal points, if some number in it has a decimal comma."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        return text  # which is refused by line afterwards
    cells = {cell.strip() for row in rows for cell in row}
    numbers = {cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)}
    if all(_THOUSANDS.fullmatch(cell) for cell in numbers):
        return text
    numbers |= {cell for cell in cells if _POINTS.fullmatch(cell)}
    made = io.StringIO()
    writer = csv.writer(made, delimiter=separator, lineterminator="\n")
    for row in rows:
        points = (c.replace(".", "").replace(",", ".") if c.strip() in numbers else c for c in row)
        writer.writerow(points)
    return made.getvalue()


def _from_records(text: str, source: str) -> Raw:
    """Returns the rows of JSON objects, one on each line or all in one list."""
    lines = text.split("\n")
    if text.lstrip().startswith("["):
        try:
            lines = [json.dumps(record) for record in json.loads(text)]
        except (ValueError, RecursionError):
            lines = text.split("\n")  # refused by line below
    left_out: dict[str, None] = {}
    flat = [_flat_line(line, left_out) for line in lines]
    return _noted(reading.jsonl_table("\n".join(flat), source), left_out)


def _flat_line(line: str, left_out: dict[str, None]) -> str:
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            return line
        flat = dict(flattened(record))
    except (ValueError, RecursionError):
        return line
    lists = {name for name, value in flat.items() if isinstance(value, list)}
    left_out |= dict.fromkeys(sorted(lists))
    return json.dumps({name: value for name, value in flat.items() if name not in lists})


def flattened(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the values of nested objects by dotted name.

    >>> dict(flattened({"config": {"lr": 1, "weights": {"web": 0.5}}, "_step": 3}))
    {'config.lr': 1, 'config.weights.web': 0.5, '_step': 3}
    """
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _from_frame(frame: pd.DataFrame, source: str) -> Raw:
    """Returns the rows of a frame whose cells may be objects or lists."""
    left_out: dict[str, None] = {}
    parts = []
    for name in frame.columns:
        cells = frame[name]
        if any(isinstance(cell, Mapping) for cell in cells):
            records = [dict(flattened({str(name): cell})) for cell in cells]
            parts.append(pd.DataFrame(records, index=frame.index))
        else:
            parts.append(frame[[name]])
    flat = pd.concat(parts, axis=1) if parts else frame
    lists = [n for n in flat if any(isinstance(cell, list | np.ndarray) for cell in flat[n])]
    left_out |= dict.fromkeys(map(str, lists))
    return _noted(reading.read_raw(flat.drop(columns=lists), source=source), left_out)


def _noted(raw: Raw, left_out: Mapping[str, None]) -> Raw:
    if not left_out:
        return raw
    note = f"columns of lists left out: {clip(', '.join(left_out))}"
    return replace(raw, notes=(*raw.notes, note))
