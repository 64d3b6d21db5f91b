"""Refits of one target on other losses or other row weights: thousands of jobs in one loop.

Each starts at the best optima of the full fit; while that is not enough, refits exchange their
optima and kick them. Together this finds what a fresh search finds at a fraction of its cost.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.inputs import read_inputs
from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.problem import Problem, make_problem
from jaxmix.fitting.solvers.gauss_newton import GaussNewton
from jaxmix.fitting.solvers.lanes import POLISH, WARM, Jobs
from jaxmix.fitting.solvers.multistart import SEARCHES, Progress, kick_all, run_jobs, run_search
from jaxmix.fitting.uncertainty.influence import working_vector
from jaxmix.laws import Scales
from jaxmix.runs import RunTable

Array = jax.Array

# From the bottom of a basin of the full fit, then to where steps gain less than 1e-5.
_ROUGH = GaussNewton(max_iterations=(300, 100, 3000), patience=5)
_FINE = GaussNewton(max_iterations=(300, 150, 150), rtol=(1e-4, 1e-4, 1e-5), patience=5)
_SIZES = (8, 64, 256)  # refits in one batch
_ROUNDS, _LEAST = 6, 3  # of improvement, while more than a few gain; at least, where light
_LOOK, _FEW = 64, (0.02, 0.1)  # refits to look at for that, and what share is a few: light, heavy
_POOL = 32  # ends of others to try on
_LIGHT = 60_000  # rows times squared parameters below which a solve costs little
_LOWER = 0.99  # of an objective: a lower one is in another basin
_DISTINCT = 0.01  # optima whose objectives differ by less are one basin
_HOPELESS = 1.25  # basins this much above the best are not tried again


class Refits(NamedTuple):
    """B refits of one target: working vectors [B, P] and objectives [B] (inf where none)."""

    z: np.ndarray
    value: np.ndarray


class Refitter(NamedTuple):
    """One target, ready to be refitted.

    Attributes:
        problem: the full table's problem (all targets).
        index: which target.
        starts: [n, P] the best distinct optima of the full fit, the fit itself first.
    """

    problem: Problem
    index: int
    starts: np.ndarray

    @property
    def rows(self) -> Rows:
        """The rows of this target alone, with leading axes of 1."""
        return self.problem.rows.alone(jnp.asarray(self.index))

    def run(self, losses: np.ndarray | None, row_weights: np.ndarray | None) -> Refits:
        """Refits on losses [B, p], row weights [B, p], or both; None for those of the table.

        Weights are relative to those of the full fit and need no normalization.
        """
        count = len(losses if losses is not None else row_weights)  # type: ignore[arg-type]
        parts = []
        for first in range(0, count, _SIZES[-1]):
            take = np.arange(first, min(first + _SIZES[-1], count))
            size = next(size for size in _SIZES if size >= len(take))
            full = np.resize(take, size)  # few shapes, so that few programs are compiled
            some = (None if x is None else x[full] for x in (losses, row_weights))
            batch = _Batch(self.problem.objective, _batch(self.rows, *some))
            parts.append(Refits(*(x[: len(take)] for x in batch.run(self.starts))))
        return Refits(*(np.concatenate(x) for x in zip(*parts, strict=True)))

    def predict(self, z: np.ndarray) -> np.ndarray:
        """Losses of the table's rows under refits [B, P]; [B, p]."""
        return np.asarray(
            _predict(self.problem.objective, jnp.asarray(z), self.rows.of_fit(jnp.asarray(0)))
        )

    def natural(self, z: np.ndarray) -> dict[str, np.ndarray]:
        """Natural parameters of refits [B, P] by name, [B] or [B, k]."""
        n_unit, d_unit = self.problem.units
        found = _natural(self.problem.objective, jnp.asarray(z), n_unit, d_unit)
        return {name: np.asarray(value) for name, value in found.items()}


