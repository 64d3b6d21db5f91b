"""``effective``: a law with one transfer for every domain, the law for few mixtures.

Every token of domain i is worth tau_i tokens to the target, and the loss is a power law in N and
in their sum::

    L(N, D, h) = E + A / N^alpha + 1 / (sum_i tau_i h_i D)^beta

It has k + 4 parameters; the additive law has 2 k + 5. With ``+repetition`` the tokens of domain i
are its effective ones, D'_i. Tables of one size, of one D or of both have the law without the terms
that they cannot tell: ``effective-fixed-n``, ``effective-fixed-d`` and ``effective-fixed-nd``.
"""

from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp

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
    power_term,
    start_amplitude,
    start_floor,
    start_transfer,
    transfer_in_units,
    transfer_term,
    uniform,
)

_SOURCE = (
    "power laws in N and in tokens weighed by their transfer to the target; Hernandez et al. 2021 "
    "(arXiv 2102.01293) for the idea of effective data transferred"
)


@dataclass(frozen=True)
class TransferLoss:
    """The loss of ``effective``: convex and decreasing in the tokens h_i D of every domain.

    Attributes:
        by_size: whether it has the term in N.
        by_tokens: whether the tokens are h_i D; if not they are h_i.
    """

    by_size: bool = True
    by_tokens: bool = True

    def __call__(self, p: Params, x: Inputs) -> Array:
        """E + A/N^alpha + (sum_i tau_i h_i D)^-beta."""
        size = power_term(jnp.log(p["A"]), x["n_params"], p["alpha"]) if self.by_size else 0.0
        tokens = x["tokens"] if self.by_tokens else 1.0
        return p["E"] + size + transfer_term(p["tau"], x["weights"], tokens, p["beta"])


def _start(u: Params, scales: Scales, k: int, by_size: bool) -> Params:
    beta = uniform(u["beta"], 0.1, 1.0)
    tau = start_transfer(u["tau"], scales, beta)
    found = {"E": start_floor(u["E"], scales), "beta": beta, "tau": tau}
    if not by_size:
        return found
    return {**found, "A": start_amplitude(u["A"], scales), "alpha": uniform(u["alpha"], 0.1, 1.0)}


def _rescale(
    params: Params, n_unit: Array, d_unit: Array, by_size: bool, by_tokens: bool
) -> Params:
    found = dict(params)
    if by_size:
        found["A"] = params["A"] * n_unit ** -params["alpha"]
    if by_tokens:
        found["tau"] = transfer_in_units(params["tau"], d_unit)
    return found


def _law(ending: str = "", by_size: bool = True, by_tokens: bool = True) -> Law:
    held = "" if by_size and by_tokens else " at one "
    held += " and ".join("N" * (not by_size) + "D" * (not by_tokens))
    size = (Parameter("A"), Parameter("alpha", low=1e-2, high=5.0)) if by_size else ()
    tokens = "h_i D" if by_tokens else "h_i"
    return Law(
        f"effective{ending}",
        (
            Parameter("E"),
            *size,
            Parameter("beta", low=1e-2, high=5.0),
            Parameter("tau", "domain"),
        ),
        TransferLoss(by_size, by_tokens),
        start=partial(_start, by_size=by_size),
        rescale=partial(_rescale, by_size=by_size, by_tokens=by_tokens),
        inputs=(*(N_PARAMS,) * by_size, *(TOKENS,) * by_tokens, WEIGHTS),
        convex=lambda p: None,  # a decreasing power of a non-negative sum of the weights
        formula=f"E{' + A/N^alpha' if by_size else ''} + 1/(sum_i tau_i {tokens})^beta",
        source=f"the effective law{held}" if held else _SOURCE,
    )


EFFECTIVE = _law()
EFFECTIVE_FIXED_ND = _law("-fixed-nd", by_size=False, by_tokens=False)
EFFECTIVE_FIXED_N = _law("-fixed-n", by_size=False)
EFFECTIVE_FIXED_D = _law("-fixed-d", by_tokens=False)
