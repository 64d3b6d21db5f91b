"""The rules of the run-table contract, checked on the rows that a filter left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from .errors import RunTableError, clip, nearest
from .names import bare
from .raw import Raw, count, is_number_column, is_text, number
from .where import evaluate_where

_SUM_TOLERANCE = 0.005
_SUM_EXACT = 1e-9
_POOLED = ("tokenizer", "schedule")
_ALIASES = {
    "n_params": ("N", "n", "params", "parameters", "n_parameters", "model_size", "n_params_nonemb"),
    "tokens": ("D", "d", "n_tokens", "train_tokens", "tokens_seen", "num_tokens"),
}


def is_loss(column: str) -> bool:
    """Whether a column holds the losses of a target."""
    return column == "loss" or column.startswith("loss_")


def check_columns(raw: Raw, need_loss: bool) -> None:
    """Raises RunTableError where a column of the contract is missing or has no name."""
    names = list(raw.frame.columns)
    for needed, aliases in _ALIASES.items():
        if needed not in names:
            near = [name for name in names if name in aliases] or nearest(needed, names)
            advice = f"rename {near[0]!r} if that is it" if near else "add it"
            raise RunTableError(f"{raw.source}: column {needed!r} is missing; {advice}")
    for prefix, what in (("w_", "domain"), ("loss_", "target")):
        if prefix in names:
            raise RunTableError(f"{raw.source}: column {prefix!r} names no {what}; rename it")
    if need_loss and not any(is_loss(name) for name in names):
        advice = "name one loss_<target>, as loss_github (or just loss)"
        raise RunTableError(f"{raw.source}: no loss column; {advice}")
    if "loss" in names and "loss_loss" in names:
        raise RunTableError(
            f"{raw.source}: columns 'loss' and 'loss_loss' name one target; rename one"
        )


def filtered(raw: Raw, where: str | None, columns: Sequence[str]) -> Raw:
    """Returns the rows of `raw` where an expression over `columns` holds."""
    if where is None:
        return raw
    mask = evaluate_where(where, {name: raw.frame[name].to_numpy() for name in columns})
    if not mask.any():
        rows = count(len(mask), "row")
        raise RunTableError(
            f"{raw.source}: where {clip(where)!r} leaves none of {rows}; widen the expression"
        )
    if mask.all():
        return raw
    return raw.take(mask, f"where {clip(where)!r} kept {mask.sum()} of {len(mask)} rows")


def with_numbers(raw: Raw, columns: Sequence[str]) -> Raw:
    """Returns `raw` with `columns` as float64; text in one of them is a RunTableError."""
    frame = raw.frame.copy()
    for column in columns:
        frame[column] = _as_numbers(raw, column)
    return replace(raw, frame=frame)


def _as_numbers(raw: Raw, column: str) -> np.ndarray:
    series = raw.frame[column]
    if not is_text(raw.frame, column):
        return series.to_numpy(dtype=np.float64)
    values = [number(cell) for cell in series]
    if None in values:
        row = values.index(None)
        cell = clip(repr(series.iloc[row]), 40)
        raise raw.fail(column, row, f"{cell} is not a number; write a plain number such as 1e9")
    return np.array(values, dtype=np.float64)


def check_positive(raw: Raw, column: str, may_be_missing: bool) -> None:
    """Raises RunTableError where a number is not positive and finite (or missing, if allowed)."""
    values = raw.frame[column].to_numpy()
    bad = ~(np.isfinite(values) & (values > 0))
    if may_be_missing:
        bad &= ~np.isnan(values)
    if bad.any():
        row = int(np.argmax(bad))
        remedy = "correct it, empty it" if may_be_missing else "correct it"
        problem = _problem(values[row], "must be positive and finite")
        raise raw.fail(column, row, f"{problem}; {remedy} or leave the row out with --where")


def _problem(value: float, rule: str) -> str:
    return "is empty or not a number" if np.isnan(value) else f"{float(value):.9g} {rule}"


def check_sems(raw: Raw) -> None:
    """Raises RunTableError where a standard error is negative or infinite."""
    for column in raw.frame.columns:
        if column.startswith("sem_"):
            values = raw.frame[column].to_numpy()
            bad = ~np.isnan(values) & ~(np.isfinite(values) & (values >= 0))
            if bad.any():
                row = int(np.argmax(bad))
                problem = _problem(values[row], "is not a standard error (finite, at least 0)")
                raise raw.fail(column, row, f"{problem}; correct it or empty it")


def check_weights(raw: Raw, columns: Sequence[str]) -> None:
    """Raises RunTableError where a weight is missing or negative, or a row does not sum to 1."""
    weights = raw.frame[list(columns)].to_numpy(dtype=np.float64)  # [p, k]
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row, i = (int(index) for index in np.argwhere(bad)[0])
        problem = _problem(weights[row, i], "is not a weight (finite, at least 0)")
        raise raw.fail(columns[i], row, f"{problem}; write 0 for a domain that is not used")
    off = np.abs(weights.sum(axis=1) - 1.0) > _SUM_TOLERANCE
    if columns and off.any():
        row = int(np.argmax(off))
        total = float(weights[row].sum())
        name = columns[0] if len(columns) == 1 else f"{columns[0]} to {columns[-1]}"
        raise RunTableError(
            f"{raw.source}: columns {name!r}, {raw.line(columns[0], row)}: the weights sum to "
            f"{total:.6g}, not 1 within {_SUM_TOLERANCE}; correct them or leave the row out with "
            "--where"
        )


def renormalized(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Returns the frame with weights that sum to 1, and a note where that changed any."""
    weights = frame[list(columns)].to_numpy(dtype=np.float64)
    sums = weights.sum(axis=1)
    off = np.abs(sums - 1.0) > _SUM_EXACT
    if not columns or not off.any():
        return frame, []
    frame = frame.copy()
    weights[off] /= sums[off, None]
    frame[list(columns)] = weights
    low, high = sums[off].min(), sums[off].max()
    rows = count(int(off.sum()), "row")
    return frame, [f"weights of {rows} renormalized (sums {low:.6g} to {high:.6g})"]


