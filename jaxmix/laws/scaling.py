"""The laws of the paper "Scaling Laws for Optimal Data Mixtures" (Shukor et al., 2025).

Equation numbers are that paper's. N = ``n_params``, D = ``tokens``, h = ``weights``.
"""

import jax
import jax.numpy as jnp

from jaxmix.laws.law import Array, Law, Parameter, Params, Scales
from jaxmix.laws.terms import (
    log_blend,
    log_uniform,
    mixture_term,
    power_term,
    start_amplitude,
    start_floor,
)

_SOURCE = "Shukor et al. 2025, Scaling Laws for Optimal Data Mixtures"


def _domain(*names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, "domain") for name in names)


def _scalar(*names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name) for name in names)


def _exponent(*names: str) -> tuple[Parameter, ...]:
    """Exponents of a blend ``(sum_i C_i h_i)^gamma``: of either sign.

    The paper leaves their sign open. On its predecessor's runs negative ones fit better and
    predict the next size better than positive ones alone, and they make the blend convex in h.
    """
    return tuple(Parameter(name, support="real") for name in names)


# --- starting points, in units where the data's mean N and D are 1 -------------------------------


def _start_scale(key: Array, scales: Scales) -> dict[str, Array]:
    """E, A, alpha, B, beta: what every law with both power terms starts from."""
    keys = jax.random.split(key, 5)
    return {
        "E": start_floor(keys[0], scales),
        "A": start_amplitude(keys[1], scales),
        "alpha": jax.random.uniform(keys[2], minval=0.1, maxval=1.0),
        "B": start_amplitude(keys[3], scales),
        "beta": jax.random.uniform(keys[4], minval=0.1, maxval=1.0),
    }


def _start_mixture(key: Array, scales: Scales, k: int) -> dict[str, Array]:
    """C and gamma of the bias term."""
    keys = jax.random.split(key)
    return {
        "C": 1.0 / (scales.loss_min * log_uniform(keys[0], 0.04, 2.0, (k,))),
        "gamma": log_uniform(keys[1], 0.14, 2.7, (k,)),
    }


def _start_blend(key: Array, level: Array, k: int, name: str) -> dict[str, Array]:
    """C^name and gamma^name such that ``(C . h)^gamma`` is near ``level`` at every vertex."""
    keys = jax.random.split(key, 3)
    gamma = log_uniform(keys[0], 0.35, 4.5) * jax.random.rademacher(keys[2], ())
    vertex = level * log_uniform(keys[1], 0.25, 2.0, (k,))
    return {f"C_{name}": vertex ** (1.0 / gamma), f"gamma_{name}": gamma}


def _rescale_constant(params: Params, n_unit: Array, d_unit: Array) -> Params:
    """A N^-alpha and B D^-beta in other units of N and D."""
    out = dict(params)
    if "A" in out:
        out["A"] = out["A"] * n_unit ** -out["alpha"]
    if "B" in out:
        out["B"] = out["B"] * d_unit ** -out["beta"]
    return out


# --- eq. (2) ------------------------------------------------------------------------------------


def _chinchilla_loss(p: Params, n_params: Array, tokens: Array, weights: Array) -> Array:
    n_term = power_term(jnp.log(p["A"]), n_params, p["alpha"])
    return p["E"] + n_term + power_term(jnp.log(p["B"]), tokens, p["beta"])


CHINCHILLA = Law(
    "chinchilla",
    _scalar("E", "A", "alpha", "B", "beta"),
    _chinchilla_loss,
    start=lambda key, scales, k: _start_scale(key, scales),
    rescale=_rescale_constant,
    uses=("n_params", "tokens"),
    formula="E + A/N^alpha + B/D^beta",
    source="Hoffmann et al. 2022; eq. (2)",
)


# --- eq. (4), and its forms at fixed D and N (appendix B) ----------------------------------------


def _additive_fixed_loss(p: Params, n_params: Array, tokens: Array, weights: Array) -> Array:
    bias = p["E"] + mixture_term(p["C"], p["gamma"], weights)
    return jnp.broadcast_to(bias, jnp.broadcast_shapes(jnp.shape(n_params), bias.shape))


def _additive_fixed_n_loss(p: Params, n_params: Array, tokens: Array, weights: Array) -> Array:
    d_term = power_term(jnp.log(p["B"]), tokens, p["beta"])
    return _additive_fixed_loss(p, n_params, tokens, weights) + d_term


def _additive_loss(p: Params, n_params: Array, tokens: Array, weights: Array) -> Array:
    n_term = power_term(jnp.log(p["A"]), n_params, p["alpha"])
    return _additive_fixed_n_loss(p, n_params, tokens, weights) + n_term


def _start_additive(key: Array, scales: Scales, k: int) -> dict[str, Array]:
    keys = jax.random.split(key)
    return {**_start_scale(keys[0], scales), **_start_mixture(keys[1], scales, k)}


ADDITIVE = Law(
    "additive",
    (*_scalar("E", "A", "alpha", "B", "beta"), *_domain("C", "gamma")),
    _additive_loss,
    start=_start_additive,
    rescale=_rescale_constant,
    formula="E + 1/sum_i C_i h_i^gamma_i + A/N^alpha + B/D^beta",
    source=f"{_SOURCE}, eq. (4)",
)

ADDITIVE_FIXED_ND = Law(
    "additive-fixed-nd",
    (*_scalar("E"), *_domain("C", "gamma")),
    _additive_fixed_loss,
    start=_start_additive,
    rescale=_rescale_constant,
    uses=("weights",),
    formula="E + 1/sum_i C_i h_i^gamma_i",
    source=f"{_SOURCE}, appendix B.1",
)

