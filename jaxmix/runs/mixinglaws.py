"""The text files of the mixinglaws study, whose paths encode the mixtures, to a run table."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from jaxmix.errors import clip, hint
from jaxmix.quantities import count
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.filters import columns_of, evaluate_where
from jaxmix.runs.names import bare
from jaxmix.runs.reading import Origin, Raw, decode, read_bytes
from jaxmix.runs.table import RunTable, read_runs, table_from_raw

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
_KEY = ["run", "step", "target"]


@dataclass(frozen=True)
class _Line:
    """What one line says."""

    line: int
    run: str
    size: str
    weights: tuple[float, ...]
    step: int
    target: str
    loss: float


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

    A run is called `<size>_<tag>-<weight>-<weight>-...`, as `70M_RP_14-0.125-...`; if it has no
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
        return table_from_raw(raws[0], where)
    return _stacked(raws, where)


def _stacked(raws: Sequence[Raw], where: str | None) -> RunTable:
    if where is not None:
        masks = [evaluate_where(where, columns_of(raw.frame)) for raw in raws]
        raws = [raw.take(mask) for raw, mask in zip(raws, masks, strict=True) if mask.any()]
    if not raws:
        raise RunTableError(f"where {clip(where)!r} leaves no row of any file; widen it")
    tables = [table_from_raw(raw) for raw in raws]
    frame = pd.concat([table.frame for table in tables], ignore_index=True)
    source = ", ".join(table.source for table in tables)
    whole = read_runs(frame, source=source)
    notes = tuple(f"{table.source}: {note}" for table in tables for note in table.notes)
    return replace(whole, notes=(*notes, *whole.notes))


def _read(
    path: Path,
    domains: tuple[str, ...] | None,
    n_params: float | Mapping[str, float] | None,
    tokens_per_step: float,
    allow_unmatched: bool,
) -> Raw:
    source = str(path)
    numbered = enumerate(decode(read_bytes(path), source).split("\n"), start=1)
    held = [(line, text) for line, text in numbered if text.strip()]
    read = [_line(text, path, line, allow_unmatched) for line, text in held]
    lines = [line for line in read if line]
    if not lines:
        raise RunTableError(f"{source}: no line names a mixture and a step; nothing to import")
    domains = _domains(lines, domains, source)
    sizes = {size: _size(size, n_params, source) for size in {line.size for line in lines}}
    found = pd.DataFrame(lines)
    first = found.drop_duplicates(_KEY)
    _check_repeats(found.merge(first, "left", _KEY, suffixes=("", "_first")), source)
    raw = _table(first, domains, sizes, tokens_per_step, source)
    dropped = {"identical duplicate line": len(found) - len(first)}
    dropped |= {"unmatched line": len(read) - len(lines)}
    return replace(
        raw, notes=tuple(f"{count(n, what)} dropped" for what, n in dropped.items() if n)
    )


def _line(text: str, path: Path, line: int, allow_unmatched: bool) -> _Line | None:
    """Returns what a line says; None if its path names no mixture or no step."""
    fields = text.split()
    if len(fields) != 3:
        raise RunTableError(
            f"{path}: line {line} has {len(fields)} fields; write <folders>/<run>/<step>, "
            "<validation file> and <loss>"
        )
    parts = [part for part in fields[0].split("/") if part]
    weights = _weights(parts[-2]) if len(parts) > 1 and parts[-1].isdecimal() else ()
    if not weights and allow_unmatched:
        return None
    if not weights:
        raise RunTableError(
            f"{path}: line {line}: {clip(fields[0][-60:])!r} names no <run>/<step> with weights; "
            "remove the line, or pass --allow-unmatched to skip it"
        )
    try:
        loss = float(fields[2])
    except ValueError:
        raise RunTableError(
            f"{path}: line {line}: the loss {clip(fields[2], 30)!r} is not a number; correct it"
        ) from None
    run, size = parts[-2], parts[-2].split("-")[0].split("_")[0]
    if not _SIZE.fullmatch(size):
        run, size = f"{path.stem}_{run}", path.stem
    return _Line(line, run, size, weights, int(parts[-1]), _target(fields[1]), loss)


def _weights(run: str) -> tuple[float, ...]:
    """Returns the weights in a run's name; empty if it names none."""
    try:
        return tuple(float(fraction) for fraction in run.split("-")[1:])
    except ValueError:
        return ()


def _target(path: str) -> str:
    """Returns the target of a validation file: its last dotted part that is no split."""
    parts = path.rstrip("/").split("/")[-1].split(".")
    named = [part for part in parts if part.lower() not in _SPLITS] or parts
    return re.sub(r"[^a-z0-9]+", "_", named[-1].lower()).strip("_")


def _domains(
    lines: Sequence[_Line], domains: tuple[str, ...] | None, source: str
) -> tuple[str, ...]:
    if domains is None:
        domains = REDPAJAMA_DOMAINS if all("_RP_" in line.run for line in lines) else ()
    for line in lines:
        if len(line.weights) != len(domains):
            given = f"{len(domains)} domains are named" if domains else "no domains are named"
            raise RunTableError(
                f"{source}: run {clip(line.run)!r} has {len(line.weights)} weights, but {given}; "
                "pass domains in the order of the path, as --domains a,b"
            )
    return domains


def _size(label: str, n_params: float | Mapping[str, float] | None, source: str) -> float:
    sizes = MIXINGLAWS_SIZES if n_params is None else n_params
    if not isinstance(sizes, Mapping):
        return float(sizes)
    if label not in sizes:
        raise RunTableError(
            f"{source}: size {clip(label)!r} has no known parameter count ({hint(label, sizes)}); "
            "give it with --n-params"
        )
    return float(sizes[label])


def _check_repeats(found: pd.DataFrame, source: str) -> None:
    same = (found["loss"] == found["loss_first"]) | found[["loss", "loss_first"]].isna().all(axis=1)
    for row in found.loc[~same].to_dict(orient="records")[:1]:
        raise RunTableError(
            f"{source}: column 'loss_{row['target']}', line {row['line']}: run "
            f"{clip(row['run'])!r} at step {row['step']} has {row['loss']:.9g} here and "
            f"{row['loss_first']:.9g} on line {row['line_first']}; remove one line"
        )


def _table(
    found: pd.DataFrame,
    domains: tuple[str, ...],
    sizes: Mapping[str, float],
    tokens_per_step: float,
    source: str,
) -> Raw:
    """Returns one row per run and step, one column per target."""
    losses = found.pivot(index=["run", "step"], columns="target", values="loss")  # [p, m]
    lines = found.pivot(index=["run", "step"], columns="target", values="line")
    first = lines.min(axis=1).to_numpy(dtype=int)
    rows = found.drop_duplicates(["run", "step"]).set_index(["run", "step"]).loc[losses.index]
    steps = losses.index.get_level_values("step").to_numpy(dtype=np.float64)
    columns = {
        "run": losses.index.get_level_values("run").to_numpy(),
        "n_params": rows["size"].map(sizes).to_numpy(),
        "tokens": steps * float(tokens_per_step),
        "step": steps,
    }
    weights = np.array(rows["weights"].to_list())  # [p, k]
    columns |= {f"w_{name}": weights[:, i] for i, name in enumerate(domains)}
    columns |= {f"loss_{target}": losses[target].to_numpy() for target in losses}
    origins = {}
    for target in lines:
        at = np.where(lines[target].isna(), first, lines[target]).astype(int)
        origins[f"loss_{target}"] = Origin(source, f"loss_{target}", at)
    return Raw(pd.DataFrame(columns), source, "line", first, origins=origins)
