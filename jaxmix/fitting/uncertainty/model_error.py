"""Model error: errors of a law that neither noise nor the estimation of its parameters explains.

No law is exact. Its errors at mixtures that a fit did not see exceed the scatter of refits, and so
do its errors beyond the sizes that were run. Both are measured on rows that are left out, less what
noise and scatter explain (method of moments), and widen the intervals as further random errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxmix.fitting.hull import hull_distance
from jaxmix.fitting.scores import average_ranks
from jaxmix.fitting.uncertainty.clusters import mixture_labels, run_labels
from jaxmix.fitting.uncertainty.refit import LeftOut, Refits, Refitter
from jaxmix.runs import RunTable

_FARTHEST = 1e6  # factor beyond the data; also stands for infinite N and D
_FEWEST_LEVELS = 4  # values of N, or of D, needed to leave out the largest
_FREEDOM = (3, 30)  # range of the degrees of freedom
_TINY = 1e-12


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelError:
    """Standard deviations of the laws' own errors, nats, for m targets.

    Attributes:
        level: [m] at a mixture that was not run, inside the convex hull of those that were, at the
            center of the data.
        per_distance: [m] added in quadrature, per unit of distance from that hull.
        drift: [m, 2] added in quadrature, per unit of log N and log D from the center and per unit
            of distance from the mean of the mixtures that were run.
        beyond: [m, 2] error that all mixtures share, per unit of log N and log D beyond the largest
            that were run.
        center: [2] geometric means of N and D of the data.
        largest: [m, 2] largest N and D of the data.
        correlation_length: distance of mixtures [] over which the correlation of their errors falls
            to 1/e.
        correlation: [m, m] of the targets' errors at one mixture.
        degrees_of_freedom: of Student's t distribution, from which errors are drawn, because their
            standard deviations are estimated from few mixtures.
        mixtures: [q, k] the mixtures that were run.
    """

    level: np.ndarray
    per_distance: np.ndarray
    drift: np.ndarray
    beyond: np.ndarray
    center: np.ndarray
    largest: np.ndarray
    correlation_length: float
    correlation: np.ndarray
    degrees_of_freedom: float
    mixtures: np.ndarray

    @staticmethod
    def none(targets: int) -> "ModelError":
        """No model error."""
        return ModelError(
            level=np.zeros(targets),
            per_distance=np.zeros(targets),
            drift=np.zeros((targets, 2)),
            beyond=np.zeros((targets, 2)),
            center=np.ones(2),
            largest=np.ones((targets, 2)),
            correlation_length=1.0,
            correlation=np.eye(targets),
            degrees_of_freedom=float(_FREEDOM[1]),
            mixtures=np.zeros((0, 0)),
        )

    def only(self, target: int) -> "ModelError":
        """The same for one target."""
        one = slice(target, target + 1)
        names = ("level", "per_distance", "drift", "beyond", "largest")
        parts = {name: getattr(self, name)[one] for name in names}
        return replace(self, **parts, correlation=self.correlation[one, one])

    def shared(self, x: Mapping[str, Any]) -> np.ndarray:
        """Standard deviation of the error that all mixtures share at a budget, [m, ...]."""
        budget = _budget(x)  # [2, ...]
        far = np.log(np.clip(budget / _spread(self.largest, budget[0]), 1.0, _FARTHEST))
        return np.sqrt(np.sum((_spread(self.beyond, budget[0]) * far) ** 2, axis=1))

    def single(self, x: Mapping[str, Any]) -> np.ndarray:
        """Standard deviation of the error of one mixture about the shared one, [m, ...]."""
        budget = _budget(x)
        h, like = np.asarray(x["weights"], float), budget[0]
        logs = np.log(np.clip(budget / _spread(self.center, like), 1 / _FARTHEST, _FARTHEST))
        away = np.linalg.norm(h - self.mixtures.mean(0), axis=-1) if len(self.mixtures) else 0.0
        drift = np.sum((_spread(self.drift, like) * logs * away) ** 2, axis=1)
        outside = _spread(self.per_distance, like) * self.outside(h)
        return np.sqrt(_spread(self.level, like) ** 2 + outside**2 + drift)

    def outside(self, weights: np.ndarray) -> np.ndarray:
        """Distance of mixtures [..., k] from the convex hull of those that were run, [...]."""
        if not self.per_distance.any():
            return np.zeros(weights.shape[:-1])
        points = weights.reshape(-1, weights.shape[-1])
        far = np.array([hull_distance(self.mixtures, h) for h in points])
        return far.reshape(weights.shape[:-1])

    def draw(self, x: Mapping[str, Any], count: int, seed: int) -> np.ndarray:
        """Random errors [m, count, ...] of the losses predicted at x."""
        if not self.mixtures.size:
            return np.zeros((len(self.level), count) + (1,) * _budget(x)[0].ndim)
        size = np.hypot(self.shared(x), self.single(x))  # [m, ...]
        root = np.linalg.cholesky(self.correlation + 1e-9 * np.eye(len(size)))
        drawn = root @ self._standard(count, len(size), seed)
        return drawn.reshape(drawn.shape + (1,) * (size.ndim - 1)) * size[:, None]

    def draw_difference(
        self, x: Mapping[str, Any], w: np.ndarray, distance: np.ndarray, count: int, seed: int
    ) -> np.ndarray:
        """Random errors [count] of the difference in the objective between two mixtures.

        Args:
            x: the budget and one of the mixtures.
            w: [m] target weights.
            distance: between the mixtures, [] or [count].
            count: of errors.
            seed: of the draws.
        """
        if not self.mixtures.size:
            return np.zeros(count)
        return self._standard(count, 1, seed)[0] * self.difference_sd(x, w, distance)

    def difference_sd(self, x: Mapping[str, Any], w: np.ndarray, distance: Any) -> np.ndarray:
        """Standard deviation of the error of a difference in the objective between two mixtures.

        A law's misfit is smooth: its correlation at distance d is exp(-(d / length)^2), so that
        the variance of a difference is quadratic in d at 0. The error that all mixtures share
        cancels.

        Args:
            x: the budget and the mixture that lies farther from the data, or [..., k] of them.
            w: [m] target weights.
            distance: between the mixtures, [...].
        """
        size = _spread(np.asarray(w, float), _budget(x)[0]) * self.single(x)  # [m, ...]
        spread = np.sqrt(np.einsum("i...,ij,j...->...", size, self.correlation, size))
        apart = np.asarray(distance, float) / self.correlation_length
        return spread * np.sqrt(-2.0 * np.expm1(-(apart**2)))

    def _standard(self, count: int, rows: int, seed: int) -> np.ndarray:
        """Draws [rows, count] of Student's t; the rows of a column share a denominator."""
        rng, freedom = np.random.default_rng(seed), self.degrees_of_freedom
        scale = np.sqrt(freedom / rng.chisquare(freedom, count))
        return rng.standard_normal((rows, count)) * scale


