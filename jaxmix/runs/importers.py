"""Pairs of files of other tools, joined by run, to run tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from jaxmix.errors import clip
from jaxmix.quantities import count
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.names import bare, resolve_names
from jaxmix.runs.reading import File, Origin, Raw, read_raw
from jaxmix.runs.table import RunTable, table_from_raw

_BASE = "base_loss_"


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
        targets: the metrics to take, if some are not losses; None for all.
        allow_unmatched: drop, and note, runs that only one file has.
        where: as in `read_runs`, over the joined columns.

    Raises:
        RunTableError: a file or value is bad, or a run is in one file only.
    """
    weights, losses = _olmix_side(ratios_csv, "w_"), _olmix_side(metrics_csv, "loss_")
    if targets is not None:
        held = [bare(c, "loss_") for c in losses.frame.columns if c.startswith("loss_")]
        asked = [f"loss_{name}" for name in resolve_names(targets, held, "metric")]
        base = [name for name in losses.frame.columns if name.startswith(_BASE)]
        losses = replace(losses, frame=losses.frame[["run", *asked, *base]])
    return table_from_raw(_joined(weights, losses, n_params, tokens, allow_unmatched), where)


def _olmix_side(path: File, prefix: str) -> Raw:
    ids = ("run", "run_id", "name", "index")
    raw = read_raw(path, text_columns=ids[:3])
    key = next((name for name in ids[:2] if name in raw.frame.columns), None)
    if key is None:
        remedy = "olmix files have one; add it"
        raise RunTableError(f"{raw.source}: column 'run' (or 'run_id') is missing; {remedy}")
    named = [c for c in raw.frame.columns if c not in ids and not c.lower().startswith("unnamed")]
    return _only(
        raw, {"run": key} | {_carried(column) or prefix + column: column for column in named}
    )


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
        n_params: as of `import_olmix`, like the other arguments and the errors.
        tokens: training tokens D of every run.
        run_prefix: what to put before each index, to keep the runs of several studies apart.
        allow_unmatched: drop, and note, runs that only one file has.
        where: as in `read_runs`, over the joined columns.
    """
    weights = _regmix_side(mixtures_csv, r"train_(.+)", "w_", run_prefix)
    losses = _regmix_side(losses_csv, r"(?:metric/)?(.+)[_/]val[_/]loss", "loss_", run_prefix)
    names = [*weights.frame.columns, *losses.frame.columns]
    if all(re.match("run$|base_loss_|(w|loss)_the_pile_", name) for name in names):
        weights, losses = (_without_dataset(raw, "the_pile_") for raw in (weights, losses))
    return table_from_raw(_joined(weights, losses, n_params, tokens, allow_unmatched), where)


def _regmix_side(path: File, pattern: str, prefix: str, run_prefix: str) -> Raw:
    raw = read_raw(path, text_columns=("index",))
    if "index" not in raw.frame.columns:
        remedy = "RegMix files have one; add it"
        raise RunTableError(f"{raw.source}: column 'index' is missing; {remedy}")
    matches = {c: re.fullmatch(pattern, c) for c in raw.frame.columns if not _carried(c)}
    columns = {prefix + match[1]: column for column, match in matches.items() if match}
    if not columns:
        shape = "train_<domain>" if prefix == "w_" else "metric/<target>_val_loss"
        raise RunTableError(f"{raw.source}: no column {shape}; is this the right file?")
    other = [column for column in matches if not matches[column] and column != "index"]
    notes = [f"columns left out: {clip(', '.join(other))}"] if other else []
    base = {column: column for column in raw.frame.columns if _carried(column)}
    raw = _only(raw, {"run": "index"} | columns | base)
    ids = [run_prefix + re.sub(r"\.0*$", "", run.strip()) for run in raw.frame["run"]]
    frame = raw.frame.assign(run=np.array(ids, dtype=object))
    return replace(raw, frame=frame, notes=(*raw.notes, *notes))


def _carried(column: str) -> str:
    """Returns the name of a column that keeps it: losses of the models that runs went on from."""
    return column if column.startswith(_BASE) else ""


def _without_dataset(raw: Raw, dataset: str) -> Raw:
    short = {name: name.replace(f"_{dataset}", "_", 1) for name in raw.frame.columns}
    origins = {short[name]: origin for name, origin in raw.origins.items()}
    return replace(raw, frame=raw.frame.rename(columns=short), origins=origins)


def _only(raw: Raw, columns: Mapping[str, str]) -> Raw:
    """Returns the columns named by a mapping from new names to the file's, without the others."""
    frame = pd.DataFrame({new: raw.frame[old] for new, old in columns.items()})
    origins = {new: Origin(raw.source, old, raw.lines) for new, old in columns.items()}
    return replace(raw, frame=frame, origins=origins)


def _joined(
    weights: Raw, losses: Raw, n_params: float, tokens: float, allow_unmatched: bool
) -> Raw:
    """Returns the runs that both sides have, in the order of the weights."""
    weights, losses = _one_row_per_run(weights), _one_row_per_run(losses)
    notes = [*weights.notes, *losses.notes]
    for side, other in ((weights, losses), (losses, weights)):
        notes += _unmatched(side, other, allow_unmatched)
    rows = pd.Index(losses.frame["run"]).get_indexer(pd.Index(weights.frame["run"]))
    if not (rows >= 0).any():
        both = f"{weights.source} and {losses.source}"
        raise RunTableError(f"{both}: no run is in both files; check columns of run ids")
    weights, losses = weights.take(rows >= 0), losses.take(rows[rows >= 0])
    frame = weights.frame.join(losses.frame.drop(columns="run"))
    frame.insert(1, "n_params", float(n_params))
    frame.insert(2, "tokens", float(tokens))
    origins = {**losses.origins, **weights.origins}
    return replace(weights, frame=frame, notes=tuple(notes), origins=origins)


def _one_row_per_run(raw: Raw) -> Raw:
    """Returns `raw` without identical repeats; an empty id or rows that disagree are errors."""
    ids = list(raw.frame["run"])
    for row in np.flatnonzero([not run.strip() for run in ids])[:1]:
        raise raw.fail("run", row, "is empty; name the run of this row")
    again = raw.frame.duplicated(["run"]).to_numpy()
    for row in np.flatnonzero(again & ~raw.frame.duplicated().to_numpy())[:1]:
        first = raw.line("run", ids.index(ids[row]))
        problem = f"run {clip(ids[row])!r} stands on {first} with other values"
        raise raw.fail("run", row, f"{problem}; keep one row for each run")
    if not again.any():
        return raw
    return raw.take(
        ~again, f"{count(again.sum(), 'identical duplicate row')} of {raw.source} dropped"
    )


def _unmatched(raw: Raw, other: Raw, allowed: bool) -> list[str]:
    alone = np.flatnonzero(~raw.frame["run"].isin(other.frame["run"]))
    if not len(alone):
        return []
    few = ", ".join(clip(run, 40) for run in raw.frame["run"].iloc[alone[:5]])
    few += ", ..." if len(alone) > 5 else ""
    what = f"{count(len(alone), 'run')} not in {other.source}: {few}"
    if allowed:
        return [f"{raw.source}: dropped {what}"]
    raise raw.fail("run", alone[0], f"{what}; add them, or pass --allow-unmatched to drop them")
