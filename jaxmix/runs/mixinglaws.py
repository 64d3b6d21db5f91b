"""Path-encoded loss lines of the mixinglaws study to a run table."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import RunTableError, clip, hint
from .names import bare
from .raw import Origin, Raw, count
from .reading import decode, read_bytes
from .table import RunTable, runs_from_frame, table_from_raw
from .where import evaluate_where

MIXINGLAWS_SIZES: Mapping[str, float] = {
    "70M": 18_915_328.0,
    "160M": 85_056_000.0,
    "305M": 201_541_632.0,
    "410M": 302_311_424.0,
    "1B": 805_736_448.0,
    "2.8B": 2_517_652_480.0,
}
"""Non-embedding parameters behind the study's size labels."""

REDPAJAMA_DOMAINS = ("commoncrawl", "c4", "github", "arxiv", "books", "stackexchange", "wikipedia")
TOKENS_PER_STEP = 4096.0 * 256.0
_SIZE = re.compile(r"\d+(?:\.\d+)?[KMB]")
_SPLITS = ("valid", "train", "test", "bin")


@dataclass
class _Losses:
    """What the lines said: by (run, step), then by target, a loss and its line."""

    weights: dict[str, list[float]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    cells: dict[tuple[str, int], dict[str, tuple[float, int]]] = field(default_factory=dict)
    repeated: int = 0
    skipped: int = 0


def import_mixinglaws(
    text_path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    domains: Sequence[str] | None = None,
    n_params: float | Mapping[str, float] | None = None,
    tokens_per_step: float = TOKENS_PER_STEP,
    allow_unmatched: bool = False,
    where: str | None = None,
) -> RunTable:
    """Reads lines `<folders>/<run>/<step> <validation file> <loss>`, in any order.

    A run is called `<size>_<tag>-<weight>-<weight>-...`, as `70M_RP_14-0.125-...`; where it has no
    size, the file's name is the size (`410M.txt`). Targets are named after the validation file:
    `pythia-pile.valid.Pile-CC.bin` is `pile_cc`. Tokens are steps times `tokens_per_step`.

    Args:
        text_path: one text file, or several whose rows are put together.
        domains: names of the k weights, in the order of the path, which does not name them; None
            for the seven of RedPajama (runs tagged RP).
        n_params: parameters N, one for all or by size label; None for `MIXINGLAWS_SIZES`.
        tokens_per_step: training tokens of a step.
        allow_unmatched: skip, and note, lines whose path names no mixture or no step.
        where: as in `read_runs`, over the resulting columns.

    Raises:
        RunTableError: a line is not in the format, two disagree, or a value is out of bounds.
    """
    one = isinstance(text_path, (str, os.PathLike))
    paths = [Path(text_path)] if one else [Path(path) for path in text_path]
    if not paths:
        raise RunTableError("no mixinglaws file is named; name at least one")
    names = None if domains is None else tuple(bare(name, "w_") for name in domains)
    raws = [_read(path, names, n_params, tokens_per_step, allow_unmatched) for path in paths]
    if len(raws) == 1:
        return table_from_raw(raws[0], where, ())
    return _stacked(raws, where)


def _stacked(raws: Sequence[Raw], where: str | None) -> RunTable:
    if where is not None:
        masks = [evaluate_where(where, _columns(raw)) for raw in raws]
        raws = [raw.take(mask) for raw, mask in zip(raws, masks, strict=True) if mask.any()]
    if not raws:
        raise RunTableError(f"where {clip(where)!r} leaves no row of any file; widen it")
    tables = [table_from_raw(raw, None, ()) for raw in raws]
    frame = pd.concat([table.frame for table in tables], ignore_index=True)
    source = ", ".join(table.source for table in tables)
    whole = runs_from_frame(frame, source=source)
    notes = tuple(f"{table.source}: {note}" for table in tables for note in table.notes)
    return replace(whole, notes=(*notes, *whole.notes))


def _columns(raw: Raw) -> dict[str, np.ndarray]:
    return {name: raw.frame[name].to_numpy() for name in raw.frame.columns}


def _read(
    path: Path,
    domains: tuple[str, ...] | None,
    n_params: float | Mapping[str, float] | None,
    tokens_per_step: float,
    allow_unmatched: bool,
) -> Raw:
    source = str(path)
    losses = _Losses()
    for line, text in enumerate(decode(read_bytes(path), source).split("\n"), start=1):
        if text.strip():
            _add_line(losses, text, source, line, allow_unmatched)
    if not losses.cells:
        raise RunTableError(f"{source}: no line names a mixture and a step; nothing to import")
    domains = _domains(losses, domains, source)
    sizes = {label: _size(label, n_params, source) for label in set(losses.labels.values())}
    return _table(losses, domains, sizes, tokens_per_step, source)


def _add_line(losses: _Losses, text: str, source: str, line: int, skip: bool) -> None:
    fields = text.split()
    if len(fields) != 3:
        raise RunTableError(
            f"{source}: line {line} has {len(fields)} fields; write <folders>/<run>/<step>, "
            "<validation file> and <loss>"
        )
    found = _run_and_step(fields[0], Path(source).stem)
    if found is None and skip:
        losses.skipped += 1
        return
    if found is None:
        raise RunTableError(
            f"{source}: line {line}: {clip(fields[0][-60:])!r} names no <run>/<step> with weights; "
            "remove the line, or allow unmatched lines to skip it"
        )
    run, label, weights, step = found
    try:
        loss = float(fields[2])
    except ValueError:
        raise RunTableError(
            f"{source}: line {line}: the loss {clip(fields[2], 30)!r} is not a number; correct it"
        ) from None
    losses.weights.setdefault(run, weights)
    losses.labels.setdefault(run, label)
    _add_loss(losses, (run, step), _target(fields[1]), loss, source, line)


def _add_loss(
    losses: _Losses, key: tuple[str, int], target: str, loss: float, source: str, line: int
) -> None:
    old, first = losses.cells.setdefault(key, {}).setdefault(target, (loss, line))
    if old != loss and not (np.isnan(old) and np.isnan(loss)):
        raise RunTableError(
            f"{source}: column 'loss_{target}', line {line}: run {clip(key[0])!r} at step {key[1]} "
            f"has {loss:.9g} here and {old:.9g} on line {first}; remove one line"
        )
    losses.repeated += line != first


def _run_and_step(path: str, stem: str) -> tuple[str, str, list[float], int] | None:
    """Returns run id, size label, weights and step of a checkpoint's path, if it has them."""
    parts = [part for part in path.split("/") if part]
    if len(parts) < 2 or not parts[-1].isdigit():
        return None
    tag, *fractions = parts[-2].split("-")
    try:
        weights = [float(fraction) for fraction in fractions]
    except ValueError:
        return None
    if not weights:
        return None
    label = tag.split("_")[0]
    if _SIZE.fullmatch(label):
        return parts[-2], label, weights, int(parts[-1])
    return f"{stem}_{parts[-2]}", stem, weights, int(parts[-1])


def _target(path: str) -> str:
    """Returns the target of a validation file: its last dotted part that is no split."""
    parts = path.rstrip("/").split("/")[-1].split(".")
    named = [part for part in parts if part.lower() not in _SPLITS] or parts
    return re.sub(r"[^a-z0-9]+", "_", named[-1].lower()).strip("_")


def _domains(losses: _Losses, domains: tuple[str, ...] | None, source: str) -> tuple[str, ...]:
    if domains is None:
        tagged = all("_RP_" in run for run in losses.weights)
        domains = REDPAJAMA_DOMAINS if tagged else ()
    for run, weights in losses.weights.items():
        if len(weights) != len(domains):
            given = f"{len(domains)} domains are named" if domains else "no domains are named"
            raise RunTableError(
                f"{source}: run {clip(run)!r} has {len(weights)} weights, but {given}; "
                "pass domains in the order of the path"
            )
    return domains


def _size(label: str, n_params: float | Mapping[str, float] | None, source: str) -> float:
    sizes = MIXINGLAWS_SIZES if n_params is None else n_params
    if not isinstance(sizes, Mapping):
        return float(sizes)
    if label not in sizes:
        raise RunTableError(
            f"{source}: size {clip(label)!r} has no known parameter count ({hint(label, sizes)}); "
            "pass n_params"
        )
    return float(sizes[label])


def _table(
    losses: _Losses,
    domains: tuple[str, ...],
    sizes: Mapping[str, float],
    tokens_per_step: float,
    source: str,
) -> Raw:
    keys = sorted(losses.cells)
    targets = sorted({target for cell in losses.cells.values() for target in cell})
    weights = np.array([losses.weights[run] for run, _ in keys])  # [p, k]
    first = [min(line for _, line in losses.cells[key].values()) for key in keys]
    columns: dict[str, object] = {
        "run": [run for run, _ in keys],
        "n_params": [sizes[losses.labels[run]] for run, _ in keys],
        "tokens": [step * float(tokens_per_step) for _, step in keys],
        "step": [float(step) for _, step in keys],
    }
    columns |= {f"w_{name}": weights[:, i] for i, name in enumerate(domains)}
    origins = {}
    for target in targets:
        none = [(np.nan, line) for line in first]
        cells = [losses.cells[key].get(target, at) for key, at in zip(keys, none, strict=True)]
        columns[f"loss_{target}"] = [loss for loss, _ in cells]
        lines = np.array([line for _, line in cells])
        origins[f"loss_{target}"] = Origin(source, f"loss_{target}", lines)
    dropped = [(losses.repeated, "identical duplicate line"), (losses.skipped, "unmatched line")]
    notes = tuple(f"{count(n, what)} dropped" for n, what in dropped if n)
    return Raw(pd.DataFrame(columns), source, "line", np.array(first), notes, origins)
