"""jaxopt's L-BFGS, vmapped over jobs: the reference backend, for comparison and parity."""

import warnings

import jax
import jax.numpy as jnp

from jaxmix.fitting.lanes import Jobs, Results
from jaxmix.fitting.objective import Objective, Rows

Array = jax.Array


def run_jaxopt(
    objective: Objective, rows: Rows, jobs: Jobs, *, max_iterations: int = 1000, tol: float = 1e-10
) -> Results:
    """Minimize eq. (6) from every start with ``jaxopt.LBFGS``.

    jaxopt nests its line search in its loop, so under ``vmap`` every lane pays for the slowest.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # jaxopt is no longer maintained
        import jaxopt

    low, high = objective.law.bounds(objective.k)
    solver = jaxopt.LBFGS(
        lambda z, rows: objective.value(jnp.clip(z, low, high), rows) / objective.delta,
        maxiter=max_iterations,
        tol=tol / objective.delta,
        implicit_diff=False,
    )

    def one(z: Array, fit: Array) -> Results:
        found = solver.run(z, rows.of_fit(fit))
        end = jnp.clip(found.params, low, high)
        value = objective.value(end, rows.of_fit(fit))
        bad = ~jnp.isfinite(value)
        return Results(end, jnp.where(bad, jnp.inf, value), found.state.iter_num, bad)

    return jax.jit(jax.vmap(one))(jobs.z, jobs.fit)
