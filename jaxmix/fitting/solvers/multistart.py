"""The search over starting points: random starts, perturbations of the best, a final polish."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxmix.fitting.grid import on_grid
from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.precision import solver_devices
from jaxmix.fitting.problem import Problem, random_starts
from jaxmix.fitting.solvers.gauss_newton import GaussNewton
from jaxmix.fitting.solvers.hopping import BasinHopping, perturb
from jaxmix.fitting.solvers.lanes import COLD, POLISH, WARM, Jobs, Results, Solver, run_lanes
from jaxmix.fitting.solvers.lbfgs import LBFGS
from jaxmix.fitting.solvers.newton import Newton
from jaxmix.fitting.solvers.reference import JaxoptLBFGS

Array = jax.Array
Progress = Callable[[int, int], None]
ROUNDS = 8


@dataclass(frozen=True)
class Search:
    """How starting points are spent.

    Attributes:
        solver: the local solver.
        hop: spend the second half of the restarts on perturbations of the best optima of the first:
            basin-hopping whose chains share what they found.
        elite: distinct optima per fit that are perturbed.
    """

    solver: Solver | JaxoptLBFGS
    hop: bool = False
    elite: int = 8


# ``pooled-hopping`` is the default: see benchmarks/bench_fit.py.
SEARCHES: dict[str, Search] = {
    "pooled-hopping": Search(GaussNewton(), hop=True),
    "gauss-newton": Search(GaussNewton()),
    "gauss-newton-hopping": Search(BasinHopping(GaussNewton())),
    "lbfgs": Search(LBFGS()),
    "basin-hopping": Search(BasinHopping(LBFGS())),
    "jaxopt": Search(JaxoptLBFGS()),
}


@partial(jax.jit, static_argnames="objective")
def perturb_all(objective: Objective, keys: Array, z: Array) -> Array:
    """Starts [J, P] in basins beside those of z [J, P]."""
    return jax.vmap(partial(perturb, objective))(keys, z)


def lane_shape(jobs: int, platform: str = "cpu") -> tuple[int, int]:
    """Groups and lanes per group: enough to fill the device, few enough to stay in its cache."""
    if platform == "cpu":
        # XLA sums batches of less than 4 or more than 8 in another order: then the last bits of a
        # result would depend on how many jobs there are.
        return (2, 8) if jobs > 8 else (1, 8 if jobs > 4 else 4)
    return (1, min(2048, max(8, 1 << (jobs - 1).bit_length())))


def run_jobs(
    solver: Solver | JaxoptLBFGS,
    objective: Objective,
    rows: Rows,
    jobs: Jobs,
    devices: tuple[Any, ...] | None = None,
) -> Results:
    """Run jobs, split evenly over devices; results on the host.

    By default over those of ``solver_devices``. Taking the shards to the host first keeps later
    slicing from becoming a collective, for which virtual CPU devices on few cores can starve one
    another.
    """
    if isinstance(solver, JaxoptLBFGS):
        return solver.run(objective, rows, jobs)
    rows = on_grid(rows)
    devices = devices or solver_devices()
    total = jobs.fit.shape[0]
    share = -(-total // len(devices))
    groups, width = lane_shape(share, devices[0].platform)
    if len(devices) == 1:
        found = run_lanes(solver, objective, rows, jobs, groups=groups, width=width)
        return jax.tree.map(np.asarray, found)
    at = jnp.arange(share * len(devices)) % total  # pad to an even split
    padded = jax.tree.map(lambda x: x[at], jobs)
    found = _sharded(solver, objective, groups, width, devices)(rows, padded)
    return jax.tree.map(lambda x: np.asarray(x)[:total], found)


@lru_cache(maxsize=64)  # jit knows a program by its function: make each only once
def _sharded(
    solver: Solver, objective: Objective, groups: int, width: int, devices: tuple[Any, ...]
) -> Callable[[Rows, Jobs], Results]:
    """``run_lanes`` with the jobs split over devices and the rows on each."""
    spread, same = PartitionSpec("device"), PartitionSpec()
    sharded = jax.shard_map(
        partial(run_lanes, solver, objective, groups=groups, width=width),
        mesh=Mesh(np.asarray(devices), ("device",)),
        in_specs=(same, spread),
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

    def elite(self, fit: int, count: int) -> np.ndarray:
        """[count, P] the best distinct optima of one fit, repeated if there are fewer."""
        order = np.argsort(self.value[:, fit], kind="stable")
        ascending, chosen, at = self.value[order, fit], [], 0
        while at < len(order) and len(chosen) < count:
            chosen.append(order[at])
            at = int(np.searchsorted(ascending, ascending[at] * (1 + 1e-4), "right"))
        return self.z[np.resize(chosen, count), fit]


def run_search(
    search: Search, problem: Problem, restarts: int, seed: int, progress: Progress | None = None
) -> Pool:
    """All local solves of all fits; the same for the same seed whatever runs beside them."""
    objective, scales = problem.objective, problem.scales
    fits, key = len(problem.targets), jax.random.key(seed)
    rounds = min(ROUNDS, restarts)
    count = -(-restarts // rounds)
    fit_of_job = jnp.tile(jnp.arange(fits), count)
    cold = -(-rounds // 2) if search.hop else rounds
    pool = Pool.empty(fits, objective.law.count(objective.k))
    for i in range(rounds):
        first = jnp.asarray(i * count)
        z, keys = random_starts(objective, scales, key, first, count=count)
        if i >= cold:
            best = np.stack([pool.elite(f, search.elite) for f in range(fits)], 1)
            parents = best[np.arange(count) % search.elite].reshape(z.shape)
            z = perturb_all(objective, keys, jnp.asarray(parents, z.dtype))
        stage = jnp.full(count * fits, COLD if i < cold else WARM)
        jobs = Jobs(z, fit_of_job, keys, stage)
        pool = pool.add(run_jobs(search.solver, objective, problem.rows, jobs), fits)
        if progress:
            progress((i + 1) * count * fits, rounds * count * fits)
    return pool


def polish(problem: Problem, pool: Pool, candidates: int = 2) -> Pool:
    """The best few optima of every fit, to machine precision."""
    fits = len(problem.targets)
    best = np.stack([pool.elite(f, candidates) for f in range(fits)], 1)  # [candidates, m, P]
    count = candidates * fits
    jobs = Jobs(
        jnp.asarray(best.reshape(count, -1), problem.rows.losses.dtype),
        jnp.tile(jnp.arange(fits), candidates),
        jax.random.split(jax.random.key(0), count),
        jnp.full(count, POLISH),
    )
    empty = Pool.empty(fits, best.shape[-1])
    return empty.add(run_jobs(Newton(), problem.objective, problem.rows, jobs), fits)
