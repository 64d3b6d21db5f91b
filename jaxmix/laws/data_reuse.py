"""Repeated data: what repeated tokens are still worth (``jaxmix.laws.harm``: what harm they do).

``+repetition``: Muennighoff et al. 2023, Scaling Data-Constrained Language Models
(arXiv 2305.16264). With U_i unique tokens of domain i, of which training sees h_i D, the effective
data of the domain are their eq. (5), which for one domain is theirs exactly::

    D'_i = U_i (1 + R (1 - exp(-(h_i D / U_i - 1) / R)))  beyond one epoch, else h_i D
    L(N, D, h, U) = base(N', D', h'),  D' = sum_i D'_i,  h'_i = D'_i / D'

If the base law is Chinchilla's, N' is their eq. (6) as well: parameters beyond those that are
compute-optimal for the unique tokens lose value in the same way. Elsewhere N' = N.
``+repetition-by-domain`` has an R_i for every domain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from jaxmix.errors import JaxmixError
from jaxmix.laws.effective import TransferLoss
from jaxmix.laws.law import (
    UNIQUE,
    WEIGHTS,
    Array,
    Inputs,
    Law,
    Parameter,
    Params,
    Scales,
)
from jaxmix.laws.scaling import CHINCHILLA
from jaxmix.laws.terms import log_uniform
from jaxmix.laws.transforms import MoreStarts, SameUnits, with_inputs

R_D_STAR = 15.387756  # appendix A of arXiv 2305.16264: C4, GPT-2-like models up to 9B parameters
R_N_STAR = 5.309743
REPETITION, BY_DOMAIN = "+repetition", "+repetition-by-domain"

_R_D = Parameter("R_D_star", "scalar", "positive", 1e-2, 1e4)
_R_D_DOMAIN = Parameter("R_D_star", "domain", "positive", 1e-2, 1e4, unknown=R_D_STAR)
_R_N = Parameter("R_N_star", "scalar", "positive", 1e-2, 1e4)


def worth(ratio: Any, decay: Any) -> Array:
    """``1 + decay (1 - exp(-(ratio - 1) / decay))`` beyond 1, else ``ratio``: eq. (5) and (6)."""
    endless = jnp.isinf(ratio)
    over = (ratio > 1) & ~endless
    excess = jnp.where(over, ratio - 1.0, 0.0)
    return jnp.where(
        endless, 1.0 + decay, jnp.where(over, 1.0 - decay * jnp.expm1(-excess / decay), ratio)
    )


def effective_data(
    weights: Any, tokens: Any, unique: Any, r_star: Any, by_domain: bool = False
) -> tuple[Array, Array]:
    """What D tokens of mixture h are worth in fresh ones: eq. (5) for each domain.

    Args:
        weights: h [..., k], summing to 1.
        tokens: D [...]; ``inf`` is the limit.
        unique: U [..., k], positive; ``inf`` where a domain never repeats.
        r_star: R*_D [...], or [..., k] with ``by_domain``.
        by_domain: whether every domain has its own decay.

    Returns:
        D' [...] and h' [..., k]; D and h themselves, to the bit, where nothing repeats.
    """
    weights, tokens = jnp.asarray(weights), jnp.asarray(tokens)
    endless = jnp.isinf(tokens)
    d = jnp.where(endless, 1.0, tokens)[..., None]
    decay = jnp.asarray(r_star) if by_domain else jnp.asarray(r_star)[..., None]
    seen = weights * d  # [..., k]
    limited = (seen > unique) | (endless[..., None] & jnp.isfinite(unique) & (weights > 0))
    cap = jnp.where(limited, unique, 1.0)
    ratio = jnp.where(limited, jnp.where(endless[..., None], jnp.inf, seen / cap), 1.0)
    fresh = jnp.where(limited, cap * worth(ratio, decay), seen)
    # At D = inf domains that never repeat, if any, are all that counts.
    unlimited = jnp.where(limited, 0.0, weights)
    forever = endless & jnp.any(unlimited > 0, -1)
    part = jnp.where(forever[..., None], unlimited, fresh)
    total = jnp.sum(part, -1)
    repeats = jnp.any(limited, -1)
    d_effective = jnp.where(repeats & ~forever, total, tokens)
    h_effective = jnp.where(repeats[..., None], part / total[..., None], weights)
    return d_effective, h_effective


def effective_params(p: Params, n_params: Any, weights: Any, tokens: Any, unique: Any) -> Array:
    """What N parameters are worth, eq. (6), with U_N compute-optimal for the unique tokens used.

    U_N solves ``alpha A / U_N^alpha = beta B / U_D^beta``: the optimum of the base law at a fixed
    product N D, whose closed form is theirs (appendix A). U_D are the unique tokens seen, as in
    their fit also where nothing repeats yet; N itself where every domain is infinite.
    """
    weights, tokens = jnp.asarray(weights), jnp.asarray(tokens)[..., None]
    seen = weights * jnp.where(jnp.isinf(tokens), 1.0, tokens)
    used = jnp.where(jnp.isinf(tokens) & (weights > 0), unique, jnp.minimum(seen, unique))
    u_tokens = jnp.sum(used, -1)
    unlimited, endless = jnp.isinf(u_tokens), jnp.isinf(n_params)
    log_u = jnp.log(jnp.where(unlimited, 1.0, u_tokens))
    log_ratio = jnp.log(p["alpha"] * p["A"] / (p["beta"] * p["B"]))
    u_params = jnp.exp((log_ratio + p["beta"] * log_u) / p["alpha"])
    ratio = jnp.where(endless, jnp.inf, jnp.where(endless, 1.0, n_params) / u_params)
    excess = (ratio > 1) & ~unlimited & jnp.any(jnp.isfinite(unique), -1)
    return jnp.where(excess, u_params * worth(ratio, p["R_N_star"]), n_params)


@dataclass(frozen=True)
class RepeatedLoss:
    """The loss of ``repeated(base)``; alike if their bases are."""

    base: Law
    excess: bool
    by_domain: bool

    def __call__(self, p: Params, x: Inputs) -> Array:
        """L(N', D', h')."""
        h, tokens, unique = x["weights"], x["tokens"], x["unique"]
        seen, decay = dict(x), p["R_D_star"]
        seen["tokens"], seen["weights"] = effective_data(h, tokens, unique, decay, self.by_domain)
        if self.excess:
            seen["n_params"] = effective_params(p, x["n_params"], h, tokens, unique)
        return self.base.loss(p, seen)


def _start_decays(u: Params, scales: Scales, k: int) -> Params:
    return {n: log_uniform(u[n], 1.0, 100.0) for n in ("R_D_star", "R_N_star") if n in u}


def repeated(law: Law, by_domain: bool = False) -> Law:
    """The law that knows repetition: its data term sees effective tokens and weights.

    It has one more parameter, ``R_D_star``: about how many repetitions of a domain are worth
    something. On Chinchilla's law it also has ``R_N_star``, the same for excess parameters. It is
    convex in the weights if the base law depends on them through a decreasing convex function of a
    non-negative sum of the domains' tokens, as ``effective`` does: D'_i is concave in h_i.

    Args:
        law: a law of tokens; ``get_law("additive+repetition")`` is ``repeated(ADDITIVE)``.
        by_domain: whether every domain has a decay of its own; that of a domain that no row
            repeats is the published one.

    Raises:
        JaxmixError: the law does not look at tokens, sees only its own domain's weight, or knows
            repetition already.

    Source: Muennighoff et al. 2023 (arXiv 2305.16264), eq. (5) and (6), for each domain.
    """
    if law.reads("unique"):
        raise JaxmixError(f"law '{law.name}' knows repetition already")
    check_counts_epochs(law, "repetition")
    excess = law.name == "chinchilla" and not by_domain
    suffix = BY_DOMAIN if by_domain else REPETITION
    more = (_R_D_DOMAIN if by_domain else _R_D, *([_R_N] if excess else []))
    return Law(
        f"{law.name}{suffix}",
        (*law.parameters, *more),
        RepeatedLoss(law, excess, by_domain),
        start=MoreStarts(law, _start_decays) if law.start else None,
        rescale=SameUnits(law) if law.rescale else None,
        inputs=with_inputs(law, WEIGHTS, UNIQUE),
        convex=_convex_repeated(law, excess),
        formula=f"{law.formula}, at effective "
        f"{'N, ' if excess else ''}D and h: D' = sum_i D'_i, h'_i = D'_i/D', "
        f"D'_i = U_i (1 + R{'_i' * by_domain} (1 - exp(-(h_i D/U_i - 1)/R{'_i' * by_domain}))) "
        "if h_i D > U_i, else h_i D",
        source=f"{law.source}; Muennighoff et al. 2023 (arXiv 2305.16264), eq. (5) and (6)",
    )


def check_counts_epochs(law: Law, what: str) -> None:
    """Refuses a law that cannot tell how often the tokens of every domain are read."""
    if law.reads_own or not law.reads("tokens"):
        read = "only one domain's weight" if law.reads_own else "no tokens"
        raise JaxmixError(f"law '{law.name}' reads {read}, so it cannot know {what}")


def _convex_repeated(law: Law, excess: bool) -> Callable[[Params], str | None]:
    """The rule of ``repeated(law)``: a decreasing convex function of concave ones is convex."""
    of_tokens = isinstance(law.loss, TransferLoss) or (law.loss == CHINCHILLA.loss and not excess)
    why = None if of_tokens else "it is not known to be convex at effective tokens"
    return lambda p: why