ADDITIVE_FIXED_N = Law(
    "additive-fixed-n",
    (*_scalar("E", "B", "beta"), *_domain("C", "gamma")),
    _additive_fixed_n_loss,
    start=_start_additive,
    rescale=_rescale_constant,
    uses=("tokens", "weights"),
    formula="E + 1/sum_i C_i h_i^gamma_i + B/D^beta",
    source=f"{_SOURCE}, appendix B.2",
)


# --- eq. (9) ------------------------------------------------------------------------------------


def _simple_loss(p: Params, n_params: Array, tokens: Array, weights: Array) -> Array:
    bias = jnp.exp(log_blend(p["C"], p["gamma"], weights))
    return bias + _chinchilla_loss(p, n_params, tokens, weights)


def _start_simple(key: Array, scales: Scales, k: int) -> dict[str, Array]:
    keys = jax.random.split(key, 3)
    gamma = log_uniform(keys[0], 0.3, 3.0) * jax.random.rademacher(keys[1], (), jnp.float32)
    mixture = _start_mixture(keys[2], scales, k)
    return {
        **_start_scale(keys[1], scales),
        "C": mixture["C"] ** (-1.0 / gamma),
        "gamma": gamma,
    }


SIMPLE = Law(
    "simple",
    (*_scalar("E", "A", "alpha", "B", "beta"), *_domain("C"), *_exponent("gamma")),
    _simple_loss,
    start=_start_simple,
    rescale=_rescale_constant,
    formula="E + (sum_i C_i h_i)^gamma + A/N^alpha + B/D^beta",
    # eq. (9) prints A over D^alpha and B over N^beta; named here as in every other law.
    source=f"{_SOURCE}, eq. (9)",
)


# --- eq. (5) ------------------------------------------------------------------------------------


def _joint_loss(p: Params, n_params: Array, tokens: Array, weights: Array) -> Array:
    bias = p["E"] + mixture_term(p["C"], p["gamma"], weights)
    log_a = log_blend(p["C_A"], p["gamma_A"], weights)
    log_b = log_blend(p["C_B"], p["gamma_B"], weights)
    return bias + power_term(log_a, n_params, p["alpha"]) + power_term(log_b, tokens, p["beta"])


def _rescale_joint(params: Params, n_unit: Array, d_unit: Array) -> Params:
    factor_a = n_unit ** -(params["alpha"] / params["gamma_A"])
    factor_b = d_unit ** -(params["beta"] / params["gamma_B"])
    return {
        **params,
        "C_A": params["C_A"] * factor_a[..., None],
        "C_B": params["C_B"] * factor_b[..., None],
    }


def _start_joint(key: Array, scales: Scales, k: int) -> dict[str, Array]:
    keys = jax.random.split(key, 4)
    base = _start_scale(keys[0], scales)
    return {
        **base,
        **_start_mixture(keys[1], scales, k),
        **_start_blend(keys[2], base["A"], k, "A"),
        **_start_blend(keys[3], base["B"], k, "B"),
    }


JOINT = Law(
    "joint",
    (
        *_scalar("E", "alpha", "beta"),
        *_domain("C", "gamma", "C_A", "C_B"),
        *_exponent("gamma_A", "gamma_B"),
    ),
    _joint_loss,
    start=_start_joint,
    rescale=_rescale_joint,
    formula="E + 1/sum_i C_i h_i^gamma_i + A(h)/N^alpha + B(h)/D^beta, "
    "A(h) = (sum_i C_A_i h_i)^gamma_A, B(h) = (sum_i C_B_i h_i)^gamma_B",
    source=f"{_SOURCE}, eq. (5)",
)


# --- eq. (10), (11) -----------------------------------------------------------------------------


def _full_loss(p: Params, n_params: Array, tokens: Array, weights: Array) -> Array:
    alpha = jnp.exp(log_blend(p["C_alpha"], p["gamma_alpha"], weights))  # eq. (11)
    beta = jnp.exp(log_blend(p["C_beta"], p["gamma_beta"], weights))
    return _joint_loss({**p, "alpha": alpha, "beta": beta}, n_params, tokens, weights)


def _start_full(key: Array, scales: Scales, k: int) -> dict[str, Array]:
    """A joint start with exponents the same at every vertex, in natural units."""
    keys = jax.random.split(key)
    p = _rescale_joint(
        _start_joint(keys[0], scales, k), 1.0 / scales.n_params, 1.0 / scales.tokens
    )
    gamma = log_uniform(keys[1], 0.5, 2.0, (2,))
    ones = jnp.ones(k)
    return {
        **p,
        "C_alpha": ones * p["alpha"] ** (1.0 / gamma[0]),
        "gamma_alpha": gamma[0],
        "C_beta": ones * p["beta"] ** (1.0 / gamma[1]),
        "gamma_beta": gamma[1],
    }


FULL = Law(
    "full",
    (
        *_scalar("E"),
        *_domain("C", "gamma", "C_A", "C_B", "C_alpha", "C_beta"),
        *_exponent("gamma_A", "gamma_B", "gamma_alpha", "gamma_beta"),
    ),
    _full_loss,
    start=_start_full,
    formula="E + 1/sum_i C_i h_i^gamma_i + A(h)/N^alpha(h) + B(h)/D^beta(h), "
    "X(h) = (sum_i C_X_i h_i)^gamma_X for X = A, B, alpha, beta",
    source=f"{_SOURCE}, eq. (10) and (11)",
)
