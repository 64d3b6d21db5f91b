"""Measuring what laws miss: their errors on rows left out, less what noise and scatter explain."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.hull import hull_distance
from jaxmix.fitting.scores import average_ranks
from jaxmix.fitting.uncertainty.clusters import mixture_labels, run_labels
from jaxmix.fitting.uncertainty.discrepancy import Discrepancy
from jaxmix.fitting.uncertainty.leave_out import LeftOut, residuals
from jaxmix.fitting.uncertainty.refit import Refits, Refitter
from jaxmix.runs import RunTable

_FEWEST = 4  # sizes, or token counts, without which leaving the largest out leaves too little
_FREEDOM = (3, 30)  # of Student's t: the errors that sizes of errors are estimated from are few
_TINY = 1e-12
_SCATTER = 64  # refits that show how far estimates scatter


@dataclass(frozen=True)
class _Target:
    """One target's rows, and the means over them that errors are judged by."""

    refitter: Refitter
    left: LeftOut
    mixtures: np.ndarray  # [p]
    runs: np.ndarray  # [p]
    away: np.ndarray  # [p] distance of the row's mixture from the mean one
    axes: np.ndarray  # [2, p] log N and log D about the middle of the data

    @property
    def used(self) -> np.ndarray:
        """Rows that have a loss, bool [p]."""
        return np.asarray(self.refitter.rows.row_weights)[0] > 0

    def groups(self, rows: np.ndarray) -> list[np.ndarray]:
        """The rows [p] of every mixture among some rows."""
        return [rows & (self.mixtures == m) for m in np.unique(self.mixtures[rows])]

    def shape(self, rows: np.ndarray) -> np.ndarray:
        """Least-squares level and slopes in log N and log D of some rows, as factors [3, p]."""
        columns = np.stack([np.ones(len(rows)), *self.axes])[:, rows]  # [3, r]
        varies = np.ptp(columns, axis=1) > 0
        varies[0] = True
        found = np.zeros((3, len(rows)))
        found[np.ix_(varies, rows)] = np.linalg.pinv(columns[varies].T)
        return found

    def run_means(self, error: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Mean error of every run among some rows."""
        return np.array([error[rows & (self.runs == r)].mean() for r in np.unique(self.runs[rows])])

    def error(self, predicted: np.ndarray) -> np.ndarray:
        """Observed less predicted [p], nats."""
        return np.asarray(self.refitter.rows.losses)[0] - predicted


def measure_discrepancy(
    refitters: Sequence[Refitter],
    left: Sequence[LeftOut],
    refits: Sequence[Refits],
    runs: RunTable,
    unit: str,
) -> Discrepancy:
    """The errors of laws that noise and the scatter of refits do not explain."""
    if unit != "mixture":
        return Discrepancy.none(len(refitters))
    keys = mixture_labels(runs.weights), run_labels(runs)
    seen = _seen(runs.weights, keys[0])
    apart, away = _apart(seen), np.linalg.norm(runs.weights - seen.mean(0), axis=1)
    axes = np.log(np.stack([runs.n_params, runs.tokens]))
    axes = axes - axes.mean(1, keepdims=True)
    targets = [_Target(r, o, *keys, away, axes) for r, o in zip(refitters, left, strict=True)]
    found = [_at_mixtures(t, f, apart) for t, f in zip(targets, refits, strict=True)]
    level, outside, drift_n, drift_d = np.array(found).T
    return Discrepancy(
        level,
        outside,
        drift_n,
        drift_d,
        np.array([_beyond(t, runs.n_params) for t in targets]),
        np.array([_beyond(t, runs.tokens) for t in targets]),
        middle=np.exp(np.log(np.stack([runs.n_params, runs.tokens])).mean(1)),
        distance=_distance(seen),
        correlation=_correlation(targets),
        freedom=float(np.clip(np.sum(apart > 0), *_FREEDOM)),
        seen=seen,
    )


def _at_mixtures(target: _Target, refits: Refits, apart: np.ndarray) -> list[float]:
    """Errors at mixtures that were left out: level, per hull distance, per log N, per log D.

    Every mixture's errors are a level and slopes in log N and log D about the middle of the data;
    noise, and how these scatter over refits, are taken off their squares (method of moments). The
    level grows with the distance d from the hull of the other mixtures, ``s^2 + t^2 d^2``; slopes
    grow with the distance from the mean mixture, since how a law's drift depends on the mixture is
    to first order linear.
    """
    error = target.error(target.left.predicted)
    scatter = target.refitter.predict(refits.z[:_SCATTER]) - target.left.fitted  # [B, p]
    groups = target.groups(target.used)
    shapes = [target.shape(rows) for rows in groups]
    found = np.array([s @ error for s in shapes])  # [q, 3] level, slopes
    moved = np.array([np.var(scatter @ s.T, axis=0) for s in shapes])
    excess = found**2 - moved - _noise(target, error, groups, shapes)
    finite = np.isfinite(excess).all(1)
    excess = excess[finite]
    labels = np.unique(target.mixtures[target.used])[finite]
    level, slope = _level_and_slope(excess[:, 0], apart[labels] ** 2)
    away = np.array([target.away[rows].mean() for rows in groups])[finite]
    drift = np.maximum(excess[:, 1:].mean(0), 0.0) / max(np.mean(away**2), _TINY)
    return [level, slope, *np.sqrt(drift).tolist()]


def _noise(
    target: _Target, error: np.ndarray, groups: list[np.ndarray], shapes: list[np.ndarray]
) -> np.ndarray:
    """Variance [q, 3] of level and slopes by the noise of whole runs, from what they leave."""
    total, freedom = 0.0, 0
    for rows, shape in zip(groups, shapes, strict=True):
        level, *slopes = shape @ error
        rest = error - level - sum(s * x for s, x in zip(slopes, target.axes, strict=True))
        means = target.run_means(rest, rows)
        used = 1 + int(np.ptp(target.axes[0][rows]) > 0)
        total += float(np.sum(means**2))
        freedom += max(len(means) - used, 0)
    size = total / freedom if freedom else 0.0
    # A run's error moves all of its rows: its part of a statistic is the sum of their factors.
    by_run = [
        np.stack([s[:, target.runs == r].sum(1) for r in np.unique(target.runs[rows])])
        for rows, s in zip(groups, shapes, strict=True)
    ]
    return size * np.array([np.sum(x**2, axis=0) for x in by_run])


def _level_and_slope(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """Roots of a, b >= 0 that minimize ``sum (y - a - b x)^2``."""
    level, slope = float(np.mean(y)), 0.0
    if np.ptp(x) > 0:
        slope = float(np.cov(x, y, bias=True)[0, 1] / np.var(x))
        level = float(np.mean(y) - slope * np.mean(x))
        if slope < 0:
            level, slope = float(np.mean(y)), 0.0
        elif level < 0:
            level, slope = 0.0, float(x @ y / (x @ x))
    return float(np.sqrt(max(level, 0.0))), float(np.sqrt(max(slope, 0.0)))


def _beyond(target: _Target, axis: np.ndarray) -> float:
    """Error at the upper end of an axis that all mixtures share, by a fit below it, per log.

    Less noise and the scatter of refits below it.
    """
    levels = np.unique(axis[target.used])
    if len(levels) < _FEWEST:
        return 0.0
    # Sizes are few and far between; token counts many: leave out the upper third of their range.
    edge = levels[-2] if len(levels) < 6 else np.exp(np.quantile(np.log(levels), 2 / 3))
    below, top = target.used & (axis <= edge), target.used & (axis == levels[-1])
    if below.sum() < 2 * target.refitter.starts.shape[1]:
        return 0.0
    fitted, scatter = _fits_below(target, below)
    error = target.error(fitted)
    means = np.array([error[rows].mean() for rows in target.groups(top)])  # [g]
    moved = scatter[:, top].mean(1)  # [B]
    shared = means.mean() ** 2 - np.var(moved) - np.var(means) / len(means)
    step = float(np.log(levels[-1] / axis[below].max()))
    return float(np.sqrt(max(shared, 0.0))) / step


def _fits_below(target: _Target, below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All rows under a fit of some, [p], and under its wild refits, [B, p]."""
    refitter, weights = target.refitter, below[None].astype(float)
    fitted = refitter.predict(refitter.run(None, weights).z)[0]
    units = int(target.mixtures.max()) + 1
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (_SCATTER, units))[:, target.mixtures]
    moved = signs * residuals(refitter, fitted)
    log = refitter.problem.objective.residual == "log"
    losses = fitted * np.exp(moved) if log else fitted + moved
    return fitted, refitter.predict(refitter.run(losses, np.repeat(weights, _SCATTER, 0)).z)


