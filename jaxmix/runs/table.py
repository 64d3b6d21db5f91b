"""The run table: losses of small runs by parameters, tokens and mixture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new
from jaxmix.errors import clip
from jaxmix.quantities import count
from jaxmix.runs import validate
from jaxmix.runs.accuracies import accuracy_losses, accuracy_targets, mostly_above_chance
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.filters import columns_of
from jaxmix.runs.names import bare, resolve_names
from jaxmix.runs.plausibility import loss_notes, unit_notes
from jaxmix.runs.reading import Raw, Table
from jaxmix.runs.renaming import read_named

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Rows(Shown):
    """Validated rows with parameters, tokens and mixtures; everything is looked up by name.

    Attributes:
        frame: p rows; the contract's columns as float64 (`run` and other ids as text), and every
            other column as it was read.
        domains: bare names of the k training domains, the order of the weights.
        source: the file, or "<frame>".
        notes: what reading changed, one sentence each.
    """

    frame: pd.DataFrame
    domains: tuple[str, ...]
    source: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        facts = [f"{name}: {clip(value, 50)}" for name, value in _facts(self)]
        name = clip(os.path.basename(self.source), 50)
        return f"{type(self).__name__}({name!r}; {'; '.join(facts)})"

    def _shown(self) -> Parts:
        facts = {name: clip(value, 400) for name, value in _facts(self)}
        return Parts(
            f"{clip(self.source, 200)}: {count(len(self), 'row')}", {"": facts}, self.notes
        )

    def to_frame(self) -> pd.DataFrame:
        """Returns the rows, a copy."""
        return self.frame.copy()

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
        return validate.weights_of(self.frame, self.domains)

    def _column(self, name: str) -> np.ndarray:
        return self.frame[name].to_numpy(dtype=np.float64, copy=True)


@dataclass(frozen=True, eq=False, repr=False)
class RunTable(Rows):
    """The losses of small runs, one row per evaluated checkpoint.

    Attributes:
        targets: bare names of the m targets that have a loss somewhere, in column order.
    """

    targets: tuple[str, ...]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the mean loss of the targets against training tokens, one line per run.

        Lines of one color are of one size.
        """
        ax = axes_or_new(ax)
        mean = np.nanmean(self.losses(), axis=0)
        names, order = self.frame["run"].to_numpy(), np.argsort(self.tokens, kind="stable")
        for i, size in enumerate(np.unique(self.n_params)):
            same, label = self.n_params == size, f"N = {_short(size)}"
            for run in dict.fromkeys(names[same]):
                at = order[((names == run) & same)[order]]
                style = {"color": f"C{i % 10}", "alpha": 0.4, "label": label}
                ax.plot(self.tokens[at], mean[at], ".-", **style)
                label = None
        ax.set(xscale="log", xlabel="training tokens", ylabel="mean loss, nats per token")
        ax.legend(frameon=False)
        return ax

    def losses(self, targets: Sequence[str] | None = None) -> np.ndarray:
        """Returns losses in nats per token, float64 [m, p], NaN if missing.

        Those of tasks, ``task_<name>``, are bits per byte, and ``accuracy_<name>`` is -log of the
        column ``metric_<name>``.

        Args:
            targets: names in either spelling, or patterns; None for every target.

        Raises:
            RunTableError: a target is unknown or has no value in these rows.
        """
        return np.stack([self._losses(name) for name in self.target_names(targets)])

    def _losses(self, target: str) -> np.ndarray:
        column = self._loss_column(target)
        if column in self.frame.columns:
            return self._column(column)
        return accuracy_losses(self.frame, target, self.source)

    def sems(self, targets: Sequence[str] | None = None) -> np.ndarray | None:
        """Returns standard errors of the losses, float64 [m, p], NaN if missing.

        None if no target asked for has a `sem_<target>` column. Raises as `losses` does.
        """
        names = [f"sem_{name}" for name in self.target_names(targets)]
        if not any(name in self.frame.columns for name in names):
            return None
        missing = np.full(len(self), np.nan)
        return np.stack([self._column(n) if n in self.frame.columns else missing for n in names])

    def target_names(self, targets: Sequence[str] | None) -> tuple[str, ...]:
        """Returns bare names of the targets asked for (None or "all": every one).

        Accuracies are no losses, but ``accuracy_<name>`` can be asked for. A pattern means those
        that are above chance in half of the rows, if there are any.

        Raises:
            RunTableError: a target is unknown or has no value in these rows.
        """
        names, derived = self.targets, ()
        if targets is not None and targets not in ("all", ["all"], ("all",)):
            columns = [str(c) for c in self.frame.columns if validate.is_loss(str(c))]
            known = [bare(c, "loss_") for c in columns]
            derived = tuple(a for a in accuracy_targets(self.frame) if a not in self.targets)
            clear = [name for name in derived if mostly_above_chance(self.frame, name, self.source)]
            names = resolve_names(targets, known, "target", self.targets, clear, derived)
        absent = [f"target {n!r}" for n in names if n not in (*self.targets, *derived)]
        if absent or not names:
            what = f"{(*absent, 'no target')[0]} has {'no' if absent else 'a'} loss"
            remedy = "ask for another, or widen --where" if absent else "widen --where"
            raise RunTableError(f"{self.source}: {what} in these {len(self)} rows; {remedy}")
        return names

    def measured(self, target: str) -> bool:
        """Returns whether a target has a value in these rows, by its bare name."""
        derived = target in accuracy_targets(self.frame)
        return target in self.targets or (derived and bool(np.isfinite(self._losses(target)).any()))

    def where(self, expression: str) -> RunTable:
        """Returns the rows for which `expression` holds (see `evaluate_where`).

        Raises:
            RunTableError: the expression is not in the grammar, or leaves no row.
        """
        return self.select(validate.rows_where(columns_of(self.frame), expression, self.source))

    def select(self, mask: np.ndarray) -> RunTable:
        """Returns the rows for which `mask`, bool [p], holds; targets left without a loss go too.

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

    def _loss_column(self, target: str) -> str:
        bare_loss = target == "loss" and "loss" in self.frame.columns
        return "loss" if bare_loss else f"loss_{target}"


def _facts(table: Rows) -> list[tuple[str, str]]:
    """Returns what a table holds, by what it is called."""
    if not len(table):
        return [("rows", "0")]
    sizes = [_short(size) for size in np.unique(table.n_params)]
    tokens = [_short(few) for few in (table.tokens.min(), table.tokens.max())]
    named = "run" in table.frame.columns
    runs = f" of {count(len(set(table.frame['run'])), 'run')}" if named else ""
    facts = {
        "rows": f"{len(table)}{runs}",
        "sizes": f"{len(sizes)} from {sizes[0]} to {sizes[-1]}" if sizes[3:] else ", ".join(sizes),
        "tokens": " to ".join(dict.fromkeys(tokens)),
    }
    if table.domains:
        facts["mixtures"] = str(len(np.unique(np.round(table.weights, 9), axis=0)))
        facts[f"domains ({len(table.domains)})"] = ", ".join(table.domains)
    if isinstance(table, RunTable):
        facts[f"targets ({len(table.targets)})"] = ", ".join(table.targets)
    return [*facts.items()]


def _short(number: float) -> str:
    """Returns a count as people say it.

    >>> _short(18_915_328), _short(2.5e9), _short(999)
    ('18.9M', '2.5B', '999')
    """
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _targets(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Returns the bare names with a loss somewhere, and a note for each one without."""
    present = {bare(name, "loss_"): bool(frame[name].notna().any()) for name in columns}
    absent = [name for name, there in present.items() if not there]
    notes = [f"target {name} has no loss and is left out" for name in absent]
    return tuple(name for name in present if name not in absent), notes


