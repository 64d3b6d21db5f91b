"""Refits of one target on other losses or other row weights: thousands of jobs in one loop.

Refits without a cluster start at the best optima of the full fit, then try each other's optima and
perturbations of their own until this no longer helps. Refits on resamples try the optima of those,
as often as that helped. They end as low as fresh searches, at a fraction of the cost.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.problem import Problem
from jaxmix.fitting.sharing import ties
from jaxmix.fitting.solvers.gauss_newton import GaussNewton
from jaxmix.fitting.solvers.hopping import perturb
from jaxmix.fitting.solvers.lanes import POLISH, WARM
from jaxmix.fitting.solvers.multistart import (
    SEARCHES,
    Pool,
    make_jobs,
    run_jobs,
    run_search,
    starts_of_search,
    to_bottom,
    values_at,
)
from jaxmix.fitting.solvers.together import fit_together
from jaxmix.fitting.uncertainty.clusters import make_folds
from jaxmix.fitting.uncertainty.influence import (
    check_same_rows,
    natural_params,
    pose,
)
from jaxmix.laws import Scales
from jaxmix.runs import RunTable

Array = jax.Array

# A few steps from every start (WARM), and then the best of them (POLISH) until eight steps in a row
# gain less than 1e-6 each. With 1e-5 and five, 90% intervals held .79 of the parameters of the
# additive law instead of .81; 1e-8 changes no more.
_SOLVER = GaussNewton(
    max_iterations=(300, 15, 300, 1000), rtol=(1e-4, 1e-3, 1e-6, 1e-10), patience=(10, 3, 8, 10)
)
# How far a fit goes without a cluster. In twelve of thirteen cases, changes of the optimum have
# correlations of .88 or more with those at the very bottom (experiments/sensitivity).
_NEAR = GaussNewton(max_iterations=(0, 0, 128, 0), rtol=(0.0, 0.0, 1e-9, 0.0))
_BATCHES = (8, 128)  # refits in one batch: few shapes, so that few programs are compiled
_TOGETHER = 64  # resamples of all targets in one problem, if targets share parameters
_ROUNDS, _LEAST = 6, 3  # most and fewest rounds of improvement (heavy problems may need none)
_SHARE = (0.02, 0.1)  # stop if no more than this share of refits gains: light, heavy
_POOL = 64  # optima of other refits to try
_HEAVY = 60_000  # rows times squared parameters from which starts are few
_LOWER = 0.99  # an objective lower by this factor lies in another basin
_DISTINCT = 1.01  # optima of one basin have objectives within this factor
_MEANS = 3  # steps of the means of parameters that targets share; the first is almost enough
_WINSOR = 5.0  # robust standard deviations to which residuals without the cluster are clipped
_TIED = 1.01  # fits with objectives within this factor are equally good: it is less than the noise
_HOPELESS = 1.25  # basins higher than the best by this factor are not tried again


class Refits(NamedTuple):
    """B refits of one target: working vectors [B, P] and objectives [B] (inf if one failed)."""

    z: np.ndarray
    value: np.ndarray

    @staticmethod
    def none(refitter: "Refitter") -> "Refits":
        """Without any."""
        return Refits(np.zeros((0, refitter.starts.shape[1])), np.zeros(0))

    def add(self, more: "Refits") -> "Refits":
        """These and more."""
        return Refits(*(np.concatenate(x) for x in zip(self, more, strict=True)))

    def head(self, count: int) -> "Refits":
        """The first so many."""
        return Refits(self.z[:count], self.value[:count])


class LeftOut(NamedTuple):
    """One target's p rows under the full fit and under fits that did not see them.

    Attributes:
        z: [F, P] working vectors of those fits.
        fitted: [p] losses of the full fit.
        predicted: [p] losses of the fits without the row's cluster.
        residuals: [p] observed less predicted, on the scale that is fitted, without outliers; 0 if
            the target has no loss.
        rounds: of improvement that these fits gained from; later refits are given as many.
    """

    z: np.ndarray
    fitted: np.ndarray
    predicted: np.ndarray
    residuals: np.ndarray
    rounds: int = _LEAST


class Refitter(NamedTuple):
    """One target, ready to be refitted; p rows, P working parameters.

    Attributes:
        problem: the full table's problem (all targets).
        index: which target.
        starts: [n, P] the fit itself, the fit moved to where all its parameters are felt, and the
            best other optima.
    """

    problem: Problem
    index: int
    starts: np.ndarray

    @property
    def rows(self) -> Rows:
        """The rows of this target alone, with leading axes of 1."""
        return self.problem.rows.alone(jnp.asarray(self.index))

    @property
    def used(self) -> np.ndarray:
        """Rows that have a loss, bool [p]."""
        return self.problem.used[self.index]

    @property
    def losses(self) -> np.ndarray:
        """Observed losses [p]; 1 if the target has none."""
        return np.asarray(self.problem.rows.losses[self.index])

    @property
    def logarithmic(self) -> bool:
        """Whether logarithms of losses are fitted."""
        return self.problem.objective.residual == "log"

    def run(
        self,
        losses: np.ndarray | None,
        row_weights: np.ndarray | None,
        left: LeftOut | None = None,
        first: int = 0,
    ) -> Refits:
        """Refits on losses [B, p], row weights [B, p], or both; None for those of the table.

        A refit depends on its own rows and its number alone, whatever is refitted beside it.

        Args:
            losses: nats.
            row_weights: relative to those of the full fit; they need no normalization.
            left: neighbors whose optima are tried too; None for none.
            first: number of the first refit.
        """
        made = []
        for batch, at, count in self._batches(losses, row_weights, first):
            made.append(batch.run(self.starts, left, at).head(count))
        return Refits(*(np.concatenate(x) for x in zip(*made, strict=True)))

    def _batches(
        self, losses: np.ndarray | None, row_weights: np.ndarray | None, first: int = 0
    ) -> Iterator[tuple["_Batch", np.ndarray, int]]:
        """Batches of a few sizes, the numbers of their refits, and how many are no filling."""
        count = len(losses if losses is not None else row_weights)  # type: ignore[arg-type]
        for begin in range(0, count, _BATCHES[-1]):
            take = np.arange(begin, min(begin + _BATCHES[-1], count))
            full = np.resize(take, next(size for size in _BATCHES if size >= len(take)))
            some = (None if x is None else x[full] for x in (losses, row_weights))
            rows = _with(self.rows, *some)
            yield _Batch(self.problem.objective, rows, len(take)), first + full, len(take)

    def predict(self, z: np.ndarray, most: int | None = None) -> np.ndarray:
        """Losses of the table's rows, or of so many of them, under refits [B, P]; [B, p]."""
        rows, size = self.problem.rows.of_fit(jnp.asarray(self.index)), _BATCHES[-1]
        parts = []
        for first in range(0, len(z), size):  # of one length, for one program
            some = z[np.minimum(np.arange(first, first + size), len(z) - 1)]
            parts.append(np.asarray(_predict(self.problem.objective, jnp.asarray(some), rows)))
        found = np.concatenate(parts)[: len(z)]
        return found[:, :: -(-found.shape[1] // most)] if most else found

    def residuals(self, predicted: np.ndarray) -> np.ndarray:
        """Observed less predicted on the fitted scale [p]; 0 if there is no loss."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.log(self.losses / predicted) if self.logarithmic else self.losses - predicted
        return np.where(self.used, found, 0.0)

    def shifted(self, predicted: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """Losses [..., p] with given residuals [..., p] about predicted ones [p]."""
        return predicted * np.exp(residuals) if self.logarithmic else predicted + residuals

    def leave_out(self, labels: np.ndarray, *, folds: int = 64, seed: int = 0) -> LeftOut:
        """Predicts every cluster by a fit of the others.

        Args:
            labels: [p] cluster of each row.
            folds: most fits; if there are more clusters, several are left out together.
            seed: of the folds.
        """
        fold = make_folds(labels, folds, seed)
        kept = np.arange(fold.max() + 1)[:, None] != fold  # [F, p]
        found = [b.search(self.starts, at, n) for b, at, n in self._batches(None, kept * 1.0)]
        z = np.concatenate([one.z for one, _ in found])
        rounds = max(made for _, made in found)
        fitted = self.predict(self.starts[:1])[0]
        predicted = self.predict(z)[fold, np.arange(len(fold))]
        missed = self.residuals(predicted)
        # Without one of its clusters a law may have no finite loss there.
        missed = np.where(np.isfinite(missed), missed, self.residuals(fitted))
        # Without the only mixture with much of a domain it may miss by nats what it fits well. Such
        # a residual is no size of an error, and worlds that flip its sign are none to learn from.
        most = _WINSOR * 1.4826 * np.median(np.abs(missed[self.used]))
        missed = np.clip(missed, -most, most) if most > 0 else missed
        return LeftOut(z, fitted, predicted, missed, rounds)

    def at_bottom(self) -> "Refitter":
        """With the fit itself at the very bottom of its basin as the only start."""
        found = to_bottom(self.problem.objective, self.rows, self.starts[:1], np.zeros(1, int))
        return self._replace(starts=np.asarray(found.z))

    def nearby(self, row_weights: np.ndarray) -> np.ndarray:
        """Where the fit goes in its own basin on other row weights [B, p]; [B, P]."""
        found = [b.near(self.starts[0])[:n] for b, _, n in self._batches(None, row_weights)]
        return np.concatenate(found)

    def equally_good(self, pool: Pool, count: int) -> np.ndarray:
        """Optima [n, P] of a search that fit the rows as well as the fit, which is the first.

        Args:
            pool: of a search for all targets, most of whose ends are above the bottom.
            count: the best optima that are looked at.
        """
        z = pool.elite(self.index, count)
        rows, fit = self.rows, np.zeros(count, int)
        ended = run_jobs(_SOLVER, self.problem.objective, rows, make_jobs(z, fit, POLISH))
        own = self.problem.objective.value(jnp.asarray(self.starts[0]), rows.of_fit(jnp.asarray(0)))
        tied = ended.value < _TIED * min(float(own), ended.value.min())
        return np.concatenate([self.starts[:1], ended.z[tied]])

    def natural(self, z: np.ndarray) -> dict[str, np.ndarray]:
        """Natural parameters of refits [B, P] by name, [B] or [B, k]."""
        found = jax.vmap(partial(natural_params, self.problem))(jnp.asarray(z))
        return {name: np.asarray(value) for name, value in found.items()}


class _Batch(NamedTuple):
    """Refits of one target, solved together; those beyond the first ``count`` are filling."""

    objective: Objective
    rows: Rows
    count: int

    def run(self, starts: np.ndarray, left: LeftOut | None, numbers: np.ndarray) -> Refits:
        """Refits from shared starts [n, P], then from optima of neighbors and perturbations."""
        found = self.first(starts)
        if left is not None:
            for i in range(left.rounds):
                found = self.improved(found, left.z, numbers, i)
        return found

    def search(self, starts: np.ndarray, numbers: np.ndarray, count: int) -> tuple[Refits, int]:
        """The same with each other for neighbors, while that gains; and the number of rounds."""
        found = self.first(starts)
        for i in range(_ROUNDS):
            better = self.improved(found, found.z[:count], numbers, i)
            gained = np.mean(better.value[:count] < found.value[:count] * _LOWER)
            found = better
            if gained <= _SHARE[self.heavy]:
                return found.head(count), max(i, 0 if self.heavy else _LEAST)
        return found.head(count), _ROUNDS

    def first(self, starts: np.ndarray) -> Refits:
        """From shared starts [n, P]."""
        starts = starts[: 3 if self.heavy else None]
        size = self.rows.losses.shape[0]
        return self.best(np.broadcast_to(starts, (size, *starts.shape)))

    def near(self, z: np.ndarray) -> np.ndarray:
        """Working vectors [B, P] a few dozen steps downhill from z [P]."""
        size = self.rows.losses.shape[0]
        jobs = make_jobs(np.broadcast_to(z, (size, len(z))), np.arange(size), POLISH)
        return np.asarray(run_jobs(_NEAR, self.objective, self.rows, jobs).z)

    @property
    def heavy(self) -> bool:
        """Whether a solve costs so much that starts should be few."""
        work = self.rows.losses.shape[1] * self.objective.law.count(self.objective.k) ** 2
        return work > _HEAVY

    def best(self, starts: np.ndarray) -> Refits:
        """The end [B] of the best of several starts each, [B, n, P]."""
        size, each, _ = starts.shape
        ended = self.solve(starts.reshape(size * each, -1), each, WARM)
        at = np.arange(size) * each + ended.value.reshape(size, each).argmin(1)
        return self.solve(ended.z[at], 1, POLISH)

    def improved(self, found: Refits, pool: np.ndarray, numbers: np.ndarray, turn: int) -> Refits:
        """After starts from perturbations of each refit's own optimum and from optima of others.

        Refits see nearly the same data, so that a basin found by one may serve many.
        """
        size, each = len(found.z), 1 if self.heavy else 3
        pool = np.resize(pool[:_POOL], (_POOL, pool.shape[1]))  # one shape, one program
        each_at = jnp.broadcast_to(jnp.asarray(pool), (size, *pool.shape))
        values = np.array(values_at(self.objective, each_at, self.rows))
        values[np.isclose(values, found.value[:, None], rtol=1e-6)] = np.inf  # its own
        order = np.argsort(values, 1, kind="stable")
        shared = pool[order[:, turn * each : (turn + 1) * each]]  # [B, s, P]
        moved = _moved(self.objective, jnp.asarray(found.z), jnp.asarray(numbers), turn, each)
        ended = self.best(np.concatenate([shared, np.asarray(moved)], 1))
        better = ended.value < found.value
        return Refits(
            np.where(better[:, None], ended.z, found.z), np.minimum(ended.value, found.value)
        )

    def solve(self, z: np.ndarray, each: int, stage: int) -> Refits:
        """Ends of ``each`` starts of every refit, [B * each, P]; filling fails at once."""
        fit = np.repeat(np.arange(self.rows.losses.shape[0]), each)
        z = np.where((fit < self.count)[:, None], z, np.nan)
        ended = run_jobs(_SOLVER, self.objective, self.rows, make_jobs(z, fit, stage))
        return Refits(np.asarray(ended.z), np.where(ended.failed, np.inf, ended.value))


@partial(jax.jit, static_argnames=("objective", "each"))
def _moved(objective: Objective, z: Array, numbers: Array, turn: Array, each: int) -> Array:
    """Perturbations [B, each, P] of z [B, P], drawn by the number of the refit and the turn."""

    def of_refit(z: Array, number: Array) -> Array:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), number), turn)
        return jax.vmap(lambda k: perturb(objective, k, z))(jax.random.split(key, each))

    return jax.vmap(of_refit)(z, numbers)


def _with(rows: Rows, losses: np.ndarray | None, row_weights: np.ndarray | None) -> Rows:
    """One target's rows as those of B fits with other losses or weights."""
    count = len(losses if losses is not None else row_weights)  # type: ignore[arg-type]
    shape = (count, rows.losses.shape[1])
    seen = rows.losses if losses is None else jnp.asarray(losses)
    weights = rows.row_weights * (1.0 if row_weights is None else jnp.asarray(row_weights))
    prior = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape[1:])), rows.prior)
    return rows._replace(
        prior=prior,
        losses=jnp.broadcast_to(jnp.where(rows.row_weights > 0, seen, 1.0), shape),
        row_weights=jnp.broadcast_to(weights / jnp.sum(weights, 1, keepdims=True), shape),
    )


