"""Tables of other tools to run tables: columns of other names, and pairs of files joined by run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from jaxmix.errors import clip, hint
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.names import resolve_names
from jaxmix.runs.reading import (
    TEXT_COLUMNS,
    Origin,
    Raw,
    Table,
    as_column,
    count,
    decode,
    is_text,
    read_bytes,
    read_raw,
)
from jaxmix.runs.table import RunTable, table_from_raw

File = str | os.PathLike[str]


def import_columns(
    table: Table,
    columns: Mapping[str, str],
    *,
    where: str | None = None,
    pool: Sequence[str] = (),
) -> RunTable:
    r"""Reads a run table whose columns have other names.

    Args:
        table: as for `read_runs`.
        columns: by name in the run table, the column of the table, as ``{"n_params": "N"}``.
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
    return table_from_raw(_renamed(read_raw(table, text_columns=texts), columns), where, pool)


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
    text = decode(read_bytes(path), str(path))
    try:
        found = json.loads(text)
    except ValueError as error:
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
        cells = [None if np.isnan(cell) else cell for cell in frame[name].to_numpy(float)]
        frame[name] = as_column(name, cells)
    origins = {new: Origin(raw.source, old, raw.lines) for new, old in columns.items()}
    return replace(raw, frame=frame, origins=origins)


# --- pairs of files -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Side:
    """One of the two files: its rows, the column of run ids, and the columns to take."""

    raw: Raw
    key: str
    columns: Mapping[str, str]  # column of the file -> column of the run table


def import_olmix(
    ratios_csv: File,
    metrics_csv: File,
    *,
    n_params: float,
    tokens: float,
    targets: Sequence[str] | None = None,
    allow_unmatched: bool = False,
    where: str | None = None,
) -> RunTable:
    """Joins the two files of a swarm in olmix's format.

    Both have `run` (or `run_id`), perhaps `name` and `index`; every other column is a domain's
    weight in the one and a metric in the other. Metrics keep their unit (olmix: bits per byte).

    Args:
        ratios_csv: a row of weights per run.
        metrics_csv: a row of metrics per run, in any order.
        n_params: parameters N of every run.
        tokens: training tokens D of every run.
        targets: the metrics to take, where some are not losses; None for all.
        allow_unmatched: drop, and note, runs that only one file has.
        where: as in `read_runs`, over the joined columns.

    Raises:
        RunTableError: a file or value is bad, or a run is in one file only.
    """
    weights, losses = _olmix_side(ratios_csv, "w_"), _olmix_side(metrics_csv, "loss_")
    if targets is not None:
        held = {name[len("loss_") :]: column for column, name in losses.columns.items()}
        asked = resolve_names(targets, list(held), "metric")
        losses = _Side(losses.raw, losses.key, {held[name]: f"loss_{name}" for name in asked})
    raw = _joined(weights, losses, n_params, tokens, allow_unmatched)
    return table_from_raw(raw, where, ())


def _olmix_side(path: File, prefix: str) -> _Side:
    raw = read_raw(path, text_columns=("run", "run_id", "name"))
    key = next((name for name in ("run", "run_id") if name in raw.frame.columns), None)
    if key is None:
        remedy = "olmix files have one; add it"
        raise RunTableError(f"{raw.source}: column 'run' (or 'run_id') is missing; {remedy}")
    known = ("run", "run_id", "name", "index")
    columns = [c for c in raw.frame.columns if c not in known and not _is_unnamed(c)]
    return _Side(raw, key, {column: prefix + column for column in columns})


def import_regmix(
    mixtures_csv: File,
    losses_csv: File,
    *,
    n_params: float,
    tokens: float,
    run_prefix: str = "",
    allow_unmatched: bool = False,
    where: str | None = None,
) -> RunTable:
    """Joins the two files of a RegMix study.

    Both have `index`, the run; the one has weights `train_<domain>`, the other validation losses
    `metric/<target>_val_loss`. A `the_pile_` that starts every name is dropped from all. Other
    columns, as the training loss, are left out and noted.

    Args:
        mixtures_csv: a row of weights per run.
        losses_csv: a row of losses per run, in any order.
        n_params: parameters N of every run.
        tokens: training tokens D of every run.
        run_prefix: what to put before each index, to keep the runs of several studies apart.
        allow_unmatched: drop, and note, runs that only one file has.
        where: as in `read_runs`, over the joined columns.

    Raises:
        RunTableError: a file or value is bad, or a run is in one file only.
    """
    weights = _regmix_side(mixtures_csv, r"train_(.+)", "w_", run_prefix)
    losses = _regmix_side(losses_csv, r"(?:metric/)?(.+)[_/]val[_/]loss", "loss_", run_prefix)
    weights, losses = _without_dataset((weights, losses), "the_pile_")
    return table_from_raw(_joined(weights, losses, n_params, tokens, allow_unmatched), where, ())


