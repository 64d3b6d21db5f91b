"""Power laws E + B / x^b through many curves at once, with separate or shared exponents.

At a given exponent b, a curve is linear in E and B, and its Huber regression is convex (nearly so
for logarithms). Only the exponents are left: each is tried on a grid, and the best cell is bisected
on the sign of the derivative of the profile objective. The search needs no starting points.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.precision import float64

Array = jax.Array
LOWEST, HIGHEST = 0.01, 3.0  # beyond these a power is a constant or a step to any data there is
_GRID, _HALVINGS, _NEWTON = 64, 45, 60


class PowerLaws(NamedTuple):
    """Laws E + B / x^b of m targets and c curves, NaN for a curve without rows.

    Attributes:
        floor: [m, c] E, at least 0.
        coefficient: [m, c] B, negative if the curve rises.
        exponent: [m, c] b, equal for all curves of one class.
    """

    floor: np.ndarray
    coefficient: np.ndarray
    exponent: np.ndarray

    def at(self, x: Any) -> np.ndarray:
        """E + B / x^b at x, which broadcasts with [m, c]."""
        return self.floor + self.coefficient * np.exp(-self.exponent * np.log(x))

    def error(self, x: np.ndarray, losses: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """[m] mean relative error on the rows with a weight, percent; NaN without any."""
        predicted = PowerLaws(*(v[..., None] for v in self)).at(x)  # [m, c, q]
        errors = np.where(weights > 0, np.abs(predicted / losses - 1), 0.0).sum((1, 2))
        rows = (weights > 0).sum((1, 2))
        return np.where(rows > 0, 100 * errors / np.maximum(rows, 1), np.nan)

    @property
    def at_edge(self) -> np.ndarray:
        """[m, c] whether the exponent is the lowest or the highest that is tried."""
        return (self.exponent <= LOWEST * (1 + 1e-6)) | (self.exponent >= HIGHEST * (1 - 1e-6))


class _Curve(NamedTuple):
    """One curve of one target: log x [q] about its own middle, losses [q], row weights [q]."""

    log_x: Array
    losses: Array
    weights: Array


class _Line(NamedTuple):
    """A regression at one exponent: theta [2] in a basis of ``_design``, and its objective."""

    theta: Array
    on_floor: Array
    value: Array


def fit_power_laws(
    x: np.ndarray,
    losses: np.ndarray,
    weights: np.ndarray,
    classes: np.ndarray,
    *,
    delta: float,
    residual: str,
) -> PowerLaws:
    """Fits E + B / x^b with E >= 0 to every curve of every target in one compiled call.

    Args:
        x: [c, q] tokens or parameters, above 0, also in padding.
        losses: [m, c, q] losses in nats, above 0, also in padding.
        weights: [m, c, q] row weights; 0 marks padding and missing losses.
        classes: [c] class of each curve; the curves of a class share one exponent per target.
        delta: Huber threshold, in nats, or relative for ``"log"``.
        residual: ``"loss"`` or ``"log"``.

    Returns:
        The laws. The optimum is not unique if a curve has fewer than two distinct x, or a class no
        more points than parameters; the caller leaves those out.
    """
    log_x, seen = np.log(x), (weights > 0).any(0)
    middle = np.sum(log_x * seen, 1) / np.maximum(seen.sum(1), 1)  # [c]
    with float64():
        arrays = (log_x - middle[:, None], losses, weights)
        curves = _Curve(*(jnp.asarray(a, jnp.float64) for a in arrays))
        count = int(classes.max()) + 1
        found = _search(
            curves, jnp.asarray(classes), jnp.asarray(delta), classes=count, log=residual == "log"
        )
        line, exponent = jax.tree.map(np.asarray, found)
    first, second = np.moveaxis(line.theta, -1, 0)
    at_middle = np.where(line.on_floor, first, second / exponent)
    floor = np.where(line.on_floor, 0.0, first - at_middle)
    natural = (floor, at_middle * np.exp(exponent * middle), exponent)
    return PowerLaws(*(np.where((weights > 0).any(-1), v, np.nan) for v in natural))


@partial(jax.jit, static_argnames=("classes", "log"))
def _search(
    curves: _Curve, share: Array, delta: Array, *, classes: int, log: bool
) -> tuple[_Line, Array]:
    """The regressions [m, c] at the best exponents, and these exponents [m, c]."""
    member = jnp.asarray(share[:, None] == jnp.arange(classes), curves.losses.dtype)  # [c, s]
    everywhere = partial(_everywhere, curves)
    regress = partial(_best_line, delta=delta, log=log)
    slope_of = partial(_profile_slope, delta=delta, log=log)

    def halve(_: int, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        low, high, middle = carry
        exponent = middle[:, share]
        slope = everywhere(slope_of, exponent, everywhere(regress, exponent)) @ member
        low, high = jnp.where(slope > 0, low, middle), jnp.where(slope > 0, middle, high)
        return low, high, 0.5 * (low + high)

    grid = jnp.exp(jnp.linspace(jnp.log(LOWEST), jnp.log(HIGHEST), _GRID))
    shape = curves.losses.shape[:2]
    tried = jax.lax.map(lambda b: everywhere(regress, jnp.full(shape, b)).value @ member, grid)
    best = jnp.argmin(tried, 0)  # [m, s]
    cell = (grid[jnp.maximum(best - 1, 0)], grid[jnp.minimum(best + 1, _GRID - 1)], grid[best])
    *_, exponent = jax.lax.fori_loop(0, _HALVINGS, halve, cell)  # downhill from the best
    exponent = exponent[:, share]
    return everywhere(regress, exponent), exponent


def _everywhere(curves: _Curve, function: Any, *parts: Any) -> Any:
    """``function(curve, *parts)`` for every target and curve [m, c]."""
    shared = _Curve(None, 0, 0)  # type: ignore[arg-type]
    return jax.vmap(jax.vmap(function), (shared, *(0 for _ in parts)))(curves, *parts)


def _best_line(curve: _Curve, exponent: Array, delta: Array, log: bool) -> _Line:
    """The regression with E >= 0 at one exponent: the free one, or E = 0 if its E is negative."""
    bases = jnp.asarray([False, True])
    both, values = jax.vmap(lambda b: _regress(curve, _design(curve, exponent, b), delta, log))(
        bases
    )
    on_floor = both[0, 0] - both[0, 1] / exponent < 0
    pick = lambda v: jnp.where(on_floor, v[1], v[0])  # noqa: E731
    return _Line(pick(both), on_floor, pick(values))


def _profile_slope(curve: _Curve, exponent: Array, line: _Line, delta: Array, log: bool) -> Array:
    """Derivative of the profile by the exponent; those by E and B vanish at the regression."""

    def value(b: Array) -> Array:
        design = _design(curve, b, line.on_floor)
        return _huber(_residuals(curve, design, line.theta, log)[0], curve.weights, delta)

    return jax.grad(value)(exponent)


def _design(curve: _Curve, exponent: Array, on_floor: Array) -> Array:
    """[q, 2] columns (1, (x^-b - 1) / b), or (x^-b, 0) for E = 0.

    The first pair spans the same curves as (1, x^-b) and stays well conditioned for small b.
    """
    bent = jnp.expm1(-exponent * curve.log_x) / exponent
    free = jnp.stack([jnp.ones_like(bent), bent], -1)
    bare = jnp.stack([1.0 + exponent * bent, jnp.zeros_like(bent)], -1)
    return jnp.where(on_floor, bare, free)


def _residuals(curve: _Curve, design: Array, theta: Array, log: bool) -> tuple[Array, Array]:
    """Residuals [q], infinite if a logarithm does not exist, and predicted losses [q]."""
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


def _regress(curve: _Curve, design: Array, delta: Array, log: bool) -> tuple[Array, Array]:
    """Huber regression [2] and its objective, by Newton steps damped by the reweighted matrix.

    The reweighted matrix majorizes the objective of a linear model, so a fully damped step
    descends; near the optimum the damping fades and the steps are Newton's.
    """

    def step(_: int, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        theta, value, damping = carry
        residuals, predicted = _residuals(curve, design, theta, log)
        slopes = design / predicted[:, None] if log else design
        size = jnp.abs(residuals)
        damp = (size <= delta) + damping * jnp.minimum(1.0, delta / jnp.maximum(size, delta))
        gram = (slopes * (curve.weights * damp)[:, None]).T @ slopes
        pull = slopes.T @ (curve.weights * jnp.clip(residuals, -delta, delta))
        trial = theta + _solve(gram, pull)
        tried = _huber(_residuals(curve, design, trial, log)[0], curve.weights, delta)
        better = tried < value
        damping = jnp.where(better, jnp.maximum(0.1 * damping, 1e-14), 8.0 * damping)
        return jnp.where(better, trial, theta), jnp.where(better, tried, value), damping

    weighted = design * (curve.weights / (curve.losses**2 if log else 1.0))[:, None]
    theta = _solve(design.T @ weighted, weighted.T @ curve.losses)  # least squares
    value = _huber(_residuals(curve, design, theta, log)[0], curve.weights, delta)
    theta, value, _ = jax.lax.fori_loop(0, _NEWTON, step, (theta, value, jnp.ones_like(value)))
    return theta, value


def _solve(gram: Array, right: Array) -> Array:
    """Solves a 2 x 2 system; a column of zeros has the solution 0."""
    a, b, d = gram[0, 0], gram[0, 1], gram[1, 1]
    a, d = (jnp.where(x > 0, x * (1 + 1e-15), 1.0) for x in (a, d))
    found = jnp.stack([d * right[0] - b * right[1], a * right[1] - b * right[0]])
    found = found / (a * d - b * b)
    return jnp.where(jnp.isfinite(found), found, 0.0)
