"""Splits of a run table by how a law is used: a larger size, new mixtures, losses nearer the best.

A split holds out whole groups, never single checkpoints: rows of one trajectory are so alike that
a law which has seen some of them knows the others. Which rows are tested depends on the split
alone, so that every candidate is scored on the same ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.uncertainty.clusters import mixture_labels
from jaxmix.runs import RunTable
from jaxmix.runs.reading import count

KINDS = {
    "size": "each size from three or more smaller ones, two where there are no more",
    "any-size": "each size from all others",
    "mixtures": "whole mixtures, in folds",
    "range": "the mixtures with the lowest losses, target by target",
    "tokens": "the late part of every trajectory",
}
_CUTS = (0.5, 0.75)  # shares of a trajectory after which "tokens" holds out


class SplitError(JaxmixError):
    """A table that does not allow a kind of split.

    Attributes:
        kind: the kind.
        lack: what the table has, and what the kind needs.
    """

    def __init__(self, source: str, kind: str, lack: str) -> None:
        super().__init__(
            f"{source}: cannot hold out by {kind} ({KINDS[kind]}): it has {lack}; leave this kind "
            "out or add runs"
        )
        self.kind, self.lack = kind, lack


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to fit and rows to score, for m targets and p rows.

    Attributes:
        kind: a key of ``KINDS``.
        name: what is held out, as ``"n_params = 3.02e+08"``.
        train: bool [m, p] rows that a fit of each target may use.
        test: bool [m, p] rows on which it is scored.
        choices: bool [p] rows among whose mixtures a law is asked to pick the best.
    """

    kind: str
    name: str
    train: np.ndarray
    test: np.ndarray
    choices: np.ndarray


@dataclass(frozen=True, eq=False)
class _Table:
    """What the makers of splits look at; ``rows`` [m, p] are those that exist for them."""

    runs: RunTable
    losses: np.ndarray  # [m, p]
    rows: np.ndarray  # [m, p]
    mixture: np.ndarray  # [p] index of the mixture
    share: np.ndarray  # [p] position on the trajectory, 1 at its end
    late: float

    def split(
        self, kind: str, name: str, test: np.ndarray, train: np.ndarray | None = None
    ) -> Split:
        """A split from what is held out, [p] or [m, p]; the rest is fitted."""
        train = self.rows & (~test if train is None else train)
        held = self.rows & test & (self.share >= self.late)
        return Split(kind, name, train, held, any_target(held))


def any_target(rows: np.ndarray) -> np.ndarray:
    """[p] rows that are held for one of the targets of a mask [m, p]."""
    return np.any(rows, axis=0, keepdims=True)[0]


def mixture_ids(runs: RunTable) -> np.ndarray:
    """An index [p] of each row's mixture; weights equal to 1e-6 are one mixture."""
    return mixture_labels(runs.weights)


def trajectory_share(runs: RunTable, rows: np.ndarray | None = None) -> np.ndarray:
    """Tokens of each row over the last tokens of its run, [p].

    Args:
        runs: the table.
        rows: bool [p], those that exist; a run ends at its last row among them. Rows of a run
            without any are measured by their own end.
    """
    rows = np.ones(len(runs), bool) if rows is None else rows
    _, run = np.unique(runs.frame["run"].to_numpy().astype(str), return_inverse=True)
    last, seen = np.zeros(run.max() + 1), np.zeros(run.max() + 1)
    np.maximum.at(last, run, runs.tokens)
    np.maximum.at(seen, run[rows], runs.tokens[rows])
    return runs.tokens / np.where(seen > 0, seen, last)[run]


def make_splits(
    runs: RunTable,
    by: Sequence[str] = ("size", "mixtures", "range"),
    *,
    targets: Sequence[str] | None = None,
    folds: int = 5,
    best: float = 0.25,
    late: float = 0.5,
    size_floor: float = 0.0,
    seed: int = 0,
    rows: np.ndarray | None = None,
) -> tuple[Split, ...]:
    """Splits of each kind asked for.

    Args:
        runs: the table.
        by: keys of ``KINDS``.
        targets: names, None for all.
        folds: parts into which ``"mixtures"`` deals the mixtures.
        best: share of the mixtures that ``"range"`` holds out, at least two mixtures.
        late: test rows are those at least this far along their trajectory.
        size_floor: sizes below do not count as sizes that remain for ``"size"``.
        seed: of the deal.
        rows: bool [m, p] rows that exist, None for every row with a loss: splits within one
            side of another split, on arrays of the same shape.

    Raises:
        JaxmixError: an unknown kind, or a table that cannot be split so.
    """
    unknown = [kind for kind in by if kind not in KINDS]
    if unknown or not by:
        what = f"unknown split '{unknown[0]}'" if unknown else "no split is named"
        raise JaxmixError(f"{what}: choose among {', '.join(KINDS)}")
    if not (folds >= 2 and 0 < best < 1 and 0 <= late <= 1):
        raise JaxmixError("folds must be at least 2, best within (0, 1), late within [0, 1]")
    losses = runs.losses(targets)
    known = np.isfinite(losses)
    known = known if rows is None else known & rows
    if not known.any():
        raise JaxmixError(
            f"{runs.source}: no row has a loss of the targets; there is nothing to do"
        )
    share = trajectory_share(runs, any_target(known))
    table = _Table(runs, losses, known, mixture_ids(runs), share, late)
    makers: dict[str, Callable[[], list[Split]]] = {
        "size": lambda: _sizes(table, size_floor),
        "any-size": lambda: _any_size(table),
        "mixtures": lambda: _mixtures(table, folds, seed),
        "range": lambda: _range(table, best),
        "tokens": lambda: _tokens(table),
    }
    return tuple(s for kind in dict.fromkeys(by) for s in _nonempty(table, kind, makers[kind]()))


