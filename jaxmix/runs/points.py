"""Points at which to predict: parameters, tokens and weights, without losses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import validate
from .errors import RunTableError, nearest
from .names import bare
from .raw import Raw, raw_from_frame
from .reading import read_raw
from .table import weights_of


@dataclass(frozen=True, eq=False)
class PointTable:
    """Validated points, in the order of the file.

    Attributes:
        frame: p rows, every column that was read.
        domains: bare names of the k domains that were asked for, in that order.
        runs: the id of each row, or None where there is no `run` column.
        source: the file, or "<frame>".
        notes: what reading changed, one sentence each.
    """

    frame: pd.DataFrame
    domains: tuple[str, ...]
    runs: tuple[str | None, ...]
    source: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def n_params(self) -> np.ndarray:
        """Parameters N, float64 [p]."""
        return self.frame["n_params"].to_numpy(dtype=np.float64, copy=True)

    @property
    def tokens(self) -> np.ndarray:
        """Training tokens D, float64 [p]."""
        return self.frame["tokens"].to_numpy(dtype=np.float64, copy=True)

    @property
    def weights(self) -> np.ndarray:
        """Domain weights h, float64 [p, k], columns in the order of `domains`."""
        return weights_of(self.frame, self.domains)


def read_points(path: str | os.PathLike[str], domains: Sequence[str]) -> PointTable:
    """Reads the points at which a law of `domains` is to predict.

    Args:
        path: a file as for `read_runs`; it needs `n_params`, `tokens` and `w_<domain>` for every
            domain, and no losses.
        domains: the law's k domains, in either spelling.

    Raises:
        RunTableError: a column is missing, a value is out of bounds, or a domain that the law does
            not know has weight.
    """
    return _points(read_raw(path), domains)


def points_from_frame(
    frame: pd.DataFrame, domains: Sequence[str], *, source: str = "<frame>"
) -> PointTable:
    """Validates a data frame as `read_points` does a file.

    >>> frame = pd.DataFrame({"n_params": [1e9], "tokens": [2e10], "w_b": [0.25], "w_a": [0.75]})
    >>> points_from_frame(frame, ["a", "b"]).weights.tolist()
    [[0.75, 0.25]]
    """
    return _points(raw_from_frame(frame, source), domains)


def _points(raw: Raw, domains: Sequence[str]) -> PointTable:
    validate.check_columns(raw, need_loss=False)
    held = validate.domains_of(list(raw.frame.columns))
    domains = tuple(name if name in held else bare(name, "w_") for name in domains)
    _check_domains(raw, domains, held)
    raw = validate.with_numbers(raw, ["n_params", "tokens", *(f"w_{name}" for name in held)])
    for column in ("n_params", "tokens"):
        validate.check_positive(raw, column, may_be_missing=False)
    _check_unknown(raw, domains, held)
    columns = [f"w_{name}" for name in domains]
    validate.check_weights(raw, columns)
    frame, changed = validate.renormalized(raw.frame, columns)
    named = "run" in frame.columns
    runs = tuple(str(run) for run in frame["run"]) if named else (None,) * len(frame)
    return PointTable(frame, domains, runs, raw.source, (*raw.notes, *changed))


def _check_domains(raw: Raw, domains: Sequence[str], held: Sequence[str]) -> None:
    for name in domains:
        if name not in held:
            near = nearest(name, [other for other in held if other not in domains])
            advice = f"rename 'w_{near[0]}' if that is it" if near else "add it (0 where unused)"
            raise RunTableError(f"{raw.source}: column 'w_{name}' is missing; {advice}")


def _check_unknown(raw: Raw, domains: Sequence[str], held: Sequence[str]) -> None:
    for name in held:
        weights = np.nan_to_num(raw.frame[f"w_{name}"].to_numpy(dtype=np.float64))
        if name not in domains and weights.any():
            row = int(np.argmax(weights != 0))
            known = ", ".join(domains) or "none"
            problem = f"weight {weights[row]:.9g} on a domain the law does not know"
            raise raw.fail(f"w_{name}", row, f"{problem}; its domains are {known}")
