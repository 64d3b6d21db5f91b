"""Many power laws E + B / x^b in one compiled call, with exponents of their own or in common.

For a given exponent a curve is linear in E and B, and its Huber regression is convex. What is left
is one number per exponent: it is tried on a grid, and the best cell is bisected on the sign of the
derivative of the profile. So there are no starting points to choose and none to be lucky with.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.nested.regression import (
    Curve,
    Line,
    best_line,
    design_of,
    profile_slope,
    residuals_of,
)

Array = jax.Array
LOWEST, HIGHEST = 0.01, 3.0  # exponents outside are a constant or a step to any data there is
_GRID = 64
_HALVINGS = 60


class PowerLaws(NamedTuple):
    """Fits of m targets to c curves, in natural units; NaN where a curve has no rows.

    Attributes:
        floor: [m, c] E, not below 0.
        coefficient: [m, c] B, below 0 where the curve rises.
        exponent: [m, c] b, the same for the curves of one class.
        objective: [m] eq. (6) summed over the rows, whose weights say what it is a mean of.
        gradient: [m] its largest derivative by E, by what B adds at the middle of a curve, and by
            log b, less that of exponents at an edge.
        predicted: [m, c, q] losses at the rows.
        at_edge: [m, c] exponents at the lowest or highest that there is.
    """

    floor: np.ndarray
    coefficient: np.ndarray
    exponent: np.ndarray
    objective: np.ndarray
    gradient: np.ndarray
    predicted: np.ndarray
    at_edge: np.ndarray


def _everywhere(function: Callable[..., Any], curves: Curve, *parts: Any) -> Any:
    """``function(curve, *parts)`` for every target and curve [m, c]."""
    per_curve = jax.vmap(function)
    shared = Curve(None, 0, 0)  # type: ignore[arg-type]
    return jax.vmap(per_curve, (shared, *(0 for _ in parts)))(curves, *parts)


@partial(jax.jit, static_argnames=("classes", "log"))
def _search(
    curves: Curve, share: Array, delta: Array, *, classes: int, log: bool
) -> tuple[Line, Array, Array]:
    """Lines [m, c], exponents [m, classes] and the slope of the profile by them."""
    member = jnp.asarray(share[:, None] == jnp.arange(classes), curves.losses.dtype)  # [c, s]

    def try_one(b: Array) -> Line:
        line = partial(best_line, exponent=b, near=None, delta=delta, log=log)
        return _everywhere(line, curves)

    def halve(_: int, carry: Any) -> Any:
        low, high, middle, near, _, _ = carry
        own = middle[:, share]
        line = _everywhere(partial(best_line, delta=delta, log=log), curves, own, near)
        slope = (
            _everywhere(partial(profile_slope, delta=delta, log=log), curves, own, line) @ member
        )
        low = jnp.where(slope > 0, low, middle)
        high = jnp.where(slope > 0, middle, high)
        return low, high, 0.5 * (low + high), line, middle, slope

    grid = jnp.exp(jnp.linspace(jnp.log(LOWEST), jnp.log(HIGHEST), _GRID))
    tried = jax.lax.map(try_one, grid)  # [G, m, c]
    best = jnp.argmin(tried.value @ member, 0)  # [m, s]
    near = jax.tree.map(lambda v: _at(v, best[:, share]), tried)
    edges = (grid[jnp.maximum(best - 1, 0)], grid[jnp.minimum(best + 1, _GRID - 1)])
    start = (*edges, grid[best], near, grid[best], jnp.zeros(best.shape))
    *_, line, exponents, slopes = jax.lax.fori_loop(0, _HALVINGS, halve, start)
    return line, exponents, slopes


def _at(values: Array, index: Array) -> Array:
    """values[index[i, j], i, j] of [G, m, c, ...]."""
    index = index.reshape(1, *index.shape, *(1 for _ in values.shape[3:]))
    return jnp.take_along_axis(values, index, 0)[0]


def fit_power_laws(
    x: np.ndarray,
    losses: np.ndarray,
    weights: np.ndarray,
    share: np.ndarray,
    *,
    delta: float,
    residual: str,
) -> PowerLaws:
    """Fits E + B / x^b with E >= 0 to every curve of every target.

    Args:
        x: [c, q] tokens or parameters, above 0; anything finite above 0 where a row is padding.
        losses: [m, c, q] losses, above 0; anything above 0 where the weight is 0.
        weights: [m, c, q] row weights, 0 for rows that a curve does not have.
        share: [c] class of each curve: those of one class have one exponent per target.
        delta: Huber threshold.
        residual: ``"loss"`` or ``"log"``.

    Returns:
        The laws. A curve with less than two distinct x, or a class with as many parameters as
        distinct points, has many optima; the caller keeps those away.
    """
    log_x = np.log(x)
    seen = (weights > 0).any(0)
    middle = np.sum(log_x * seen, 1) / np.maximum(seen.sum(1), 1)  # [c]
    classes, targets = int(share.max()) + 1, len(losses)
    losses, weights = (_padded(v) for v in (losses, weights))
    with jax.enable_x64(True):
        curves = Curve(*(jnp.asarray(v) for v in (log_x - middle[:, None], losses, weights)))
        log = residual == "log"
        found = _search(curves, jnp.asarray(share), jnp.asarray(delta), classes=classes, log=log)
        line, exponents, slopes = jax.tree.map(np.asarray, found)
        pulls = np.asarray(_pulls(curves, exponents[:, share], line, delta, log))
    where = (share, middle, log_x, weights[:targets])
    line = jax.tree.map(lambda v: v[:targets], line)
    return _natural(line, exponents[:targets], slopes[:targets], pulls[:targets], where)


def _padded(values: np.ndarray) -> np.ndarray:
    """[m, ...] to a power of two of targets, at least 8, so that few programs are compiled."""
    wanted = max(8, 1 << (len(values) - 1).bit_length())
    return np.concatenate([values, np.repeat(values[-1:], wanted - len(values), 0)])


@partial(jax.jit, static_argnames="log")
def _pulls(curves: Curve, exponent: Array, line: Line, delta: float, log: bool) -> Array:
    """[m, c, 2] derivatives of the objective by theta."""

    def one(curve: Curve, exponent: Array, line: Line) -> Array:
        design = design_of(curve.log_x, exponent, line.on_floor)
        residuals, predicted = residuals_of(design, curve, line.theta, log)
        slopes = design / predicted[:, None] if log else design
        return slopes.T @ (curve.weights * jnp.clip(residuals, -delta, delta))

    return _everywhere(one, curves, exponent, line)


def _natural(line: Line, exponents: Any, slopes: Any, pulls: Any, where: Any) -> PowerLaws:
    """What was found about the middle of each curve, in the units of x."""
    share, middle, log_x, weights = where
    exponent = exponents[:, share]
    theta = np.where(line.on_floor[..., None], line.both[:, :, 1], line.both[:, :, 0])
    first, second = np.moveaxis(theta, -1, 0)
    at_middle = np.where(line.on_floor, first, second / exponent)
    floor = np.where(line.on_floor, 0.0, first - at_middle)
    edge = (exponents <= LOWEST * (1 + 1e-6)) | (exponents >= HIGHEST * (1 - 1e-6))
    steep = np.where(edge, 0.0, np.abs(slopes * exponents))
    gradient = np.maximum(steep.max(1), np.abs(pulls).max((1, 2)))
    bent = np.exp(-exponent[..., None] * (log_x - middle[:, None]))
    predicted = floor[..., None] + at_middle[..., None] * bent
    empty = ~(weights > 0).any(-1)
    hide = lambda values: np.where(empty, np.nan, values)  # noqa: E731
    return PowerLaws(
        floor=hide(floor),
        coefficient=hide(at_middle * np.exp(exponent * middle)),
        exponent=hide(exponent),
        objective=np.asarray(line.value).sum(1),
        gradient=gradient,
        predicted=predicted,
        at_edge=edge[:, share] & ~empty,
    )


def power_law(law: tuple[np.ndarray, np.ndarray, np.ndarray], x: Any) -> np.ndarray:
    """E + B / x^b at x, which broadcasts with the parameters; E where x is infinite."""
    floor, coefficient, exponent = law
    with np.errstate(over="ignore", invalid="ignore"):
        term = coefficient * np.exp(-exponent * np.log(x))
    return floor + np.where(np.isinf(x) | (coefficient == 0), 0.0, term)
