"""Every way to search for the minimum, ours and others', as a stream of timed units.

A unit is what a user would repeat until satisfied: one search of jaxmix, one start of SciPy's
L-BFGS-B, one chain of its basin-hopping, one vmapped batch of optimistix or jaxopt. All start from
``random_jobs`` and minimize ``Objective.value``; the peers see it divided by 1e-5, because their
tolerances are absolute near 1. Compilation happens before the clock starts.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from problem import random_jobs

from jaxmix.fitting.objective import Objective
from jaxmix.fitting.problem import Problem
from jaxmix.fitting.solvers.lanes import COLD, Jobs
from jaxmix.fitting.solvers.multistart import SEARCHES, run_jobs, run_search
from jaxmix.fitting.solvers.reference import JaxoptLBFGS, jaxopt_results

SCALE = 1e-5
WARM_UP = 10**6  # a seed that no measurement uses
# The best of those tried (ftol 1e-7 to 1e-12, memory 10 to 60): at this ftol a start with memory 30
# takes a quarter of the evaluations that SciPy's default of 10 needs.
LBFGSB = {"maxiter": 15000, "maxfun": 100_000, "maxcor": 30, "ftol": 1e-9, "gtol": 1e-10}


@dataclass
class Unit:
    """One repeatable piece of work: its length in seconds and the values found on the way."""

    began: float = field(default_factory=time.perf_counter)
    found: list[tuple[float, float]] = field(default_factory=list)  # (seconds, value)
    seconds: float = 0.0

    def add(self, value: float) -> None:
        """A value found now."""
        self.seconds = time.perf_counter() - self.began
        self.found.append((self.seconds, float(value)))

    def until(self, threshold: float) -> float | None:
        """Seconds until a value at most ``threshold``, or None."""
        return next((s for s, value in self.found if value <= threshold), None)


# Values [batch] of eq. (6) where a compiled solver leads from [batch, P].
Solve = Callable[[jax.Array], Any]
Stream = Callable[[Problem, Callable[[Unit], bool]], Iterator[Unit]]


@dataclass(frozen=True)
class Method:
    """A method under test.

    Attributes:
        name: as the tables call it.
        stream: ``stream(problem, enough)`` yields unit after unit without end, the first for
            compilation; a unit may end early when ``enough(unit)`` says so.
    """

    name: str
    stream: Stream


# --- jaxmix ---------------------------------------------------------------------------------------


def jaxmix_units(
    solver: str, restarts: int, problem: Problem, enough: Callable[[Unit], bool]
) -> Iterator[Unit]:
    """``run_search``, as ``fit`` calls it; its best value counts from its end."""
    for seed in itertools.chain([WARM_UP], itertools.count()):
        unit = Unit()
        unit.add(run_search(SEARCHES[solver], problem, restarts, seed).value.min())
        yield unit


# --- SciPy ----------------------------------------------------------------------------------------


def _scipy_function(problem: Problem) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    rows = problem.rows.of_fit(0)
    scaled = jax.jit(jax.value_and_grad(lambda z: problem.objective.value(z, rows) / SCALE))

    def value_and_grad(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, grad = scaled(z)
        return float(value), np.asarray(grad)

    return value_and_grad


def _scipy_options(problem: Problem) -> dict[str, Any]:
    low, high = problem.objective.law.bounds(problem.objective.k)
    bounds = list(zip(low, high, strict=True))
    return {"method": "L-BFGS-B", "jac": True, "bounds": bounds, "options": LBFGSB}


def scipy_units(problem: Problem, enough: Callable[[Unit], bool]) -> Iterator[Unit]:
    """Multi-start ``scipy.optimize.minimize`` with exact jitted gradients, one start a unit."""
    from scipy.optimize import minimize

    function, options = _scipy_function(problem), _scipy_options(problem)
    for start in _starts(problem, 1):
        unit = Unit()
        unit.add(minimize(function, start[0], **options).fun * SCALE)
        yield unit


STEP_SIZES = (0.5, 0.2, 1.0)  # SciPy's default first; basinhopping adapts each to its acceptance


def hopping_units(hops: int, problem: Problem, enough: Callable[[Unit], bool]) -> Iterator[Unit]:
    """Chains of ``scipy.optimize.basinhopping`` with L-BFGS-B inside, the step size by turns."""
    from scipy.optimize import basinhopping

    function, options = _scipy_function(problem), _scipy_options(problem)
    for i, start in enumerate(_starts(problem, 1)):
        unit = Unit()

        def callback(z: np.ndarray, value: float, accepted: bool, unit: Unit = unit) -> bool:
            unit.add(value * SCALE)
            return enough(unit)

        basinhopping(
            function,
            start[0],
            niter=hops if i else 0,  # the first chain is for compilation
            T=0.05,  # on the scaled objective: 3% of a good value
            stepsize=STEP_SIZES[i % len(STEP_SIZES)],
            interval=10,
            minimizer_kwargs=options,
            callback=callback,
            rng=np.random.default_rng(i),
        )
        yield unit


def _starts(problem: Problem, batch: int) -> Iterator[np.ndarray]:
    """[batch, P] one after another; the first is for compilation."""
    yield np.asarray(random_jobs(problem, WARM_UP, 0, batch).z)
    for first in itertools.count(0, batch):
        yield np.asarray(random_jobs(problem, 0, first, batch).z)


# --- optimistix and jaxopt, vmapped ---------------------------------------------------------------


def root_huber(objective: Objective, rows: Any, z: jax.Array) -> jax.Array:
    """Residuals [p] whose half sum of squares is eq. (6) over ``SCALE``."""
    residuals, delta = objective.residuals(z, rows), objective.delta
    size = jnp.abs(residuals)
    outer = size > delta
    root = jnp.sqrt(2 * delta * jnp.where(outer, size, delta) - delta**2)
    bent = jnp.where(outer, jnp.sign(residuals) * root, residuals)
    return bent * jnp.sqrt(rows.row_weights / SCALE)


def _optimistix(kind: str, steps: int, problem: Problem, example: jax.Array) -> Solve:
    """Values [batch] where ``steps`` steps of an optimistix solver lead from [batch, P]."""
    import optimistix

    objective, rows = problem.objective, problem.rows.of_fit(0)
    low, high = map(jnp.asarray, objective.law.bounds(objective.k))
    inside = lambda z: jnp.clip(z, low, high)  # noqa: E731
    bent = lambda z, args: root_huber(objective, rows, inside(z))  # noqa: E731
    scaled = lambda z, args: objective.value(inside(z), rows) / SCALE  # noqa: E731
    solver = getattr(optimistix, kind)(rtol=1e-8, atol=1e-8)
    solve, function = (
        (optimistix.least_squares, bent) if "Marquardt" in kind else (optimistix.minimise, scaled)
    )

    def one(z: jax.Array) -> jax.Array:
        solution = solve(function, solver, z, max_steps=steps, throw=False)
        return objective.value(inside(solution.value), rows)

    return jax.jit(jax.vmap(one)).lower(example).compile()


def _jaxopt(steps: int, problem: Problem, example: jax.Array) -> Solve:
    def values(z: jax.Array) -> jax.Array:
        jobs = _cold_jobs(z)
        settings = JaxoptLBFGS(max_iterations=steps)
        return jaxopt_results(settings, problem.objective, problem.rows, jobs).value

    return jax.jit(values).lower(example).compile()


def _jaxmix(name: str, problem: Problem, example: jax.Array) -> Solve:
    """One of our solvers from random starts alone, without the shared pool of ``run_search``."""

    def values(z: jax.Array) -> jax.Array:
        jobs = _cold_jobs(z)
        return run_jobs(SEARCHES[name].solver, problem.objective, problem.rows, jobs).value

    values(example)
    return values


def _cold_jobs(z: jax.Array) -> Jobs:
    count = z.shape[0]
    keys = jax.random.split(jax.random.key(0), count)
    return Jobs(z, jnp.zeros(count, int), keys, jnp.full(count, COLD))


def batched_units(
    make: Callable[[Problem, jax.Array], Solve],
    batch: int,
    problem: Problem,
    enough: Callable[[Unit], bool],
) -> Iterator[Unit]:
    """Batches of ``batch`` starts in one compiled call each."""
    starts = _starts(problem, batch)
    solve = make(problem, jnp.asarray(next(starts)))
    yield Unit()
    for z in starts:
        unit = Unit()
        values = np.asarray(solve(jnp.asarray(z)))
        unit.add(np.min(np.where(np.isfinite(values), values, np.inf)))
        yield unit


OURS = (
    Method("jaxmix pooled-hopping (default)", partial(jaxmix_units, "pooled-hopping", 256)),
    Method("jaxmix pooled-hopping, 64 restarts", partial(jaxmix_units, "pooled-hopping", 64)),
    Method("jaxmix gauss-newton", partial(batched_units, partial(_jaxmix, "gauss-newton"), 64)),
    Method(
        "jaxmix gauss-newton-hopping",
        partial(batched_units, partial(_jaxmix, "gauss-newton-hopping"), 16),
    ),
    Method("jaxmix lbfgs", partial(batched_units, partial(_jaxmix, "lbfgs"), 32)),
    Method("jaxmix basin-hopping", partial(batched_units, partial(_jaxmix, "basin-hopping"), 16)),
)
PEERS = (
    Method("SciPy L-BFGS-B multi-start", scipy_units),
    Method("SciPy basinhopping", partial(hopping_units, 50)),
    Method(
        "optimistix LevenbergMarquardt",
        partial(batched_units, partial(_optimistix, "LevenbergMarquardt", 300), 16),
    ),
    Method("optimistix BFGS", partial(batched_units, partial(_optimistix, "BFGS", 1200), 16)),
    Method("optimistix LBFGS", partial(batched_units, partial(_optimistix, "LBFGS", 3000), 16)),
    Method("jaxopt LBFGS", partial(batched_units, partial(_jaxopt, 1000), 16)),
)
