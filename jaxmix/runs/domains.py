"""Training domains added, split, merged or removed.

Each function returns a new table and puts what it did into the notes. Losses stay as they are: they
belong to targets, and a target does not change with the training domains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from jaxmix.errors import clip
from jaxmix.quantities import count
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.names import bare, resolve_names
from jaxmix.runs.table import RunTable
from jaxmix.runs.validate import weights_of

_SHARES = 0.005


def remove_domain(runs: RunTable, name: str, *, tolerance: float = 0.0) -> RunTable:
    """Removes a training domain, and the runs that were trained on it.

    Args:
        runs: the table.
        name: domain, in either spelling.
        tolerance: runs with at most this weight on it stay, their other weights renormalized: an
            approximation, since their models did see the domain.

    Raises:
        RunTableError: an unknown domain, the only one, a tolerance outside [0, 1), or no run
            without it.

    >>> from jaxmix.runs import read_runs
    >>> frame = pd.DataFrame({"n_params": 1e6, "tokens": 1e8, "w_a": [1.0, 0.5], "w_b": [0, 0.5],
    ...                       "loss": [3.0, 2.9]})
    >>> table = remove_domain(read_runs(frame), "b")
    >>> len(table), table.domains, table.notes[-1]
    (1, ('a',), "domain 'b' removed: 1 of 2 rows kept, those with no weight on it")
    """
    if not 0 <= tolerance < 1:
        raise RunTableError(f"tolerance {tolerance:g}: must be at least 0 and below 1")
    (name,) = _known(runs, [name])
    if len(runs.domains) == 1:
        raise RunTableError(f"{runs.source}: '{name}' is the only domain; nothing would be left")
    on_it = weights_of(runs.frame, [name])[:, 0]
    keep = on_it <= tolerance
    if not keep.any():
        raise RunTableError(
            f"{runs.source}: every run has weight on '{name}' (at least {on_it.min():.3g}); "
            "raise the tolerance, or merge it with another domain"
        )
    kept, left = runs.select(keep), tuple(d for d in runs.domains if d != name)
    frame = kept.frame.drop(columns=[c for c in _columns(name) if c in kept.frame])
    weights = weights_of(frame, left) / weights_of(frame, left).sum(1, keepdims=True)
    frame = frame.assign(**{f"w_{d}": weights[:, i] for i, d in enumerate(left)})
    rest = "with no weight on it" if not tolerance else f"with at most {tolerance:g} on it"
    rows, moved = count(len(runs), "row"), int((on_it[keep] > 0).sum())
    notes = [f"domain '{name}' removed: {keep.sum()} of {rows} kept, those {rest}"]
    if moved:
        notes.append(f"{count(moved, 'row')} renormalized without it, though it was trained on")
    return _changed(kept, frame, *notes)


def add_domain(runs: RunTable, name: str) -> RunTable:
    """Adds a training domain that no run has used yet: weight 0 in every row.

    Raises:
        RunTableError: the name is empty or taken, or the table has no domains.
    """
    name = bare(name, "w_")
    _check_new(runs, [name])
    if not runs.domains:
        raise RunTableError(f"{runs.source}: no columns w_<domain>; write the first one into it")
    frame = runs.frame
    for prefix, value in (("w_", 0.0), ("unique_", np.nan)):
        held = [f"{prefix}{d}" for d in runs.domains if f"{prefix}{d}" in frame]
        for last in sorted(held, key=list(frame.columns).index)[-1:]:
            new = {last: frame[last], f"{prefix}{name}": np.full(len(frame), value)}
            frame = _replaced(frame, [last], new)
    note = f"domain '{name}' added: no law knows it until runs have weight on it"
    return _changed(runs, frame, note)


def split_domain(runs: RunTable, name: str, parts: Mapping[str, float]) -> RunTable:
    """Splits a training domain into parts; every run is taken to have had them in fixed shares.

    Args:
        runs: the table.
        name: domain to split, in either spelling.
        parts: each part's share of the domain's tokens; they sum to 1 within 0.005. One part may
            keep the old name.

    Raises:
        RunTableError: an unknown domain, a name that is taken, fewer than two parts, or shares
            that are not positive with sum 1.
    """
    (name,) = _known(runs, [name])
    shares = {bare(part, "w_"): float(share) for part, share in parts.items()}
    if len(shares) < 2 or len(shares) < len(parts):
        raise RunTableError(f"splitting '{name}' needs at least two parts of different names")
    _check_new(runs, [part for part in shares if part != name])
    total = sum(shares.values())
    if min(shares.values()) <= 0 or not abs(total - 1) <= _SHARES:
        raise RunTableError(
            f"the shares of '{name}' must be above 0 with sum 1, not {total:g}: "
            "give each part's share of its tokens"
        )
    shares = {part: share / total for part, share in shares.items()}
    frame = runs.frame
    for column in (c for c in _columns(name) if c in frame):
        prefix, whole = column.removesuffix(name), frame[column].to_numpy(dtype=np.float64)
        frame = _replaced(frame, [column], {f"{prefix}{p}": whole * s for p, s in shares.items()})
    note = (
        f"domain '{name}' split into {', '.join(shares)} in fixed shares: their effects are not "
        "told apart until runs vary them"
    )
    return _changed(runs, frame, note)


def merge_domains(runs: RunTable, names: Sequence[str], into: str) -> RunTable:
    """Merges training domains into one with the sum of their weights and unique tokens.

    Runs in which the merged domains had different proportions stay, though they differ in what the
    merged domain was made of; the note gives the range of the first one's share.

    Args:
        runs: the table.
        names: at least two domains, in either spelling.
        into: name of the merged domain; it may be one of them.

    Raises:
        RunTableError: an unknown domain, fewer than two, or a name that is taken.
    """
    names, into = _known(runs, names), bare(into, "w_")
    if len(names) < 2:
        raise RunTableError("merging needs at least two different domains")
    if into not in names:
        _check_new(runs, [into])
    frame, weights = runs.frame, weights_of(runs.frame, names)
    for prefix in ("w_", "unique_"):
        old = [f"{prefix}{n}" for n in names if f"{prefix}{n}" in frame]
        if old:
            total = frame[old].to_numpy(dtype=np.float64).sum(axis=1)
            if len(old) < len(names):  # those without never run out, so neither does their sum
                total = np.full(len(frame), np.nan)
            frame = _replaced(frame, old, {f"{prefix}{into}": total})
    used = weights.sum(1) > 0
    share = weights[used, 0] / weights[used].sum(1)
    note = f"domains {', '.join(names)} merged into '{into}'"
    if len(share) and np.ptp(share) > 1e-6:
        note += (
            f": '{names[0]}' was {share.min():.3g} to {share.max():.3g} of it, which no law of "
            "the merged table sees"
        )
    return _changed(runs, frame, note)


def _known(runs: RunTable, names: Sequence[str]) -> tuple[str, ...]:
    try:
        return resolve_names(list(names), runs.domains, "domain")
    except RunTableError as error:
        raise RunTableError(f"{runs.source}: {error}") from None


def _check_new(runs: RunTable, names: Sequence[str]) -> None:
    for name in names:
        if not name.strip():
            raise RunTableError("a domain needs a name")
        taken = [c for c in _columns(name) if c in runs.frame]
        if taken:
            raise RunTableError(f"{runs.source}: column {clip(taken[0])!r} is there already")


def _columns(name: str) -> tuple[str, str]:
    return f"w_{name}", f"unique_{name}"


def _replaced(frame: pd.DataFrame, old: Sequence[str], new: Mapping[str, Any]) -> pd.DataFrame:
    """Returns the frame with new columns in the place of the first of the old ones."""
    at = min(list(frame.columns).index(c) for c in old)
    rest = frame.drop(columns=list(old))
    return pd.concat(
        [rest.iloc[:, :at], pd.DataFrame(dict(new), index=frame.index), rest.iloc[:, at:]], axis=1
    )


def _changed(runs: RunTable, frame: pd.DataFrame, *notes: str) -> RunTable:
    domains = tuple(bare(str(c), "w_") for c in frame.columns if str(c).startswith("w_"))
    return replace(runs, frame=frame, domains=domains, notes=(*runs.notes, *notes))