def _budget(x: Mapping[str, Any]) -> np.ndarray:
    """N and D of x, broadcast with its mixtures, [2, ...]."""
    points = np.zeros(np.shape(x["weights"])[:-1]) if "weights" in x else np.zeros(())
    n, d = (np.asarray(x.get(name, 1.0), float) for name in ("n_params", "tokens"))
    return np.stack(np.broadcast_arrays(n, d, points)[:2])


def _spread(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Values with trailing axes of length 1, to broadcast with [..., *like.shape]."""
    return values.reshape(values.shape + (1,) * like.ndim)


@dataclass(frozen=True, kw_only=True)
class _Target:
    """One target's rows and the statistics that its errors are judged by; p rows.

    Attributes:
        refitter: the target's refitter.
        left: its rows under fits that left their mixture out.
        mixtures: [p] labels.
        runs: [p] labels.
        away: [p] distance of the row's mixture from the mean one.
        logs: [2, p] log N and log D about the center of the data.
    """

    refitter: Refitter
    left: LeftOut
    mixtures: np.ndarray
    runs: np.ndarray
    away: np.ndarray
    logs: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """Rows that have a loss, bool [p]."""
        return self.refitter.used

    def groups(self, rows: np.ndarray) -> list[np.ndarray]:
        """The rows [p] of every mixture among some rows."""
        return [rows & (self.mixtures == m) for m in np.unique(self.mixtures[rows])]

    def factors(self, rows: np.ndarray) -> np.ndarray:
        """Least-squares level and slopes in log N and log D of some rows, as factors [3, p]."""
        columns = np.stack([np.ones(len(rows)), *self.logs])[:, rows]  # [3, r]
        varies = np.ptp(columns, axis=1) > 0
        varies[0] = True
        found = np.zeros((3, len(rows)))
        found[np.ix_(varies, rows)] = np.linalg.pinv(columns[varies].T)
        return found

    def by_run(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Sums [r, ...] of values [..., p] over every run among some rows."""
        member = np.unique(self.runs[rows])[:, None] == self.runs
        return np.einsum("rp,...p->r...", member & rows, values)


def measure_model_error(
    refitters: Sequence[Refitter],
    left: Sequence[LeftOut],
    refits: Sequence[Refits],
    runs: RunTable,
    *,
    scatter: int = 64,
) -> ModelError:
    """The errors of m laws that noise and the scatter of refits do not explain.

    Args:
        refitters: one per target.
        left: rows under fits that left out their mixture.
        refits: wild refits, by mixture.
        runs: the rows.
        scatter: refits from which the scatter is taken.
    """
    labels = mixture_labels(runs.weights)
    seen = runs.weights[np.unique(labels, return_index=True)[1]]  # [q, k], in order of labels
    logs = np.log(np.stack([runs.n_params, runs.tokens]))  # [2, p]
    shared: dict[str, Any] = {
        "mixtures": labels,
        "runs": run_labels(runs),
        "away": np.linalg.norm(runs.weights - seen.mean(0), axis=1),
        "logs": logs - logs.mean(1, keepdims=True),
    }
    targets = [
        _Target(refitter=r, left=out, **shared) for r, out in zip(refitters, left, strict=True)
    ]
    others = [np.delete(seen, i, axis=0) for i in range(len(seen))]
    outside = np.array([hull_distance(o, h) for o, h in zip(others, seen, strict=True)])  # [q]
    apart = np.linalg.norm(seen[:, None] - seen, axis=-1)  # [q, q]
    pairs = zip(targets, refits, strict=True)
    found = np.array([_at_mixtures(t, f.z[:scatter], outside) for t, f in pairs])  # [m, 4]
    axes = (runs.n_params, runs.tokens)
    return ModelError(
        level=found[:, 0],
        per_distance=found[:, 1],
        drift=found[:, 2:],
        beyond=np.array([[_beyond(t, axis, scatter) for axis in axes] for t in targets]),
        center=np.exp(logs.mean(1)),
        largest=np.array([[axis[t.used].max() for axis in axes] for t in targets]),
        correlation_length=float(np.median(apart[np.triu_indices(len(seen), 1)])),
        correlation=_correlation(targets),
        degrees_of_freedom=float(np.clip(np.sum(outside > 0), *_FREEDOM)),
        mixtures=seen,
    )


def _at_mixtures(target: _Target, refits: np.ndarray, outside: np.ndarray) -> list[float]:
    """``level``, ``per_distance`` and ``drift`` of one target, from errors at left-out mixtures.

    The errors at a mixture are a level and slopes in log N and log D. What noise and the scatter of
    refits [B, P] contribute to the mean of their squares is subtracted. The square of the level
    grows with the squared distance from the hull of the other mixtures; slopes grow with the
    distance from the mean mixture, because a law's drift is to first order linear in the mixture.
    """
    error = target.refitter.losses - target.left.predicted
    scatter = target.refitter.predict(refits) - target.left.fitted  # [B, p]
    known = np.isfinite(error) & np.isfinite(scatter).all(0)
    groups = [rows for rows in target.groups(target.used) if known[rows].all()]
    if not groups:
        return [0.0] * 4
    error, scatter = np.where(known, error, 0.0), np.where(known, scatter, 0.0)
    factors = np.stack([target.factors(rows) for rows in groups])  # [q, 3, p]
    moved = np.var(np.einsum("bp,qsp->bqs", scatter, factors), axis=0)
    excess = (factors @ error) ** 2 - moved - _noise(target, error, groups, factors)  # [q, 3]
    labels = [target.mixtures[rows][0] for rows in groups]
    level, slope = level_and_slope(excess[:, 0], outside[labels] ** 2)
    away = np.array([target.away[rows][0] for rows in groups])
    drift = np.maximum(excess[:, 1:].mean(0), 0.0) / max(np.mean(away**2), _TINY)
    return [level, slope, *np.sqrt(drift).tolist()]


def _noise(
    target: _Target, error: np.ndarray, groups: list[np.ndarray], factors: np.ndarray
) -> np.ndarray:
    """Variance [q, 3] of levels and slopes by the noise of runs, from what these leave over."""
    total, freedom = 0.0, 0
    for rows, factor in zip(groups, factors, strict=True):
        level, *slopes = factor @ error
        rest = error - level - np.asarray(slopes) @ target.logs
        means = target.by_run(rest, rows) / target.by_run(np.ones(len(rows)), rows)
        total += float(np.sum(means**2))
        freedom += max(len(means) - 1 - int(np.ptp(target.logs[0][rows]) > 0), 0)
    variance = total / freedom if freedom else 0.0
    # The error of a run moves all of its rows: its share is the sum of their factors.
    shares = [
        np.sum(target.by_run(f, rows) ** 2, axis=0) for f, rows in zip(factors, groups, strict=True)
    ]
    return variance * np.array(shares)


def level_and_slope(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """Square roots of the a, b >= 0 that minimize ``sum (y - a - b x)^2``."""
    level, slope = float(np.mean(y)), 0.0
    if np.ptp(x) > 0:
        slope = float(np.cov(x, y, bias=True)[0, 1] / np.var(x))
        level = float(np.mean(y) - slope * np.mean(x))
        if slope < 0:
            level, slope = float(np.mean(y)), 0.0
        elif level < 0:
            level, slope = 0.0, float(x @ y / (x @ x))
    return float(np.sqrt(max(level, 0.0))), float(np.sqrt(max(slope, 0.0)))


def _beyond(target: _Target, axis: np.ndarray, scatter: int) -> float:
    """Shared error per unit of log at the upper end of an axis [p], by a fit of the rows below it.

    Noise and the scatter of refits of the rows below are subtracted.
    """
    levels = np.unique(axis[target.used])
    if len(levels) < _FEWEST_LEVELS:
        return 0.0
    # Sizes are few and far apart; of many token counts, the upper third of the range is left out.
    edge = levels[-2] if len(levels) < 6 else np.exp(np.quantile(np.log(levels), 2 / 3))
    below, top = target.used & (axis <= edge), target.used & (axis == levels[-1])
    if below.sum() < 2 * target.refitter.starts.shape[1]:
        return 0.0
    fitted, moved = _fits_below(target, below, scatter)
    error = target.refitter.losses - fitted
    means = np.array([error[rows].mean() for rows in target.groups(top)])  # [g]
    spread = np.var((moved[:, top] - fitted[top]).mean(1))
    shared = means.mean() ** 2 - spread - np.var(means) / len(means)
    return float(np.sqrt(max(shared, 0.0)) / np.log(levels[-1] / axis[below].max()))


def _fits_below(target: _Target, below: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """All rows under a fit of some, [p], and under its wild refits, [count, p]."""
    refitter, weights = target.refitter, below[None].astype(float)
    fitted = refitter.predict(refitter.run(None, weights).z)[0]
    clusters = int(target.mixtures.max()) + 1
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (count, clusters))[:, target.mixtures]
    losses = refitter.shifted(fitted, signs * refitter.residuals(fitted))
    return fitted, refitter.predict(refitter.run(losses, np.repeat(weights, count, 0)).z)


def _correlation(targets: Sequence[_Target]) -> np.ndarray:
    """Rank correlation [m, m] of the targets' mean errors at mixtures; robust to outliers."""
    ranks = [  # of means, which are 0 at mixtures where the target has no loss
        average_ranks(
            np.bincount(t.mixtures, np.where(t.used, t.left.residuals, 0.0))
            / np.bincount(t.mixtures)
        )
        for t in targets
    ]
    with np.errstate(invalid="ignore"):
        found = np.atleast_2d(np.nan_to_num(np.corrcoef(ranks)))
    np.fill_diagonal(found, 1.0)
    return found
