"""Tables whose columns have other names: a mapping from the run table's names to the file's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from .errors import RunTableError, clip, hint
from .raw import TEXT_COLUMNS, Origin, Raw, column_from_cells, is_text
from .reading import decode, read_bytes, read_raw
from .table import RunTable, table_from_raw


def import_columns(
    path: str | os.PathLike[str],
    columns: Mapping[str, str],
    *,
    where: str | None = None,
    pool: Sequence[str] = (),
) -> RunTable:
    r"""Reads a run table whose columns have other names.

    Args:
        path: a file as for `read_runs`.
        columns: by name in the run table, the column of the file, as ``{"n_params": "N"}``.
            Columns that are not named keep their names.
        where: as in `read_runs`, over the new names.
        pool: as in `read_runs`.

    Raises:
        RunTableError: a column is missing, is named twice, or its new name is taken; or as
            `read_runs` does, by the names of the file.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "theirs.csv"
    >>> _ = path.write_text("N,D,web,val/web\n1e6,1e8,1.0,3.5\n")
    >>> mapping = read_mapping("n_params=N,tokens=D,w_web=web,loss_web=val/web")
    >>> import_columns(path, mapping).targets
    ('web',)
    """
    texts = tuple(old for new, old in columns.items() if new in TEXT_COLUMNS)
    return table_from_raw(_renamed(read_raw(path, texts), columns), where, pool)


def read_mapping(given: str) -> dict[str, str]:
    """A mapping of columns from ``name=column,...`` or from a JSON file with one object.

    Args:
        given: names in the run table and columns of the file, or the name of a .json file (for
            columns whose names hold a comma).

    Raises:
        RunTableError: a part is not ``name=column``, a name stands twice, or the file is not JSON.

    >>> read_mapping("n_params=N, loss_web=val/web")
    {'n_params': 'N', 'loss_web': 'val/web'}
    """
    if given.lower().endswith(".json"):
        return _from_json(Path(given))
    found: dict[str, str] = {}
    for part in given.split(","):
        new, equals, old = (piece.strip() for piece in part.partition("="))
        if not equals or not new or not old:
            raise RunTableError(f"columns: {clip(part)!r} is not name=column; write tokens=D")
        if new in found:
            raise RunTableError(f"columns: {new!r} is given twice; keep one")
        found[new] = old
    return found


def _from_json(path: Path) -> dict[str, str]:
    try:
        found = json.loads(decode(read_bytes(path), str(path)))
    except ValueError as error:
        if isinstance(error, RunTableError):
            raise
        raise RunTableError(f"{path}: not JSON ({clip(error, 60)}); repair it") from None
    if not isinstance(found, dict) or not all(isinstance(c, str) for c in found.values()):
        raise RunTableError(f'{path}: write one object of strings, as {{"tokens": "D"}}')
    return found


def _renamed(raw: Raw, columns: Mapping[str, str]) -> Raw:
    """The same rows under new names; messages still speak of the file's own."""
    held = list(raw.frame.columns)
    old_names = list(columns.values())
    for new, old in columns.items():
        if old not in held:
            near = hint(old, held)
            raise RunTableError(f"{raw.source}: column {old!r}, for {new!r}, is missing; {near}")
        if old_names.count(old) > 1:
            raise RunTableError(f"{raw.source}: column {old!r} is given two names; keep one")
        if new in held and new not in old_names:
            remedy = f"give that one a name too, as {new}_old={new}"
            raise RunTableError(
                f"{raw.source}: {new!r}, for {old!r}, is a column already; {remedy}"
            )
    frame = raw.frame.rename(columns={old: new for new, old in columns.items()})
    for name in (n for n in TEXT_COLUMNS if n in columns and not is_text(frame, n)):
        frame[name] = column_from_cells(name, _present(frame[name].to_numpy()), typed=True)
    origins = {new: Origin(raw.source, old, raw.lines) for new, old in columns.items()}
    return replace(raw, frame=frame, origins=origins)


def _present(values: np.ndarray) -> list[object]:
    return [None if isinstance(v, float) and np.isnan(v) else v for v in values.tolist()]
