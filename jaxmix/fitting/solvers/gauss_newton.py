"""Robust Gauss-Newton: Levenberg-Marquardt on reweighted residuals, the Huber threshold annealed.

With delta = 1e-3 and residuals near 1e-2 eq. (6) is almost an L1 norm, on which quasi-Newton
methods from random starts stall. Here the threshold starts at the size of the losses (least
squares) and shrinks to its final value whenever progress slows, each step solving a reweighted
least-squares problem (Holland and Welsch 1977) with Marquardt's scaled damping, which follows the
ratio of what a step gained to what its model promised (Nielsen 1999).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmix.fitting.linear import linear_model
from jaxmix.fitting.objective import Objective, Rows, tiny
from jaxmix.fitting.solvers.decompositions import one_by_one

Array = jax.Array


class GaussNewtonState(NamedTuple):
    """One lane. ``hess`` and ``grad`` belong to ``z`` at ``delta``."""

    z: Array  # [P]
    value: Array  # objective at z, at this lane's delta
    delta: Array
    hess: Array  # [P, P] sum_j w_j J_j J_j^T
    grad: Array  # [P] sum_j w_j J_j r_j: the descent direction's right-hand side
    damping: Array
    slow: Array  # accepted steps in a row that gained less than rtol at the final delta
    rtol: Array
    patience: Array
    budget: Array  # evaluations this lane may use
    refresh: Array  # evaluate at z without moving: after the start and when delta shrinks
    iterations: Array
    done: Array
    failed: Array


@one_by_one
def _solve(matrix: Array, right: Array) -> Array:
    """The solution of a positive definite system; not finite if it is not."""
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrix), True), right)


@dataclass(frozen=True)
class GaussNewton:
    """Settings of the solver; the defaults are what ``benchmarks/bench_fit.py`` shows best.

    Attributes:
        max_iterations: evaluations of residuals and Jacobian, by stage: of a cold start, of a warm
            one, of a polish, and of one to the bottom.
        rtol: at the final delta, stop after ``patience`` steps in a row that each lower the
            objective by less than this share; likewise by stage.
        patience: see ``rtol``; likewise by stage.
        delta_start: first Huber threshold; the final one is the objective's.
        delta_warm: first threshold of a warm start, in units of the final one.
        delta_shrink: factor by which the threshold falls.
        stage_rtol: it falls when a step lowers the objective by less than this share.
        max_step: largest change of a working parameter in one step.
    """

    max_iterations: tuple[int, int, int, int] = (300, 150, 300, 1000)
    rtol: tuple[float, float, float, float] = (1e-4, 1e-4, 1e-4, 1e-10)
    patience: tuple[int, int, int, int] = (10, 10, 10, 10)
    delta_start: float = 0.3
    delta_warm: float = 10.0
    delta_shrink: float = 0.7
    stage_rtol: float = 0.05
    max_step: float = 1.0

    def init(self, objective: Objective, z: Array, key: Array, stage: Any) -> GaussNewtonState:
        """The state of one lane at z [P]; only a cold one anneals from ``delta_start``."""
        size = z.shape[0]
        zero = jnp.zeros((), z.dtype)
        final = zero + objective.delta
        first = [jnp.maximum(final, self.delta_start), self.delta_warm * final, final, final]
        return GaussNewtonState(
            z=z,
            value=zero + jnp.inf,
            delta=jnp.stack(first)[stage],
            hess=jnp.zeros((size, size), z.dtype),
            grad=jnp.zeros(size, z.dtype),
            damping=zero + 1e-2,
            slow=jnp.zeros((), jnp.int32),
            rtol=jnp.asarray(self.rtol, z.dtype)[stage],
            patience=jnp.asarray(self.patience, jnp.int32)[stage],
            budget=jnp.asarray(self.max_iterations, jnp.int32)[stage],
            refresh=jnp.ones((), bool),
            iterations=jnp.zeros((), jnp.int32),
            done=jnp.zeros((), bool),
            failed=jnp.zeros((), bool),
        )

    def step(self, objective: Objective, rows: Rows, state: GaussNewtonState) -> GaussNewtonState:
        """One trial step of one lane: one evaluation of residuals and Jacobian."""
        low, high = objective.law.bounds(objective.k)
        trial = state.z + jnp.where(state.refresh, 0.0, self._direction(state))
        trial = jnp.clip(trial, low, high)
        model = linear_model(objective, trial, rows)
        residuals = model.residuals
        value = rows.penalized(objective.mean_huber(residuals, rows, state.delta), trial)
        gain = jnp.where(state.refresh, 1.0, (state.value - value) / (value + tiny(value)))

        better = jnp.isfinite(value) & (state.refresh | (value < state.value))
        final = state.delta <= objective.delta * (1 + 1e-9)
        stuck = ~better & (state.damping > 1e10)
        late = state.iterations > state.budget // 2  # leave time for the final threshold
        shrink = ~final & (stuck | (better & ((gain < self.stage_rtol) | late)))
        delta = jnp.where(
            shrink, jnp.maximum(state.delta * self.delta_shrink, objective.delta), state.delta
        )
        size = jnp.maximum(jnp.abs(residuals), tiny(residuals))
        hess, grad = model.normal(rows.row_weights * jnp.minimum(1.0, delta / size))
        if rows.prior is not None:
            hess += jnp.diag(rows.prior.curvature)
            grad += rows.prior.curvature * (rows.prior.center - trial)
        finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(hess))
        accept = finite & better
        step = trial - state.z
        promised = step @ state.grad - 0.5 * step @ (state.hess @ step)
        ratio = (state.value - value) / (promised + tiny(value))
        easier = jnp.clip(1.0 - (2.0 * ratio - 1.0) ** 3, 1.0 / 3.0, 2.0)  # Nielsen 1999
        moved = GaussNewtonState(
            z=trial,
            value=rows.penalized(objective.mean_huber(residuals, rows, delta), trial),
            delta=delta,
            hess=hess,
            grad=grad,
            damping=jnp.where(state.refresh, 1.0, easier) * jnp.maximum(state.damping, 1e-13),
            slow=jnp.where(final & (gain < state.rtol), state.slow + 1, 0),
            rtol=state.rtol,
            patience=state.patience,
            budget=state.budget,
            refresh=jnp.zeros((), bool),
            iterations=state.iterations,
            done=state.done,
            failed=state.failed,
        )
        stayed = state._replace(
            delta=delta,
            damping=jnp.where(shrink, 1e-2, state.damping * 4.0),
            refresh=shrink,
        )
        out = jax.tree.map(lambda a, b: jnp.where(accept, a, b), moved, stayed)
        iterations = state.iterations + 1
        failed = state.refresh & ~finite
        converged = (out.slow >= state.patience) | (final & stuck)
        done = converged | failed | (iterations >= state.budget)
        return out._replace(iterations=iterations, done=done, failed=failed)

    def _direction(self, state: GaussNewtonState) -> Array:
        """The damped Gauss-Newton step, each component cut to ``max_step``.

        Cutting components and not the step's length matters: a parameter that the data hardly
        see asks for a huge move and must not shrink everyone else's.
        """
        diagonal = jnp.diag(state.hess)
        floor = 1e-9 * jnp.max(diagonal) + tiny(diagonal)
        damped = state.hess + jnp.diag(state.damping * (diagonal + floor) + 1e-15 * floor)
        step = _solve(damped, state.grad)
        step = jnp.where(jnp.all(jnp.isfinite(step)), step, 0.0)
        return jnp.clip(step, -self.max_step, self.max_step)
