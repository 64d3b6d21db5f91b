"""jaxopt's L-BFGS, vmapped over jobs: the reference backend, for comparison and parity."""

import warnings
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.solvers.lanes import Jobs, Results

Array = jax.Array


@dataclass(frozen=True)
class JaxoptLBFGS:
    """``jaxopt.LBFGS`` from every start of a batch.

    jaxopt nests its line search in its loop, so under ``vmap`` every lane pays for the slowest.

    Attributes:
        max_iterations: of the outer loop.
        tol: on the gradient norm of eq. (6).
    """

    max_iterations: int = 1000
    tol: float = 1e-10

    def run(self, objective: Objective, rows: Rows, jobs: Jobs) -> Results:
        """Minimize eq. (6) from every start; results on the host."""
        return jax.tree.map(np.asarray, jaxopt_results(self, objective, rows, jobs))


@partial(jax.jit, static_argnames=("settings", "objective"))
def jaxopt_results(settings: JaxoptLBFGS, objective: Objective, rows: Rows, jobs: Jobs) -> Results:
    """The same as a compiled function of arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # jaxopt is no longer maintained
        import jaxopt

    low, high = objective.law.bounds(objective.k)
    solver = jaxopt.LBFGS(
        # In units of the threshold: eq. (6) is far below 1 and would meet jaxopt's tolerances.
        lambda z, rows: objective.value(jnp.clip(z, low, high), rows) / objective.delta,
        maxiter=settings.max_iterations,
        tol=settings.tol / objective.delta,
        implicit_diff=False,
    )

    def one(z: Array, fit: Array) -> Results:
        found = solver.run(z, rows.of_fit(fit))
        end = jnp.clip(found.params, low, high)
        value = objective.value(end, rows.of_fit(fit))
        bad = ~jnp.isfinite(value)
        return Results(end, jnp.where(bad, jnp.inf, value), found.state.iter_num, bad)

    return jax.vmap(one)(jobs.z, jobs.fit)
