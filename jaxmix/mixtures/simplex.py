"""The simplex of mixtures: distances, box bounds, the projection and the linear oracle on them.

The bounded simplex is the set of h with ``lower <= h <= upper`` and sum 1. Functions on JAX arrays
work on one point [k] and are meant to be vmapped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.runs.names import resolve

Array = jax.Array

# Weights whose bound is 0 stay at or above this while a solver moves them: the slope of h^gamma at
# h = 0 is infinite for gamma < 1. Answers at it are reported as 0.
FLOOR = 1e-15
_SLACK = 1e-9  # by how much bounds may miss a sum of 1 and still be read as meeting it
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


@dataclass(frozen=True, eq=False)
class Bounds:
    """Box bounds on the weights, known to leave at least one mixture.

    Attributes:
        domains: bare names, the order of the arrays.
        lower: [k] smallest weights.
        upper: [k] largest weights; equal to ``lower`` where a weight is pinned.
    """

    domains: tuple[str, ...]
    lower: np.ndarray
    upper: np.ndarray


def make_bounds(
    domains: Sequence[str],
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
) -> Bounds:
    """Bounds by domain name, checked.

    Args:
        domains: bare names of all domains.
        minimum: smallest weight of some domains; the others' is 0.
        maximum: largest weight of some domains; the others' is 1. Equal minimum and maximum pin
            a weight.

    Raises:
        JaxmixError: an unknown domain, a bound outside [0, 1], or bounds that no mixture meets:
            the message names the domains and by how much they clash.

    Example:
        >>> make_bounds(["web", "code"], minimum={"code": 0.2}).lower
        array([0. , 0.2])
        >>> make_bounds(["web", "code"], {"web": 0.7, "code": 0.5})
        Traceback (most recent call last):
        JaxmixError: no mixture meets the bounds: the minima web 0.7, code 0.5 sum to 1.2, ...
    """
    lower, upper = np.zeros(len(domains)), np.ones(len(domains))
    for values, what, out in ((minimum, "minimum", lower), (maximum, "maximum", upper)):
        for name, value in resolve(values or {}, domains, "domain").items():
            if not 0 <= value <= 1:
                raise JaxmixError(f"{what} of '{name}' is {value:g}: weights lie between 0 and 1")
            out[domains.index(name)] = value
    _check(domains, lower, upper)
    lower = lower / max(1.0, lower.sum())  # only ever by the slack that _check allows
    upper = upper / min(1.0, upper.sum())
    return Bounds(tuple(domains), lower, upper)


def _check(domains: Sequence[str], lower: np.ndarray, upper: np.ndarray) -> None:
    crossed = [
        f"{name} has minimum {lo:g} above maximum {hi:g} by {lo - hi:.3g}"
        for name, lo, hi in zip(domains, lower, upper, strict=True)
        if lo > hi
    ]
    if crossed:
        raise JaxmixError(f"no mixture meets the bounds: {'; '.join(crossed)}")
    if lower.sum() > 1 + _SLACK:
        given = _listed(domains, lower, lower > 0)
        text = f"the minima {given} sum to {lower.sum():.6g}, {lower.sum() - 1:.3g} over 1"
        raise JaxmixError(f"no mixture meets the bounds: {text}")
    if upper.sum() < 1 - _SLACK:
        given = _listed(domains, upper, upper < 1)
        text = f"the maxima {given} sum to {upper.sum():.6g}, {1 - upper.sum():.3g} short of 1"
        raise JaxmixError(f"no mixture meets the bounds: {text}")


def _listed(domains: Sequence[str], values: np.ndarray, which: np.ndarray) -> str:
    shown = [f"{n} {v:g}" for n, v, use in zip(domains, values, which, strict=True) if use]
    return ", ".join(shown)


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
