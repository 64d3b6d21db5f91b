"""``+scarcity``: a floor that the unique tokens seen set, however often they are repeated.

The data-constrained form C / U^c of one domain, for many, behind any law of tokens::

    L = base + 1 / (sum_i tau_i u_i)^c,   u_i = min(h_i D, U_i)

``min`` has its corner rounded, so that a solver meets no kink where a domain is read exactly once:
u_i is the effective data of a decay of a twentieth of an epoch, at most 5% above U_i.
"""

from dataclasses import dataclass
from typing import Any

from jaxmix.laws.data_reuse import check_counts_epochs, effective_data
from jaxmix.laws.law import UNIQUE, WEIGHTS, Array, Inputs, Law, Parameter, Params, Scales
from jaxmix.laws.terms import start_transfer, transfer_in_units, transfer_term, uniform
from jaxmix.laws.transforms import MoreStarts, check_new, with_inputs

SCARCITY = "+scarcity"
_CORNER = 0.05  # epochs


@dataclass(frozen=True)
class ScarceLoss:
    """The loss of ``scarce(base)``; alike if their bases are."""

    base: Law

    def __call__(self, p: Params, x: Inputs) -> Array:
        """The base law's loss and the floor."""
        seen, shares = effective_data(x["weights"], x["tokens"], x["unique"], _CORNER)
        return self.base.loss(p, x) + transfer_term(p["tau"], shares, seen, p["c"])


def _start(u: Params, scales: Scales, k: int) -> Params:
    c = uniform(u["c"], 0.1, 1.0)
    return {"c": c, "tau": start_transfer(u["tau"], scales, c)}


@dataclass(frozen=True)
class _Rescale:
    base: Law

    def __call__(self, params: Params, n_unit: Any, d_unit: Any) -> Params:
        assert self.base.rescale is not None
        tau = transfer_in_units(params["tau"], d_unit)
        return {**self.base.rescale(params, n_unit, d_unit), "tau": tau}


def scarce(law: Law) -> Law:
    """The law with a floor set by unique tokens; ``get_law("chinchilla+scarcity")``.

    Args:
        law: a law of tokens without a transfer of its own.

    Raises:
        JaxmixError: the law does not look at tokens, sees only its own domain's weight, or has
            parameters of these names.

    Source: C/U^c of data-constrained scaling laws, with a transfer tau_i for every domain.
    """
    check_new(law, SCARCITY, "tau", "c")
    check_counts_epochs(law, "scarcity")
    return Law(
        f"{law.name}{SCARCITY}",
        (*law.parameters, Parameter("c", low=1e-2, high=5.0), Parameter("tau", "domain")),
        ScarceLoss(law),
        start=MoreStarts(law, _start) if law.start else None,
        rescale=_Rescale(law) if law.rescale else None,
        inputs=with_inputs(law, WEIGHTS, UNIQUE),
        convex=law.convex.rule,  # a decreasing power of a non-negative sum of concave functions
        formula=f"{law.formula}, + 1/(sum_i tau_i u_i)^c, u_i = min(h_i D, U_i)",
        source=f"{law.source}; a floor C/U^c set by unique tokens",
    )
