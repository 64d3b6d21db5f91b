"""The pieces that laws are made of, each right at zero weights and at infinite scale."""

from typing import Any

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


def transfer_term(tau: Any, weights: Any, tokens: Any, exponent: Any) -> Array:
    """``1 / (sum_i tau_i h_i D)^exponent``: [..., k] -> [...], and exactly 0 at infinite D."""
    worth = jnp.log(jnp.sum(tau * weights, -1))
    return power_term(-exponent * worth, tokens, exponent)


def uniform(u: Any, low: Any, high: Any) -> Array:
    """Uniform draws u on (0, 1) carried to (low, high)."""
    return low + (high - low) * u


def log_uniform(u: Any, low: Any, high: Any) -> Array:
    """Uniform draws u on (0, 1) carried to (low, high) evenly in the logarithm."""
    return jnp.exp(uniform(u, jnp.log(low * 1.0), jnp.log(high * 1.0)))


def signed_log_uniform(u: Any, low: Any, high: Any) -> Array:
    """Like ``log_uniform``, with either sign equally likely."""
    return jnp.sign(u - 0.5) * log_uniform(jnp.abs(2.0 * u - 1.0), low, high)


def start_floor(u: Any, scales: Scales) -> Array:
    """A draw of E: a share of the smallest loss."""
    return scales.loss_min * uniform(u, 0.1, 0.95)


def start_amplitude(u: Any, scales: Scales) -> Array:
    """A draw of how much a term contributes at the center of the data, nats."""
    spread = jnp.maximum(scales.loss_max - scales.loss_min, 1e-3 * scales.loss_min)
    return spread * log_uniform(u, 0.03, 1.0)


def start_transfer(u: Any, scales: Scales, exponent: Any) -> Array:
    """A draw of transfers, u [k]: their size so that the term counts, tenfold to both sides.

    There is no amplitude beside them, so the draw of the first one also places their size.
    """
    return start_amplitude(u[0], scales) ** (-1.0 / exponent) * log_uniform(u, 0.1, 10.0)


def transfer_in_units(tau: Any, d_unit: Any) -> Array:
    """Transfers [..., k] of tokens that are measured in a unit [...]."""
    return tau * jnp.asarray(d_unit)[..., None]
