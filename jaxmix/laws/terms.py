"""The pieces that laws are made of, each right at zero weights and at infinite scale."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxmix.laws.law import Array, Scales


def power_term(log_coefficient: Any, x: Any, exponent: Any) -> Array:
    """``exp(log_coefficient) * x ** -exponent``, and exactly 0 where x is infinite.

    Values and gradients stay finite at ``x = inf``: the limits N → ∞ and D → ∞ of a law.
    """
    infinite = jnp.isinf(x)
    log_x = jnp.log(jnp.where(infinite, 1.0, x))
    return jnp.where(infinite, 0.0, jnp.exp(log_coefficient - exponent * log_x))


def weight_power(weights: Any, gamma: Any) -> Array:
    """``h ** gamma`` for gamma > 0, with value and parameter gradient 0 at ``h = 0``."""
    positive = weights > 0
    log_h = jnp.log(jnp.where(positive, weights, 1.0))
    return jnp.where(positive, jnp.exp(gamma * log_h), 0.0)


def mixture_term(c: Any, gamma: Any, weights: Any) -> Array:
    """``1 / sum_i C_i h_i^gamma_i``: the bias of eq. (4), (5) and (10); [..., k] -> [...]."""
    return 1.0 / jnp.sum(c * weight_power(weights, gamma), -1)


def log_blend(c: Any, gamma: Any, weights: Any) -> Array:
    """``log (sum_i C_i h_i)^gamma``: the coefficients and exponents of eq. (5), (9) and (11)."""
    return gamma * jnp.log(jnp.sum(c * weights, -1))


def log_uniform(key: Array, low: Any, high: Any, shape: tuple[int, ...] = ()) -> Array:
    """A draw whose logarithm is uniform."""
    return jnp.exp(
        jax.random.uniform(key, shape, minval=jnp.log(low * 1.0), maxval=jnp.log(high * 1.0))
    )


def start_floor(key: Array, scales: Scales) -> Array:
    """A draw of E: a share of the smallest loss."""
    return scales.loss_min * jax.random.uniform(key, minval=0.1, maxval=0.95)


def start_amplitude(key: Array, scales: Scales, shape: tuple[int, ...] = ()) -> Array:
    """A draw of how much a term contributes at the center of the data, nats."""
    spread = jnp.maximum(scales.loss_max - scales.loss_min, 1e-3 * scales.loss_min)
    return log_uniform(key, 0.03 * spread, spread, shape)
