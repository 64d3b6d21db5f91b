"""The rules of the run-table contract, checked on the rows that a filter left."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from jaxmix.errors import clip, nearest
from jaxmix.quantities import count
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.filters import evaluate_where
from jaxmix.runs.names import bare
from jaxmix.runs.reading import Raw, is_number_column, is_size_column, is_text, number

_SUM_TOLERANCE = 0.005
_SUM_LARGEST = 0.2  # tolerance, however few decimals and however many domains there are
_SUM_EXACT = 1e-9
ROUNDING = 1e-8  # a weight above the negative of this is 0, and such a sum is no news
_POOLED = ("tokenizer", "schedule")
ALIASES = {
    "n_params": ("N", "n", "params", "parameters", "n_parameters", "model_size", "n_params_nonemb"),
    "tokens": ("D", "d", "n_tokens", "train_tokens", "tokens_seen", "num_tokens"),
}


def domains_of(raw: Raw) -> tuple[str, ...]:
    """Returns the bare names of the weight columns, in their order."""
    return tuple(bare(name, "w_") for name in raw.frame.columns if name.startswith("w_"))


def is_loss(column: str) -> bool:
    """Whether a column holds the losses of a target."""
    return column == "loss" or column.startswith("loss_")


def checked_runs(raw: Raw, where: str | None, pool: Sequence[str]) -> Raw:
    """Returns `raw` by the whole contract: structure, then the filter, then the rows that it left.

    Args:
        raw: the table as it was read.
        where: the rows to keep, over the columns of the file.
        pool: columns among tokenizer and schedule whose rows may be mixed.

    Raises:
        RunTableError: one line that names file, column, row and remedy.
    """
    check_columns(raw)
    _check_losses(raw)
    has_runs = "run" in raw.frame.columns
    raw = _filtered(raw if has_runs else _with_runs(raw), where, list(raw.frame.columns))
    domains = domains_of(raw)
    extra = [f"unique_{domain}" for domain in domains] + ["n_params_total"]
    raw = with_numbers(raw, [c for c in raw.frame.columns if is_number_column(c) or c in extra])
    for row in np.flatnonzero([not run.strip() for run in raw.frame["run"]])[:1]:
        raise raw.fail("run", row, "is empty; name the run of this row")
    check_budgets(raw)
    raw = with_weights(raw, domains)
    for column in raw.frame.columns:
        if is_loss(column):
            _check_positive(raw, column, may_be_missing=True)
        elif column.startswith("sem_"):
            values = raw.frame[column].to_numpy()
            bad = ~np.isnan(values) & ~(np.isfinite(values) & (values >= 0))
            rule = "is not a standard error (finite, at least 0)"
            _refuse(raw, column, bad, rule, "correct it or empty it")
    raw = _pooled(raw, pool)
    return renormalized(_without_duplicates(raw) if has_runs else raw, domains)


def check_columns(raw: Raw) -> None:
    """Raises RunTableError if a column of the contract is missing or has no name."""
    names = list(raw.frame.columns)
    for needed, aliases in ALIASES.items():
        if needed not in names:
            near = [name for name in names if name in aliases] or nearest(needed, names)
            advice = "add it"
            if near:
                advice = (
                    f"rename {near[0]!r} if that is it: --rename {shlex.quote(near[0])}={needed}"
                )
            raise RunTableError(f"{raw.source}: column {needed!r} is missing; {advice}")
    for prefix, what in (("w_", "domain"), ("loss_", "target")):
        if prefix in names:
            raise RunTableError(f"{raw.source}: column {prefix!r} names no {what}; rename it")


def _check_losses(raw: Raw) -> None:
    if not any(is_loss(name) for name in raw.frame.columns):
        advice = "name one loss_<target>, as loss_github (or just loss)"
        raise RunTableError(f"{raw.source}: no loss column; {advice}")
    if {"loss", "loss_loss"} <= set(raw.frame.columns):
        raise RunTableError(
            f"{raw.source}: columns 'loss' and 'loss_loss' name one target; rename one"
        )


def _with_runs(raw: Raw) -> Raw:
    frame = raw.frame.copy()
    frame.insert(0, "run", [f"row{i}" for i in range(1, len(frame) + 1)])
    return replace(raw, frame=frame, notes=(*raw.notes, "no run column; every row is its own run"))


def rows_where(columns: Mapping[str, np.ndarray], where: str, source: str) -> np.ndarray:
    """Returns which rows satisfy an expression, bool [p]; none at all is a RunTableError."""
    mask = evaluate_where(where, columns)
    if not mask.any():
        rows = count(len(mask), "row")
        raise RunTableError(
            f"{source}: where {clip(where)!r} leaves none of {rows}; widen the expression"
        )
    return mask


def _filtered(raw: Raw, where: str | None, columns: Sequence[str]) -> Raw:
    if where is None:
        return raw
    held = {name: raw.frame[name].to_numpy() for name in columns}
    mask = rows_where(held, where, raw.source)
    if mask.all():
        return raw
    return raw.take(mask, f"where {clip(where)!r} kept {mask.sum()} of {len(mask)} rows")


def with_numbers(raw: Raw, columns: Sequence[str]) -> Raw:
    """Returns `raw` with `columns` as float64; text in one of them is a RunTableError."""
    return replace(raw, frame=raw.frame.assign(**{c: _as_numbers(raw, c) for c in columns}))


def _as_numbers(raw: Raw, column: str) -> np.ndarray:
    series = raw.frame[column]
    if not is_text(raw.frame, column):
        return series.to_numpy(dtype=np.float64)
    values = [number(cell, column) for cell in series]
    if None in values:
        row = values.index(None)
        cell = clip(repr(series.iloc[row]), 40)
        example = "such as 1e9 or 70M" if is_size_column(column) else "such as 0.25"
        raise raw.fail(column, row, f"{cell} is not a number; write a number {example}")
    return np.array(values, dtype=np.float64)


def _refuse(raw: Raw, column: str, bad: np.ndarray, rule: str, remedy: str) -> None:
    """Raises RunTableError about the first row that is `bad` [p], if there is one."""
    if bad.any():
        row = int(np.argmax(bad))
        value = float(raw.frame[column].iloc[row])
        problem = "is empty or not a number" if np.isnan(value) else f"{value:.9g} {rule}"
        raise raw.fail(column, row, f"{problem}; {remedy}")


def check_budgets(raw: Raw) -> None:
    """Raises RunTableError if a number of parameters or tokens is not positive and finite."""
    for column in ("n_params", "tokens"):
        _check_positive(raw, column, may_be_missing=False)


def _check_positive(raw: Raw, column: str, may_be_missing: bool) -> None:
    values = raw.frame[column].to_numpy()
    bad = ~(np.isfinite(values) & (values > 0))
    if may_be_missing:
        bad &= ~np.isnan(values)
    remedy = "correct it, empty it" if may_be_missing else "correct it"
    remedy = f"{remedy} or leave the row out with --where"
    _refuse(raw, column, bad, "must be positive and finite", remedy)


def with_weights(raw: Raw, domains: Sequence[str]) -> Raw:
    """Returns `raw` with weights that are shares of at least 0 and sum to about 1.

    Percentages, known by rows that all sum to 100, are divided by 100 with a note; negative
    weights within rounding of 0 are 0.

    Raises:
        RunTableError: a weight is missing or negative, or a row does not sum to 1.
    """
    weights, notes = weights_of(raw.frame, domains), raw.notes
    with np.errstate(invalid="ignore"):  # `_check_weights` refuses what is not finite
        percent = np.abs(weights.sum(axis=1) / 100.0 - 1.0) <= sum_tolerance(weights / 100.0)
    if domains and percent.all():
        weights = weights / 100.0
        notes = (*notes, "weights are percentages (every row sums to 100): divided by 100")
    weights = np.where((weights < 0) & (weights >= -ROUNDING), 0.0, weights)
    frame = raw.frame.assign(**{f"w_{d}": weights[:, i] for i, d in enumerate(domains)})
    raw = replace(raw, frame=frame, notes=notes)
    _check_weights(raw, domains)
    return raw


def sum_tolerance(weights: np.ndarray) -> np.ndarray:
    """Returns by how much the sums of weights [p, k] may miss 1 by the rounding of weights, [p].

    k weights rounded to d decimals miss 1 by up to k // 2 units of the last one. A row such as
    (0.5, 0.4, 0) has two decimals or more, unless the whole table has one.
    """
    used = int((weights > 0).any(axis=0).sum())
    units = {1: (used - 1) // 2, 2: used // 2, 3: used // 2}  # ties to one decimal are rare
    tolerance = np.full(len(weights), _SUM_TOLERANCE)
    for decimals in (3, 2, 1):
        rounded = (np.abs(weights - np.round(weights, decimals)) < _SUM_EXACT).all(axis=1)
        rounded &= decimals > 1 or rounded.all()
        wider = min(units[decimals] * 10.0**-decimals, _SUM_LARGEST) + _SUM_EXACT
        tolerance[rounded] = max(_SUM_TOLERANCE, wider)
    return tolerance


def _check_weights(raw: Raw, domains: Sequence[str]) -> None:
    weights = weights_of(raw.frame, domains)
    rule = "is not a weight (finite, at least 0)"
    remedy = "write 0 for a domain that is not used"
    for name, column in zip(domains, weights.T, strict=True):
        _refuse(raw, f"w_{name}", ~(np.isfinite(column) & (column >= 0)), rule, remedy)
    tolerance = sum_tolerance(weights)
    off = np.abs(weights.sum(axis=1) - 1.0) > tolerance
    if domains and off.any():
        row = int(np.argmax(off))
        total = float(weights[row].sum())
        remedy = "divide percentages by 100" if abs(total - 100.0) < 1.0 else "correct them"
        names = [f"w_{domains[0]}", f"w_{domains[-1]}"]
        columns = names[0] if len(domains) == 1 else " to ".join(names)
        raise RunTableError(
            f"{raw.source}: columns {columns!r}, {raw.line(names[0], row)}: the weights sum to "
            f"{total:.6g}, not 1 within {tolerance[row]:.3g}; {remedy} or leave the row out with "
            "--where"
        )


def weights_of(frame: pd.DataFrame, domains: Sequence[str]) -> np.ndarray:
    """Returns the weight columns of `domains`, float64 [p, k], in that order."""
    columns = [f"w_{domain}" for domain in domains]
    return np.array(frame[columns].to_numpy(dtype=np.float64)).reshape(len(frame), len(domains))


def renormalized(raw: Raw, domains: Sequence[str]) -> Raw:
    """Returns `raw` with weights that sum to 1, and a note if that changed any visibly."""
    weights = weights_of(raw.frame, domains)
    sums = weights.sum(axis=1)
    off = np.abs(sums - 1.0) > _SUM_EXACT
    if not domains or not off.any():
        return raw
    weights[off] /= sums[off, None]
    frame = raw.frame.assign(**{f"w_{d}": weights[:, i] for i, d in enumerate(domains)})
    seen = sums[np.abs(sums - 1.0) > ROUNDING]
    if not seen.size:
        return replace(raw, frame=frame)
    rows, low, high = count(seen.size, "row"), seen.min(), seen.max()
    note = f"weights of {rows} renormalized (sums {low:.6g} to {high:.6g})"
    return replace(raw, frame=frame, notes=(*raw.notes, note))


def _pooled(raw: Raw, pool: Sequence[str]) -> Raw:
    """Returns `raw` with notes on what is pooled; tokenizers or schedules mixed unasked raise."""
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
    return replace(raw, notes=(*raw.notes, *notes))


def _without_duplicates(raw: Raw) -> Raw:
    """Returns `raw` with one row per run and token count; rows that disagree are an error."""
    frame = raw.frame
    if not frame.duplicated(["run", "tokens"]).any():
        return raw
    first = frame.groupby(["run", "tokens"], sort=False).ngroup().to_numpy()
    first = np.unique(first, return_index=True)[1][first]  # [p] the first row of the same key
    repeated = first != np.arange(len(frame))
    for column in (c for c in frame.columns if _must_agree(c) and not is_text(frame, c)):
        values = frame[column].to_numpy(dtype=np.float64)
        differ = (values != values[first]) & ~(np.isnan(values) & np.isnan(values[first]))
        if differ.any():
            row = int(np.argmax(differ))
            raise _disagreement(raw, column, row, int(first[row]))
    note = f"{count(int(repeated.sum()), 'identical duplicate row')} dropped"
    return raw.take(~repeated, note)


def _must_agree(column: str) -> bool:
    known = is_number_column(column) or column.startswith("unique_")
    return known or column in ("seed", "n_params_total")


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
