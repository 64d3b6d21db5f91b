"""``+harm``: reading a domain too often raises the loss, as a model learns its tokens by heart.

With e_i = h_i D / U_i epochs of the U_i unique tokens of domain i, harm begins once these epochs
times the parameters per unique token (to a power) pass a threshold t, and grows from there::

    L = base + sum_i g_i max(e_i (N / U_i)^nu / t - 1, 0)

So harm begins at t (U_i / N)^nu epochs: sooner for larger models and smaller stocks. The corner of
``max`` is rounded by a parabola, so that solvers and certificates meet no kink: harm is exactly 0
up to half the threshold and linear from one and a half of it. Rows that stay below say nothing
about g_i. Harm is convex in the weights: e_i is linear in h_i.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from jaxmix.laws.data_reuse import check_counts_epochs
from jaxmix.laws.law import N_PARAMS, UNIQUE, WEIGHTS, Array, Inputs, Law, Parameter, Params, Scales
from jaxmix.laws.terms import log_uniform
from jaxmix.laws.transforms import MoreStarts, check_new, with_inputs

HARM = "+harm"
_CORNER = 0.5  # half the width of the parabola, thresholds


def harm(p: Params, x: Inputs) -> Array:
    """sum_i g_i max(e_i (N/U_i)^nu / t - 1, 0), its corner rounded: nats [...]."""
    h, tokens, n_params = x["weights"], x["tokens"], x["n_params"]
    n, d = (jnp.asarray(v)[..., None] for v in (n_params, tokens))
    repeats = jnp.isfinite(x["unique"]) & (h > 0)
    stock = jnp.where(repeats, x["unique"], 1.0)
    log_reads = jnp.log(jnp.where(repeats, h, 1.0)) + jnp.log(d) - jnp.log(stock)
    nu, t = (jnp.asarray(p[name])[..., None] for name in ("nu", "t"))
    z = jnp.exp(log_reads + nu * (jnp.log(n) - jnp.log(stock)) - jnp.log(t))
    inside = jnp.clip(z - 1.0 + _CORNER, 0.0, 2.0 * _CORNER)
    bent = inside**2 / (4.0 * _CORNER) + jnp.maximum(z - 1.0 - _CORNER, 0.0)
    return jnp.sum(jnp.where(repeats, p["g"] * bent, 0.0), -1)


@dataclass(frozen=True)
class HarmedLoss:
    """The loss of ``harmed(base)``; alike if their bases are."""

    base: Law

    def __call__(self, p: Params, x: Inputs) -> Array:
        """The base law's loss and the harm."""
        return self.base.loss(p, x) + harm(p, x)


def _start(u: Params, scales: Scales, k: int) -> Params:
    spread = jnp.maximum(scales.loss_max - scales.loss_min, 1e-3 * scales.loss_min)
    return {
        "g": spread * log_uniform(u["g"], 1e-3, 0.3),
        "t": log_uniform(u["t"], 1.0, 3e3),  # stocks are smaller than what is read
        "nu": log_uniform(u["nu"], 0.2, 2.0),
    }


@dataclass(frozen=True)
class _Rescale:
    base: Law

    def __call__(self, params: Params, n_unit: Any, d_unit: Any) -> Params:
        """The threshold is measured in powers of parameters per token."""
        assert self.base.rescale is not None
        t = params["t"] * (d_unit / n_unit) ** params["nu"]
        return {**self.base.rescale(params, n_unit, d_unit), "t": t}


def harmed(law: Law) -> Law:
    """The law with a term for the harm of repeated data; ``get_law("additive+repetition+harm")``.

    Args:
        law: a law of tokens, as a rule one that knows repetition already; without it repeated
            tokens are worth fresh ones until they harm. The harm of a domain that no row repeats
            is unknown: a fit says so and takes it as none.

    Raises:
        JaxmixError: the law does not look at tokens, sees only its own domain's weight, or has
            harm already.
    """
    check_new(law, HARM, "g", "t", "nu")
    check_counts_epochs(law, "harm")
    return Law(
        f"{law.name}{HARM}",
        (
            *law.parameters,
            Parameter("g", "domain", unknown=0.0),
            Parameter("t"),
            Parameter("nu", low=1e-2, high=5.0),
        ),
        HarmedLoss(law),
        start=MoreStarts(law, _start) if law.start else None,
        rescale=_Rescale(law) if law.rescale else None,
        inputs=with_inputs(law, N_PARAMS, WEIGHTS, UNIQUE),
        convex=law.convex.rule,  # a sum of convex functions if the base law is one: g >= 0
        formula=f"{law.formula}, + sum_i g_i max(e_i (N/U_i)^nu/t - 1, 0), e_i = h_i D/U_i",
        source=f"{law.source}; harm counted in epochs",
    )
