"""Measuring what laws miss: their errors on rows left out, less what noise and scatter explain."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.discrepancy import Discrepancy
from jaxmix.fitting.hull import hull_distance
from jaxmix.fitting.leave_out import LeftOut, residuals
from jaxmix.fitting.refit import Refits, Refitter
from jaxmix.fitting.scores import average_ranks
from jaxmix.fitting.units import mixture_labels, run_labels
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

    @property
    def used(self) -> np.ndarray:
        """Rows that have a loss, bool [p]."""
        return np.asarray(self.refitter.rows.row_weights)[0] > 0

    def groups(self, rows: np.ndarray) -> list[np.ndarray]:
        """The rows [p] of every mixture among some rows."""
        return [rows & (self.mixtures == m) for m in np.unique(self.mixtures[rows])]

    def run_means(self, error: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Mean error of every run among some rows."""
        return np.array([error[rows & (self.runs == r)].mean() for r in np.unique(self.runs[rows])])

    def error(self, predicted: np.ndarray) -> np.ndarray:
        """Observed less predicted [p], nats."""
        return np.asarray(self.refitter.rows.losses)[0] - predicted

    def within(self) -> float:
        """Variance of the mean errors of runs about those of their mixture, nats squared."""
        error = self.error(self.left.predicted)
        means = [self.run_means(error, rows) for rows in self.groups(self.used)]
        freedom = sum(len(x) - 1 for x in means)
        total = sum(float(np.sum((x - x.mean()) ** 2)) for x in means)
        return total / freedom if freedom else 0.0


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
    targets = [_Target(r, o, *keys, away) for r, o in zip(refitters, left, strict=True)]
    return Discrepancy(
        *np.array([_at_mixtures(t, f, apart) for t, f in zip(targets, refits, strict=True)]).T,
        *np.array([_beyond(t, runs.n_params) for t in targets]).T,
        *np.array([_beyond(t, runs.tokens)[:1] for t in targets]).T,
        distance=_distance(seen),
        freedom=float(np.clip(np.sum(apart > 0), *_FREEDOM)),
        seen=seen,
        correlation=_correlation(targets),
    )


def _at_mixtures(target: _Target, refits: Refits, apart: np.ndarray) -> tuple[float, float]:
    """Errors at mixtures that were left out: among the others, and per distance from their hull.

    Method of moments: the squared mean error of a mixture, less what noise and scatter explain, is
    ``s^2 + t^2 d^2`` for its distance d [q]; least squares with neither below 0.
    """
    error, within = target.error(target.left.predicted), target.within()
    scatter = target.refitter.predict(refits.z[:_SCATTER]) - target.left.fitted  # [B, p]
    excess = [
        error[rows].mean() ** 2
        - within / len(np.unique(target.runs[rows]))
        - np.var(scatter[:, rows].mean(1))
        for rows in target.groups(target.used)
    ]
    squares, distance = np.asarray(excess), apart[np.unique(target.mixtures[target.used])] ** 2
    finite = np.isfinite(squares)
    return _level_and_slope(squares[finite], distance[finite])


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


def _beyond(target: _Target, axis: np.ndarray) -> tuple[float, float]:
    """Errors at the upper end of an axis by a fit below it, per log, less noise and scatter.

    In common to all mixtures; and of mixtures about that, per distance from the mean mixture,
    since how a law's drift depends on the mixture is to first order linear.
    """
    levels = np.unique(axis[target.used])
    if len(levels) < _FEWEST:
        return 0.0, 0.0
    # Sizes are few and far between; token counts many: leave out the upper third of their range.
    edge = levels[-2] if len(levels) < 6 else np.exp(np.quantile(np.log(levels), 2 / 3))
    below, top = target.used & (axis <= edge), target.used & (axis == levels[-1])
    if below.sum() < 2 * target.refitter.starts.shape[1]:
        return 0.0, 0.0
    groups = target.groups(top)
    fitted, scatter = _fits_below(target, below)
    error = target.error(fitted)
    means = np.array([error[rows].mean() for rows in groups])  # [g]
    moved = np.stack([scatter[:, rows].mean(1) for rows in groups], 1)  # [B, g]
    noise = target.within()
    common = means.mean() ** 2 - np.var(moved.mean(1)) - noise / len(means)
    own = moved - moved.mean(1, keepdims=True)
    away = np.array([target.away[rows].mean() for rows in groups])  # [g]
    spread = (np.var(means) - noise - np.mean(np.var(own, 0))) / max(np.mean(away**2), _TINY)
    step = float(np.log(levels[-1] / axis[below].max()))
    return float(np.sqrt(max(common, 0.0))) / step, float(np.sqrt(max(spread, 0.0))) / step


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