@partial(jax.jit, static_argnames="objective")
def _predict(objective: Objective, z: Array, rows: Rows) -> Array:
    return jax.lax.map(lambda v: objective.predict(v, rows), z, batch_size=64)


def refit_together(
    refitters: Sequence[Refitter],
    share: Mapping[str, float],
    found: Sequence[Refits],
    data: Callable[[int, slice], tuple[np.ndarray | None, np.ndarray | None]],
) -> list[Refits]:
    """Refits of all m targets whose parameters are drawn to the means of their own resample.

    Args:
        refitters: one per target.
        share: strengths by parameter.
        found: refits at the means of the full fit, the starts.
        data: losses or row weights [b, p] of a target in some resamples.
    """
    size, parts = _TOGETHER, []
    for first in range(0, len(found[0].z), size):
        which = slice(first, min(first + size, len(found[0].z)))
        starts = np.stack([f.z[which] for f in found], 1)  # [b, m, P]
        many = _all_targets(refitters, [data(i, which) for i in range(len(refitters))])
        tied = ties(many, [share] * len(starts))
        assert many.rows.prior is not None
        center, flat = np.asarray(many.rows.prior.center), starts.reshape(1, -1, starts.shape[-1])
        end = fit_together(many, tied, flat, center, steps=_MEANS)
        parts.append((end.z.reshape(starts.shape), end.value.reshape(starts.shape[:2])))
    z, value = (np.concatenate(x) for x in zip(*parts, strict=True))
    return [Refits(z[:, i], value[:, i]) for i in range(len(refitters))]


