"""What a law is: named parameters, one pure ``loss`` function, a sampler of starting points.

A law predicts the loss of a model of N parameters after D training tokens on the mixture h.
Everything here is plain JAX on dictionaries of arrays, so a law can be jitted, vmapped and
differentiated, and a law of one's own is one ``Law(...)`` value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
Params = Mapping[str, Any]
Support = Literal["real", "positive", "unit"]


class Scales(NamedTuple):
    """The sizes of the numbers in one target's rows; starting points and units come from it.

    Attributes:
        n_params: geometric mean of N over the rows.
        tokens: geometric mean of D over the rows.
        loss_min: smallest loss, nats.
        loss_max: largest loss, nats.
    """

    n_params: Any
    tokens: Any
    loss_min: Any
    loss_max: Any


@dataclass(frozen=True)
class Parameter:
    """One named parameter of a law.

    Attributes:
        name: as people write it, such as ``"alpha"``.
        shape: ``"scalar"``, or ``"domain"`` for one value per training domain.
        support: the set its values live in; solvers work on the whole real line, through the
            logarithm (``"positive"``) or the logit (``"unit"``).
    """

    name: str
    shape: Literal["scalar", "domain"] = "scalar"
    support: Support = "positive"

    def size(self, k: int) -> int:
        """Number of values for k domains."""
        return 1 if self.shape == "scalar" else k


_TO_WORKING: dict[str, Callable[[Array], Array]] = {
    "real": lambda x: x,
    "positive": jnp.log,
    "unit": lambda x: jnp.log(x) - jnp.log1p(-x),
}
_FROM_WORKING: dict[str, Callable[[Array], Array]] = {
    "real": lambda z: z,
    "positive": jnp.exp,
    "unit": jax.nn.sigmoid,
}


def _generic_start(key: Array, scales: Scales, k: int, law: "Law") -> dict[str, Array]:
    """Standard-normal working parameters: the sampler of a law that brings none."""
    return law.from_working(1.5 * jax.random.normal(key, (law.count(k),)), k)


@dataclass(frozen=True)
class Law:
    """A scaling law L(N, D, h) as a frozen value.

    Attributes:
        name: what ``--law`` takes and files record.
        parameters: in the order of the flat vector that solvers see.
        loss: ``loss(params, n_params, tokens, weights)`` in nats. ``params`` maps names to
            scalars or [k] arrays; ``n_params`` and ``tokens`` broadcast together to the shape of
            the result and ``weights`` carries one more axis, the domains, last.
        start: ``start(key, scales, k)`` draws one starting point, in the units that ``rescale``
            defines (N and D measured in ``scales.n_params`` and ``scales.tokens``). None draws
            standard-normal working parameters.
        rescale: ``rescale(params, n_unit, d_unit)`` returns the parameters p' for which
            ``loss(p', N / n_unit, D / d_unit, h) == loss(params, N, D, h)``. With it fits run on
            normalized N and D; without it (None) they run in natural units.
        uses: which of ``n_params``, ``tokens``, ``weights`` the law depends on.
        own_weight: True where the law sees only the weight of the domain that its target is
            (``weights`` then has a last axis of length 1).
        formula: the law in one line, for people.
        source: where it comes from.

    Example:
        >>> import jax.numpy as jnp
        >>> power = Law(
        ...     "power",
        ...     (Parameter("E"), Parameter("B"), Parameter("beta")),
        ...     loss=lambda p, n, d, h: p["E"] + p["B"] * d ** -p["beta"],
        ...     uses=("tokens",),
        ... )
        >>> power.count(k=3)
        3
        >>> params = {"E": 1.0, "B": 8.0, "beta": 1.0}
        >>> float(power.loss(params, 1.0, jnp.float32(4.0), jnp.ones(3) / 3))
        3.0
    """

    name: str
    parameters: tuple[Parameter, ...]
    loss: Callable[[Params, Any, Any, Any], Array]
    start: Callable[[Array, Scales, int], Params] | None = None
    rescale: Callable[[Params, Any, Any], Params] | None = None
    uses: tuple[str, ...] = ("n_params", "tokens", "weights")
    own_weight: bool = False
    formula: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    def count(self, k: int) -> int:
        """Number of free parameters for k domains."""
        return sum(p.size(k) for p in self.parameters)

    def count_formula(self) -> str:
        """The parameter count as people write it, such as ``"5 + 2k"``."""
        scalars = sum(p.shape == "scalar" for p in self.parameters)
        slopes = len(self.parameters) - scalars
        per_domain = {0: "", 1: "k"}.get(slopes, f"{slopes}k")
        return " + ".join(part for part in (str(scalars), per_domain) if part)

    def flatten(self, params: Params) -> Array:
        """Parameters (leading axes ...) as one array [..., count]."""
        leaves = [
            params[p.name][..., None] if p.shape == "scalar" else params[p.name]
            for p in self.parameters
        ]
        return jnp.concatenate([jnp.asarray(leaf) for leaf in leaves], -1)

    def unflatten(self, vector: Array, k: int) -> dict[str, Array]:
        """The inverse of ``flatten``."""
        params, at = {}, 0
        for p in self.parameters:
            part = vector[..., at : at + p.size(k)]
            params[p.name] = part[..., 0] if p.shape == "scalar" else part
            at += p.size(k)
        return params

    def to_working(self, params: Params) -> Array:
        """Natural parameters as the unbounded vector [..., count] that solvers move."""
        mapped = {
            p.name: _TO_WORKING[p.support](jnp.asarray(params[p.name])) for p in self.parameters
        }
        return self.flatten(mapped)

    def from_working(self, vector: Array, k: int) -> dict[str, Array]:
        """The inverse of ``to_working``."""
        raw = self.unflatten(vector, k)
        return {p.name: _FROM_WORKING[p.support](raw[p.name]) for p in self.parameters}

    def units(self, scales: Scales) -> tuple[Any, Any]:
        """What N and D are measured in while this law is fitted."""
        return (scales.n_params, scales.tokens) if self.rescale else (1.0, 1.0)

    def sample_start(self, key: Array, scales: Scales, k: int) -> Array:
        """One random starting point as a working vector [count]."""
        params = (
            self.start(key, scales, k) if self.start else _generic_start(key, scales, k, self)
        )
        return self.to_working(params)

    def names(self, domains: tuple[str, ...]) -> tuple[str, ...]:
        """A label for each entry of the flat vector, such as ``"C[books]"``."""
        return tuple(
            label
            for p in self.parameters
            for label in ([p.name] if p.shape == "scalar" else [f"{p.name}[{d}]" for d in domains])
        )
