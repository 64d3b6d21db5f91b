"""Columns under other names: one mapping for a table, or for all tables that a command reads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import replace

import numpy as np

from jaxmix.errors import hint
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.reading import TEXT_COLUMNS, Origin, Raw, Table, as_column, is_text, read_raw

_COLUMNS: ContextVar[Mapping[str, str] | None] = ContextVar("columns", default=None)


@contextlib.contextmanager
def renaming(columns: Mapping[str, str]) -> Iterator[None]:
    """Gives columns of every file that `read_named` reads within the block other names.

    Args:
        columns: by its new name, the column of the file. A file that has neither is an error, one
            that has only the new name stays as it is.
    """
    token = _COLUMNS.set(columns)
    try:
        yield
    finally:
        _COLUMNS.reset(token)


def read_named(table: Table, *, source: str = "<frame>", partly: bool = False) -> Raw:
    """Returns a table as `read_raw` does, with the names of `renaming`.

    Args:
        table: as of `read_raw`, like `source` and the errors.
        source: what messages call a table that is no file.
        partly: whether the table may lack columns that are renamed.
    """
    columns = (_COLUMNS.get() or {}) if isinstance(table, (str, os.PathLike)) else {}
    texts = [old for new, old in columns.items() if new in TEXT_COLUMNS]
    raw = read_raw(table, source=source, text_columns=texts)
    held = list(raw.frame.columns)
    asked = {n: old for n, old in columns.items() if old in held or not (partly or n in held)}
    return renamed(raw, asked) if asked else raw


def renamed(raw: Raw, columns: Mapping[str, str]) -> Raw:
    """Returns the same rows under new names; messages still speak of the file's own.

    Args:
        raw: the table.
        columns: the columns of the table by their new names.

    Raises:
        RunTableError: a column is missing or is named twice, or its new name is taken.
    """
    held = list(raw.frame.columns)
    old_names = list(columns.values())
    for new, old in columns.items():
        if old not in held:
            near = hint(old, held)
            raise RunTableError(f"{raw.source}: column {old!r}, for {new!r}, is missing; {near}")
        if old_names.count(old) > 1:
            raise RunTableError(f"{raw.source}: column {old!r} is given two names; keep one")
        if new in held and new not in old_names:
            taken = f"{new!r}, for {old!r}, is a column already"
            raise RunTableError(
                f"{raw.source}: {taken}; give that one a name too, as {new}_old={new}"
            )
    frame = raw.frame.rename(columns={old: new for new, old in columns.items()})
    for name in (n for n in TEXT_COLUMNS if n in columns and not is_text(frame, n)):
        cells = [None if np.isnan(cell) else cell for cell in frame[name].to_numpy(float)]
        frame[name] = as_column(name, cells)
    origins = {new: Origin(raw.source, old, raw.lines) for new, old in columns.items()}
    return replace(raw, frame=frame, origins={**raw.origins, **origins})
