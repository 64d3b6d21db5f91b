"""What a law is: named parameters, one pure ``loss`` function, a sampler of starting points.

A law predicts the loss of a model of N parameters after D training tokens on the mixture h.
Everything here is plain JAX on dictionaries of arrays, so a law can be jitted, vmapped and
differentiated, and a law of one's own is one ``Law(...)`` value.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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
        low: smallest value a fit may give it, in the units of ``Law.rescale``; None for a wide
            default. A parameter that ends at its edge is reported.
        high: largest value, likewise.
        fitted: False for what is given and never fitted, as the unique tokens of a law that
            ``bound`` ties to an availability.
    """

    name: str
    shape: Literal["scalar", "domain"] = "scalar"
    support: Support = "positive"
    low: float | None = None
    high: float | None = None
    fitted: bool = True

    def size(self, k: int) -> int:
        """Number of values for k domains."""
        return 1 if self.shape == "scalar" else k


# Default ranges of the working value: e^30 is far beyond any ratio that losses can tell.
_WIDE = {"real": 1e3, "positive": 30.0, "unit": 14.0}

_TO_WORKING: dict[str, Callable[[Array], Array]] = {
    "real": lambda x: x,
    "positive": jnp.log,
    "unit": lambda x: jnp.log(x) - jnp.log1p(-x),
}
_EDGE: dict[str, Callable[[float], float]] = {
    "real": lambda x: x,
    "positive": math.log,
    "unit": lambda x: math.log(x) - math.log1p(-x),
}
_FROM_WORKING: dict[str, Callable[[Array], Array]] = {
    "real": lambda z: z,
    "positive": jnp.exp,
    "unit": jax.nn.sigmoid,
}


@dataclass(frozen=True)
class Law:
    """A scaling law L(N, D, h) as a frozen value.

    Attributes:
        name: what ``--law`` takes and files record.
        parameters: in the order of the flat vector that solvers see.
        loss: ``loss(params, n_params, tokens, weights)`` in nats. ``params`` maps names to
            scalars or [k] arrays; ``n_params`` and ``tokens`` broadcast together to the shape of
            the result and ``weights`` carries one more axis, the domains, last.
        start: ``start(u, scales, k)`` maps uniform draws on (0, 1), one for each parameter value
            and shaped like the parameters, to a starting point, in the units that ``rescale``
            defines (N and D measured in ``scales.n_params`` and ``scales.tokens``). None stands
            for working parameters from a normal distribution of standard deviation 1.5.
        rescale: ``rescale(params, n_unit, d_unit)`` returns the parameters p' for which
            ``loss(p', N / n_unit, D / d_unit, h) == loss(params, N, D, h)``. With it fits run on
            normalized N and D; without it (None) they run in natural units.
        uses: which of ``n_params``, ``tokens``, ``weights`` the law depends on, and ``unique``
            where it knows repetition: ``params["unique"]`` [..., k] then holds the unique tokens
            available of each domain, in the units of ``tokens``; without it nothing repeats.
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
    start: Callable[[Params, Scales, int], Params] | None = None
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

    def bounds(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper edges of the working vector, each [count]."""

        def edge(p: Parameter, value: float | None, sign: float) -> np.ndarray:
            wide = sign * _WIDE[p.support]
            working = wide if value is None else float(_EDGE[p.support](value))
            return np.full(p.size(k), working)

        low = np.concatenate([edge(p, p.low, -1.0) for p in self.parameters])
        high = np.concatenate([edge(p, p.high, 1.0) for p in self.parameters])
        return low, high

    def units(self, scales: Scales) -> tuple[Any, Any]:
        """What N and D are measured in while this law is fitted."""
        return (scales.n_params, scales.tokens) if self.rescale else (1.0, 1.0)

    def sample_start(self, key: Array, scales: Scales, k: int) -> Array:
        """One random starting point as a working vector [count]."""
        draws = jax.random.uniform(key, (self.count(k),), minval=1e-6, maxval=1.0 - 1e-6)
        if self.start is None:
            z = 1.5 * jax.scipy.special.ndtri(draws)
        else:
            z = self.to_working(self.start(self.unflatten(draws, k), scales, k))
        low, high = self.bounds(k)
        return jnp.clip(z, low, high)

    def names(self, domains: tuple[str, ...]) -> tuple[str, ...]:
        """A label for each entry of the flat vector, such as ``"C[books]"``."""
        return tuple(
            label
            for p in self.parameters
            for label in ([p.name] if p.shape == "scalar" else [f"{p.name}[{d}]" for d in domains])
        )
