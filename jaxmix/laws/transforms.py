"""What laws made from other laws share: their starts and their units, as values that compare."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxmix.errors import JaxmixError
from jaxmix.laws.law import Input, Law, Params, Scales


@dataclass(frozen=True)
class MoreStarts:
    """Starts of a law with more parameters than its base; alike if base and ``more`` are.

    Attributes:
        base: a law with starts of its own.
        more: ``more(u, scales, k)`` draws the further parameters.
    """

    base: Law
    more: Callable[[Params, Scales, int], Params]

    def __call__(self, u: Params, scales: Scales, k: int) -> Params:
        """The base's start and that of the further parameters."""
        assert self.base.start is not None
        return {**self.base.start(u, scales, k), **self.more(u, scales, k)}


@dataclass(frozen=True)
class SameUnits:
    """Units of a law whose further parameters have none."""

    base: Law

    def __call__(self, params: Params, n_unit: Any, d_unit: Any) -> Params:
        """The base's parameters in other units, the further ones as they are."""
        assert self.base.rescale is not None
        return self.base.rescale(params, n_unit, d_unit)


def check_new(law: Law, suffix: str, *names: str) -> None:
    """Refuses to add parameters that a law has already.

    Raises:
        JaxmixError: one of ``names`` is a parameter of the law.
    """
    if {p.name for p in law.parameters} & set(names):
        raise JaxmixError(f"law '{law.name}' has {suffix} already; add it once")


def with_inputs(law: Law, *inputs: Input) -> tuple[Input, ...]:
    """The inputs of a law and those of others that it does not read yet."""
    return (*law.inputs, *(i for i in inputs if not law.reads(i.name)))
