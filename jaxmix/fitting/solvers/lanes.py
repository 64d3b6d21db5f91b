"""Many fits in one compiled loop: a fixed number of lanes, a queue of jobs behind them.

A job is one start of one fit. All lanes take one solver step per turn of a single
``while_loop``; a lane that finishes writes its result and takes the next job, so memory depends on
the number of lanes and not of jobs, and no lane waits for a slow neighbor. When the queue is
empty the lanes still at work are moved together and groups without work are skipped.
"""

from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.programs import compile_quickly

Array = jax.Array


# How near an optimum a start is thought to be: anywhere, in a perturbed basin, near the bottom, and
# there to be taken to machine precision.
COLD, WARM, POLISH, BOTTOM = 0, 1, 2, 3
_AT_ONCE = 64  # objectives evaluated together


class Solver(Protocol):
    """What the loop needs of a solver: a state per lane that one step advances.

    The state is a pytree with at least ``z`` [P], ``value``, ``iterations``, ``done`` and
    ``failed``.
    Implementations are frozen dataclasses, so that they are static under ``jax.jit``.
    """

    def init(self, objective: Objective, z: Array, key: Array, stage: Any) -> Any:
        """The state at z [P]; ``key`` is the job's own randomness, ``stage`` is below."""
        ...

    def step(self, objective: Objective, rows: Rows, state: Any) -> Any:
        """The state after one evaluation of the objective; a done state may do anything."""
        ...


class Jobs(NamedTuple):
    """J starts. Which job lands in which lane changes nothing about it.

    Attributes:
        z: [J, P] starting points.
        fit: [J] index of the fit (row of ``Rows.losses``).
        key: [J] random keys.
        stage: [J] COLD, WARM, POLISH or BOTTOM.
    """

    z: Array
    fit: Array
    key: Array
    stage: Array


class Results(NamedTuple):
    """Where each job ended: z [J, P], value [J] of eq. (6), iterations [J], failed [J]."""

    z: Array
    value: Array
    iterations: Array
    failed: Array


class _Loop(NamedTuple):
    state: Any  # lanes [G, W, ...]
    job: Array  # [G, W] job in each lane, the total where idle
    next_job: Array
    results: Results


def _select(mask: Array, a: Any, b: Any) -> Any:
    """Per lane: leaves of a where mask, else of b."""

    def pick(x: Array, y: Array) -> Array:
        return jnp.where(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x, y)

    return jax.tree.map(pick, a, b)


@compile_quickly(optimize=True, static_argnames=("solver", "objective", "groups", "width"))
def run_lanes(
    solver: Solver,
    objective: Objective,
    rows: Rows,
    jobs: Jobs,
    total: Any = None,
    *,
    groups: int,
    width: int,
) -> Results:
    """Run jobs to their ends on ``groups * width`` lanes.

    Args:
        solver: static.
        objective: static.
        rows: the data of all fits.
        jobs: the starts.
        total: how many of them to run, a traced number, so that one program serves any; None for
            all. The others end at NaN with an infinite value.
        groups: lanes are stepped group by group; a group whose lanes are all idle is skipped.
        width: lanes in a group, stepped as one batch.
    """
    size = jobs.fit.shape[0]
    total = size if total is None else total
    lanes = groups * width

    def load(job: Array) -> Any:
        at = jnp.minimum(job, size - 1)
        state = jax.vmap(partial(solver.init, objective))(jobs.z[at], jobs.key[at], jobs.stage[at])
        return state._replace(done=job >= total)

    def step_group(state_and_job: tuple[Any, Array]) -> Any:
        state, job = state_and_job
        fit = jobs.fit[jnp.minimum(job, size - 1)]
        one = lambda f, s: solver.step(objective, rows.of_fit(f), s)  # noqa: E731
        return jax.lax.cond(
            jnp.all(job >= total), lambda s: s, lambda s: jax.vmap(one)(fit, s), state
        )

    def refill(loop: _Loop) -> _Loop:
        flat = jax.tree.map(lambda x: x.reshape(lanes, *x.shape[2:]), loop.state)
        job = loop.job.reshape(lanes)
        ended = flat.done & (job < total)
        at = jnp.where(ended, job, size)
        results = Results(
            z=loop.results.z.at[at].set(flat.z, mode="drop"),
            value=loop.results.value,
            iterations=loop.results.iterations.at[at].set(flat.iterations, mode="drop"),
            failed=loop.results.failed.at[at].set(flat.failed, mode="drop"),
        )
        fresh = loop.next_job + jnp.cumsum(ended) - 1
        job = jnp.where(ended, jnp.minimum(fresh, total), job)
        flat = _select(ended, load(job), flat)
        order = jnp.argsort(job >= total, stable=True)  # lanes at work first
        state = jax.tree.map(lambda x: x[order].reshape(groups, width, *x.shape[1:]), flat)
        next_job = loop.next_job + jnp.sum(ended)
        return _Loop(state, job[order].reshape(groups, width), next_job, results)

    def body(loop: _Loop) -> _Loop:
        state = jax.lax.map(step_group, (loop.state, loop.job))
        loop = loop._replace(state=state)
        return jax.lax.cond(
            jnp.any(state.done & (loop.job < total)), refill, lambda same: same, loop
        )

    first = jnp.arange(lanes)
    job = jnp.minimum(first, total)
    state = jax.tree.map(lambda x: x.reshape(groups, width, *x.shape[1:]), load(job))
    empty = Results(
        z=jnp.full(jobs.z.shape, jnp.nan, jobs.z.dtype),
        value=jnp.full(size, jnp.inf, jobs.z.dtype),
        iterations=jnp.zeros(size, jnp.int32),
        failed=jnp.zeros(size, bool),
    )
    start = _Loop(state, job.reshape(groups, width), jnp.asarray(lanes), empty)
    loop = jax.lax.while_loop(lambda c: jnp.any(c.job < total), body, start)
    return loop.results._replace(value=_values(objective, rows, jobs.fit, loop.results.z, total))


def _values(objective: Objective, rows: Rows, fit: Array, z: Array, total: Any) -> Array:
    """Eq. (6) at the final threshold for the first jobs, a few at a time to bound memory."""
    size = fit.shape[0]
    some = min(_AT_ONCE, size)

    def of_some(i: Array, values: Array) -> Array:
        at = jnp.minimum(i * some + jnp.arange(some), size - 1)
        found = jax.vmap(lambda job: objective.value(z[job], rows.of_fit(fit[job])))(at)
        return values.at[at].set(jnp.where(jnp.isfinite(found), found, jnp.inf))

    none = jnp.full(size, jnp.inf, z.dtype)
    return jax.lax.fori_loop(0, (total + some - 1) // some, of_some, none)
