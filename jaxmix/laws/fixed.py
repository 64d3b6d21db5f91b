"""Laws with some parameters given: the rest is what a fit moves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.laws.law import Array, Inputs, Law, Params, Scales

Value = float | tuple[float, ...]


@dataclass(frozen=True)
class FixedLoss:
    """The loss of ``fixed(base, values)``; alike where base and values are."""

    base: Law
    values: tuple[tuple[str, Value], ...]

    def __call__(self, p: Params, x: Inputs) -> Array:
        """The base law at the given and the free parameters."""
        return self.base.loss({**p, **as_arrays(self.values)}, x)


@dataclass(frozen=True)
class _FixedStart:
    base: Law
    values: tuple[tuple[str, Value], ...]

    def __call__(self, u: Params, scales: Scales, k: int) -> Params:
        """Starts of the free parameters, carried to natural units."""
        assert self.base.start is not None
        middle = {
            p.name: jnp.full(() if p.shape == "scalar" else (k,), 0.5) for p in self.base.parameters
        }
        params = self.base.start({**middle, **u}, scales, k)
        if self.base.rescale:
            params = self.base.rescale(params, 1.0 / scales.n_params, 1.0 / scales.tokens)
        given = {name for name, _ in self.values}
        return {name: value for name, value in params.items() if name not in given}


def as_arrays(values: tuple[tuple[str, Value], ...]) -> dict[str, Array]:
    """The given parameters by name, in the ambient precision."""
    return {name: jnp.asarray(value) for name, value in values}


def fixed(law: Law, values: Mapping[str, Any]) -> Law:
    """The law with some of its parameters given, in natural units.

    Fits of it run in natural units of N and D.

    Args:
        law: any law.
        values: by parameter name: a number, or for a per-domain parameter one number per domain
            in the order of the domains.

    Raises:
        JaxmixError: the law has no such parameter, the value is not one it can have, or none is
            left to fit.

    Example:
        >>> from jaxmix.laws import CHINCHILLA
        >>> law = fixed(CHINCHILLA, {"E": 1.8, "alpha": 0.35})
        >>> law.name, [p.name for p in law.parameters]
        ('chinchilla(E=1.8, alpha=0.35)', ['A', 'B', 'beta'])
    """
    known = {p.name: p for p in law.parameters}
    for name in values:
        if name not in known:
            raise JaxmixError(
                f"law '{law.name}' has no parameter '{name}'; it has {', '.join(known)}"
            )
    given = tuple((n, _checked(law, n, values[n])) for n in known if n in values)
    free = tuple(p for p in law.parameters if p.name not in values)
    if not given or not free:
        raise JaxmixError(f"law '{law.name}': give at least one parameter and leave one to fit")
    text = ", ".join(f"{n}={v:g}" if isinstance(v, float) else f"{n}=..." for n, v in given)
    return Law(
        f"{law.name}({text})",
        free,
        FixedLoss(law, given),
        start=_FixedStart(law, given) if law.start else None,
        inputs=law.inputs,
        convex=lambda p: law.convex({**p, **{n: np.asarray(v) for n, v in given}}),
        formula=law.formula,
        source=law.source,
    )


def _checked(law: Law, name: str, value: Any) -> Value:
    (parameter,) = (p for p in law.parameters if p.name == name)
    found = np.asarray(value, float)
    low, high = {"real": (-np.inf, np.inf), "positive": (0, np.inf), "unit": (0, 1)}[
        parameter.support
    ]
    inside = np.isfinite(found) & (found > low) & (found < high)
    if found.ndim != (parameter.shape == "domain") or not inside.all():
        wanted = "one number per domain" if parameter.shape == "domain" else "one number"
        raise JaxmixError(
            f"parameter '{name}' of law '{law.name}' takes {wanted} ({parameter.support}), "
            f"not {value}"
        )
    return float(found) if found.ndim == 0 else tuple(found.tolist())
