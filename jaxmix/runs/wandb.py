"""Exports and histories of Weights & Biases to run tables."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jaxmix.errors import clip, hint
from jaxmix.quantities import count
from jaxmix.runs.columns import chosen, grouped, scaled
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.foreign import read_foreign
from jaxmix.runs.reading import File, Raw, read_raw
from jaxmix.runs.renaming import renamed
from jaxmix.runs.table import RunTable
from jaxmix.runs.validate import is_loss
from jaxmix.runs.wandb_files import (
    is_run_table,
    logged_rows,
    only_columns,
    read_logged,
    row_of,
)

_RUNS = ("run", "run_name", "Name", "name", "display_name", "run_id", "_run", "id", "ID")
_STEPS = ("_step", "Step", "step", "global_step", "trainer/global_step", "train/global_step")
_SIZES = ("n_params", "n_parameters", "num_params", "num_parameters", "params", "parameters", "N")
_TOKENS = ("tokens", "n_tokens", "num_tokens", "tokens_seen", "total_tokens", "train_tokens", "D")
_MIXTURES = ("weights", "mixture", "mixture_weights", "domain_weights", "mix", "ratios")
_SETS = ("eval", "val", "valid", "validation", "test", "evaluation")
_WEIGHTS = (
    *("w_*", "config.w_*"),
    *(f"{before}{name}{by}*" for name in _MIXTURES for before in ("config.", "") for by in "./"),
)
_LOSSES = (
    *(f"{s}{shape}" for s in _SETS for shape in ("/*/loss", "/loss/*", "/*_loss", "/loss_*")),
    *(f"{s}{shape}" for s in _SETS for shape in (".*.loss", "/*loss*", "_loss_*", "_*_loss")),
    *(f"{s}{shape}" for s in _SETS for shape in ("/loss", ".loss", "_loss")),
    *("loss_*", "loss"),
)


def import_wandb(
    source: File | pd.DataFrame | Sequence[File | pd.DataFrame],
    columns: Mapping[str, str] | None = None,
    *,
    run: str | None = None,
    n_params: str | float | None = None,
    tokens: str | float | None = None,
    weights: Sequence[str] = (),
    losses: Sequence[str] = (),
    tokens_per_step: float | None = None,
    where: str | None = None,
    pool: Sequence[str] = (),
) -> RunTable:
    """Reads runs of Weights & Biases.

    A folder is one that wandb wrote, offline or not: runs are read from the ``run-*.wandb`` in it.
    A file is such a file, the CSV of a panel (a column ``<run> - <metric>`` for every run), a
    history (a row per run and step; ``config.*`` may stand in one row of a run), or the CSV of the
    table of runs. Without a column of runs a history is that of one run, called as its file.
    Several files are joined by run, and by step if they have one. ENTITY/PROJECT is read through
    the API. Runs that jaxmix logged (see `jaxmix.training.Logs`) give the table of their study, and
    no names are needed. Of others, rows without a loss and those at 0 tokens are left out, with a
    note.

    Args:
        source: a file, folder or data frame, several, or ENTITY/PROJECT.
        columns: as of `import_columns`, like the other arguments.
        run: None for the column that has a usual name, such as `Name`; likewise `n_params` and
            `tokens`, with or without ``config.`` before it.
        n_params: the column of N, or N of all rows.
        tokens: likewise of D.
        weights: empty for ``w_*``, ``config.weights.*`` and the like.
        losses: empty for the losses of evaluations, or every metric of panels without one.
        tokens_per_step: D of a step, if steps were logged and tokens were not.
        where: the rows to keep.
        pool: columns whose rows may be mixed.

    Raises:
        RunTableError: as of `import_columns`; or the package wandb is missing or refuses.
    """
    alone = isinstance(source, (str, os.PathLike, pd.DataFrame))
    sources = [source] if alone else list(source)
    raw = _joined([_read(one, run) for one in sources])
    if is_run_table(raw.frame):
        raw = raw.take(raw.frame["tokens"].notna().to_numpy())
        raw = replace(raw, frame=only_columns(raw.frame))
        return grouped(renamed(raw, columns or {}), where, pool)
    raw = renamed(raw, columns or {})
    held, kept = [str(name) for name in raw.frame.columns], set(columns or {})
    if tokens_per_step is not None and tokens is None:
        tokens = _usual(held, _STEPS) or "tokens"
    axis = held[1:2] if _is_panel(raw) else []  # of the tokens at a loss, unlike those of a run
    amounts = {
        "n_params": n_params or _usual(held, _SIZES) or "n_params",
        "tokens": tokens or _usual(axis, _TOKENS) or _usual(held, _TOKENS) or "tokens",
    }
    measured = [name for name in held if name not in ("run", *_STEPS, *kept, *amounts.values())]
    patterns = {
        "w_": weights or _first(_WEIGHTS, held),
        "loss_": losses or _first(_LOSSES, held) or (measured if _is_panel(raw) else ()),
    }
    raw = chosen(raw, run=None, amounts=amounts, patterns=patterns, kept=kept)
    raw = raw if tokens_per_step is None else scaled(raw, tokens_per_step)
    return grouped(_measured(_filled(raw)), where, pool)


def _usual(held: Sequence[str], names: Sequence[str]) -> str | None:
    """Returns the column with the first of these names, also behind config. or train/."""
    for name in names:
        found = [c for c in held if c == name or re.split("[./]", c)[-1] == name]
        if found:
            return name if name in found else found[0]
    return None


def _first(patterns: Sequence[str], held: Sequence[str]) -> tuple[str, ...]:
    """Returns the first pattern that some column matches."""
    shapes = {p: re.compile("(.+)".join(map(re.escape, p.split("*")))) for p in patterns}
    found = (p for p, shape in shapes.items() if any(map(shape.fullmatch, held)))
    return tuple(p for p in [next(found, None)] if p)


def _is_panel(raw: Raw) -> bool:
    return raw.unit == _POINT


# --- reading --------------------------------------------------------------------------------------

_PROJECT = r"[\w-][\w.-]*/[\w-]+"
_POINT = "point"  # of a panel: what messages call its rows


def _read(source: File | pd.DataFrame, run: str | None) -> Raw:
    """Returns one file, frame or project with a column `run`, if it names runs."""
    file = not isinstance(source, pd.DataFrame)
    if file and (os.path.isdir(source) or Path(source).suffix == ".wandb"):
        rows = [row for logged in read_logged(Path(source)) for row in logged_rows(logged)]
        raw = read_raw(pd.DataFrame(rows), source=str(source))
    elif file and not os.path.exists(source) and re.fullmatch(_PROJECT, str(source)):
        raw = read_raw(pd.DataFrame(list(_records(str(source)))), source=str(source))
    else:
        raw = read_foreign(source, [*_RUNS, *([run] if run else [])])
    ends = [c for c in map(str, raw.frame.columns) if c.endswith(("__MIN", "__MAX"))]
    if ends:
        notes = (*raw.notes, f"{count(len(ends), 'column')} __MIN and __MAX left out")
        raw = replace(raw, frame=raw.frame.drop(columns=ends), notes=notes)
    held = [str(name) for name in raw.frame.columns]
    if len(held) > 1 and all(" - " in name for name in held[1:]):
        return _melted(raw)
    if run is not None and run not in held:
        raise RunTableError(f"{raw.source}: --run: no column {clip(run)!r}; {hint(run, held)}")
    name = run or _usual(held, _RUNS)
    if name is None and file and _step(raw) is not None:
        return replace(raw, frame=raw.frame.assign(run=Path(source).stem))  # the history of one run
    return renamed(raw, {} if name in (None, "run") else {"run": name})


def _melted(raw: Raw) -> Raw:
    """Returns a row per run and step of a panel, which has a row per step."""
    step, *columns = raw.frame.columns
    series = [(*c.rsplit(" - ", 1), c) for c in columns]
    parts, lines = [], []
    for run in dict.fromkeys(run for run, _, _ in series):
        metrics = {metric: raw.frame[c] for r, metric, c in series if r == run}
        part = pd.DataFrame({"run": run, step: raw.frame[step], **metrics})
        there = np.array([pd.notna(part[m].replace("", np.nan)) for m in metrics]).any(axis=0)
        parts.append(part[there])
        lines.append(raw.lines[there])
    frame = pd.concat(parts, ignore_index=True)
    return Raw(frame, raw.source, _POINT, np.concatenate(lines), raw.notes)


def _records(project: str) -> Iterator[Mapping[str, Any]]:
    """Yields the history of every run of a project, with its configuration in each row."""
    try:
        wandb = importlib.import_module(_CLIENT)
    except ImportError:
        raise RunTableError(
            f"{project}: no such file, and to read it as ENTITY/PROJECT takes the package wandb: "
            "pip install wandb, or export a CSV"
        ) from None
    try:
        for run in wandb.Api().runs(project):
            for row in run.scan_history():
                yield row_of(run.name, run.id, dict(run.config), row)
    except (wandb.errors.Error, ValueError) as error:
        raise RunTableError(
            f"{project}: wandb refuses ({clip(error, 100)}); check the name and wandb login"
        ) from None


_CLIENT = "wandb"  # by name: an optional package


# --- joining --------------------------------------------------------------------------------------


def _joined(raws: Sequence[Raw]) -> Raw:
    """Returns tables with steps one after the other, and tables of runs joined to them by run.

    Rows of one run and step, as of panels of two metrics, are joined by `_measured`.
    """
    first, *others = sorted(raws, key=lambda raw: _step(raw) is None)
    for other in others:
        _check_joins(first, other)
        if _step(other) is not None:
            frame = pd.concat([first.frame, other.frame], ignore_index=True)
        else:
            new = [c for c in other.frame if c == "run" or c not in first.frame.columns]
            frame = first.frame.merge(other.frame[new], how="left", on="run")
        lines = np.arange(1, len(frame) + 1)
        source = f"{first.source} with {other.source}"
        notes = (*first.notes, *other.notes)
        first = Raw(frame, source, first.unit if first.unit == _POINT else "row", lines, notes)
    return first


def _step(raw: Raw) -> str | None:
    held = [str(name) for name in raw.frame.columns]
    return held[1] if _is_panel(raw) else next((name for name in _STEPS if name in held), None)


def _check_joins(first: Raw, other: Raw) -> None:
    for raw in (first, other):
        if "run" not in raw.frame.columns:
            names = list(map(str, raw.frame.columns))
            near = hint("run", names)
            raise RunTableError(f"{raw.source}: name the column of runs with --run ({near})")
    step = _step(other)
    if step is None:
        again = other.frame["run"].duplicated()
        if again.any():
            row = int(np.argmax(again))
            problem = f"run {clip(other.frame['run'].iloc[row])!r} stands twice"
            raise other.fail("run", row, f"{problem}; keep one row for each run")
        alone = sorted({*first.frame["run"]} - {*other.frame["run"]})
        if alone:
            raise RunTableError(
                f"{other.source}: has no run {clip(alone[0])!r} of {first.source}; add it, or "
                "export both from the same runs"
            )
    elif step not in first.frame.columns:
        raise RunTableError(
            f"{other.source}: steps are in {step!r}, but {first.source} has no such column; export "
            "both over the same axis"
        )


# --- rows -----------------------------------------------------------------------------------------


def _filled(raw: Raw) -> Raw:
    """Returns rows that have N and weights of their run, if these stand in some of its rows."""
    if "run" not in raw.frame.columns:
        return raw
    weights = [c for c in raw.frame.columns if c.startswith("w_")]
    frame = raw.frame.copy()
    for column in ("n_params", *weights):
        cells = frame[column].replace("", np.nan)
        frame[column] = cells.fillna(cells.groupby(frame["run"]).transform("first"))
    missing = pd.isna(frame[weights]).to_numpy(dtype=bool)  # [p, k]
    unsaid = missing & ~missing.all(axis=1, keepdims=True)
    if not unsaid.any():
        return replace(raw, frame=frame)
    frame[weights] = frame[weights].mask(unsaid, 0.0)
    note = f"weights that are not given in {count(int(unsaid.any(axis=1).sum()), 'row')} are 0"
    return replace(raw, frame=frame, notes=(*raw.notes, note))


def _measured(raw: Raw) -> Raw:
    """Returns the rows with a loss after the first step; rows of one run and step are joined."""
    losses = [name for name in raw.frame.columns if is_loss(name)]
    if not losses:
        raise RunTableError(
            f"{raw.source}: no column looks like the loss of an evaluation; name some with --losses"
        )
    cells = (raw.frame[name].replace("", np.nan) for name in losses)
    there = np.any([pd.notna(column) for column in cells], axis=0)
    begun = ~raw.frame["tokens"].isin([0.0, "0"]).to_numpy()
    for keep, why in ((there, "without a loss"), (begun[there], "at 0 tokens")):
        if keep.any() and not keep.all():
            raw = raw.take(keep, f"{count(int((~keep).sum()), 'row')} {why} left out")
    if not {"run", "tokens"} <= {*raw.frame.columns}:
        return raw
    keys = ["run", "tokens"]
    again = raw.frame.duplicated(keys).to_numpy()
    steps = raw.frame.groupby(keys, sort=False, dropna=False)
    if not again.any() or (steps[losses].nunique().to_numpy() > 1).any():
        return raw  # what disagrees is refused by name
    filled = steps.transform("first")
    frame = raw.frame.assign(**{name: filled[name] for name in filled})
    return replace(raw, frame=frame).take(~again, f"{count(int(again.sum()), 'row')} joined")
