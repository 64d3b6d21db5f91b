"""The noise of the losses in a run table, beside what mixtures do to them; no law is needed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.uncertainty.clusters import mixture_labels
from jaxmix.runs import RunTable

_NEAR = 0.02  # largest difference of weights of mixtures that are nearly the same
_MADE_WITH = ("n_params", "tokens", "tokens_before", "learning_rate", "schedule", "tokenizer")
_FEWEST = 3  # mixtures from which their spread is told


@dataclass(frozen=True, kw_only=True)
class TableNoise:
    """Standard deviations of one target's losses, nats; NaN if the rows do not tell.

    Attributes:
        target: bare name.
        seeds: of runs that repeat a point (N, D, mixture and other inputs).
        repeats: runs beyond the first at such points.
        near: of runs at mixtures within 0.02 of each other; it bounds the noise from above.
        evaluation: root mean square of ``sem_<target>``.
        mixtures: of the losses over mixtures at equal N and D, noise included.
    """

    target: str
    seeds: float
    repeats: int
    near: float
    evaluation: float
    mixtures: float

    @property
    def kind(self) -> str:
        """What the noise is known from: repeats, or else near-duplicates, or else evaluation."""
        ways = {"repeats": self.seeds, "near-duplicates": self.near, "evaluation": self.evaluation}
        return next((name for name, value in ways.items() if np.isfinite(value)), "")

    @property
    def level(self) -> float:
        """The noise of one run from the best of these; NaN if there is none."""
        known = [x for x in (self.seeds, self.near, self.evaluation) if np.isfinite(x)]
        return known[0] if known else float("nan")

    @property
    def ratio(self) -> float:
        """How many times the noise the mixtures move the loss, the noise itself taken out."""
        if not (self.level > 0 and np.isfinite(self.mixtures)):
            return float("nan")
        return float(np.sqrt(max((self.mixtures / self.level) ** 2 - 1.0, 0.0)))


def table_noise(runs: RunTable) -> tuple[TableNoise, ...]:
    """The noise of every target of p rows."""
    losses, sems = runs.losses(), runs.sems()
    mixture = mixture_labels(runs.weights) if runs.domains else np.zeros(len(runs), int)
    budgets = np.unique(_budgets(runs), axis=0, return_inverse=True)[1].ravel()
    found = []
    for i, (target, loss) in enumerate(zip(runs.targets, losses, strict=True)):
        seeds, repeats = _repeats(loss, mixture, budgets)
        found.append(
            TableNoise(
                target=target,
                seeds=seeds,
                repeats=repeats,
                near=_near(loss, mixture, runs.weights, budgets),
                evaluation=_rms(sems[i]) if sems is not None else float("nan"),
                mixtures=_spread(loss, mixture, budgets),
            )
        )
    return tuple(found)


def _budgets(runs: RunTable) -> np.ndarray:
    """What rows must share to be compared: N, D and whatever else a run is made with; [p, q]."""
    known = [c for c in runs.frame.columns if c in _MADE_WITH or c.startswith("unique_")]
    return np.stack([np.unique(runs.frame[c].astype(str), return_inverse=True)[1] for c in known]).T


def _groups(labels: np.ndarray, present: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of every label, two or more."""
    order = np.flatnonzero(present)[np.argsort(labels[present], kind="stable")]
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    yield from (rows for rows in np.split(order, ends) if len(rows) > 1)


def _repeats(loss: np.ndarray, mixture: np.ndarray, budgets: np.ndarray) -> tuple[float, int]:
    points = np.unique(np.stack([mixture, budgets]), axis=1, return_inverse=True)[1].ravel()
    groups = [*_groups(points, np.isfinite(loss))]
    freedom = sum(len(rows) - 1 for rows in groups)
    squares = sum(float(np.var(loss[rows])) * len(rows) for rows in groups)
    return _root(squares, freedom), freedom


def _near(loss: np.ndarray, mixture: np.ndarray, h: np.ndarray, budgets: np.ndarray) -> float:
    """From pairs of rows whose mixtures differ a little."""
    squares, pairs = 0.0, 0
    for rows in _groups(budgets, np.isfinite(loss)):
        apart = np.abs(h[rows][:, None] - h[rows][None]).max(-1, initial=0.0)
        near = (apart <= _NEAR) & (mixture[rows][:, None] < mixture[rows][None])
        squares += float(np.sum(np.where(near, loss[rows][:, None] - loss[rows][None], 0) ** 2)) / 2
        pairs += int(near.sum())
    return _root(squares, pairs)


def _spread(loss: np.ndarray, mixture: np.ndarray, budgets: np.ndarray) -> float:
    groups = [r for r in _groups(budgets, np.isfinite(loss)) if len(set(mixture[r])) >= _FEWEST]
    squares = sum(float(np.var(loss[rows])) * len(rows) for rows in groups)
    return _root(squares, sum(len(rows) - 1 for rows in groups))


def _rms(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return _root(float(np.sum(known**2)), len(known))


def _root(squares: float, freedom: int) -> float:
    return float(np.sqrt(squares / freedom)) if freedom else float("nan")
