"""The run table: losses of small runs by parameters, tokens and mixture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from . import validate
from .errors import RunTableError, clip
from .names import bare, resolve_names
from .raw import Raw, is_number_column, raw_from_frame
from .reading import read_raw
from .where import evaluate_where


@dataclass(frozen=True, eq=False)
class RunTable:
    """Validated rows, one per evaluated checkpoint; everything is looked up by name.

    Attributes:
        frame: p rows; the contract's columns as float64 (`run` and other ids as text), and every
            other column as it was read.
        domains: bare names of the k training domains, in column order.
        targets: bare names of the m targets that have a loss somewhere, in column order.
        source: the file, or "<frame>".
        notes: what reading changed, one sentence each.
    """

    frame: pd.DataFrame
    domains: tuple[str, ...]
    targets: tuple[str, ...]
    source: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def n_params(self) -> np.ndarray:
        """Parameters N, float64 [p]."""
        return self._column("n_params")

    @property
    def tokens(self) -> np.ndarray:
        """Training tokens D, float64 [p]."""
        return self._column("tokens")

    @property
    def weights(self) -> np.ndarray:
        """Domain weights h, float64 [p, k]; rows sum to 1 (k may be 0)."""
        return weights_of(self.frame, self.domains)

    def losses(self, targets: Sequence[str] | None = None) -> np.ndarray:
        """Returns losses in nats per token, float64 [m, p], NaN where missing.

        Args:
            targets: names in either spelling; None for every target.

        Raises:
            RunTableError: a target is unknown or has no value in these rows.
        """
        names = self._resolve(targets)
        columns = [self._column(self._loss_column(name)) for name in names]
        return np.stack(columns)

    def sems(self, targets: Sequence[str] | None = None) -> np.ndarray | None:
        """Returns standard errors of the losses, float64 [m, p], NaN where missing.

        None where no asked target has a `sem_<target>` column. Raises as `losses` does.
        """
        names = [f"sem_{name}" for name in self._resolve(targets)]
        if not any(name in self.frame.columns for name in names):
            return None
        missing = np.full(len(self), np.nan)
        return np.stack([self._column(n) if n in self.frame.columns else missing for n in names])

    def target_names(self, targets: Sequence[str] | None) -> tuple[str, ...]:
        """Returns bare names of the targets asked for (None or "all": every one).

        Raises:
            RunTableError: a target is unknown or has no value in these rows.
        """
        return self._resolve(targets)

    def where(self, expression: str) -> RunTable:
        """Returns the rows where `expression` holds (see `evaluate_where`).

        Raises:
            RunTableError: the expression is not in the grammar, or leaves no row.
        """
        columns = {str(name): self.frame[name].to_numpy() for name in self.frame.columns}
        mask = evaluate_where(expression, columns)
        if not mask.any():
            raise RunTableError(
                f"{self.source}: where {clip(expression)!r} leaves none of {len(self)} rows; "
                "widen the expression"
            )
        return self.select(mask)

    def select(self, mask: np.ndarray) -> RunTable:
        """Returns the rows where `mask`, bool [p], holds; targets left without a loss go too.

        Raises:
            RunTableError: `mask` is not bool [p].
        """
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (len(self),):
            raise RunTableError(
                f"{self.source}: a row mask must be bool of shape ({len(self)},), not "
                f"{mask.dtype} of shape {mask.shape}; compare to make one"
            )
        frame = self.frame.loc[mask].reset_index(drop=True)
        targets, notes = _targets(frame, [self._loss_column(name) for name in self.targets])
        return replace(self, frame=frame, targets=targets, notes=(*self.notes, *notes))

    def _resolve(self, targets: Sequence[str] | None) -> tuple[str, ...]:
        held = [bare(str(c), "loss_") for c in self.frame.columns if validate.is_loss(str(c))]
        names = self.targets if targets is None else None
        if names is None:
            known = self.targets if targets in ("all", ["all"], ("all",)) else held
            names = resolve_names(targets, known, "loss_", "target")
        for name in names:
            if name not in self.targets:
                raise RunTableError(
                    f"{self.source}: target {name!r} has no loss in these {len(self)} rows; "
                    "ask for another, or widen --where"
                )
        if not names:
            raise RunTableError(
                f"{self.source}: no target has a loss in these {len(self)} rows; widen --where"
            )
        return names

    def _loss_column(self, target: str) -> str:
        bare_loss = target == "loss" and "loss" in self.frame.columns
        return "loss" if bare_loss else f"loss_{target}"

    def _column(self, name: str) -> np.ndarray:
        return self.frame[name].to_numpy(dtype=np.float64, copy=True)


def weights_of(frame: pd.DataFrame, domains: Sequence[str]) -> np.ndarray:
    """Returns the weight columns of `domains`, float64 [p, k], in that order."""
    columns = [f"w_{domain}" for domain in domains]
    return np.array(frame[columns].to_numpy(dtype=np.float64)).reshape(len(frame), len(domains))


def _targets(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Returns the bare names with a loss somewhere, and a note for each one without."""
    present = {name: bool(frame[name].notna().any()) for name in columns}
    names = tuple(bare(name, "loss_") for name, there in present.items() if there)
    absent = [bare(name, "loss_") for name, there in present.items() if not there]
    return names, [f"target {name} has no loss and is left out" for name in absent]


