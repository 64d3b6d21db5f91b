"""What a law is: named parameters, declared inputs, one pure ``loss``, a sampler of starts.

A law predicts the loss of a model from its inputs: parameters N, training tokens D, the mixture h,
and whatever else it declares. Everything here is plain JAX on dictionaries of arrays, so a law can
be jitted, vmapped and differentiated, and a law of one's own is one ``Law(...)`` value.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.display import Parts, Shown
from jaxmix.errors import JaxmixError, hint

Array = jax.Array
Params = Mapping[str, Any]
Inputs = Mapping[str, Any]
Support = Literal["real", "positive", "unit"]
Per = Literal["row", "domain", "own"]


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
class Input:
    """One thing that a law reads, by the name under which tables and code know it.

    Attributes:
        name: such as ``"n_params"`` or ``"learning_rate"``.
        per: ``"row"``, one number; ``"domain"``, one number for each training domain (one more
            axis, last); ``"own"``, the number of the domain that the target is.
        unit: ``"n_params"`` or ``"tokens"`` if a fit measures it in that scale of the data.
        default: the value if a table or a budget gives none; None if it must be given.
    """

    name: str
    per: Per = "row"
    unit: Literal["", "n_params", "tokens"] = ""
    default: float | None = None

    def column(self, domain: str = "") -> str:
        """The column of a run table that holds it (for ``domain``, if there is one per domain).

        >>> WEIGHTS.column("books"), TOKENS.column(), UNIQUE.column("books")
        ('w_books', 'tokens', 'unique_books')
        """
        if self.per == "row":
            return self.name
        return f"{'w' if self.name == 'weights' else self.name}_{domain}"


N_PARAMS = Input("n_params", unit="n_params")
TOKENS = Input("tokens", unit="tokens")
WEIGHTS = Input("weights", per="domain")
OWN_WEIGHT = Input("weights", per="own")
UNIQUE = Input("unique", per="domain", unit="tokens", default=math.inf)


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
        unknown: the value if no row of a fit depends on it, such as the decay of a domain that no
            row repeats; None leaves it where the search began. A fit notes it.
    """

    name: str
    shape: Literal["scalar", "domain"] = "scalar"
    support: Support = "positive"
    low: float | None = None
    high: float | None = None
    unknown: float | None = None

    def size(self, k: int) -> int:
        """Number of values for k domains."""
        return 1 if self.shape == "scalar" else k

    def __post_init__(self) -> None:
        """Refuses a shape, support or range that does not exist."""
        if self.shape not in ("scalar", "domain"):
            raise JaxmixError(f"parameter '{self.name}': shape is 'scalar' or 'domain'")
        if self.support not in _WIDE:
            raise JaxmixError(f"parameter '{self.name}': support is one of {', '.join(_WIDE)}")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise JaxmixError(f"parameter '{self.name}': low {self.low} is not below high")


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
class Convexity:
    """A statement about one loss function; it does not carry over to another one.

    Attributes:
        rule: from the parameters of one target (numpy arrays) to None, if the loss is convex in
            the weights at every value of the other inputs, or to the reason why that is unknown.
        loss: the function that the rule is about.
    """

    rule: Callable[[Params], str | None]
    loss: Callable[..., Any]

    def __call__(self, params: Params) -> str | None:
        """None, or one reason in words."""
        return self.rule(params)


def _unknown(params: Params) -> str | None:
    return "the law does not say whether it is convex in the weights"


class _Declared(dict[str, Any]):
    """Values by name that explain a name which was not declared."""

    def __init__(self, law: str, what: str, values: Params) -> None:
        super().__init__(values)
        self.law, self.what = law, what

    def __missing__(self, name: str) -> Any:
        raise JaxmixError(
            f"law '{self.law}' reads the {self.what} '{name}', which it does not declare; "
            f"{hint(str(name), self)}"
        )


