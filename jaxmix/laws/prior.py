"""Laws of prior work, as appendix B of the paper writes them: Ye et al. M1 to M4 and Ge et al.

Ye et al. 2024, Data Mixing Laws (arXiv 2403.16952); Ge et al. 2024, BiMix (arXiv 2405.14908).
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.laws.law import (
    OWN_WEIGHT,
    TOKENS,
    WEIGHTS,
    Array,
    Inputs,
    Law,
    Parameter,
    Params,
    Scales,
)
from jaxmix.laws.terms import log_uniform, power_term, start_amplitude, start_floor, uniform

_E = Parameter("E")
_C = Parameter("C")
_GAMMA = Parameter("gamma", "domain", "real")


def _start_ye(u: Params, scales: Scales, k: int) -> Params:
    return {
        "E": start_floor(u["E"], scales),
        "C": start_amplitude(u["C"], scales),
        "gamma": 3.0 * jax.scipy.special.ndtri(u["gamma"]),
    }


def _convex_ye(p: Params) -> str | None:
    """Exponentials of linear functions are convex, and so are sums of them with C >= 0."""
    return None if np.all(np.asarray(p["C"]) >= 0) else "a C is negative"


YE_M1 = Law(
    "ye-m1",
    (_E, Parameter("C", "domain", "real"), _GAMMA),
    lambda p, x: p["E"] + jnp.sum(p["C"] * jnp.exp(p["gamma"] * x["weights"]), -1),
    start=_start_ye,
    inputs=(WEIGHTS,),
    convex=_convex_ye,
    formula="E + sum_i C_i exp(gamma_i h_i)",
    source="Ye et al. 2024, M1 (appendix B.1)",
)

YE_M2 = Law(
    "ye-m2",
    (_E, _C, _GAMMA),
    lambda p, x: p["E"] + p["C"] * jnp.sum(jnp.exp(p["gamma"] * x["weights"]), -1),
    start=_start_ye,
    inputs=(WEIGHTS,),
    convex=_convex_ye,
    formula="E + C sum_i exp(gamma_i h_i)",
    source="Ye et al. 2024, M2 (appendix B.1)",
)

YE_M3 = Law(
    "ye-m3",
    (_E, _C, _GAMMA),
    lambda p, x: p["E"] + p["C"] * jnp.exp(jnp.prod(p["gamma"] * x["weights"], -1)),
    start=_start_ye,
    inputs=(WEIGHTS,),
    formula="E + C exp(prod_i gamma_i h_i)",
    source="Ye et al. 2024, M3 (appendix B.1); only the product of the gamma_i is identified",
)

YE_M4 = Law(
    "ye-m4",
    (_E, _C, _GAMMA),
    lambda p, x: p["E"] + p["C"] * jnp.exp(jnp.sum(p["gamma"] * x["weights"], -1)),
    start=_start_ye,
    inputs=(WEIGHTS,),
    convex=_convex_ye,
    formula="E + C exp(sum_i gamma_i h_i)",
    source="Ye et al. 2024, M4 (appendix B.1)",
)


def _ge_loss(p: Params, x: Inputs) -> Array:
    """Infinite where the target's own weight is 0: the law itself diverges there."""
    own = x["weights"]
    positive = own > 0
    log_own = jnp.log(jnp.where(positive, own, 1.0))
    scale = p["E"] + power_term(jnp.log(p["B"]), x["tokens"], p["beta"])
    return jnp.where(positive, scale * jnp.exp(-p["gamma"] * log_own), jnp.inf)


def _convex_ge(p: Params) -> str | None:
    convex = p["gamma"] >= 0 and p["E"] >= 0 and p["B"] >= 0
    return None if convex else "gamma is negative"


def _start_ge(u: Params, scales: Scales, k: int) -> Params:
    return {
        "E": start_floor(u["E"], scales),
        "B": start_amplitude(u["B"], scales),
        "beta": uniform(u["beta"], 0.1, 1.0),
        "gamma": log_uniform(u["gamma"], 0.003, 0.3),
    }


def _rescale_ge(params: Params, n_unit: Array, d_unit: Array) -> Params:
    return {**params, "B": params["B"] * d_unit ** -params["beta"]}


GE = Law(
    "ge",
    (_E, Parameter("B"), Parameter("beta"), Parameter("gamma")),
    _ge_loss,
    start=_start_ge,
    rescale=_rescale_ge,
    inputs=(TOKENS, OWN_WEIGHT),
    convex=_convex_ge,
    formula="(B/D^beta + E)/h_own^gamma",
    # The paper's factor C multiplies both B and E and is absorbed in them.
    source="Ge et al. 2024 (appendix B.2)",
)
