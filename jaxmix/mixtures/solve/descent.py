"""Exponentiated gradient on the bounded simplex, corrected by curvature: one lane, pure JAX.

The paper minimizes eq. (7), (8) and (13) by mirror descent, ``h <- h exp(-eta (g - lambda))``. Here
the step solves ``(H + diag(1 / h) / eta) d = -(g - lambda)`` with sum d = 0: plain exponentiated
gradient for small eta, Newton's method for large. eta adapts to how well the quadratic model
predicted each step, so it starts as the former and ends as the latter. ``vmap`` over lanes turns
the loop into one flat ``while_loop`` whose finished lanes are masked.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmix.mixtures.simplex import FLOOR, loosen, oracle, project, working_lower

Array = jax.Array
_REACH = 5.0  # largest change of log h in one step
_PASSES = 5  # solves per step
_PATIENCE = 12  # trial steps refused in a row before a lane gives up
_TOUCH = 1e-9  # share of a bound within which a weight is at it


class Box(NamedTuple):
    """Bounds as the solver sees them; all [k]."""

    lower: Array  # true minima
    floor: Array  # minima raised to FLOOR where weights may be positive
    upper: Array  # maxima, those that the minima imply taken away


class Point(NamedTuple):
    """The objective and its derivatives at one mixture."""

    h: Array  # [k]
    value: Array
    grad: Array  # [k]
    hess: Array  # [k, k]
    gap: Array  # <grad, h - s> for the best s in the box
    level: Array  # multiplier of sum h = 1: what a unit of weight costs where it is free, nats


_Pass = tuple[Array, Array, Array, Array, Array]  # count, again, fixed [k], moved [k], damping


class Solution(NamedTuple):
    """Where one lane ended; JAX arrays, or numpy arrays with a leading axis of many lanes.

    Attributes:
        weights: [k] feasible mixture; weights that a bound holds are exactly at it.
        value: objective there.
        gap: Frank-Wolfe duality gap; for a convex objective ``value - minimum <= gap``.
        multipliers: [k] nats per unit of weight: positive where a minimum holds the weight,
            negative where a maximum does, 0 where it is free.
        iterations: evaluations of the objective.
        converged: the gap fell below the tolerance, or as near to it as rounding allows.
    """

    weights: Any
    value: Any
    gap: Any
    multipliers: Any
    iterations: Any
    converged: Any


class _State(NamedTuple):
    at: Point
    trial: Array  # [k] the mixture to evaluate next; NaN where the last step had no solution
    damping: Array  # 1 / eta
    rejected: Array  # trial steps refused in a row
    iterations: Array
    done: Array


def make_box(lower: Array, upper: Array) -> Box:
    """The bounds that ``descend`` works with."""
    upper = loosen(lower, upper)
    return Box(lower, working_lower(lower, upper), upper)


def evaluate(objective: Callable[[Array], Array], h: Array, box: Box) -> Point:
    """Objective, gradient, Hessian and duality gap at h [k]."""

    def slope(x: Array) -> tuple[Array, tuple[Array, Array]]:
        value, grad = jax.value_and_grad(objective)(x)
        return grad, (value, grad)

    hess, (value, grad) = jax.jacfwd(slope, has_aux=True)(h)
    best = oracle(grad, box.lower, box.upper)
    gap = jnp.sum(grad * (h - best))
    return Point(h, value, grad, hess, gap, _level(h, grad, best, box))


def touches(h: Array, box: Box) -> tuple[Array, Array]:
    """Which weights are at their minimum and which at their maximum; two [k] bool."""
    return h <= box.floor * (1 + _TOUCH), h >= box.upper * (1 - _TOUCH)


def _level(h: Array, grad: Array, best: Array, box: Box) -> Array:
    """The mean cost of the weights off their bounds; where there is none, of the oracle's last."""
    low, high = touches(h, box)
    inside = ~low & ~high
    mass = jnp.sum(jnp.where(inside, h, 0.0))
    mean = jnp.sum(jnp.where(inside, h * grad, 0.0)) / jnp.where(mass > 0, mass, 1.0)
    marginal = jnp.max(jnp.where(best > box.lower, grad, -jnp.inf))
    marginal = jnp.where(jnp.isfinite(marginal), marginal, jnp.max(grad))
    return jnp.where(mass > 0, mean, marginal)


