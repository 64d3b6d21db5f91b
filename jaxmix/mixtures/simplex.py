"""The simplex of mixtures: distances, the projection and the linear oracle on boxes.

The bounded simplex is the set of h with ``lower <= h <= upper`` and sum 1. Functions on JAX arrays
work on one point [k] and are meant to be vmapped.
"""

from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array

# Weights whose bound is 0 stay at or above this while a solver moves them: the slope of h^gamma at
# h = 0 is infinite for gamma < 1. Answers at it are reported as 0.
FLOOR = 1e-15
_LOOSE = 2.0  # an upper bound that no weight reaches


def kl(p: Any, q: Any) -> Array:
    """Kullback-Leibler divergence KL(p‖q) in nats along the last axis; [..., k] -> [...].

    ``0 log 0`` is 0; infinite where p has weight and q has none.
    """
    p, q = jnp.asarray(p), jnp.asarray(q)
    ratio = jnp.log(jnp.where(p > 0, p, 1.0)) - jnp.log(jnp.where(p > 0, q, 1.0))
    return jnp.sum(jnp.where(p > 0, p * ratio, 0.0), -1)


def js_distance(w: Any, h: Any) -> Array:
    """Jensen-Shannon distance of two mixtures, in [0, sqrt(log 2)]; [..., k] -> [...].

    ``JS(w, h) = sqrt((KL(w‖m) + KL(h‖m)) / 2)`` with ``m = (w + h) / 2``: appendix D.1 of the
    paper. Symmetric, zero only for equal mixtures, a metric.
    """
    w, h = jnp.asarray(w), jnp.asarray(h)
    middle = (w + h) / 2
    return jnp.sqrt(jnp.maximum(0.5 * (kl(w, middle) + kl(h, middle)), 0.0))


def loosen(lower: Array, upper: Array) -> Array:
    """Upper bounds without those that the sum and the minima imply; [k] -> [k].

    A weight at such a bound is not held by it: at a vertex of the plain simplex the minima of the
    other weights are active, not the maximum 1.
    """
    implied = upper >= 1.0 - (jnp.sum(lower) - lower) - 1e-12
    return jnp.where(implied, _LOOSE, upper)


def working_lower(lower: Array, upper: Array) -> Array:
    """Lower bounds raised to ``FLOOR`` wherever the weight may be positive; [k] -> [k]."""
    return jnp.where(upper > FLOOR, jnp.maximum(lower, FLOOR), lower)


def oracle(gradient: Array, lower: Array, upper: Array) -> Array:
    """The point of the bounded simplex that minimizes ``<gradient, s>``; [k] -> [k].

    The weight that the minima leave goes to the cheapest coordinates first. Exact and without a
    sort: k^2 comparisons.
    """
    index = jnp.arange(gradient.shape[0])
    room = upper - lower
    cheaper = gradient[None, :] < gradient[:, None]  # [k, k] is j before i?
    tied = (gradient[None, :] == gradient[:, None]) & (index[None, :] < index[:, None])
    before = jnp.sum(jnp.where(cheaper | tied, room[None, :], 0.0), -1)
    left = jnp.maximum(1.0 - jnp.sum(lower), 0.0)
    return lower + jnp.clip(left - before, 0.0, room)


def project(y: Array, lower: Array, upper: Array) -> Array:
    """The point of the bounded simplex nearest to y > 0 in KL divergence; [k] -> [k].

    It is ``clip(t y, lower, upper)`` for the t that makes the sum 1. The sum is piecewise linear
    in t, so t is exact: find the largest breakpoint at which the sum is at most 1, then one
    division.
    """
    safe = jnp.where(y > 0, y, 1.0)
    enters, leaves = lower / safe, upper / safe  # t at which a weight leaves one bound, meets one
    breaks = jnp.concatenate([enters, leaves])
    sums = jnp.sum(jnp.clip(breaks[:, None] * y, lower, upper), -1)
    start = jnp.max(jnp.where(sums <= 1.0, breaks, 0.0))
    free = (enters <= start) & (start < leaves)
    held = jnp.where(enters > start, lower, upper)
    scale = (1.0 - jnp.sum(jnp.where(free, 0.0, held))) / jnp.maximum(
        jnp.sum(jnp.where(free, y, 0.0)), jnp.finfo(y.dtype).tiny
    )
    return jnp.where(free, jnp.clip(y * scale, lower, upper), held)


def center(lower: Array, upper: Array) -> Array:
    """A point inside the bounded simplex, off every bound that can be left; [k] -> [k].

    ``lower`` plus the same share of every weight's room, the room being at most what the minima
    leave. Uniform for the plain simplex.
    """
    left = jnp.maximum(1.0 - jnp.sum(lower), 0.0)
    room = jnp.minimum(upper - lower, left)
    share = left / jnp.maximum(jnp.sum(room), jnp.finfo(lower.dtype).tiny)
    return lower + room * jnp.minimum(share, 1.0)
