"""Basin-hopping (Wales and Doye 1997; section 2.3 of the paper) around any flat solver.

Every lane is a chain of its own: solve, compare with where the chain stood (Metropolis), perturb,
solve again. The inner solver's steps are the loop's steps, so chains never wait for one another.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.solvers.lanes import WARM, Solver

Array = jax.Array


def perturb(objective: Objective, key: Array, z: Array) -> Array:
    """A start in a neighboring basin: either all parameters moved a little, or a few far.

    Measured on the joint law: from a good optimum both kinds lead to a better one about as often.
    """
    keys = jax.random.split(key, 2)
    draws = jax.random.normal(keys[0], z.shape, z.dtype)
    chance = jax.random.uniform(keys[1], (z.shape[0] + 1,))
    far = jnp.where(chance[1:] < 0.15, 3.0 * draws, 0.0)
    low, high = objective.law.bounds(objective.k)
    return jnp.clip(z + jnp.where(chance[0] < 0.5, 0.3 * draws, far), low, high)


class HoppingState(NamedTuple):
    """One chain."""

    inner: Any
    z: Array  # [P] best so far
    value: Array
    current: Array  # [P] where the chain stands
    current_value: Array
    hops: Array
    key: Array
    iterations: Array
    done: Array
    failed: Array


@dataclass(frozen=True)
class BasinHopping:
    """Settings of the chains.

    Attributes:
        inner: the local solver.
        hops: perturbations after the first solve; a chain makes ``hops + 1`` inner solves.
        temperature: of the Metropolis test, as a share of the chain's current objective.
    """

    inner: Solver
    hops: int = 7
    temperature: float = 0.02

    def init(self, objective: Objective, z: Array, key: Array, stage: Any) -> HoppingState:
        """A chain at its starting point z [P]."""
        inner = self.inner.init(objective, z, key, stage)
        infinity = jnp.full((), jnp.inf, z.dtype)
        count = jnp.zeros((), jnp.int32)
        no = jnp.zeros((), bool)
        return HoppingState(inner, z, infinity, z, infinity, count, key, count, no, no)

    def step(self, objective: Objective, rows: Rows, state: HoppingState) -> HoppingState:
        """One step of the inner solver, and a hop if that ended it."""
        inner = self.inner.step(objective, rows, state.inner)
        moved = state._replace(inner=inner, iterations=state.iterations + 1)
        hopped = self._hop(objective, moved)
        return jax.tree.map(lambda a, b: jnp.where(inner.done, a, b), hopped, moved)

    def _hop(self, objective: Objective, state: HoppingState) -> HoppingState:
        inner, key = state.inner, jax.random.fold_in(state.key, state.hops)
        accept_key, perturb_key, inner_key = jax.random.split(key, 3)
        value = jnp.where(inner.failed, jnp.inf, inner.value)
        better = value < state.value
        uphill = jax.random.exponential(accept_key) * self.temperature * state.current_value
        accept = (value <= state.current_value + uphill) | jnp.isinf(state.current_value)
        current = jnp.where(accept, inner.z, state.current)
        start = perturb(objective, perturb_key, current)
        done = state.hops >= self.hops
        return state._replace(
            inner=self.inner.init(objective, start, inner_key, WARM),
            z=jnp.where(better, inner.z, state.z),
            value=jnp.where(better, value, state.value),
            current=current,
            current_value=jnp.where(accept, value, state.current_value),
            hops=state.hops + 1,
            done=done,
            failed=done & jnp.isinf(jnp.minimum(value, state.value)),
        )
