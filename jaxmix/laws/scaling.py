"""The laws of the paper "Scaling Laws for Optimal Data Mixtures" (Shukor et al., 2025).

Equation numbers are that paper's. N = ``x["n_params"]``, D = ``x["tokens"]``, h = ``x["weights"]``.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jaxmix.laws.law import (
    N_PARAMS,
    TOKENS,
    WEIGHTS,
    Array,
    Inputs,
    Law,
    Parameter,
    Params,
    Scales,
)
from jaxmix.laws.terms import (
    log_blend,
    log_uniform,
    mixture_term,
    power_term,
    signed_log_uniform,
    start_amplitude,
    start_floor,
    uniform,
)

_SOURCE = "Shukor et al. 2025, Scaling Laws for Optimal Data Mixtures"


# Ranges, wide for real data: an exponent below them is no longer told apart from a step at
# h = 0, one above from no dependence at all.
_RANGES = {"gamma": (1e-9, 30.0), "alpha": (1e-2, 5.0), "beta": (1e-2, 5.0)}
_ANYWHERE = (None, None)


def _domain(*names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(n, "domain", "positive", *_RANGES.get(n, _ANYWHERE)) for n in names)


def _scalar(*names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(n, "scalar", "positive", *_RANGES.get(n, _ANYWHERE)) for n in names)


def _exponent(*names: str) -> tuple[Parameter, ...]:
    """Exponents of a blend ``(sum_i C_i h_i)^gamma``: of either sign.

    The paper leaves their sign open. On its predecessor's runs negative ones fit better and
    predict the next size better than positive ones alone, and they make the blend convex in h.
    """
    return tuple(Parameter(name, support="real", low=-30.0, high=30.0) for name in names)


# --- convexity in h -----------------------------------------------------------------------------


def _convex_bias(p: Params) -> str | None:
    """1/S is convex if S is concave and positive: sums of C h^gamma with C >= 0, gamma <= 1."""
    concave = np.all((p["gamma"] <= 1) & (p["gamma"] >= 0) & (p["C"] >= 0))
    return None if concave else "a gamma is above 1"


def _convex_blend(c: str, gamma: str) -> Callable[[Params], str | None]:
    """(C . h)^gamma is convex for gamma <= 0 and gamma >= 1."""

    def rule(p: Params) -> str | None:
        convex = (p[gamma] <= 0 or p[gamma] >= 1) and np.all(np.asarray(p[c]) >= 0)
        return None if convex else f"{gamma} lies between 0 and 1"

    return rule


def _convex_joint(p: Params) -> str | None:
    rules = (_convex_bias, _convex_blend("C_A", "gamma_A"), _convex_blend("C_B", "gamma_B"))
    return next((reason for rule in rules if (reason := rule(p))), None)


# --- starting points, in units where the data's mean N and D are 1 -------------------------------


_START_EXPONENT = (0.1, 1.0)


def _start_floor(u: Params, scales: Scales, k: int) -> dict[str, Array]:
    return {"E": start_floor(u["E"], scales)}


def _start_size(u: Params, scales: Scales, k: int) -> dict[str, Array]:
    """A, alpha."""
    alpha = uniform(u["alpha"], *_START_EXPONENT)
    return {"A": start_amplitude(u["A"], scales), "alpha": alpha}


def _start_tokens(u: Params, scales: Scales, k: int) -> dict[str, Array]:
    """B, beta."""
    return {"B": start_amplitude(u["B"], scales), "beta": uniform(u["beta"], *_START_EXPONENT)}


def _start_mixture(u: Params, scales: Scales, k: int) -> dict[str, Array]:
    """C, gamma of the bias term."""
    share = log_uniform(u["C"], 0.04, 2.0)  # 1/C as a share of the smallest loss
    return {"C": 1.0 / (scales.loss_min * share), "gamma": log_uniform(u["gamma"], 0.14, 2.7)}


def _start_blend(u: Params, scales: Scales, name: str) -> dict[str, Array]:
    """C_name and gamma_name such that each vertex has an amplitude of the losses' size."""
    gamma = signed_log_uniform(u[f"gamma_{name}"], 0.35, 4.5)
    vertex = start_amplitude(u[f"C_{name}"], scales)
    return {f"C_{name}": vertex ** (1.0 / gamma), f"gamma_{name}": gamma}