@dataclass(frozen=True, repr=False)
class Law(Shown):
    """A scaling law as a frozen value; two laws with equal fields are equal.

    Attributes:
        name: what ``--law`` takes and files record.
        parameters: in the order of the flat vector that solvers see.
        loss: ``loss(params, x)`` in nats. ``params`` maps names to scalars or [k] arrays; ``x``
            maps the names of ``inputs`` to arrays: those per row broadcast together to the shape
            of the result, those per domain have one more axis, the domains, last.
        inputs: what the law reads.
        start: ``start(u, scales, k)`` maps uniform draws on (0, 1), one for each parameter value
            and shaped like the parameters, to a starting point, in the units that ``rescale``
            defines (N and D measured in ``scales.n_params`` and ``scales.tokens``). None stands
            for working parameters from a normal distribution of standard deviation 1.5.
        rescale: ``rescale(params, n_unit, d_unit)`` returns the parameters p' for which the loss
            at inputs divided by their units equals that of ``params`` at the inputs themselves.
            With it fits run on normalized N and D; without it (None) they run in natural units.
        convex: ``convex(params)`` for the parameters of one target: None if the loss is convex in
            the weights there, or the reason why that is not known. A rule is tied to the ``loss``
            it was given with: ``dataclasses.replace(law, loss=...)`` drops it.
        formula: the law in one line, for people.
        source: where it comes from.

    Raises:
        JaxmixError: two parameters or inputs of one name, or a loss that reads something that is
            not declared or returns another shape.

    Example:
        A law with an input of its own, from a column ``learning_rate``:

        >>> import jax.numpy as jnp
        >>> tuned = Law(
        ...     "tuned",
        ...     (Parameter("E"), Parameter("B"), Parameter("beta"), Parameter("c"), Parameter("m")),
        ...     loss=lambda p, x: p["E"] + p["B"] * x["tokens"] ** -p["beta"]
        ...     + p["c"] * jnp.log(x["learning_rate"] / p["m"]) ** 2,
        ...     inputs=(TOKENS, Input("learning_rate")),
        ... )
        >>> tuned.count(k=3), tuned.reads("weights")
        (5, False)
        >>> params = {"E": 1.0, "B": 8.0, "beta": 1.0, "c": 1.0, "m": 0.1}
        >>> float(tuned.loss(params, {"tokens": jnp.float32(4.0), "learning_rate": 0.1}))
        3.0
    """

    name: str
    parameters: tuple[Parameter, ...]
    loss: Callable[[Params, Inputs], Any]
    inputs: tuple[Input, ...] = (N_PARAMS, TOKENS, WEIGHTS)
    start: Callable[[Params, Scales, int], Params] | None = None
    rescale: Callable[[Params, Any, Any], Params] | None = None
    convex: Callable[[Params], str | None] = field(default=_unknown, compare=False)
    formula: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Checks the declarations, and that the loss keeps to them."""
        for what, found in (("parameter", self.parameters), ("input", self.inputs)):
            names = [one.name for one in found]
            twice = [n for n in names if names.count(n) > 1]
            if twice:
                raise JaxmixError(f"law '{self.name}': {what} '{twice[0]}' is declared twice")
        rule = self.convex if self.convex is not None else _unknown
        if isinstance(rule, Convexity):
            rule = rule if rule.loss == self.loss else _unknown
        object.__setattr__(
            self, "convex", rule if isinstance(rule, Convexity) else Convexity(rule, self.loss)
        )
        self._check_loss()

    def _check_loss(self) -> None:
        """Traces the loss on shapes alone: 5 rows of 2 domains."""
        k = 2
        shapes = {
            p.name: jax.ShapeDtypeStruct((p.size(k),)[: p.shape == "domain"], np.float32)
            for p in self.parameters
        }
        x = {
            i.name: jax.ShapeDtypeStruct((5, k)[: 1 + (i.per == "domain")], np.float32)
            for i in self.inputs
        }

        def loss(params: Params, x: Inputs) -> Any:
            declared = _Declared(self.name, "parameter", params), _Declared(self.name, "input", x)
            return self.loss(*declared)

        try:
            found = getattr(jax.eval_shape(loss, shapes, x), "shape", None)
        except (TypeError, ValueError) as error:  # constants for another number of domains
            if isinstance(error, JaxmixError):
                raise
            return
        if found not in ((5,), ()):
            raise JaxmixError(
                f"law '{self.name}': the loss of 5 rows has shape {found}; return one number per "
                "row (sum over the domains, the last axis)"
            )

    def __repr__(self) -> str:
        return f"Law({self.name!r}, {self.count_formula()} parameters)"

    def _shown(self) -> Parts:
        parameters = {
            p.name: f"{'one per domain' if p.shape == 'domain' else 'one'}, {p.support}"
            for p in self.parameters
        }
        inputs = {
            i.name: f"one per {i.per}" if i.per != "own" else "that of the target's own domain"
            for i in self.inputs
        }
        said = ": ".join(filter(None, [self.name, self.formula]))
        tables = {f"{self.count_formula()} parameters": parameters, "reads": inputs}
        return Parts(said, tables, last=self.source)

    def reads(self, name: str) -> bool:
        """Whether an input of that name is declared.

        >>> from jaxmix.laws import CHINCHILLA
        >>> CHINCHILLA.reads("tokens"), CHINCHILLA.reads("weights")
        (True, False)
        """
        return any(i.name == name for i in self.inputs)

    @property
    def reads_own(self) -> bool:
        """Whether it reads a number of the domain that its target is."""
        return any(i.per == "own" for i in self.inputs)

    @property
    def reads_mixture(self) -> bool:
        """Whether it reads the weights of all domains."""
        return any(i.name == "weights" and i.per == "domain" for i in self.inputs)

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

    def unflatten(self, vector: Any, k: int) -> dict[str, Any]:
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

    def unknown(self, k: int) -> np.ndarray:
        """Working values [count] of parameters that no row depends on; NaN if they stay."""
        low, high = self.bounds(k)
        values = [
            np.full(p.size(k), np.nan if p.unknown is None else p.unknown) for p in self.parameters
        ]
        with np.errstate(divide="ignore"):
            working = self.to_working(self.unflatten(jnp.asarray(np.concatenate(values)), k))
        return np.clip(np.asarray(working), low, high)

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

    def in_units(self, x: Inputs, units: tuple[Any, Any]) -> dict[str, Any]:
        """Inputs divided by the units (of N, of D) that they are measured in."""
        size = {"": 1.0, "n_params": units[0], "tokens": units[1]}
        return {i.name: x[i.name] / size[i.unit] if i.unit else x[i.name] for i in self.inputs}

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
