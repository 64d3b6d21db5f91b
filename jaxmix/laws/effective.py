"""``effective``: a law with one transfer for every domain, the law for few mixtures.

Every token of domain i is worth tau_i tokens to the target, and the loss is a power law in N and
in their sum::

    L(N, D, h) = E + A / N^alpha + 1 / (sum_i tau_i h_i D)^beta

It has k + 4 parameters; the additive law has 2 k + 5. With ``+repetition`` the tokens of domain i
are its effective ones, D'_i.
"""

from dataclasses import dataclass

import jax.numpy as jnp

from jaxmix.laws.law import Array, Inputs, Law, Parameter, Params, Scales
from jaxmix.laws.terms import log_uniform, power_term, start_amplitude, start_floor, uniform


@dataclass(frozen=True)
class TransferLoss:
    """The loss of ``effective``: convex and decreasing in the tokens h_i D of every domain."""

    def __call__(self, p: Params, x: Inputs) -> Array:
        """E + A/N^alpha + (sum_i tau_i h_i D)^-beta."""
        n_term = power_term(jnp.log(p["A"]), x["n_params"], p["alpha"])
        worth = jnp.log(jnp.sum(p["tau"] * x["weights"], -1))
        return p["E"] + n_term + power_term(-p["beta"] * worth, x["tokens"], p["beta"])


def start_transfer(u: Params, amplitude: Array, beta: Array) -> Array:
    """Transfers for data whose share of the loss at unit tokens is given, tenfold to both sides."""
    return amplitude ** (-1.0 / beta) * log_uniform(u["tau"], 0.1, 10.0)


def _start(u: Params, scales: Scales, k: int) -> Params:
    beta = uniform(u["beta"], 0.1, 1.0)
    # The draw of tau's first value also places their size: there is no amplitude beside it.
    return {
        "E": start_floor(u["E"], scales),
        "A": start_amplitude(u["A"], scales),
        "alpha": uniform(u["alpha"], 0.1, 1.0),
        "beta": beta,
        "tau": start_transfer(u, start_amplitude(u["tau"][0], scales), beta),
    }


def _rescale(params: Params, n_unit: Array, d_unit: Array) -> Params:
    size = params["A"] * n_unit ** -params["alpha"]
    return {**params, "A": size, "tau": params["tau"] * jnp.asarray(d_unit)[..., None]}


EFFECTIVE = Law(
    "effective",
    (
        *(Parameter(n) for n in ("E", "A")),
        *(Parameter(n, low=1e-2, high=5.0) for n in ("alpha", "beta")),
        Parameter("tau", "domain"),
    ),
    TransferLoss(),
    start=_start,
    rescale=_rescale,
    convex=lambda p: None,  # a decreasing power of a non-negative sum of the weights
    formula="E + A/N^alpha + 1/(sum_i tau_i h_i D)^beta",
    source="power laws in N and in tokens weighed by their transfer to the target; "
    "Hernandez et al. 2021 (arXiv 2102.01293) for the idea of effective data transferred",
)