def _regmix_side(path: File, pattern: str, prefix: str, run_prefix: str) -> _Side:
    raw = read_raw(path, text_columns=("index",))
    if "index" not in raw.frame.columns:
        remedy = "RegMix files have one; add it"
        raise RunTableError(f"{raw.source}: column 'index' is missing; {remedy}")
    ids = [run_prefix + re.sub(r"\.0*$", "", run.strip()) for run in raw.frame["index"]]
    found = {c: re.fullmatch(pattern, c) for c in raw.frame.columns}
    columns = {c: prefix + match[1] for c, match in found.items() if match}
    if not columns:
        shape = "train_<domain>" if prefix == "w_" else "metric/<target>_val_loss"
        raise RunTableError(f"{raw.source}: no column {shape}; is this the right file?")
    other = [c for c in raw.frame.columns if c not in columns and c != "index"]
    notes = [f"columns left out: {clip(', '.join(other))}"] if other else []
    frame = raw.frame.assign(index=np.array(ids, dtype=object))
    raw = replace(raw, frame=frame, notes=(*raw.notes, *notes))
    return _Side(raw, "index", columns)


def _without_dataset(sides: tuple[_Side, _Side], dataset: str) -> tuple[_Side, _Side]:
    def short(name: str) -> str:
        prefix, rest = name.split("_", 1)
        return f"{prefix}_{rest[len(dataset) :]}" if rest.startswith(dataset) else name

    if any(short(name) == name for side in sides for name in side.columns.values()):
        return sides
    first, second = (
        _Side(s.raw, s.key, {c: short(name) for c, name in s.columns.items()}) for s in sides
    )
    return first, second


def _is_unnamed(column: str) -> bool:
    return column.lower().startswith("unnamed")


def _joined(
    weights: _Side, losses: _Side, n_params: float, tokens: float, allow_unmatched: bool
) -> Raw:
    """Returns the runs that both sides have, in the order of the weights."""
    weights, losses = _one_row_per_run(weights), _one_row_per_run(losses)
    ids, loss_ids = (list(side.raw.frame[side.key]) for side in (weights, losses))
    notes = [*weights.raw.notes, *losses.raw.notes]
    for side, other, others in ((weights, losses, loss_ids), (losses, weights, ids)):
        notes += _unmatched(side, other, set(others), allow_unmatched)
    row_of = {run: row for row, run in enumerate(loss_ids)}
    left = np.array([row for row, run in enumerate(ids) if run in row_of], dtype=int)
    right = np.array([row_of[ids[row]] for row in left], dtype=int)
    if not len(left):
        both = f"{weights.raw.source} and {losses.raw.source}"
        raise RunTableError(f"{both}: no run is in both files; check columns of run ids")
    columns: dict[str, object] = {"run": [ids[row] for row in left]}
    columns |= {"n_params": np.float64(n_params), "tokens": np.float64(tokens)}
    origins = {"run": Origin(weights.raw.source, weights.key, weights.raw.lines[left])}
    for side, rows in ((weights, left), (losses, right)):
        for column, name in side.columns.items():
            columns[name] = side.raw.frame[column].to_numpy()[rows]
            origins[name] = Origin(side.raw.source, column, side.raw.lines[rows])
    lines = weights.raw.lines[left]
    return Raw(pd.DataFrame(columns), weights.raw.source, "line", lines, tuple(notes), origins)


def _one_row_per_run(side: _Side) -> _Side:
    """Returns `side` without identical repeats; an empty id or rows that disagree are errors."""
    frame, raw = side.raw.frame, side.raw
    ids = list(frame[side.key])
    for row, run in enumerate(ids):
        if not run.strip():
            raise raw.fail(side.key, row, "is empty; name the run of this row")
    again = frame.duplicated([side.key]).to_numpy()
    differ = again & ~frame.duplicated([side.key, *side.columns]).to_numpy()
    if differ.any():
        row = int(np.argmax(differ))
        first = raw.line(side.key, ids.index(ids[row]))
        problem = f"run {clip(ids[row])!r} stands on {first} with other values"
        raise raw.fail(side.key, row, f"{problem}; keep one row for each run")
    if not again.any():
        return side
    note = f"{count(int(again.sum()), 'identical duplicate row')} of {raw.source} dropped"
    return _Side(raw.take(~again, note), side.key, side.columns)


def _unmatched(side: _Side, other: _Side, others: set[str], allowed: bool) -> list[str]:
    ids: Iterable[str] = side.raw.frame[side.key]
    alone = [run for run in ids if run not in others]
    if not alone:
        return []
    few = ", ".join(clip(run, 40) for run in alone[:5]) + (", ..." if len(alone) > 5 else "")
    what = f"{count(len(alone), 'run')} not in {other.raw.source}: {few}"
    if allowed:
        return [f"{side.raw.source}: dropped {what}"]
    place = f"column {side.key!r}, {side.raw.line(side.key, list(ids).index(alone[0]))}"
    remedy = "add them, or allow unmatched runs to drop them"
    raise RunTableError(f"{side.raw.source}: {place}: {what}; {remedy}")
