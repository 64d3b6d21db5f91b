"""The search over starting points: random starts, perturbations of the best, a final polish."""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxmix.fitting.grid import on_grid
from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.precision import cores, in_this_scope, solver_devices
from jaxmix.fitting.problem import Problem, random_starts
from jaxmix.fitting.programs import compile_quickly
from jaxmix.fitting.solvers.gauss_newton import GaussNewton
from jaxmix.fitting.solvers.hopping import BasinHopping, perturb
from jaxmix.fitting.solvers.lanes import (
    BOTTOM,
    COLD,
    POLISH,
    WARM,
    Jobs,
    Results,
    Solver,
    run_lanes,
)
from jaxmix.fitting.solvers.lbfgs import LBFGS
from jaxmix.fitting.solvers.newton import Newton
from jaxmix.fitting.solvers.reference import JaxoptLBFGS

Array = jax.Array
Progress = Callable[[int, int], None]
ROUNDS = 8
_SHORTEST = 1024  # jobs in a queue
_FULL = 64  # jobs that keep all lanes busy


@dataclass(frozen=True)
class Search:
    """How starting points are spent.

    Attributes:
        solver: the local solver.
        hop: spend the second half of the restarts on perturbations of the best optima of the first:
            basin-hopping whose chains share what they found.
        elite: distinct optima per fit that are perturbed.
        finish: ends per fit, at most, that the solver takes to the bottom, after the first half of
            the restarts and when all are spent: for a solver that leaves lanes early.
    """

    solver: Solver | JaxoptLBFGS
    hop: bool = False
    elite: int = 8
    finish: int = 0


# Lanes stop in the upper part of their basins, and the best of them go on to the bottom. Once at
# the final threshold, a lane of the joint law gains 2% in 40 steps and 1% more in the next 100. A
# perturbation of a good optimum gains more: the expected time to the best basin fell from 2.4 s to
# about 1 s.
_EARLY = GaussNewton(rtol=(1e-3, 1e-3, 1e-4, 1e-10), patience=(3, 3, 10, 10))

# ``pooled-hopping`` is the default: see benchmarks/bench_fit.py.
SEARCHES: dict[str, Search] = {
    "pooled-hopping": Search(_EARLY, hop=True, finish=8),
    "gauss-newton": Search(GaussNewton()),
    "gauss-newton-hopping": Search(BasinHopping(GaussNewton())),
    "lbfgs": Search(LBFGS()),
    "basin-hopping": Search(BasinHopping(LBFGS())),
    "jaxopt": Search(JaxoptLBFGS()),
}


@compile_quickly(static_argnames="objective")
def perturb_all(objective: Objective, keys: Array, z: Array) -> Array:
    """Starts [J, P] in basins beside those of z [J, P]."""
    return jax.vmap(partial(perturb, objective))(keys, z)


def lane_shape(jobs: int, platform: str = "cpu") -> tuple[int, int]:
    """Groups and lanes per group: enough to fill the device, few enough to stay in its cache."""
    if platform == "cpu":
        # XLA sums batches of other widths in another order: then the last bits of a result would
        # depend on how many jobs there are. Idle lanes of a batch cost as much as others.
        return (2, 4)
    return (1, min(2048, max(8, 1 << (jobs - 1).bit_length())))


def padded(jobs: int) -> int:
    """The length of the queue in which so many jobs are run: few lengths, so few programs."""
    size = _SHORTEST
    while size < jobs:
        size *= 16
    return size


