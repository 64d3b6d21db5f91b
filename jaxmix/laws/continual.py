"""Laws of continued training: ``d-cpt``, and ``+before`` for tokens trained on before.

``d-cpt`` (Que et al. 2024, D-CPT Law, arXiv 2406.01375) is the loss of a target domain as a
function of its own weight h::

    L(N, D, h) = E + A / N^alpha + B h^eta / D^beta + C / (h + epsilon)^gamma

``+before``: each of the P tokens that the starting parameters have been trained on (column
``tokens_before``) counts as rho tokens of this run: the base law at D + rho P.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.laws.law import (
    N_PARAMS,
    OWN_WEIGHT,
    TOKENS,
    Array,
    Input,
    Inputs,
    Law,
    Parameter,
    Params,
    Scales,
)
from jaxmix.laws.scaling import CHINCHILLA
from jaxmix.laws.terms import log_uniform, power_term, start_amplitude, weight_power
from jaxmix.laws.transforms import MoreStarts, SameUnits, check_new, with_inputs

BEFORE = "+before"
TOKENS_BEFORE = Input("tokens_before", unit="tokens", default=0.0)


def _d_cpt_loss(p: Params, x: Inputs) -> Array:
    h = x["weights"]
    d_term = weight_power(h, p["eta"]) * power_term(jnp.log(p["B"]), x["tokens"], p["beta"])
    n_term = power_term(jnp.log(p["A"]), x["n_params"], p["alpha"])
    return p["E"] + n_term + d_term + p["C"] * (h + p["epsilon"]) ** -p["gamma"]


def _start_own(u: Params, scales: Scales, k: int) -> Params:
    return {
        "eta": log_uniform(u["eta"], 0.1, 2.0),
        "C": start_amplitude(u["C"], scales),
        "gamma": log_uniform(u["gamma"], 0.1, 2.0),
        "epsilon": log_uniform(u["epsilon"], 1e-3, 0.3),
    }


def _convex_d_cpt(p: Params) -> str | None:
    """C/(h + epsilon)^gamma is convex; h^eta is if eta >= 1."""
    return None if np.all(np.asarray(p["eta"]) >= 1) else "eta is below 1"


D_CPT = Law(
    "d-cpt",
    (
        *CHINCHILLA.parameters,
        Parameter("eta", low=1e-3, high=30.0),
        Parameter("C"),
        Parameter("gamma", low=1e-3, high=30.0),
        Parameter("epsilon", low=1e-6, high=1.0),
    ),
    _d_cpt_loss,
    start=MoreStarts(CHINCHILLA, _start_own),
    rescale=CHINCHILLA.rescale,
    inputs=(N_PARAMS, TOKENS, OWN_WEIGHT),
    convex=_convex_d_cpt,
    formula="E + A/N^alpha + B h_own^eta/D^beta + C/(h_own + epsilon)^gamma",
    source="Que et al. 2024, D-CPT Law (arXiv 2406.01375)",
)


@dataclass(frozen=True)
class BeforeLoss:
    """The loss of ``begun(base)``; alike if their bases are."""

    base: Law

    def __call__(self, p: Params, x: Inputs) -> Array:
        """The base law at D + rho P."""
        return self.base.loss(p, {**x, "tokens": x["tokens"] + p["rho"] * x["tokens_before"]})


def _start_before(u: Params, scales: Scales, k: int) -> Params:
    return {"rho": log_uniform(u["rho"], 1e-3, 1.0)}


def begun(law: Law) -> Law:
    """The law of runs that continue others: tokens trained on before count as rho of D's.

    It reads the column ``tokens_before``, which tables of continued runs have; rows without it
    count as begun anew. Give ``--at tokens_before=...`` where a mixture is optimized.

    Args:
        law: a law of tokens.

    Raises:
        JaxmixError: the law does not read tokens, or has this already.
    """
    check_new(law, BEFORE, "rho")
    if not law.reads("tokens") or law.reads("unique"):
        what = "counts epochs, which tokens trained on before have no part in"
        why = what if law.reads("unique") else "reads no tokens"
        raise JaxmixError(
            f"law '{law.name}' {why}; put {BEFORE} behind the name of a law of tokens"
        )
    return Law(
        f"{law.name}{BEFORE}",
        (*law.parameters, Parameter("rho", low=1e-9, high=1e3)),
        BeforeLoss(law),
        start=MoreStarts(law, _start_before) if law.start else None,
        rescale=SameUnits(law) if law.rescale else None,
        inputs=with_inputs(law, TOKENS_BEFORE),
        convex=law.convex.rule,
        formula=f"{law.formula}, at D + rho P, P tokens trained on before",
        source=f"{law.source}; tokens trained on before as an input",
    )
