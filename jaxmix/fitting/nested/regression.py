"""Huber regressions of one curve on a power of given exponent, and how good each exponent is."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
_COLD, _WARM = 60, 12  # steps of a regression from scratch, and beside a solved one


class Curve(NamedTuple):
    """One curve of one target: log x [q] about its own middle, losses [q], row weights [q]."""

    log_x: Array
    losses: Array
    weights: Array


class Line(NamedTuple):
    """Regressions at one exponent in the two bases of ``design_of``, and which of them holds."""

    both: Array  # [2, 2] free, and with E held at 0
    on_floor: Array
    value: Array

    @property
    def theta(self) -> Array:
        """The one that holds, [2]."""
        return jnp.where(self.on_floor, self.both[1], self.both[0])


def design_of(log_x: Array, exponent: Array, on_floor: Any) -> Array:
    """[q, 2] columns (1, (x^-b - 1) / b), or (x^-b, 0) where E is 0.

    The first pair spans the same curves as (1, x^-b) and stays apart where b is small.
    """
    bent = jnp.expm1(-exponent * log_x) / exponent
    free = jnp.stack([jnp.ones_like(bent), bent], -1)
    bare = jnp.stack([1.0 + exponent * bent, jnp.zeros_like(bent)], -1)
    return jnp.where(on_floor, bare, free)


def residuals_of(design: Array, curve: Curve, theta: Array, log: bool) -> tuple[Array, Array]:
    """Residuals [q], infinite where a logarithm does not exist, and predicted losses [q]."""
    predicted = design @ theta
    if not log:
        return jnp.where(curve.weights > 0, curve.losses - predicted, 0.0), predicted
    safe = jnp.where(predicted > 0, predicted, 1.0)
    found = jnp.where(predicted > 0, jnp.log(curve.losses) - jnp.log(safe), jnp.inf)
    return jnp.where(curve.weights > 0, found, 0.0), safe


def _huber(residuals: Array, weights: Array, delta: Array) -> Array:
    size = jnp.abs(residuals)
    small = jnp.minimum(size, delta)
    return jnp.sum(jnp.where(weights > 0, weights * small * (size - 0.5 * small), 0.0))


def _solve(gram: Array, right: Array) -> Array:
    """A 2 x 2 system; a column of zeros asks for nothing."""
    a, b, d = gram[0, 0], gram[0, 1], gram[1, 1]
    a, d = (jnp.where(x > 0, x * (1 + 1e-15), 1.0) for x in (a, d))
    found = jnp.stack([d * right[0] - b * right[1], a * right[1] - b * right[0]])
    found = found / (a * d - b * b)
    return jnp.where(jnp.isfinite(found), found, 0.0)


def _least_squares(curve: Curve, design: Array, log: bool) -> Array:
    """Where a regression begins, [2]; relative residuals stand for logarithmic ones."""
    weighted = design * (curve.weights / (curve.losses**2 if log else 1.0))[:, None]
    return _solve(design.T @ weighted, weighted.T @ curve.losses)


def _regress(
    curve: Curve, design: Array, theta: Array, delta: Array, log: bool, steps: int
) -> tuple[Array, Array]:
    """Huber regression [2] and its objective: Newton steps damped by the reweighted matrix.

    The reweighted matrix majorizes the objective of a linear model, so that a step damped by all of
    it descends, and what is near the end is found in full Newton steps.
    """

    def step(_: int, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        theta, value, damping = carry
        residuals, predicted = residuals_of(design, curve, theta, log)
        slopes = design / predicted[:, None] if log else design
        size = jnp.abs(residuals)
        damp = (size <= delta) + damping * jnp.minimum(1.0, delta / jnp.maximum(size, delta))
        gram = (slopes * (curve.weights * damp)[:, None]).T @ slopes
        pull = slopes.T @ (curve.weights * jnp.clip(residuals, -delta, delta))
        trial = theta + _solve(gram, pull)
        tried = _huber(residuals_of(design, curve, trial, log)[0], curve.weights, delta)
        better = tried < value
        damping = jnp.where(better, jnp.maximum(0.1 * damping, 1e-14), 8.0 * damping)
        return jnp.where(better, trial, theta), jnp.where(better, tried, value), damping

    first = _huber(residuals_of(design, curve, theta, log)[0], curve.weights, delta)
    start = (theta, first, jnp.ones_like(first))
    theta, value, _ = jax.lax.fori_loop(0, steps, step, start)
    return theta, value


def best_line(curve: Curve, exponent: Array, near: Line | None, delta: Array, log: bool) -> Line:
    """The regression with E >= 0 at one exponent: the free one, or E = 0 where that is below."""

    def fitted(on_floor: Array, theta: Array | None) -> tuple[Array, Array]:
        design = design_of(curve.log_x, exponent, on_floor)
        if theta is None:
            theta = _least_squares(curve, design, log)
            return _regress(curve, design, theta, delta, log, _COLD)
        return _regress(curve, design, theta, delta, log, _WARM)

    bases = jnp.asarray([False, True])
    axes = (0, None if near is None else 0)
    both, values = jax.vmap(fitted, axes)(bases, None if near is None else near.both)
    on_floor = both[0, 0] - both[0, 1] / exponent < 0
    return Line(both, on_floor, jnp.where(on_floor, values[1], values[0]))


def profile_slope(curve: Curve, exponent: Array, line: Line, delta: Array, log: bool) -> Array:
    """Derivative of the profile by the exponent: those by E and B vanish at the regression."""

    def value(b: Array) -> Array:
        design = design_of(curve.log_x, b, line.on_floor)
        return _huber(residuals_of(design, curve, line.theta, log)[0], curve.weights, delta)

    return jax.grad(value)(exponent)