def _start(*parts: Callable[[Params, Scales, int], Params]) -> Callable[..., Params]:
    """A sampler of starting points from those of a law's parts."""
    return lambda u, scales, k: {n: v for part in parts for n, v in part(u, scales, k).items()}


def _rescale_constant(params: Params, n_unit: Array, d_unit: Array) -> Params:
    """A N^-alpha and B D^-beta in other units of N and D."""
    out = dict(params)
    if "A" in out:
        out["A"] = out["A"] * n_unit ** -out["alpha"]
    if "B" in out:
        out["B"] = out["B"] * d_unit ** -out["beta"]
    return out


# --- eq. (2) ------------------------------------------------------------------------------------


def _chinchilla_loss(p: Params, x: Inputs) -> Array:
    n_term = power_term(jnp.log(p["A"]), x["n_params"], p["alpha"])
    return p["E"] + n_term + power_term(jnp.log(p["B"]), x["tokens"], p["beta"])


CHINCHILLA = Law(
    "chinchilla",
    _scalar("E", "A", "alpha", "B", "beta"),
    _chinchilla_loss,
    start=_start(_start_floor, _start_size, _start_tokens),
    rescale=_rescale_constant,
    inputs=(N_PARAMS, TOKENS),
    convex=lambda p: None,
    formula="E + A/N^alpha + B/D^beta",
    source="Hoffmann et al. 2022; eq. (2)",
)


# --- eq. (4), and its forms at fixed D and N (appendix B) ----------------------------------------


def _additive_fixed_loss(p: Params, x: Inputs) -> Array:
    return p["E"] + mixture_term(p["C"], p["gamma"], x["weights"])


def _additive_fixed_n_loss(p: Params, x: Inputs) -> Array:
    d_term = power_term(jnp.log(p["B"]), x["tokens"], p["beta"])
    return _additive_fixed_loss(p, x) + d_term


def _additive_fixed_d_loss(p: Params, x: Inputs) -> Array:
    n_term = power_term(jnp.log(p["A"]), x["n_params"], p["alpha"])
    return _additive_fixed_loss(p, x) + n_term


def _additive_loss(p: Params, x: Inputs) -> Array:
    n_term = power_term(jnp.log(p["A"]), x["n_params"], p["alpha"])
    return _additive_fixed_n_loss(p, x) + n_term


ADDITIVE = Law(
    "additive",
    (*_scalar("E", "A", "alpha", "B", "beta"), *_domain("C", "gamma")),
    _additive_loss,
    start=_start(_start_floor, _start_size, _start_tokens, _start_mixture),
    rescale=_rescale_constant,
    convex=_convex_bias,
    formula="E + 1/sum_i C_i h_i^gamma_i + A/N^alpha + B/D^beta",
    source=f"{_SOURCE}, eq. (4)",
)

ADDITIVE_FIXED_D = Law(
    "additive-fixed-d",
    (*_scalar("E", "A", "alpha"), *_domain("C", "gamma")),
    _additive_fixed_d_loss,
    start=_start(_start_floor, _start_size, _start_mixture),
    rescale=_rescale_constant,
    inputs=(N_PARAMS, WEIGHTS),
    convex=_convex_bias,
    formula="E + 1/sum_i C_i h_i^gamma_i + A/N^alpha",
    source=f"{_SOURCE}, eq. (4) at one D",
)

ADDITIVE_FIXED_ND = Law(
    "additive-fixed-nd",
    (*_scalar("E"), *_domain("C", "gamma")),
    _additive_fixed_loss,
    start=_start(_start_floor, _start_mixture),
    rescale=_rescale_constant,
    inputs=(WEIGHTS,),
    convex=_convex_bias,
    formula="E + 1/sum_i C_i h_i^gamma_i",
    source=f"{_SOURCE}, appendix B.1",
)

ADDITIVE_FIXED_N = Law(
    "additive-fixed-n",
    (*_scalar("E", "B", "beta"), *_domain("C", "gamma")),
    _additive_fixed_n_loss,
    start=_start(_start_floor, _start_tokens, _start_mixture),
    rescale=_rescale_constant,
    inputs=(TOKENS, WEIGHTS),
    convex=_convex_bias,
    formula="E + 1/sum_i C_i h_i^gamma_i + B/D^beta",
    source=f"{_SOURCE}, appendix B.2",
)


# --- eq. (9) ------------------------------------------------------------------------------------


