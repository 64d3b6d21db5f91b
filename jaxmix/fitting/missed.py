"""Measuring what laws miss: their errors on rows left out, less what noise and scatter explain."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.discrepancy import Discrepancy
from jaxmix.fitting.leave_out import LeftOut, residuals
from jaxmix.fitting.refit import Refits, Refitter
from jaxmix.fitting.scores import average_ranks
from jaxmix.fitting.units import mixture_labels, run_labels
from jaxmix.runs import RunTable

_FEWEST = 4  # sizes, or token counts, without which leaving the largest out leaves too little
_CAP = 9.0  # squared errors of a mixture count at most this many times their median
_SCATTER = 64  # refits that show how far estimates scatter


@dataclass(frozen=True)
class _Target:
    """One target's rows, and the means over them that errors are judged by."""

    refitter: Refitter
    left: LeftOut
    mixtures: np.ndarray  # [p]
    runs: np.ndarray  # [p]

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
    targets = [_Target(r, o, *keys) for r, o in zip(refitters, left, strict=True)]
    return Discrepancy(
        np.array([_at_mixtures(t, f) for t, f in zip(targets, refits, strict=True)]),
        *np.array([_beyond(t, runs.n_params) for t in targets]).T,
        *np.array([_beyond(t, runs.tokens)[:1] for t in targets]).T,
        distance=_distance(runs.weights),
        correlation=_correlation(targets),
    )


def _at_mixtures(target: _Target, refits: Refits) -> float:
    """Method of moments on the mean error of each mixture that was left out, nats."""
    error, within = target.error(target.left.predicted), target.within()
    scatter = target.refitter.predict(refits.z[:_SCATTER]) - target.left.fitted  # [B, p]
    excess = [
        error[rows].mean() ** 2
        - within / len(np.unique(target.runs[rows]))
        - np.var(scatter[:, rows].mean(1))
        for rows in target.groups(target.used)
    ]
    squares = np.asarray(excess)[np.isfinite(excess)]
    capped = np.minimum(squares, _CAP * np.median(np.abs(squares)))
    return float(np.sqrt(max(np.mean(capped), 0.0)))


def _beyond(target: _Target, axis: np.ndarray) -> tuple[float, float]:
    """Errors at the upper end of an axis by a fit below it, per log: common, and of mixtures.

    Less the noise, and the scatter of refits below it.
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
    spread = np.var(means) - noise - np.mean(np.var(own, 0))
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


def _distance(weights: np.ndarray) -> float:
    """Median distance of two mixtures that were run."""
    seen = np.unique(np.round(weights, 6), axis=0)
    apart = np.sqrt(((seen[:, None] - seen[None]) ** 2).sum(-1))
    return float(np.median(apart[np.triu_indices(len(seen), 1)])) if len(seen) > 1 else 1.0
