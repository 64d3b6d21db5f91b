"""Model error: errors of a law that neither noise nor the estimation of its parameters explains.

No law is exact. At mixtures that a fit did not see its errors exceed the scatter of refits; how far
is measured on mixtures that are left out (method of moments, less what noise and scatter explain).

Beyond the sizes and tokens that were run, all mixtures share a further error, which these rows
cannot show: on the tables below, how far a fit of all but the largest size missed that size said
nothing of the error at the next one beyond what follows (correlation of logarithms 0 for N, .1 for
D). Its standard deviation therefore comes from other tables, in units that a table knows of itself:
per e-fold of N or D beyond the data, .7 or .8 of the residuals and .15 of what an e-fold of N or D
has gained so far (.4 if two values of it were run, and all of it if only one was). These shares
were chosen on 24 cuts of five tables, 19 targets in all (RedPajama and five-mixture runs of Ye et
al. 2024, the three studies of this package), so that 90% intervals hold about that share of what
was measured beyond the cuts; chosen without a table, for the lowest interval score, they hold .81
to .90 of its losses. ``benchmarks/coverage.py`` measures this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from jaxmix.fitting.hull import hull_distance
from jaxmix.fitting.scores import average_ranks
from jaxmix.fitting.uncertainty.clusters import mixture_labels, run_labels
from jaxmix.fitting.uncertainty.refit import LeftOut, Refits, Refitter
from jaxmix.runs import RunTable

_FARTHEST = 1e6  # factor beyond the data; also stands for infinite N and D
_RESIDUAL = (0.7, 0.8)  # share of the residuals, per e-fold of N and of D beyond the data
_GAINED = 0.15  # share of what an e-fold gained
_GAINED_BY_LEVELS = {1: 1.0, 2: 0.4}  # the same if only so many values of N, or of D, were run
_FREEDOM = 6.0  # degrees of freedom of Student's t distribution, from which it is drawn
_OWN = 0.5  # share of a target's own estimate; the rest is the mean over targets
_OUTLIER = 20.0  # squared errors count up to this times their median: three standard deviations
_UNEXPLAINED = 0.25  # least share of squared errors that the scatter of refits leaves unexplained
_FEWEST = 3  # mixtures, from which errors of others can be told
_TINY = 1e-12


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelError:
    """Standard deviations of the laws' own errors, nats, for m targets.

    Attributes:
        level: [m] at a mixture that was not run, inside the convex hull of those that were, at the
            center of the data.
        per_distance: [m] added in quadrature, per unit of distance from that hull.
        drift: [m, 2] added in quadrature, per unit of log N and log D from the center (within the
            data) and per unit of distance from the mean of the mixtures that were run.
        beyond: [m, 2] error that all mixtures share, per unit of log N and log D beyond the largest
            that were run.
        noise: [m] of a single loss about all of these: the noise of its run and checkpoint.
        center: [2] geometric means of N and D of the data.
        smallest: [m, 2] smallest N and D of the data.
        largest: [m, 2] largest N and D of the data.
        correlation_length: distance of mixtures [] over which the correlation of their errors falls
            to 1/e.
        correlation: [m, m] of the targets' errors at one mixture.
        mixtures: [q, k] the mixtures that were run.
    """

    level: np.ndarray
    per_distance: np.ndarray
    drift: np.ndarray
    beyond: np.ndarray
    noise: np.ndarray
    center: np.ndarray
    smallest: np.ndarray
    largest: np.ndarray
    correlation_length: float
    correlation: np.ndarray
    mixtures: np.ndarray

    @staticmethod
    def none(targets: int) -> "ModelError":
        """No model error."""
        return ModelError(
            level=np.zeros(targets),
            per_distance=np.zeros(targets),
            drift=np.zeros((targets, 2)),
            beyond=np.zeros((targets, 2)),
            noise=np.zeros(targets),
            center=np.ones(2),
            smallest=np.ones((targets, 2)),
            largest=np.ones((targets, 2)),
            correlation_length=1.0,
            correlation=np.eye(targets),
            mixtures=np.zeros((0, 0)),
        )

    def within(self, single: np.ndarray, size: np.ndarray) -> "ModelError":
        """The same with errors of single mixtures no larger than those of the rows.

        Args:
            single: [m] root mean squares of the errors of single mixtures at the rows.
            size: [m] those of all errors of the rows; what is left is noise.
        """
        share = np.minimum(1.0, size / np.maximum(single, _TINY))  # [m]
        return replace(
            self,
            level=share * self.level,
            drift=share[:, None] * self.drift,
            noise=np.sqrt(np.maximum(size**2 - single**2, 0.0)),
        )

    def only(self, targets: Sequence[int]) -> "ModelError":
        """The same for some targets, by position."""
        kept = list(targets)
        names = ("level", "per_distance", "drift", "beyond", "noise", "smallest", "largest")
        parts = {name: getattr(self, name)[kept] for name in names}
        return replace(self, **parts, correlation=self.correlation[np.ix_(kept, kept)])

    def shared(self, x: Mapping[str, Any]) -> np.ndarray:
        """Standard deviation of the error that all mixtures share at a budget, [m, ...]."""
        budget = _budget(x)  # [2, ...]
        far = np.log(np.clip(budget / _spread(self.largest, budget[0]), 1.0, _FARTHEST))
        return np.sqrt(np.sum((_spread(self.beyond, budget[0]) * far) ** 2, axis=1))

    def single(self, x: Mapping[str, Any]) -> np.ndarray:
        """Standard deviation of the error of one mixture about the shared one, [m, ...]."""
        budget = _budget(x)
        like = budget[0]
        if not (self.level.any() or self.per_distance.any() or self.drift.any()):
            return np.zeros((len(self.level), *like.shape))
        h = np.asarray(x["weights"], float)
        ends = (_spread(end, like) for end in (self.smallest, self.largest))
        logs = np.log(np.clip(budget, *ends) / _spread(self.center, like))  # [m, 2, ...]
        away = np.linalg.norm(h - self.mixtures.mean(0), axis=-1)
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

    def draw(
        self, x: Mapping[str, Any], count: int, seed: int, scatter: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """Random errors [m, count, ...] of the losses predicted at x.

        Args:
            x: inputs by name.
            count: of errors.
            seed: of the draws.
            scatter: standard deviation of refits there, [m, ...]. Shared errors, which are known
                from what laws missed in all, are drawn as far as they exceed it.
        """
        single, shared = self.single(x), self.shared(x)  # [m, ...]
        shared = np.sqrt(np.maximum(shared**2 - np.asarray(scatter) ** 2, 0.0))
        root = np.linalg.cholesky(self.correlation + 1e-9 * np.eye(len(single)))
        rng = np.random.default_rng(seed)
        of_all, own = (
            _spread(root @ rng.standard_normal((len(root), count)), single[0]) for _ in range(2)
        )
        # Student's t, because the shared error of a table is known from other tables only.
        of_all *= _spread(np.sqrt(_FREEDOM / rng.chisquare(_FREEDOM, count)), single[0])
        return of_all * shared[:, None] + own * single[:, None]

    def draw_noise(self, shape: tuple[int, ...], seed: int) -> np.ndarray:
        """Random noise [m, *shape] of single losses."""
        drawn = np.random.default_rng(seed).standard_normal((len(self.noise), *shape))
        return drawn * _spread(self.noise, drawn[0])

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
        drawn = np.random.default_rng(seed).standard_normal(count)
        sizes = self.difference_sd(x, w, distance), self.difference_beyond(x, w, distance)
        return drawn * np.hypot(*sizes)

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

    def difference_beyond(self, x: Mapping[str, Any], w: np.ndarray, distance: Any) -> np.ndarray:
        """What a budget beyond the data adds to ``difference_sd``, in quadrature; same arguments.

        The errors of two mixtures drift apart with N and D beyond the data as they do within: a law
        whose effects of the mixture do not shrink with D, where those of the truth do, promises
        gains at ten times the tokens that are several times too large.
        """
        budget = _budget(x)
        far = np.log(np.clip(budget / _spread(self.largest, budget[0]), 1.0, _FARTHEST))
        size = np.sqrt(np.sum((_spread(self.drift, budget[0]) * far) ** 2, axis=1))  # [m, ...]
        size = _spread(np.asarray(w, float), budget[0]) * size
        spread = np.sqrt(np.einsum("i...,ij,j...->...", size, self.correlation, size))
        return spread * np.asarray(distance, float)


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
        refits: [B, P] wild refits.
        mixtures: [p] labels.
        runs: [p] labels.
        away: [p] distance of the row's mixture from the mean one.
        logs: [2, p] log N and log D about the center of the data.
    """

    refitter: Refitter
    left: LeftOut
    refits: np.ndarray
    mixtures: np.ndarray
    runs: np.ndarray
    away: np.ndarray
    logs: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """Rows that have a loss, bool [p]."""
        return self.refitter.used

    @cached_property
    def error(self) -> np.ndarray:
        """Observed losses less those of fits without the mixture, nats [p]."""
        return self.refitter.losses - self.left.predicted

    @cached_property
    def scatter(self) -> np.ndarray:
        """Losses of refits less those of the fit, nats [B, p]."""
        return self.refitter.predict(self.refits) - self.left.fitted

    @cached_property
    def known(self) -> np.ndarray:
        """Rows that have a loss and finite predictions, bool [p]."""
        return self.used & np.isfinite(self.error) & np.isfinite(self.scatter).all(0)

    @property
    def size(self) -> float:
        """Root mean square of the errors without what the scatter of refits explains, nats.

        Of the later half of the rows: laws err most early in training.
        """
        if not self.known.any():
            return 0.0
        late = self.known & (self.logs[1] >= np.median(self.logs[1][self.known]))
        squares = self.error[late] ** 2
        whole = np.minimum(squares, _OUTLIER * np.median(squares)).mean()
        explained = np.median(self.scatter[:, late].var(0))
        return float(np.sqrt(max(whole - explained, _UNEXPLAINED * whole)))

    def gained(self) -> np.ndarray:
        """Change of the losses of a mixture with log N and log D, by least squares, nats [2]."""
        columns, losses = np.where(self.used, self.logs, 0.0), self.refitter.losses.copy()
        for rows in self.groups(self.used):
            columns[:, rows] -= columns[:, rows].mean(1, keepdims=True)
            losses[rows] -= losses[rows].mean()
        return np.linalg.lstsq(columns[:, self.used].T, losses[self.used], rcond=None)[0]

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
    labels, seen = _mixtures(refitters[0], runs)
    logs = np.log(np.stack([runs.n_params, runs.tokens]))  # [2, p]
    shared: dict[str, Any] = {
        "mixtures": labels,
        "runs": run_labels(runs),
        "away": np.linalg.norm(runs.weights - seen.mean(0), axis=1) if len(seen) else 0.0 * labels,
        "logs": logs - logs.mean(1, keepdims=True),
    }
    targets = [
        _Target(refitter=r, left=out, refits=f.z[:scatter], **shared)
        for r, out, f in zip(refitters, left, refits, strict=True)
    ]
    size = np.array([t.size for t in targets])
    found = _pooled(np.array([_at_mixtures(t, seen) for t in targets]), size)  # [m, 4]
    axes = np.stack([runs.n_params, runs.tokens])  # [2, p]
    error = ModelError(
        level=found[:, 0],
        per_distance=found[:, 1],
        drift=found[:, 2:],
        beyond=np.array([_beyond(t) for t in targets]),
        noise=size,
        center=np.exp(logs.mean(1)),
        smallest=np.array([axes[:, t.used].min(1) for t in targets]),
        largest=np.array([axes[:, t.used].max(1) for t in targets]),
        correlation_length=_length(seen),
        correlation=_correlation(targets),
        mixtures=seen,
    )
    x = {"n_params": runs.n_params, "tokens": runs.tokens, "weights": runs.weights}
    known = [np.mean(s[t.used] ** 2) for s, t in zip(error.single(x), targets, strict=True)]
    return error.within(np.sqrt(known), size)


