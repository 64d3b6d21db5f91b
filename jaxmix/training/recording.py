"""Rows of the run table as they are produced: appended, flushed, and read back after any crash."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def append_rows(path: Path, rows: Iterable[Row]) -> None:
    """Appends rows as lines of JSON and waits until they are on disk."""
    text = "".join(json.dumps(dict(row)) + "\n" for row in rows)
    with path.open("a+b") as file:
        # A line that a crash cut short must not swallow the next one.
        if file.seek(0, os.SEEK_END) and not _ends_line(file):
            file.write(b"\n")
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _ends_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Returns the rows, each (run, tokens) once: the last written, in the order first written.

    A line that a crash cut short is left out; its run records it again.
    """
    rows: dict[tuple[Any, Any], dict[str, Any]] = {}
    if not path.exists():
        return []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows[row["run"], row["tokens"]] = row
    return list(rows.values())


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    beside.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, path)