def held(at: Point, box: Box) -> Array:
    """Which weights a bound holds; [k] bool. Pinned weights always are."""
    cost = at.grad - at.level
    low, high = touches(at.h, box)
    return (low & (cost > 0)) | (high & (cost < 0)) | (box.upper <= box.floor)


def _free_step(at: Point, fixed: Array, moved: Array, damping: Array) -> Array:
    """Steps of the free weights, those of the fixed ones given in ``moved``; [k] -> [k].

    In coordinates d / sqrt(h), where the metric of exponentiated gradient is the identity. NaN
    where the damped Hessian is not positive definite on the directions of sum 0.
    """
    mass = jnp.sum(jnp.where(fixed, 0.0, at.h))
    root = jnp.where(fixed, 0.0, jnp.sqrt(at.h))  # [k]
    shift = jnp.where(fixed, moved, -at.h * jnp.sum(moved) / jnp.where(mass > 0, mass, 1.0))
    unit = root / jnp.sqrt(jnp.where(mass > 0, mass, 1.0))
    off = jnp.eye(root.shape[0]) - jnp.outer(unit, unit)  # projection on sum d = 0
    right = -(off @ (root * (at.grad + at.hess @ shift)))
    model = off @ (root[:, None] * at.hess * root[None, :]) @ off
    size = damping + jnp.max(jnp.abs(jnp.diagonal(model)))
    model = model + damping * jnp.eye(root.shape[0])
    model = model + size * (jnp.outer(unit, unit) + jnp.diag(fixed.astype(root.dtype)))
    factor = jnp.linalg.cholesky(model)
    return shift + root * (off @ jax.scipy.linalg.cho_solve((factor, True), right))


def _step(at: Point, box: Box, damping: Array) -> tuple[Array, Array]:
    """The next mixture [k] and the damping it took: a Newton step within the box and within reach.

    Every pass either holds the weights that crossed a bound at it, or, where the model has no
    minimum, raises the damping. NaN where no pass found a step.
    """
    low = jnp.maximum(box.floor, at.h * jnp.exp(-_REACH))
    high = jnp.minimum(box.upper, at.h * jnp.exp(_REACH))

    def one_pass(carry: _Pass) -> _Pass:
        count, _, fixed, moved, damping = carry
        trial = at.h + _free_step(at, fixed, jnp.where(fixed, moved, 0.0), damping)
        found = jnp.all(jnp.isfinite(trial))
        crossed = found & ~fixed & ((trial < low) | (trial > high))
        step = jnp.where(found, jnp.clip(trial, low, high) - at.h, jnp.nan)
        moved = jnp.where(fixed, moved, step)
        again = (count + 1 < _PASSES) & (~found | jnp.any(crossed))
        return count + 1, again, fixed | crossed, moved, jnp.where(found, damping, 10.0 * damping)

    first = (jnp.zeros((), jnp.int32), jnp.ones((), bool), held(at, box), 0.0 * at.h, damping)
    *_, moved, damping = jax.lax.while_loop(lambda carry: carry[1], one_pass, first)
    found = jnp.all(jnp.isfinite(moved))
    return jnp.where(found, project(at.h + moved, box.floor, box.upper), jnp.nan), damping


def _spread(at: Point, box: Box) -> Array:
    """By how much the gradient differs from its level over the weights that can move, nats."""
    moves = box.upper > box.floor
    return jnp.max(jnp.where(moves, jnp.abs(at.grad - at.level), 0.0))


def _settled(at: Point, box: Box, tolerance: Any) -> Array:
    """Whether every free weight has its final cost: a small gap alone leaves small ones open."""
    cost = jnp.where(held(at, box), 0.0, jnp.abs(at.grad - at.level))
    return jnp.max(cost) <= 1e4 * tolerance * jnp.max(jnp.abs(at.grad))