def read_runs(
    path: str | os.PathLike[str], *, where: str | None = None, pool: Sequence[str] = ()
) -> RunTable:
    r"""Reads and validates a run table.

    Args:
        path: .csv (the default), .tsv, .parquet or .jsonl.
        where: keep the rows where this expression over the columns of the file holds; it sees them
            before validation, so that it can leave bad rows out.
        pool: "tokenizer" or "schedule", where rows that differ in it may be mixed.

    Raises:
        RunTableError: one line that names file, column, row and remedy.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "runs.csv"
    >>> _ = path.write_text("run,n_params,tokens,w_a,w_b,loss_a\nr1,1e6,1e8,0.25,0.75,3.5\n")
    >>> table = read_runs(path)
    >>> table.domains, table.targets, table.weights.tolist()
    (('a', 'b'), ('a',), [[0.25, 0.75]])
    """
    return table_from_raw(read_raw(path), where, pool)


def runs_from_frame(
    frame: pd.DataFrame,
    *,
    source: str = "<frame>",
    where: str | None = None,
    pool: Sequence[str] = (),
) -> RunTable:
    """Validates a data frame as `read_runs` does a file; messages count its rows from 1.

    >>> frame = pd.DataFrame({"n_params": [1e6], "tokens": [1e8], "loss": [3.5]})
    >>> runs_from_frame(frame).losses().tolist()
    [[3.5]]
    """
    return table_from_raw(raw_from_frame(frame, source), where, pool)


def table_from_raw(raw: Raw, where: str | None, pool: Sequence[str]) -> RunTable:
    """Returns the run table of a raw table: structure, then filter, then the rows that remain."""
    validate.check_columns(raw, need_loss=True)
    has_runs = "run" in raw.frame.columns
    raw = validate.filtered(validate.with_runs(raw), where, list(raw.frame.columns))
    raw = _checked(raw)
    pooled = validate.check_pooling(raw, pool)
    raw = validate.without_duplicates(raw) if has_runs else raw
    domains = validate.domains_of(list(raw.frame.columns))
    frame, changed = validate.renormalized(raw.frame, [f"w_{domain}" for domain in domains])
    losses = [name for name in frame.columns if validate.is_loss(name)]
    targets, absent = _targets(frame, losses)
    notes = (*raw.notes, *pooled, *changed, *absent)
    return RunTable(frame, domains, targets, raw.source, notes)


def _checked(raw: Raw) -> Raw:
    """Returns `raw` with its contract columns as float64, every value within the contract."""
    domains = validate.domains_of(list(raw.frame.columns))
    budgets = [f"unique_{domain}" for domain in domains] + ["n_params_total"]
    numbers = [c for c in raw.frame.columns if is_number_column(c) or c in budgets]
    raw = validate.with_numbers(raw, numbers)
    validate.check_runs(raw)
    for column in ("n_params", "tokens"):
        validate.check_positive(raw, column, may_be_missing=False)
    validate.check_weights(raw, [f"w_{domain}" for domain in domains])
    for column in (c for c in raw.frame.columns if validate.is_loss(c)):
        validate.check_positive(raw, column, may_be_missing=True)
    validate.check_sems(raw)
    return raw