def _nonempty(table: _Table, kind: str, found: list[Split]) -> list[Split]:
    """Splits in which every target has rows on both sides."""
    whole = [s for s in found if s.train.any(1).all() and s.test.any(1).all()]
    if not whole:
        raise SplitError(table.runs.source, kind, _lack(table, kind))
    return whole


def _lack(table: _Table, kind: str) -> str:
    sizes, mixtures = len(_distinct_sizes(table)), len(_distinct_mixtures(table))
    return {
        "size": f"{count(sizes, 'size')} at hand and needs three above the size floor",
        "any-size": f"{count(sizes, 'size')} at hand and needs three",
        "mixtures": f"{count(mixtures, 'mixture')} at hand and needs two",
        "range": f"{count(mixtures, 'mixture')} at hand and needs four",
        "tokens": "no rows on both sides of the cut",
    }[kind]


def _distinct_sizes(table: _Table) -> np.ndarray:
    return np.unique(table.runs.n_params[any_target(table.rows)])


def _distinct_mixtures(table: _Table) -> np.ndarray:
    return np.unique(table.mixture[any_target(table.rows)])


def _sizes(table: _Table, floor: float) -> list[Split]:
    """Forward in size. Two sizes leave E, A and alpha of a power law open, three just settle them.

    On published runs (70M to 410M) the additive law errs by 4% where it is fitted on two sizes and
    by .4% on three: splits from two would drown the others, so they are the last resort.
    """
    n, sizes = table.runs.n_params, _distinct_sizes(table)
    smaller = {size: int(np.sum((sizes < size) & (sizes >= floor))) for size in sizes}
    least = min(3, max(smaller.values()))
    held = [size for size in sizes if smaller[size] >= least] if least >= 2 else []
    return [table.split("size", f"n_params = {size:.3g}", n == size, n < size) for size in held]


def _any_size(table: _Table) -> list[Split]:
    n, sizes = table.runs.n_params, _distinct_sizes(table)
    held = sizes if len(sizes) >= 3 else ()
    return [table.split("any-size", f"n_params = {size:.3g}", n == size) for size in held]


def _mixtures(table: _Table, folds: int, seed: int) -> list[Split]:
    mixtures = _distinct_mixtures(table)
    folds = min(folds, len(mixtures))
    deal = np.random.default_rng(seed).permutation(mixtures)
    parts = [np.isin(table.mixture, deal[i::folds]) for i in range(folds)]
    return [
        table.split("mixtures", f"mixtures {i + 1}/{folds}", part) for i, part in enumerate(parts)
    ]


def _range(table: _Table, best: float) -> list[Split]:
    """Holds out each target's best mixtures; the law then picks among all of them."""
    mixtures = _distinct_mixtures(table)
    if len(mixtures) < 4:
        return []
    count = max(2, round(best * len(mixtures)))
    effects = np.stack([_mixture_effects(table, t) for t in range(len(table.losses))])  # [m, q]
    held = np.argsort(effects, axis=1, kind="stable")[:, :count]
    test = np.stack([np.isin(table.mixture, mixtures[h]) for h in held])
    made = table.split("range", f"best {count} of {len(mixtures)} mixtures", test)
    late = any_target(table.rows) & (table.share >= table.late)
    return [Split(made.kind, made.name, made.train, made.test, late)]


def _mixture_effects(table: _Table, target: int) -> np.ndarray:
    """What each mixture adds to the log loss at matched N and D, [q].

    Least squares with one effect per mixture and one per (N, D): designs need not be complete. A
    mixture without a loss of the target counts as the worst.
    """
    rows = table.rows[target]
    mixtures = _distinct_mixtures(table)
    points = np.stack([table.runs.n_params[rows], table.runs.tokens[rows]], 1)
    cell = np.unique(points, axis=0, return_inverse=True)[1].reshape(-1)
    mixture = np.searchsorted(mixtures, table.mixture[rows])
    design = np.concatenate([np.eye(len(mixtures))[mixture], np.eye(cell.max() + 1)[cell]], 1)
    solution = np.linalg.lstsq(design, np.log(table.losses[target, rows]), rcond=None)[0]
    seen = np.isin(np.arange(len(mixtures)), mixture)
    return np.where(seen, solution[: len(mixtures)], np.inf)


def _tokens(table: _Table) -> list[Split]:
    return [
        table.split("tokens", f"after {cut:.0%} of each run", table.share > cut) for cut in _CUTS
    ]