def _all_targets(
    refitters: Sequence[Refitter], data: Sequence[tuple[np.ndarray | None, np.ndarray | None]]
) -> Problem:
    """Resamples of all targets as one problem, resample by resample."""
    problem, each = (
        refitters[0].problem,
        [_with(r.rows, *d) for r, d in zip(refitters, data, strict=True)],
    )
    count = each[0].losses.shape[0]

    def mixed(*parts: Array) -> Array:
        return jnp.stack(parts, 1).reshape(-1, *parts[0].shape[1:])

    def tiled(x: Array) -> Array:
        return jnp.tile(x, (count, *(1,) * (x.ndim - 1)))

    rows = problem.rows._replace(
        own={name: tiled(x) for name, x in problem.rows.own.items()},
        losses=mixed(*(one.losses for one in each)),
        row_weights=mixed(*(one.row_weights for one in each)),
        prior=jax.tree.map(tiled, problem.rows.prior),
    )
    scales = Scales(*map(tiled, problem.scales))
    return replace(problem, targets=problem.targets * count, rows=rows, scales=scales)


def make_refitters(
    laws: Sequence[FittedLaw],
    runs: RunTable,
    *,
    weighting: str = "equal",
    basins: int = 4,
    restarts: int = 32,
    seed: int = 0,
) -> list[Refitter]:
    """Every target ready for refits, with the other basins that a search finds.

    Args:
        laws: fits of one law on ``runs``; call within ``float64()``.
        runs: the very rows they were fitted on.
        weighting: as in the fit.
        basins: most distinct optima from which refits start.
        restarts: local solves per target of the search for them.
        seed: of that search.

    Raises:
        JaxmixError: the laws were not fitted on these rows.
    """
    problem = pose(laws, runs, weighting)
    own = np.stack([np.asarray(problem.working(f.params)) for f in laws])
    for i, fitted in enumerate(laws):
        check_same_rows(problem, i, own[i], fitted)
    starts = list(np.stack([own, _felt(problem, own, restarts, seed)], 1))  # [2, P] by target
    if basins > 1:
        pool = run_search(SEARCHES["pooled-hopping"], problem, restarts, seed, None)
        for i, first in enumerate(starts):
            found = _basins(own[i], pool.z[:, i], pool.value[:, i], basins)
            starts[i] = np.concatenate([first, found[1:]])
    return [Refitter(problem, i, z) for i, z in enumerate(starts)]