def _simple_loss(p: Params, x: Inputs) -> Array:
    bias = jnp.exp(log_blend(p["C"], p["gamma"], x["weights"]))
    return bias + _chinchilla_loss(p, x)


def _start_simple_mixture(u: Params, scales: Scales, k: int) -> dict[str, Array]:
    gamma = signed_log_uniform(u["gamma"], 0.3, 3.0)
    vertex = scales.loss_min * log_uniform(u["C"], 0.04, 2.0)
    return {"C": vertex ** (1.0 / gamma), "gamma": gamma}


SIMPLE = Law(
    "simple",
    (*_scalar("E", "A", "alpha", "B", "beta"), *_domain("C"), *_exponent("gamma")),
    _simple_loss,
    start=_start(_start_floor, _start_size, _start_tokens, _start_simple_mixture),
    rescale=_rescale_constant,
    convex=_convex_blend("C", "gamma"),
    formula="E + (sum_i C_i h_i)^gamma + A/N^alpha + B/D^beta",
    # eq. (9) prints A over D^alpha and B over N^beta; named here as in every other law.
    source=f"{_SOURCE}, eq. (9)",
)


# --- eq. (5) ------------------------------------------------------------------------------------


def _joint_loss(p: Params, x: Inputs) -> Array:
    h = x["weights"]
    n_term = power_term(log_blend(p["C_A"], p["gamma_A"], h), x["n_params"], p["alpha"])
    d_term = power_term(log_blend(p["C_B"], p["gamma_B"], h), x["tokens"], p["beta"])
    return _additive_fixed_loss(p, x) + n_term + d_term


def _rescale_blends(params: Params, n_unit: Array, d_unit: Array) -> dict[str, Array]:
    """C_A and C_B in other units of N and D, with exponents that may differ by vertex."""
    factor_a = n_unit ** -(params["alpha"] / params["gamma_A"][..., None])
    factor_b = d_unit ** -(params["beta"] / params["gamma_B"][..., None])
    return {**params, "C_A": params["C_A"] * factor_a, "C_B": params["C_B"] * factor_b}


def _rescale_joint(params: Params, n_unit: Array, d_unit: Array) -> Params:
    lifted = {**params, **{name: params[name][..., None] for name in ("alpha", "beta")}}
    blends = _rescale_blends(lifted, n_unit, d_unit)
    return {**params, "C_A": blends["C_A"], "C_B": blends["C_B"]}


def _start_joint(u: Params, scales: Scales, k: int) -> dict[str, Array]:
    return {
        "E": start_floor(u["E"], scales),
        "alpha": uniform(u["alpha"], *_START_EXPONENT),
        "beta": uniform(u["beta"], *_START_EXPONENT),
        **_start_mixture(u, scales, k),
        **_start_blend(u, scales, "A"),
        **_start_blend(u, scales, "B"),
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
    convex=_convex_joint,
    formula="E + 1/sum_i C_i h_i^gamma_i + A(h)/N^alpha + B(h)/D^beta, "
    "A(h) = (sum_i C_A_i h_i)^gamma_A, B(h) = (sum_i C_B_i h_i)^gamma_B",
    source=f"{_SOURCE}, eq. (5)",
)


# --- eq. (10), (11) -----------------------------------------------------------------------------


def _full_loss(p: Params, x: Inputs) -> Array:
    h = x["weights"]
    alpha = jnp.exp(log_blend(p["C_alpha"], p["gamma_alpha"], h))  # eq. (11)
    beta = jnp.exp(log_blend(p["C_beta"], p["gamma_beta"], h))
    return _joint_loss({**p, "alpha": alpha, "beta": beta}, x)


def _start_full(u: Params, scales: Scales, k: int) -> dict[str, Array]:
    """A joint start with exponents that are alike at every vertex, in natural units."""
    exponents = {
        name: (uniform(u[f"C_{name}"], 0.5, 1.5) * uniform(u["E"], *_START_EXPONENT))
        for name in ("alpha", "beta")
    }
    joint = _start_joint({**u, "alpha": u["C_alpha"][0], "beta": u["C_beta"][0]}, scales, k)
    at_vertex = {**joint, **exponents}
    return {
        **_rescale_blends(at_vertex, 1.0 / scales.n_params, 1.0 / scales.tokens),
        **{f"C_{name}": value for name, value in exponents.items()},
        "gamma_alpha": jnp.ones(()),
        "gamma_beta": jnp.ones(()),
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