def _correlation(targets: Sequence[_Target]) -> np.ndarray:
    """Rank correlation of the targets' errors over mixtures, [m, m]; ranks bear outliers."""
    ranks = np.stack([average_ranks(_means(t)) for t in targets])
    ranks = ranks - ranks.mean(1, keepdims=True)
    size = np.sqrt((ranks**2).sum(1))
    found = ranks @ ranks.T / np.maximum(np.outer(size, size), np.finfo(float).tiny)
    np.fill_diagonal(found, 1.0)
    return found


def _means(target: _Target) -> np.ndarray:
    """Mean error of every mixture that was left out [q], 0 where the target has no loss there."""
    error = np.where(target.used, target.left.residuals, 0.0)
    return np.bincount(target.mixtures, error) / np.bincount(target.mixtures)


def _seen(weights: np.ndarray, mixtures: np.ndarray) -> np.ndarray:
    """The mixtures that were run [q, k], in the order of their labels."""
    return weights[np.unique(mixtures, return_index=True)[1]]


def _apart(seen: np.ndarray) -> np.ndarray:
    """Distance of every mixture [q] to the convex hull of the others."""
    others = [np.delete(seen, i, axis=0) for i in range(len(seen))]
    return np.array([hull_distance(o, h) for o, h in zip(others, seen, strict=True)])


def _distance(seen: np.ndarray) -> float:
    """Median distance of two mixtures that were run."""
    apart = np.sqrt(((seen[:, None] - seen[None]) ** 2).sum(-1))
    return float(np.median(apart[np.triu_indices(len(seen), 1)])) if len(seen) > 1 else 1.0