class _Batch(NamedTuple):
    """B refits of one target in a batch."""

    objective: Objective
    rows: Rows

    def run(self, starts: np.ndarray) -> Refits:
        """Refits from starts [n, P] that all share, while exchanging ends still helps."""
        starts = starts[: 2 if self.heavy else None]
        count = self.rows.losses.shape[0]
        found = self.best(np.broadcast_to(starts, (count, *starts.shape)))
        for i in range(_ROUNDS):
            some = Refits(*(x[:_LOOK] for x in found))
            gained = np.mean(self.first(_LOOK).improved(some, i).value < some.value * _LOWER)
            if gained <= _FEW[self.heavy] and (self.heavy or i >= _LEAST):
                break
            found = self.improved(found, i)
        return self.polished(found.z)

    def first(self, count: int) -> "_Batch":
        """The first few of them."""
        rows = self.rows._replace(
            losses=self.rows.losses[:count], row_weights=self.rows.row_weights[:count]
        )
        return self._replace(rows=rows)

    @property
    def heavy(self) -> bool:
        """Whether a solve costs so much that starts are to be few."""
        work = self.rows.losses.shape[1] * self.objective.law.count(self.objective.k) ** 2
        return work > _LIGHT

    def best(self, starts: np.ndarray) -> Refits:
        """The best end [B] of several starts each, [B, n, P]."""
        count, each, size = starts.shape
        fit = jnp.repeat(jnp.arange(count), each)
        jobs = _jobs(jnp.asarray(starts.reshape(-1, size)), fit, WARM)
        ended = run_jobs(_ROUGH, self.objective, self.rows, jobs)
        at = np.arange(count) * each + ended.value.reshape(count, each).argmin(1)
        return Refits(np.asarray(ended.z)[at], np.asarray(ended.value)[at])

    def improved(self, found: Refits, seed: int) -> Refits:
        """After starts from kicks of each refit's own end and from the ends of others.

        Refits see much the same data, so that a basin which one of them found may serve many.
        """
        count = len(found.z)
        rng = np.random.default_rng(seed)
        pool = found.z[rng.choice(count, min(count, _POOL), replace=False)]
        values = np.array(_values_at(self.objective, jnp.asarray(pool), self.rows, count))
        values[np.isclose(values, found.value[:, None], rtol=1e-6)] = np.inf  # its own
        each = 1 if self.heavy else 3
        shared = pool[np.argsort(values, 1)[:, :each]]  # [B, s, P]
        keys = jax.random.split(jax.random.key(seed), count * each)
        kicked = kick_all(self.objective, keys, jnp.asarray(np.repeat(found.z, each, 0)))
        kicked = np.asarray(kicked).reshape(count, each, -1)
        ended = self.best(np.concatenate([shared, kicked], 1))
        better = ended.value < found.value
        return Refits(
            np.where(better[:, None], ended.z, found.z), np.minimum(ended.value, found.value)
        )

    def polished(self, z: np.ndarray) -> Refits:
        """The bottoms of the basins that z [B, P] lie in."""
        jobs = _jobs(jnp.asarray(z), jnp.arange(len(z)), POLISH)
        ended = run_jobs(_FINE, self.objective, self.rows, jobs)
        return Refits(np.asarray(ended.z), np.where(ended.failed, np.inf, ended.value))


@partial(jax.jit, static_argnames=("objective", "count"))
def _values_at(objective: Objective, pool: Array, rows: Rows, count: int) -> Array:
    """Objective [count, n] of each fit at every vector of a pool [n, P]."""

    def of_fit(fit: Array) -> Array:
        own = rows.of_fit(fit)
        return jax.vmap(lambda z: objective.value(z, own))(pool)

    return jax.lax.map(of_fit, jnp.arange(count), batch_size=min(count, 16))


def _jobs(z: Array, fit: Array, stage: int) -> Jobs:
    keys = jnp.broadcast_to(jax.random.key(0), fit.shape)  # these solvers draw nothing
    return Jobs(z, fit, keys, jnp.full(fit.shape, stage))


