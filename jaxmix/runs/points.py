"""Tables without losses: points at which to predict, and mixtures by name."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jaxmix.errors import nearest
from jaxmix.runs import validate
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.names import bare
from jaxmix.runs.plausibility import unit_notes
from jaxmix.runs.reading import Raw, Table
from jaxmix.runs.renaming import read_named
from jaxmix.runs.table import Rows


@dataclass(frozen=True, eq=False, repr=False)
class PointTable(Rows):
    """Rows without losses, in the order of the file.

    Attributes:
        runs: the id of each row, or None if there is no `run` column.
    """

    runs: tuple[str | None, ...]


def read_points(
    table: Table | Rows, domains: Sequence[str] | None = None, *, source: str = "<frame>"
) -> PointTable:
    """Reads the points at which a law of `domains` is to predict.

    Args:
        table: as for `read_runs`; it needs `n_params`, `tokens` and `w_<domain>` for every domain,
            and no losses.
        domains: the law's k domains, in either spelling; None for those of the table.
        source: what messages call a table that is no file.

    Raises:
        RunTableError: a column is missing, a value is out of bounds, or a domain that the law does
            not know has weight.

    >>> columns = {"n_params": [1e9], "tokens": [2e10], "w_b": [0.25], "w_a": [0.75]}
    >>> read_points(columns, ["a", "b"]).weights.tolist()
    [[0.75, 0.25]]
    """
    if isinstance(table, Rows):
        table, source = table.frame, table.source
    raw = read_named(table, source=source)
    validate.check_columns(raw)
    held = validate.domains_of(raw)
    names = tuple(d if d in held else bare(d, "w_") for d in (held if domains is None else domains))
    _check_domains(raw, names, held)
    raw = validate.with_numbers(raw, ["n_params", "tokens", *(f"w_{name}" for name in held)])
    validate.check_budgets(raw)
    _check_unknown(raw, names, held)
    raw = validate.renormalized(validate.with_weights(raw, names), names)
    named = "run" in raw.frame.columns
    runs = tuple(str(run) for run in raw.frame["run"]) if named else (None,) * len(raw.frame)
    table = PointTable(raw.frame, names, raw.source, raw.notes, runs)
    return replace(table, notes=(*raw.notes, *unit_notes(table.n_params, table.tokens)))


def _check_domains(raw: Raw, domains: Sequence[str], held: Sequence[str]) -> None:
    for name in domains:
        if name not in held:
            near = nearest(name, [other for other in held if other not in domains])
            advice = "add it (0 if unused)"
            if near:
                old = f"w_{near[0]}"
                advice = f"rename {old!r} if that is it: --rename {shlex.quote(old)}=w_{name}"
            raise RunTableError(f"{raw.source}: column 'w_{name}' is missing; {advice}")


def _check_unknown(raw: Raw, domains: Sequence[str], held: Sequence[str]) -> None:
    for name in (name for name in held if name not in domains):
        weights = np.nan_to_num(raw.frame[f"w_{name}"].to_numpy(dtype=np.float64))
        weighed = np.abs(weights) > validate.ROUNDING
        if weighed.any():
            row = int(np.argmax(weighed))
            known = ", ".join(domains) or "none"
            problem = f"weight {weights[row]:.9g} on a domain the law does not know"
            raise raw.fail(f"w_{name}", row, f"{problem}; its domains are {known}")


def read_mixtures(path: str | os.PathLike[str]) -> dict[str, dict[str, float]]:
    """Reads the distinct mixtures of a file in the order in which they come.

    Args:
        path: a table as for `read_runs`; only its columns `w_<domain>` are read.

    Returns:
        Weights by domain, by the file's name and the row that a mixture is first seen in, counted
        from 1: "next-1".

    Raises:
        RunTableError: no column `w_<domain>`, or a row that is no mixture.
    """
    raw = read_named(path, partly=True)
    domains = validate.domains_of(raw)
    if not domains:
        raise RunTableError(f"{path}: no columns w_<domain>; give a table of mixtures")
    columns = [f"w_{domain}" for domain in domains]
    raw = validate.with_numbers(replace(raw, frame=raw.frame[columns]), columns)
    raw = validate.renormalized(validate.with_weights(raw, domains), domains)
    weights = validate.weights_of(raw.frame, domains)  # [p, k]
    first = np.sort(np.unique(np.round(weights, 9), axis=0, return_index=True)[1])
    return {
        f"{Path(path).stem}-{row + 1}": dict(zip(domains, weights[row].tolist(), strict=True))
        for row in first.tolist()
    }