def _advance(
    objective: Callable[[Array], Array], box: Box, state: _State, tolerance: Any
) -> _State:
    """One trial: taken if the objective falls, or, within its rounding, if the gap does."""
    old, new, first = state.at, evaluate(objective, state.trial, box), state.iterations == 0
    move = new.h - old.h
    expected = -(old.grad @ move + 0.5 * move @ old.hess @ move)
    noise = 16 * jnp.finfo(move.dtype).eps * jnp.abs(new.value)
    gain = old.value - new.value
    better = first | (gain > noise) | ((gain > -noise) & (new.gap < old.gap))
    accept = better & jnp.isfinite(new.value) & jnp.all(jnp.isfinite(new.hess))
    trusted = (gain > 0.5 * expected) | (jnp.abs(gain) <= noise)
    factor = jnp.where(accept, jnp.where(trusted, 0.1, 2.0), 8.0)
    at = jax.tree.map(lambda n, o: jnp.where(accept, n, o), new, old)
    damping = jnp.where(first, _spread(at, box), state.damping * factor)
    damping = jnp.maximum(damping, 1e-14 * jnp.max(jnp.abs(at.grad)))
    rejected = jnp.where(accept, 0, state.rejected + 1)
    failed = (first & ~accept) | (rejected >= _PATIENCE)
    done = failed | ((at.gap <= tolerance * jnp.abs(at.value)) & _settled(at, box, tolerance))
    trial, damping = _step(at, box, damping)
    return _State(at, trial, damping, rejected, state.iterations + 1, done)


def _rounded(at: Point, box: Box) -> Array:
    """The mixture with held weights exactly at their bounds, the rest on a free one; [k]."""
    fixed, (low, high) = held(at, box), touches(at.h, box)
    bound = jnp.where(low, box.lower, jnp.where(high, box.upper, at.h))
    h = jnp.where(fixed, bound, at.h)
    room = jnp.where(fixed, 0.0, jnp.minimum(h - box.floor, box.upper - h))
    most = jnp.argmax(room)
    others = jnp.sum(h.at[most].set(0.0))
    return h.at[most].set(jnp.where(room[most] > 0, 1.0 - others, h[most]))


def _answer(objective: Callable[[Array], Array], box: Box, state: _State) -> Solution:
    at = state.at
    h = _rounded(at, box)
    value = objective(h)
    keep = value <= at.value + 1e-12 * jnp.abs(at.value)  # not where the law diverges at 0
    h, value = jnp.where(keep, h, at.h), jnp.where(keep, value, at.value)
    gap = at.gap + jnp.maximum(value - at.value, 0.0)
    # Where a weight is pinned to 0 a law gives the slope of h^gamma as 0; it is that just above.
    grad = jax.grad(objective)(jnp.maximum(at.h, FLOOR))
    multipliers = jnp.where(held(at, box), grad - at.level, 0.0)
    close = gap <= _close(h) * jnp.abs(value)
    return Solution(h, value, gap, multipliers, state.iterations, close)


def _close(h: Array) -> float:
    """The share of the objective below which a gap counts as closed."""
    return 1e-9 if h.dtype == jnp.float64 else 1e-4


def descend(
    objective: Callable[[Array], Array],
    start: Array,
    lower: Array,
    upper: Array,
    *,
    tolerance: Any = None,
    max_iterations: int = 200,
) -> Solution:
    """Minimizes a smooth objective over the bounded simplex from one start.

    Args:
        objective: h [k] to a scalar, twice differentiable where h > 0.
        start: [k] positive weights; projected on the bounds.
        lower: [k] minima.
        upper: [k] maxima; equal minimum and maximum pin a weight.
        tolerance: share of the objective below which the gap ends the search; None for 1e-12
            (1e-7 in float32).
        max_iterations: evaluations of objective and Hessian at most.

    Returns:
        the solution; a local minimum where the objective is not convex, and not converged where
        the objective is not finite at the start.
    """
    box = make_box(lower, upper)
    tolerance = 1e-3 * _close(start) if tolerance is None else tolerance
    h = project(jnp.maximum(start, box.floor), box.floor, box.upper)
    zero, count = jnp.zeros((), h.dtype), jnp.zeros((), jnp.int32)
    nowhere = Point(h, zero + jnp.inf, 0.0 * h, jnp.outer(h, 0.0 * h), zero + jnp.inf, zero)
    state = jax.lax.while_loop(
        lambda s: ~s.done & (s.iterations < max_iterations),
        lambda s: _advance(objective, box, s, tolerance),
        _State(nowhere, h, zero, count, count, count > 0),
    )
    answer = _answer(objective, box, state)
    return answer._replace(weights=jnp.clip(answer.weights, lower, upper))  # the last rounding