def _batch(rows: Rows, losses: np.ndarray | None, row_weights: np.ndarray | None) -> Rows:
    count = len(losses if losses is not None else row_weights)  # type: ignore[arg-type]
    shape = (count, rows.losses.shape[1])
    seen = rows.losses if losses is None else jnp.asarray(losses)
    weights = rows.row_weights * (1.0 if row_weights is None else jnp.asarray(row_weights))
    total = jnp.sum(weights, 1, keepdims=True)
    return rows._replace(
        losses=jnp.broadcast_to(jnp.where(rows.row_weights > 0, seen, 1.0), shape),
        row_weights=jnp.broadcast_to(weights / total, shape),
    )


@partial(jax.jit, static_argnames="objective")
def _predict(objective: Objective, z: Array, rows: Rows) -> Array:
    return jax.lax.map(lambda v: objective.predict(v, rows), z, batch_size=64)


@partial(jax.jit, static_argnames="objective")
def _natural(objective: Objective, z: Array, n_unit: Array, d_unit: Array) -> dict[str, Array]:
    law = objective.law
    params = law.from_working(z, objective.k)
    if law.rescale is None:
        return params
    rescale = law.rescale
    return jax.vmap(lambda p: dict(rescale(p, 1.0 / n_unit, 1.0 / d_unit)))(params)


def make_refitters(
    laws: Sequence[FittedLaw],
    runs: RunTable,
    *,
    weighting: str = "equal",
    basins: int = 4,
    restarts: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Refitter]:
    """Every target ready for refits, its other basins found by a search of its own.

    Args:
        laws: fits of one law on ``runs``; call within ``jax.enable_x64(True)``.
        runs: the very rows they were fitted on.
        weighting: as in the fit.
        basins: distinct optima to start refits from, at most.
        restarts: local solves per target of the search for them.
        seed: of that search.
        progress: of that search.

    Raises:
        JaxmixError: the laws were not fitted on these rows.
    """
    first = laws[0]
    k = len(first.domains)
    objective = Objective(first.law, k, first.report.delta, first.report.residual)
    names = tuple(f.target for f in laws)
    if first.law.reads("weights"):  # the laws' order of domains, not the table's
        read_inputs(runs, first.law, first.domains)
        runs = replace(runs, domains=first.domains)
    problem = make_problem(runs, first.law, names, objective, weighting)
    own = [working_vector(problem, f) for f in laws]
    for i, fitted in enumerate(laws):
        _check_same_rows(problem, i, own[i], fitted)
    if basins == 1:
        return [Refitter(problem, i, np.asarray(z)[None]) for i, z in enumerate(own)]
    pool = run_search(SEARCHES["pooled-hopping"], problem, restarts, seed, progress)
    return [
        Refitter(problem, i, _basins(np.asarray(z), pool.z[:, i], pool.value[:, i], basins))
        for i, z in enumerate(own)
    ]


def _check_same_rows(problem: Problem, index: int, z: Array, fitted: FittedLaw) -> None:
    value = float(problem.objective.value(z, problem.rows.of_fit(jnp.asarray(index))))
    rows, known = int(problem.used[index].sum()), fitted.report.objective
    exact = 1e-9 * problem.objective.delta**2  # of rows without noise only rounding is left
    if rows != fitted.report.rows or abs(value - known) > 1e-6 * known + exact:
        raise JaxmixError(
            f"{problem.runs.source}: the law of '{fitted.target}' was fitted on other rows "
            f"({fitted.report.rows} with objective {fitted.report.objective:.6g}; here {rows} "
            f"with {value:.6g}); give the same rows, or fit again"
        )


def _basins(own: np.ndarray, z: np.ndarray, value: np.ndarray, count: int) -> np.ndarray:
    """The fit itself and the best optima [n, P] of a search that lie in other basins."""
    order = np.argsort(value, kind="stable")
    best, chosen, last = value[order[0]], [own], value[order[0]]
    for i in order:
        if len(chosen) == count or value[i] > _HOPELESS * best:
            break
        if value[i] > last * (1 + _DISTINCT):
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
) -> np.ndarray:
    """Lowest objectives [B] of searches that know nothing of the full fit, on the same data."""
    problem, rows = refitter.problem, _batch(refitter.rows, losses, row_weights)
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
    return _Batch(problem.objective, rows).polished(z).value
