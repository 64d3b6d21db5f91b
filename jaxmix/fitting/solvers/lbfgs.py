"""L-BFGS, flat: one trial point per step, every lane at its own place in its own line search.

Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 3.1. A nested line search under
``vmap`` makes every lane wait for the slowest; here a rejected trial only shortens that lane's
step for its next turn.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmix.fitting.objective import Objective, Rows, tiny

Array = jax.Array


class LBFGSState(NamedTuple):
    """One lane; M pairs of history."""

    z: Array  # [P]
    value: Array
    grad: Array  # [P]
    direction: Array  # [P]
    length: Array  # trial step length along the direction
    s: Array  # [M, P] steps, newest last
    y: Array  # [M, P] gradient differences
    trials: Array  # rejected trials in this line search
    slow: Array
    fresh: Array  # no value at z yet
    iterations: Array
    done: Array
    failed: Array


@dataclass(frozen=True)
class LBFGS:
    """Settings of the solver.

    Attributes:
        max_iterations: evaluations of value and gradient per start.
        memory: pairs kept.
        rtol: stop after ``patience`` accepted steps in a row that each gain less than this share.
        patience: see ``rtol``.
        max_trials: rejected trials after which the history is dropped, and, if it was already
            empty, the lane ends.
        max_step: largest change of a working parameter in one step.
    """

    max_iterations: int = 3000
    memory: int = 10
    rtol: float = 1e-7
    patience: int = 5
    max_trials: int = 25
    max_step: float = 2.0

    def init(self, objective: Objective, z: Array, key: Array, stage: Any) -> LBFGSState:
        """The state of one lane at its starting point z [P]."""
        zero = jnp.zeros((), z.dtype)
        count = jnp.zeros((), jnp.int32)
        history = jnp.zeros((self.memory, z.shape[0]), z.dtype)
        return LBFGSState(
            z=z,
            value=zero + jnp.inf,
            grad=jnp.zeros_like(z),
            direction=jnp.zeros_like(z),
            length=zero,
            s=history,
            y=history,
            trials=count,
            slow=count,
            fresh=jnp.ones((), bool),
            iterations=count,
            done=jnp.zeros((), bool),
            failed=jnp.zeros((), bool),
        )

    def step(self, objective: Objective, rows: Rows, state: LBFGSState) -> LBFGSState:
        """One trial: one evaluation of value and gradient."""
        low, high = objective.law.bounds(objective.k)
        trial = jnp.clip(state.z + state.length * state.direction, low, high)
        value, grad = jax.value_and_grad(objective.value)(trial, rows)
        finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(grad))
        slope = jnp.dot(state.grad, trial - state.z)
        armijo = value <= state.value + 1e-4 * slope
        accept = finite & (state.fresh | (armijo & (value < state.value)))
        moved = self._accepted(state, trial, value, grad)
        stayed = self._rejected(state, value, finite)
        out = jax.tree.map(lambda a, b: jnp.where(accept, a, b), moved, stayed)
        iterations = state.iterations + 1
        failed = state.fresh & ~finite
        done = out.done | failed | (iterations >= self.max_iterations)
        return out._replace(iterations=iterations, done=done, failed=failed)

    def _accepted(self, state: LBFGSState, z: Array, value: Array, grad: Array) -> LBFGSState:
        s, y = z - state.z, grad - state.grad
        # Curvature guard: a pair without clear positive curvature would spoil the metric.
        curved = jnp.dot(s, y) > 1e-10 * jnp.linalg.norm(s) * jnp.linalg.norm(y)
        keep = curved & ~state.fresh
        s_all = jnp.where(keep, jnp.concatenate([state.s[1:], s[None]]), state.s)
        y_all = jnp.where(keep, jnp.concatenate([state.y[1:], y[None]]), state.y)
        gain = jnp.where(state.fresh, 1.0, (state.value - value) / (value + tiny(value)))
        slow = jnp.where(gain < self.rtol, state.slow + 1, 0)
        direction, length = self._direction(grad, s_all, y_all)
        return state._replace(
            z=z,
            value=value,
            grad=grad,
            direction=direction,
            length=length,
            s=s_all,
            y=y_all,
            trials=jnp.zeros_like(state.trials),
            slow=slow,
            fresh=jnp.zeros_like(state.fresh),
            done=slow >= self.patience,
        )

    def _rejected(self, state: LBFGSState, value: Array, finite: Array) -> LBFGSState:
        """Shorten the step by quadratic interpolation; when that is no use, forget the history."""
        slope = jnp.dot(state.grad, state.direction)
        curvature = value - state.value - state.length * slope
        best = -slope * state.length / (2.0 * curvature + tiny(curvature))
        factor = jnp.where(finite, jnp.clip(best, 0.1, 0.5), 0.1)
        exhausted = state.trials >= self.max_trials
        plain = jnp.all(state.s == 0)
        direction, length = self._direction(
            state.grad, jnp.zeros_like(state.s), jnp.zeros_like(state.y)
        )
        return state._replace(
            direction=jnp.where(exhausted, direction, state.direction),
            length=jnp.where(exhausted, length, state.length * factor),
            s=jnp.where(exhausted, 0.0, state.s),
            y=jnp.where(exhausted, 0.0, state.y),
            trials=jnp.where(exhausted, 0, state.trials + 1),
            done=exhausted & plain,
        )

    def _direction(self, grad: Array, s: Array, y: Array) -> tuple[Array, Array]:
        """The two-loop recursion (algorithm 7.4) and the first trial length along it."""
        sy = jnp.sum(s * y, -1)  # [M], 0 where there is no pair
        inverse = jnp.where(sy > 0, 1.0 / jnp.where(sy > 0, sy, 1.0), 0.0)

        def backward(q: Array, pair: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            s_i, y_i, r_i = pair
            a = r_i * jnp.dot(s_i, q)
            return q - a * y_i, a

        def forward(q: Array, pair: tuple[Array, Array, Array, Array]) -> tuple[Array, None]:
            s_i, y_i, r_i, a = pair
            return q + (a - r_i * jnp.dot(y_i, q)) * s_i, None

        q, alphas = jax.lax.scan(backward, grad, (s, y, inverse), reverse=True)
        yy = jnp.sum(y[-1] * y[-1])
        some = sy[-1] > 0
        scale = jnp.where(some, sy[-1] / jnp.where(some, yy, 1.0), 1.0)
        q, _ = jax.lax.scan(forward, q * scale, (s, y, inverse, alphas))
        longest = jnp.maximum(jnp.max(jnp.abs(q)), tiny(q))
        first = jnp.where(some, 1.0, 0.1 / longest)  # steepest descent starts with a small move
        return -q, jnp.minimum(first, self.max_step / longest)