def run_jobs(
    solver: Solver | JaxoptLBFGS,
    objective: Objective,
    rows: Rows,
    jobs: Jobs,
    devices: tuple[Any, ...] | None = None,
) -> Results:
    """Run jobs, split evenly over devices, or over threads on one CPU; results on the host.

    By default over the devices of ``solver_devices``. Taking the shards to the host first keeps
    later slicing from becoming a collective, for which virtual CPU devices on few cores can starve
    one another.
    """
    if isinstance(solver, JaxoptLBFGS):
        return solver.run(objective, rows, jobs)
    rows, devices = on_grid(rows), devices or solver_devices()
    total, platform = jobs.fit.shape[0], devices[0].platform
    alone = len(devices) == 1
    many = threads(total) if alone and platform == "cpu" else len(devices)
    share = -(-total // many)
    groups, width = lane_shape(share, platform)
    # In random order, so that shares take equally long. The last job fills up: it is run again
    # only if the shares are uneven.
    order = np.random.default_rng(0).permutation(total) if many > 1 else np.arange(total)
    places = np.arange(many)[:, None] * share + np.arange(padded(share))
    at = order[np.minimum(places, total - 1)]
    if alone:
        run = partial(run_lanes, solver, objective, rows, groups=groups, width=width)
        found = _in_threads([lambda i=i: run(_take(jobs, i), share) for i in at])
    else:
        spread = _sharded(solver, objective, groups, width, devices)
        found = spread(rows, _take(jobs, at.ravel()), share)
    kept = np.flatnonzero(np.arange(at.size) % at.shape[1] < share)[:total][np.argsort(order)]
    return jax.tree.map(lambda x: np.asarray(x)[kept], found)


def threads(jobs: int) -> int:
    """How many threads run so many jobs on one CPU: one for each core whose lanes they can fill.

    Their programs are small, and XLA alone keeps only 1.3 to 1.6 of two cores busy with one.
    """
    return max(1, min(cores(), jobs // 4))


def _in_threads(programs: Sequence[Callable[[], Results]]) -> Results:
    """The joined results of programs that run side by side."""
    first = programs[0]()  # it is compiled here alone, and runs on when the call returns
    if len(programs) == 1:
        return first
    with ThreadPoolExecutor(len(programs) - 1) as pool:
        ended = [
            in_this_scope(lambda run=run: jax.block_until_ready(run())) for run in programs[1:]
        ]
        others = [pool.submit(run) for run in ended]
        found = [first, *(one.result() for one in others)]
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


@jax.jit
def _take(jobs: Jobs, at: Array) -> Jobs:
    return jax.tree.map(lambda x: x[at], jobs)


@lru_cache(maxsize=64)  # jit knows a program by its function: make each only once
def _sharded(
    solver: Solver, objective: Objective, groups: int, width: int, devices: tuple[Any, ...]
) -> Callable[[Rows, Jobs, int], Results]:
    """``run_lanes`` with the jobs split over devices and the rows on each."""
    spread, same = PartitionSpec("device"), PartitionSpec()
    sharded = jax.shard_map(
        partial(run_lanes, solver, objective, groups=groups, width=width),
        mesh=Mesh(np.asarray(devices), ("device",)),
        in_specs=(same, spread, same),
        out_specs=spread,
        check_vma=False,
    )
    return jax.jit(sharded)


@dataclass
class Pool:
    """Every optimum found: z [S, m, P], value [S, m], failed [S, m]."""

    z: np.ndarray
    value: np.ndarray
    failed: np.ndarray

    @staticmethod
    def empty(fits: int, size: int) -> "Pool":
        """With nothing in it."""
        return Pool(np.zeros((0, fits, size)), np.zeros((0, fits)), np.zeros((0, fits), bool))

    def add(self, results: Results, fits: int) -> "Pool":
        """With the results of jobs laid out [count, m]."""
        shape = (-1, fits)
        parts = (results.z, results.value, results.failed)
        z, value, failed = (np.asarray(x).reshape(*shape, *x.shape[1:]) for x in parts)
        return Pool(
            np.concatenate([self.z, z]),
            np.concatenate([self.value, value]),
            np.concatenate([self.failed, failed]),
        )

    def leading(self, fit: int, count: int) -> np.ndarray:
        """[count] where the best distinct optima of one fit are, repeated if there are fewer."""
        order = np.argsort(self.value[:, fit], kind="stable")
        ascending, chosen, at = self.value[order, fit], [], 0
        while at < len(order) and len(chosen) < count:
            chosen.append(order[at])
            at = int(np.searchsorted(ascending, ascending[at] * (1 + 1e-4), "right"))
        return np.resize(chosen, count)

    def elite(self, fit: int, count: int) -> np.ndarray:
        """[count, P] the best distinct optima of one fit, repeated if there are fewer."""
        return self.z[self.leading(fit, count), fit]

    def elites(self, count: int) -> np.ndarray:
        """[count, m, P] those of every fit."""
        return np.stack([self.elite(f, count) for f in range(self.value.shape[1])], 1)


def run_search(
    search: Search, problem: Problem, restarts: int, seed: int, progress: Progress | None = None
) -> Pool:
    """All local solves of all fits; the same for the same seed whatever runs beside them."""
    fits, rounds = len(problem.targets), min(ROUNDS, restarts)
    z, keys = starts_of_search(problem, restarts, seed)
    count = len(z) // rounds
    cold = -(-rounds // 2) if search.hop else rounds
    at_once = min(cold, -(-_FULL // (count * fits)))  # cold rounds need not wait for one another
    firsts = [*range(0, cold, at_once), *range(cold, rounds), rounds]
    pool = Pool.empty(fits, z.shape[-1])
    for first, end in itertools.pairwise(firsts):
        own = slice(first * count, end * count)
        begin, drawn, stage = z[own], jax.random.wrap_key_data(jnp.asarray(keys[own])), COLD
        if first >= cold:
            if first == cold:
                pool = finish(search, problem, pool)
            parents = pool.elites(search.elite)[np.arange(count) % search.elite]
            begin, stage = perturbed(problem, parents, drawn), WARM
        pool = pool.add(solve(search.solver, problem, begin, stage, drawn), fits)
        if progress:
            progress(own.stop * fits, rounds * count * fits)
    return finish(search, problem, pool)


def starts_of_search(problem: Problem, restarts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random starts [n, m, P] and data of their keys [n, m, ...]; n is at least ``restarts``."""
    rounds = min(ROUNDS, restarts)
    count = -(-restarts // rounds) * rounds
    begin = jax.random.key(seed), jnp.asarray(0)
    z, keys = random_starts(problem.objective, problem.scales, *begin, count=count)
    fits = len(problem.targets)
    parts = (np.asarray(z), np.asarray(jax.random.key_data(keys)))
    first, second = (x.reshape(count, fits, -1) for x in parts)
    return first, second


def perturbed(problem: Problem, z: np.ndarray, keys: Array) -> np.ndarray:
    """Starts in basins beside those of z [n, m, P]; keys [n, m]."""
    flat = jnp.asarray(z.reshape(-1, z.shape[-1]), problem.rows.losses.dtype)
    return np.asarray(perturb_all(problem.objective, keys.ravel(), flat)).reshape(z.shape)


def solve(
    solver: Solver | JaxoptLBFGS,
    problem: Problem,
    z: np.ndarray,
    stage: int,
    keys: Array | None = None,
) -> Results:
    """The ends of starts z [n, m, P] of m fits; keys [n, m], None for solvers that draw nothing."""
    count, fits, size = z.shape
    flat = jnp.asarray(z.reshape(-1, size), problem.rows.losses.dtype)
    jobs = make_jobs(flat, np.tile(np.arange(fits), count), stage, keys)
    return run_jobs(solver, problem.objective, problem.rows, jobs)


def make_jobs(
    z: np.ndarray | Array, fit: np.ndarray, stage: int, keys: Array | None = None
) -> Jobs:
    """Jobs of starts z [J, P] of fits [J]; keys [J], None for solvers that draw nothing."""
    keys = jnp.broadcast_to(jax.random.key(0), fit.shape) if keys is None else keys.ravel()
    # Made by NumPy, for jnp.full makes another type, and with it another program.
    return Jobs(jnp.asarray(z), jnp.asarray(fit), keys, jnp.asarray(np.full(fit.shape, stage)))


def finish(search: Search, problem: Problem, pool: Pool) -> Pool:
    """The pool with its best ends at the bottoms of their basins, at most an eighth of all."""
    ends, fits = pool.value.shape
    if not search.finish:
        return pool
    count = min(search.finish, max(2, ends // 8))
    at = np.stack([pool.leading(f, count) for f in range(fits)], 1), np.arange(fits)
    found = Pool.empty(fits, pool.z.shape[-1])
    found = found.add(solve(search.solver, problem, pool.z[at], POLISH), fits)
    better = found.value < pool.value[at]
    z, value = pool.z.copy(), pool.value.copy()
    z[at] = np.where(better[..., None], found.z, z[at])
    value[at] = np.where(better, found.value, value[at])
    return Pool(z, value, pool.failed)


def polish(problem: Problem, pool: Pool, candidates: int = 2) -> Pool:
    """The best few optima of every fit, to machine precision."""
    best = pool.elites(candidates)
    fit = np.tile(np.arange(best.shape[1]), candidates)
    found = to_bottom(problem.objective, problem.rows, best.reshape(len(fit), -1), fit)
    return Pool.empty(best.shape[1], best.shape[-1]).add(found, best.shape[1])


def to_bottom(objective: Objective, rows: Rows, z: np.ndarray | Array, fit: np.ndarray) -> Results:
    """The bottoms of the basins in which vectors lie, to machine precision.

    Searches leave a joint law up to .4% above it, between kinks of eq. (6) where Newton's method
    creeps. Gauss-Newton steps pass the kinks, and Newton's take the last digits.

    Args:
        objective: of the law.
        rows: of all fits.
        z: [J, P] working vectors.
        fit: [J] which fit each belongs to.
    """
    begin = jnp.asarray(z, rows.losses.dtype)
    near = run_jobs(_EARLY, objective, rows, make_jobs(begin, fit, BOTTOM))
    begin = jnp.where(jnp.asarray(near.failed)[:, None], begin, near.z)
    return run_jobs(Newton(), objective, rows, make_jobs(begin, fit, BOTTOM))


@partial(jax.jit, static_argnames="objective")
def values_at(objective: Objective, z: Array, rows: Rows) -> Array:
    """Objectives [F, n] of each fit at its own vectors z [F, n, P]."""

    def of_fit(fit: Array) -> Array:
        own = rows.of_fit(fit)
        return jax.vmap(lambda one: objective.value(one, own))(z[fit])

    return jax.lax.map(of_fit, jnp.arange(len(z)), batch_size=min(16, len(z)))