def _felt(problem: Problem, z: np.ndarray, restarts: int, seed: int) -> np.ndarray:
    """Working vectors [m, P] moved into the range of the search's random starts.

    An exponent or a coefficient that is all but 0 has no slope on the logarithmic scale: a refit
    whose data ask for more of it would stay, or come there by many small steps.
    """
    each, _ = starts_of_search(problem, restarts, seed)
    return np.clip(z, each.min(0), each.max(0))


def _basins(own: np.ndarray, z: np.ndarray, value: np.ndarray, count: int) -> np.ndarray:
    """The fit itself and the best optima [n, P] of a search in other basins."""
    order = np.argsort(value, kind="stable")
    best = last = value[order[0]]
    chosen = [own]
    for i in order:
        if len(chosen) == count or value[i] > _HOPELESS * best:
            break
        if value[i] > last * _DISTINCT:
            chosen.append(z[i])
            last = value[i]
    return np.stack(chosen)


def fresh_search(
    refitter: Refitter,
    losses: np.ndarray | None,
    row_weights: np.ndarray | None,
    *,
    restarts: int,
    seed: int,
) -> Refits:
    """The best optima [B] of searches that know nothing of the full fit, on the same data."""
    problem, rows = refitter.problem, _with(refitter.rows, losses, row_weights)
    count = rows.losses.shape[0]
    scales = (np.repeat(np.asarray(x)[refitter.index], count) for x in problem.scales)
    many = replace(
        problem,
        targets=tuple(f"{i}" for i in range(count)),
        rows=rows,
        scales=Scales(*map(jnp.asarray, scales)),
    )
    pool = run_search(SEARCHES["pooled-hopping"], many, restarts, seed)
    z = pool.z[pool.value.argmin(0), np.arange(count)]
    return _Batch(problem.objective, rows, count).solve(z, 1, POLISH)