def _pooled(found: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Standard deviations [m, s] drawn to the mean over targets, in units of their errors [m].

    The estimate of one target is rough, and laws err alike on targets of one table.
    """
    own = (found / np.maximum(size, _TINY)[:, None]) ** 2
    return size[:, None] * np.sqrt(_OWN * own + (1.0 - _OWN) * own.mean(0))


def _mixtures(refitter: Refitter, runs: RunTable) -> tuple[np.ndarray, np.ndarray]:
    """Labels [p] of the rows' mixtures, and these [q, k]; none if they are few or not read."""
    if refitter.problem.objective.law.reads("weights") and runs.domains:
        labels = mixture_labels(runs.weights)
        seen = runs.weights[np.unique(labels, return_index=True)[1]]  # in order of labels
        if len(seen) >= _FEWEST:
            return labels, seen
    return np.zeros(len(runs), int), np.zeros((0, 0))


def _length(seen: np.ndarray) -> float:
    """A length by which errors at the median distance of mixtures [q, k] correlate by exp(-2)."""
    apart = np.linalg.norm(seen[:, None] - seen, axis=-1)  # [q, q]
    pairs = apart[np.triu_indices(len(seen), 1)]
    return float(np.median(pairs) / np.sqrt(2.0)) if len(seen) else 1.0


def _at_mixtures(target: _Target, seen: np.ndarray) -> list[float]:
    """``level``, ``per_distance`` and ``drift`` of one target, from errors at left-out mixtures.

    The errors at a mixture are a level and slopes in log N and log D. What noise and the scatter of
    refits contribute to the mean of their squares is subtracted. The square of the level grows with
    the squared distance from the hull of the other mixtures; slopes grow with the distance from the
    mean mixture, because a law's drift is to first order linear in the mixture.
    """
    error, scatter, known = target.error, target.scatter, target.known
    groups = [rows for rows in target.groups(target.used) if known[rows].all()]
    if not len(seen) or not groups:
        return [0.0] * 4
    error, scatter = np.where(known, error, 0.0), np.where(known, scatter, 0.0)
    factors = np.stack([target.factors(rows) for rows in groups])  # [q, 3, p]
    moved = np.var(np.einsum("bp,qsp->bqs", scatter, factors), axis=0)
    excess = (factors @ error) ** 2 - moved - _noise(target, error, groups, factors)  # [q, 3]
    labels = [target.mixtures[rows][0] for rows in groups]
    outside = np.array([hull_distance(np.delete(seen, i, axis=0), seen[i]) for i in labels])
    level, slope = level_and_slope(excess[:, 0], outside**2)
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


def _beyond(target: _Target) -> list[float]:
    """Shared error [2] of one target per e-fold of N and of D beyond the data."""
    gained = target.gained()
    found = []
    for axis, share, slope, other in zip(target.logs, _RESIDUAL, gained, gained[::-1], strict=True):
        levels = len(np.unique(axis[target.used]))
        known = slope if levels > 1 else other  # a guess: both axes gain alike
        found.append(
            float(np.hypot(share * target.size, _GAINED_BY_LEVELS.get(levels, _GAINED) * known))
        )
    return found


def _correlation(targets: Sequence[_Target]) -> np.ndarray:
    """Rank correlation [m, m] of the targets' mean errors at mixtures; robust to outliers."""
    ranks = [  # of means, which are 0 at mixtures where the target has no loss
        average_ranks(
            np.bincount(t.mixtures, np.where(t.used, t.left.residuals, 0.0))
            / np.bincount(t.mixtures)
        )
        for t in targets
    ]
    if len(ranks[0]) < 2:  # one mixture has no rank
        return np.eye(len(targets))
    with np.errstate(invalid="ignore"):
        found = np.atleast_2d(np.nan_to_num(np.corrcoef(ranks)))
    np.fill_diagonal(found, 1.0)
    return found
