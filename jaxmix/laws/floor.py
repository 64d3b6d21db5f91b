"""``+floor``: the floored log link, L = F + exp(eta), of any law.

A law such as the additive one adds what N, D and the mixture cost in nats. Behind the link these
costs multiply, above a floor F that nothing lowers::

    L(x) = F + exp(base(x))

If the base law has a constant E, it is of either sign here. The log-linear law is such a link
already, with F = 0, and gets the floor alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax.numpy as jnp

from jaxmix.laws.law import Array, Inputs, Law, Parameter, Params, Scales
from jaxmix.laws.terms import start_floor
from jaxmix.laws.transforms import SameUnits, check_new

FLOOR = "+floor"


@dataclass(frozen=True)
class FlooredLoss:
    """The loss of ``floored(base)``; alike if base and ``link`` are."""

    base: Law
    link: bool

    def __call__(self, p: Params, x: Inputs) -> Array:
        """F + exp(base), or F + base if that is an exponential."""
        eta = self.base.loss(p, x)
        return p["F"] + (jnp.exp(eta) if self.link else eta)


@dataclass(frozen=True)
class _Start:
    base: Law
    link: bool

    def __call__(self, u: Params, scales: Scales, k: int) -> Params:
        """F below the losses, and the base law at what is left, or at its logarithm."""
        assert self.base.start is not None
        floor = start_floor(u["F"], scales)
        low, high = scales.loss_min - floor, scales.loss_max - floor
        if not self.link:
            left = scales._replace(loss_min=low, loss_max=high)
            return {**self.base.start(u, left, k), "F": floor}
        # The base starts at values of 1 and above; E brings them to the logarithms.
        logs = scales._replace(loss_min=jnp.ones_like(low), loss_max=1.0 + jnp.log(high / low))
        start = dict(self.base.start(u, logs, k))
        return {**start, "E": start["E"] - 1.0 + jnp.log(low), "F": floor}


def floored(law: Law) -> Law:
    """The law behind a floored log link; convex in the weights wherever the base law is.

    Args:
        law: any law, or one made from it; ``get_law("additive+floor")``.

    Raises:
        JaxmixError: the law has a floor F already.
    """
    check_new(law, FLOOR, "F")
    link = any(p.name == "E" for p in law.parameters)
    free = tuple(
        replace(p, support="real", low=-20.0, high=20.0) if p.name == "E" else p
        for p in law.parameters
    )
    return Law(
        f"{law.name}{FLOOR}",
        (Parameter("F"), *free),
        FlooredLoss(law, link),
        start=_Start(law, link) if law.start else None,
        rescale=SameUnits(law) if law.rescale else None,
        inputs=law.inputs,
        convex=_convex(law),
        formula=f"F + exp({law.formula})" if link else f"F + {law.formula}",
        source=f"{law.source}; with a floored log link",
    )


def _convex(law: Law) -> Callable[[Params], str | None]:
    """An exponential keeps convexity; a rule may look at E, which only shifts the base law."""
    return lambda p: law.convex({**p, "E": abs(p["E"])} if "E" in p else p)
