"""What a law must beat: a target's own weight alone, and a straight line in the logarithm."""

import jax.numpy as jnp

from jaxmix.laws.law import (
    N_PARAMS,
    OWN_WEIGHT,
    TOKENS,
    Array,
    Inputs,
    Law,
    Parameter,
    Params,
    Scales,
)
from jaxmix.laws.scaling import CHINCHILLA
from jaxmix.laws.terms import power_term, uniform


def _own_weight_loss(p: Params, x: Inputs) -> Array:
    """Infinite where the target's own weight is 0."""
    positive = x["weights"] > 0
    own_tokens = jnp.where(positive, x["weights"], 1.0) * x["tokens"]
    loss = CHINCHILLA.loss(p, {"n_params": x["n_params"], "tokens": own_tokens})
    return jnp.where(positive, loss, jnp.inf)


OWN_WEIGHT_LAW = Law(
    "own-weight",
    CHINCHILLA.parameters,
    _own_weight_loss,
    start=CHINCHILLA.start,
    rescale=CHINCHILLA.rescale,
    inputs=(N_PARAMS, TOKENS, OWN_WEIGHT),
    convex=lambda p: None,
    formula="E + A/N^alpha + B/(h_own D)^beta",
    source="Hoffmann et al. 2022 on the tokens of the target's own domain; a baseline",
)


def _log_linear_loss(p: Params, x: Inputs) -> Array:
    n_term = power_term(jnp.sum(p["c"] * x["weights"], -1), x["n_params"], p["alpha"])
    return n_term * power_term(0.0, x["tokens"], p["beta"])


def _start_log_linear(u: Params, scales: Scales, k: int) -> Params:
    c = uniform(u["c"], jnp.log(scales.loss_min), jnp.log(scales.loss_max))
    return {"c": c, "alpha": uniform(u["alpha"], 0.01, 0.3), "beta": uniform(u["beta"], 0.01, 0.3)}


def _rescale_log_linear(params: Params, n_unit: Array, d_unit: Array) -> Params:
    """The weights sum to 1, so that a constant goes into every c."""
    shift = params["alpha"] * jnp.log(n_unit) + params["beta"] * jnp.log(d_unit)
    return {**params, "c": params["c"] - jnp.asarray(shift)[..., None]}


LOG_LINEAR = Law(
    "log-linear",
    (
        Parameter("c", "domain", "real"),
        *(Parameter(n, low=1e-6, high=5.0) for n in ("alpha", "beta")),
    ),
    _log_linear_loss,
    start=_start_log_linear,
    rescale=_rescale_log_linear,
    convex=lambda p: None,
    formula="exp(sum_i c_i h_i) / (N^alpha D^beta)",
    source="linear regression of the log loss on log N, log D and the weights; a baseline",
)