def read_runs(
    table: Table | RunTable,
    *,
    source: str = "<frame>",
    where: str | None = None,
    pool: Sequence[str] = (),
) -> RunTable:
    r"""Reads and validates a run table.

    Args:
        table: a .csv (the default), .tsv, .parquet or .jsonl file; a pandas DataFrame; columns of
            equal length by name; or a RunTable, which is validated already.
        source: what messages call a table that is no file; they count its rows from 1.
        where: keep the rows for which this expression over the columns holds; it sees them before
            validation, so that it can leave bad rows out.
        pool: "tokenizer" or "schedule", if rows that differ in it may be mixed.

    Raises:
        RunTableError: one line that names file, column, row and remedy.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "runs.csv"
    >>> _ = path.write_text("run,n_params,tokens,w_a,w_b,loss_a\nr1,1e6,1e8,0.25,0.75,3.5\n")
    >>> runs = read_runs(path)
    >>> runs.domains, runs.targets, runs.weights.tolist()
    (('a', 'b'), ('a',), [[0.25, 0.75]])
    >>> read_runs({"n_params": [1e6, 2e6], "tokens": 1e8, "loss": [3.5, 3.2]})
    RunTable('<frame>'; rows: 2 of 2 runs; sizes: 1M, 2M; tokens: 100M; targets (1): loss)
    """
    if isinstance(table, RunTable):
        return table if where is None else table.where(where)
    return table_from_raw(read_named(table, source=source), where, pool)


def table_from_raw(raw: Raw, where: str | None = None, pool: Sequence[str] = ()) -> RunTable:
    """Returns the run table of a raw table; arguments and errors as of `read_runs`."""
    raw = validate.checked_runs(raw, where, pool)
    losses = [name for name in raw.frame.columns if validate.is_loss(name)]
    targets, absent = _targets(raw.frame, losses)
    notes = (*raw.notes, *absent)
    table = RunTable(raw.frame, validate.domains_of(raw), raw.source, notes, targets)
    doubts = unit_notes(table.n_params, table.tokens)
    doubts += loss_notes(table.losses(), targets) if targets else []
    return replace(table, notes=(*notes, *doubts)) if doubts else table