def without_duplicates(raw: Raw) -> Raw:
    """Returns `raw` with one row per run and token count; rows that disagree are an error."""
    frame = raw.frame
    if not frame.duplicated(["run", "tokens"]).any():
        return raw
    first = frame.groupby(["run", "tokens"], sort=False).ngroup().to_numpy()
    first = np.unique(first, return_index=True)[1][first]  # [p] the first row of the same key
    repeated = first != np.arange(len(frame))
    columns = [c for c in frame.columns if is_number_column(c) or c in ("seed", "n_params_total")]
    columns += [c for c in frame.columns if c.startswith("unique_") and c not in columns]
    for column in (c for c in columns if not is_text(frame, c)):
        values = frame[column].to_numpy(dtype=np.float64)
        differ = (values != values[first]) & ~(np.isnan(values) & np.isnan(values[first]))
        if differ.any():
            row = int(np.argmax(differ))
            raise _disagreement(raw, column, row, int(first[row]))
    note = f"{count(int(repeated.sum()), 'identical duplicate row')} dropped"
    return raw.take(~repeated, note)


def _disagreement(raw: Raw, column: str, row: int, first: int) -> RunTableError:
    frame = raw.frame
    run, tokens = frame["run"].iloc[row], frame["tokens"].iloc[row]
    old, new = frame[column].iloc[first], frame[column].iloc[row]
    return raw.fail(
        column,
        row,
        f"run {clip(run)!r} at {tokens:.12g} tokens has {new:.9g} here and {old:.9g} on "
        f"{raw.line(column, first)}; give replicates their own run id, or remove one row",
    )


def check_pooling(raw: Raw, pool: Sequence[str]) -> list[str]:
    """Raises RunTableError where tokenizers or schedules mix unasked; returns notes."""
    for name in pool:
        if name not in _POOLED:
            raise RunTableError(f"pool {clip(name)!r} is unknown; pool takes tokenizer or schedule")
    notes = []
    for column in (c for c in _POOLED if c in raw.frame.columns):
        values = raw.frame[column].astype(str).to_numpy(dtype=object)
        other = values != values[0]
        if not other.any():
            continue
        if column not in pool:
            row = int(np.argmax(other))
            raise raw.fail(
                column,
                row,
                f"{clip(values[row], 40)!r} differs from {clip(values[0], 40)!r} on "
                f"{raw.line(column, 0)}; filter with --where, or pass --pool {column}",
            )
        notes.append(f"rows of {len(set(values))} values of {column} pooled")
    return notes


def with_runs(raw: Raw) -> Raw:
    """Returns `raw` with a `run` column; where there was none, every row is a run of its own."""
    if "run" in raw.frame.columns:
        return raw
    frame = raw.frame.copy()
    frame.insert(0, "run", [f"row{i}" for i in range(1, len(frame) + 1)])
    notes = (*raw.notes, "no run column; every row is its own run")
    return replace(raw, frame=frame, notes=notes)


def check_runs(raw: Raw) -> None:
    """Raises RunTableError where a run id is empty."""
    empty = [not run.strip() for run in raw.frame["run"]]
    if any(empty):
        raise raw.fail("run", empty.index(True), "is empty; name the run of this row")


def domains_of(columns: Sequence[str]) -> tuple[str, ...]:
    """Returns the bare names of the weight columns, in their order."""
    return tuple(bare(name, "w_") for name in columns if name.startswith("w_"))
