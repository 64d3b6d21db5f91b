"""Newton's method with the exact Hessian: the last digits of a fit that is already good.

Eq. (6) is piecewise smooth, and near its minimum a reweighted step converges only linearly. The
full Hessian costs P gradient evaluations and finds the stationary point to machine precision, which
implicit derivatives need.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmix.fitting.objective import Objective, Rows, tiny
from jaxmix.fitting.solvers.decompositions import one_by_one

Array = jax.Array


class NewtonState(NamedTuple):
    """One lane."""

    z: Array  # [P]
    value: Array
    grad: Array  # [P]
    hess: Array  # [P, P]
    damping: Array
    slow: Array
    refresh: Array
    iterations: Array
    done: Array
    failed: Array


@dataclass(frozen=True)
class Newton:
    """Settings of the solver.

    Attributes:
        max_iterations: evaluations of value, gradient and Hessian.
        rtol: stop after ``patience`` accepted steps in a row that each gain less than this share.
        patience: see ``rtol``.
        max_step: largest change of a working parameter in one step.
    """

    max_iterations: int = 100
    rtol: float = 1e-13
    patience: int = 3
    max_step: float = 1.0

    def init(self, objective: Objective, z: Array, key: Array, stage: Any) -> NewtonState:
        """The state of one lane at its starting point z [P]."""
        zero = jnp.zeros((), z.dtype)
        count = jnp.zeros((), jnp.int32)
        no = jnp.zeros((), bool)
        return NewtonState(
            z=z,
            value=zero + jnp.inf,
            grad=jnp.zeros_like(z),
            hess=jnp.eye(z.shape[0], dtype=z.dtype),
            damping=zero + 1e-13,
            slow=count,
            refresh=~no,
            iterations=count,
            done=no,
            failed=no,
        )

    def step(self, objective: Objective, rows: Rows, state: NewtonState) -> NewtonState:
        """One trial step: one evaluation of value, gradient and Hessian."""
        low, high = objective.law.bounds(objective.k)
        move = jnp.clip(newton_direction(objective, state), -self.max_step, self.max_step)
        trial = jnp.clip(state.z + jnp.where(state.refresh, 0.0, move), low, high)
        value, grad = jax.value_and_grad(objective.value)(trial, rows)
        hess = jax.hessian(objective.value)(trial, rows)
        finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(hess))
        # Near the end the value no longer shows progress: there the gradient decides.
        level = value <= state.value + 64.0 * jnp.finfo(value.dtype).eps * jnp.abs(state.value)
        flatter = _free_norm(objective, trial, grad) < _free_norm(objective, state.z, state.grad)
        accept = finite & (state.refresh | (value < state.value) | (level & flatter))
        gain = jnp.where(state.refresh, 1.0, (state.value - value) / (value + tiny(value)))
        moved = state._replace(
            z=trial,
            value=value,
            grad=grad,
            hess=hess,
            damping=jnp.maximum(state.damping * 0.1, 1e-16),
            slow=jnp.where(gain < self.rtol, state.slow + 1, 0),
            refresh=jnp.zeros_like(state.refresh),
        )
        stayed = state._replace(damping=state.damping * 10.0)
        out = jax.tree.map(lambda a, b: jnp.where(accept, a, b), moved, stayed)
        iterations = state.iterations + 1
        failed = state.refresh & ~finite
        ended = (out.slow >= self.patience) | (out.damping > 1e3)
        done = ended | failed | (iterations >= self.max_iterations)
        return out._replace(iterations=iterations, done=done, failed=failed)


def free_parameters(objective: Objective, z: Array, grad: Array) -> Array:
    """[P] False where a parameter sits at an edge of its range and is pushed outward."""
    low, high = objective.law.bounds(objective.k)
    return ~(((z <= low) & (grad > 0)) | ((z >= high) & (grad < 0)))


def _free_norm(objective: Objective, z: Array, grad: Array) -> Array:
    return jnp.max(jnp.abs(jnp.where(free_parameters(objective, z, grad), grad, 0.0)))


@one_by_one
def _eigh(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors."""
    values, vectors = jnp.linalg.eigh(matrix)
    return values, vectors


def newton_direction(objective: Objective, state: NewtonState) -> Array:
    """The damped Newton step in the free parameters, downhill also where H is indefinite."""
    free = free_parameters(objective, state.z, state.grad)
    hess = jnp.where(free[:, None] & free[None], state.hess, 0.0)
    diagonal = jnp.where(free, jnp.abs(jnp.diag(hess)), 1.0)
    size = jnp.sqrt(jnp.maximum(diagonal, 1e-14 * jnp.max(diagonal * free) + tiny(diagonal)))
    values, vectors = _eigh(hess / size[:, None] / size[None])  # unit diagonal
    curvature = jnp.abs(values)
    damped = curvature + state.damping * jnp.max(curvature) + tiny(curvature)
    right = jnp.where(free, state.grad, 0.0) / size
    step = -vectors @ ((vectors.T @ right) / damped) / size
    return jnp.where(free & jnp.isfinite(step), step, 0.0)
