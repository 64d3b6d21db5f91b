"""The best objective after 1, 2, ... local solves, by repeated trials of each way to spend them.

A trial of random restarts is a draw with replacement from a bank of recorded solves; a trial of
hopping is a chain that was really run, hop by hop; one of the default is a real search, whose
solves are counted in the order of the pool.
"""

import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.solvers import (
    COLD,
    SEARCHES,
    WARM,
    BasinHopping,
    Jobs,
    Problem,
    perturb,
    random_starts,
    run_jobs,
    run_search,
)


@dataclass(frozen=True)
class Effort:
    """How much is spent on a problem.

    Attributes:
        solves: of a trial.
        quasi_newton_solves: of a chain of basin-hopping with L-BFGS, whose solves take long.
        bank: recorded random solves that trials of restarts draw from.
        chains: of hopping.
        searches: of the default.
    """

    solves: int = 64
    quasi_newton_solves: int = 64
    bank: int = 192
    chains: int = 20
    searches: int = 20


@dataclass(frozen=True)
class Curves:
    """One way to spend solves: best value [trials, solves] so far, and seconds of a solve."""

    method: str
    trials: str
    best: np.ndarray
    seconds_per_solve: float


def all_curves(problem: Problem, effort: Effort) -> list[Curves]:
    """The five ways, the paper's two first."""
    hops = (effort.chains, effort.quasi_newton_solves)
    return [
        restarts("lbfgs", "random restarts, L-BFGS", problem, effort),
        hopping("basin-hopping", "basin-hopping, L-BFGS", problem, *hops),
        restarts("gauss-newton", "random restarts, Gauss–Newton", problem, effort),
        hopping(
            "gauss-newton-hopping",
            "basin-hopping, Gauss–Newton",
            problem,
            effort.chains,
            effort.solves,
        ),
        pooled("pooled hopping, Gauss–Newton (default)", problem, effort),
    ]


def restarts(solver: str, method: str, problem: Problem, effort: Effort) -> Curves:
    """100 trials of draws from a bank of random starts."""
    began = time.perf_counter()
    jobs = _random_jobs(problem, effort.bank)
    found = run_jobs(SEARCHES[solver].solver, problem.objective, problem.rows, jobs)
    seconds = (time.perf_counter() - began) / effort.bank
    values = np.where(found.failed, np.inf, found.value)
    drawn = np.random.default_rng(0).choice(values, (100, effort.solves))
    trials = f"100 trials from {effort.bank} solves"
    return Curves(method, trials, np.minimum.accumulate(drawn, 1), seconds)


def _random_jobs(problem: Problem, count: int) -> Jobs:
    """The random starts that ``fit`` uses first, of a problem of one target."""
    key, first = jax.random.key(0), jnp.asarray(0)
    z, keys = random_starts(problem.objective, problem.scales, key, first, count=count)
    return Jobs(z, jnp.zeros(count, int), keys, jnp.full(count, COLD))


def hopping(solver: str, method: str, problem: Problem, chains: int, solves: int) -> Curves:
    """Real chains: the steps of ``BasinHopping``, with the value after every local solve noted."""
    search = SEARCHES[solver].solver
    assert isinstance(search, BasinHopping)
    objective, rng = problem.objective, np.random.default_rng(0)
    jobs, seen = _random_jobs(problem, chains), []
    current = standing = None
    began = time.perf_counter()
    for hop in range(solves):
        results = run_jobs(search.inner, objective, problem.rows, jobs)
        value, z = np.where(results.failed, np.inf, results.value), np.asarray(results.z)
        seen.append(value)
        if current is None or standing is None:
            current, standing = value, z
        uphill = rng.exponential(size=chains) * search.temperature * current
        accept = value <= current + uphill
        current = np.where(accept, value, current)
        standing = np.where(accept[:, None], z, standing)
        keys = jax.random.split(jax.random.key(hop), chains)
        perturbed = jax.vmap(lambda k, v: perturb(objective, k, v))(keys, jnp.asarray(standing))
        jobs = Jobs(perturbed, jobs.fit, keys, jnp.full(chains, WARM))
    seconds = (time.perf_counter() - began) / (chains * solves)
    best = np.minimum.accumulate(np.stack(seen, 1), 1)
    return Curves(method, f"{chains} chains", best, seconds)


def pooled(method: str, problem: Problem, effort: Effort) -> Curves:
    """Real searches of the default."""
    search, solves = SEARCHES["pooled-hopping"], effort.solves
    began = time.perf_counter()
    seeds = range(effort.searches)
    values = [run_search(search, problem, solves, s).value[:solves, 0] for s in seeds]
    seconds = (time.perf_counter() - began) / (effort.searches * solves)
    best = np.minimum.accumulate(np.stack(values), 1)
    return Curves(method, f"{effort.searches} searches of {solves}", best, seconds)
