"""Fitted laws as data: the steps of a loss, for programs that run without JAX.

The steps are those of the traced loss, so that what another program computes from them is what JAX
computes, for every law. All values are flat arrays: what only moves entries about (slices,
broadcasts, transposes, indexing) becomes a list of places to take entries from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaws
from jaxmix.fitting.precision import float64

# Entry by entry; numbers and truth values (0 or 1) alike.
ELEMENTWISE = (
    "abs", "add", "and", "cbrt", "ceil", "clamp", "cos", "cosh", "div", "eq", "exp", "exp2",
    "expm1", "floor", "ge", "gt", "is_finite", "le", "log", "log1p", "logistic", "lt", "max", "min",
    "mul", "ne", "neg", "not", "or", "pow", "rsqrt", "select_n", "sign", "sin", "sinh", "sqrt",
    "square", "sub", "tan", "tanh",
)  # fmt: skip
_SAME = ("copy", "copy_p", "stop_gradient", "optimization_barrier")
_MOVES = (
    "broadcast_in_dim", "dynamic_slice", "expand_dims", "gather", "reshape", "rev", "slice",
    "squeeze", "transpose",
)  # fmt: skip
_FOLDS = {
    "reduce_sum": "add", "reduce_prod": "mul", "reduce_max": "max", "reduce_min": "min",
    "reduce_or": "or", "reduce_and": "and",
}  # fmt: skip
_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")


@dataclass(frozen=True, eq=False)
class _Slot:
    """A value of the program: its place, shape and type."""

    place: int
    shape: tuple[int, ...]
    dtype: Any


@dataclass(eq=False)
class _Steps:
    """Collects the steps of a trace; values that depend on no input are computed at once."""

    law: str
    steps: list[list[Any]] = field(default_factory=list)
    constants: dict[int, np.ndarray] = field(default_factory=dict)
    places: int = 0

    def slot(self, shape: Sequence[int], dtype: Any) -> _Slot:
        self.places += 1
        return _Slot(self.places - 1, tuple(shape), dtype)

    def step(self, shape: Sequence[int], dtype: Any, name: str, *arguments: Any) -> _Slot:
        made = self.slot(shape, dtype)
        places = [self.place(a) if isinstance(a, _Slot | np.ndarray) else a for a in arguments]
        self.steps.append([made.place, name, *places])
        return made

    def place(self, value: _Slot | np.ndarray) -> int:
        if isinstance(value, _Slot):
            return value.place
        made = self.slot(value.shape, value.dtype)
        self.constants[made.place] = np.ravel(value).astype(float)
        return made.place

    def run(self, jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        """Adds the steps of a jaxpr, and returns its results."""
        known: dict[Any, Any] = dict(zip(jaxpr.constvars, map(np.asarray, constants), strict=True))
        known |= dict(zip(jaxpr.invars, arguments, strict=True))

        def read(atom: Any) -> Any:
            return np.asarray(atom.val) if hasattr(atom, "val") else known[atom]

        for equation in jaxpr.eqns:
            found = self._apply(equation, [read(atom) for atom in equation.invars])
            known |= dict(zip(equation.outvars, found, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _apply(self, equation: Any, values: list[Any]) -> list[Any]:
        name, options, out = equation.primitive.name, equation.params, equation.outvars[0].aval
        inner = next((options[key] for key in _INNER if key in options), None)
        if inner is not None:
            return self.run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), values)
        if all(isinstance(value, np.ndarray) for value in values):
            found = equation.primitive.bind(*values, **options)
            several = equation.primitive.multiple_results
            return [np.asarray(one) for one in (found if several else [found])]
        if name in _SAME:
            return values
        if name in ELEMENTWISE and np.issubdtype(out.dtype, np.integer):
            raise JaxmixError(f"the law '{self.law}' computes with integers from its inputs")
        if name in ELEMENTWISE:
            return [self.step(out.shape, out.dtype, name, *values)]
        if name == "integer_pow":
            power = np.asarray(float(options["y"]))
            return [self.step(out.shape, out.dtype, "pow", values[0], power)]
        if name == "convert_element_type" and not np.issubdtype(out.dtype, np.integer):
            kind = "ne" if out.dtype == bool else "add"
            return [self.step(out.shape, out.dtype, kind, values[0], np.zeros(()))]
        if name in _MOVES and all(isinstance(value, np.ndarray) for value in values[1:]):
            places = equation.primitive.bind(_places(values[0]), *values[1:], **options)
            return [self.take(values[0], np.asarray(places).astype(int), out)]
        if name == "concatenate":
            return [self._joined(values, options, equation.primitive, out)]
        if name in _FOLDS:
            places = np.moveaxis(
                _places(values[0]), options["axes"], range(-len(options["axes"]), 0)
            )
            return [self._fold(_FOLDS[name], values[0], places.reshape(*out.shape, -1), out)]
        if name == "dot_general":
            return [self._product(values[0], values[1], options["dimension_numbers"], out)]
        raise JaxmixError(f"the law '{self.law}' uses the operation '{name}'")

    def take(self, value: Any, places: np.ndarray, out: Any) -> _Slot:
        """The entries of a value at flat places, in the shape of these."""
        return self.step(places.shape, out.dtype, "take", value, places.ravel().tolist())

    def _joined(self, values: list[Any], options: Any, primitive: Any, out: Any) -> _Slot:
        sizes = np.cumsum([0, *(int(np.prod(value.shape)) for value in values)])
        moved = [_places(v) + s for v, s in zip(values, sizes[:-1], strict=True)]
        places = np.asarray(primitive.bind(*moved, **options)).astype(int)
        joined = self.step((int(sizes[-1]),), out.dtype, "join", *values)
        return self.take(joined, places, out)

    def _fold(self, kind: str, value: Any, places: np.ndarray, out: Any) -> _Slot:
        """The rows of places [..., n] folded into one entry each."""
        laid = self.take(value, places, out)
        return self.step(out.shape, out.dtype, "fold", laid, kind, places.shape[-1])

    def _product(self, left: Any, right: Any, numbers: Any, out: Any) -> _Slot:
        (one, other), (mine, theirs) = numbers
        rows, columns = _matrix(left, one, mine), _matrix(right, other, theirs)
        rows, columns = np.broadcast_arrays(rows[:, :, None], columns[:, None])
        sides = self.take(left, rows, out), self.take(right, columns, out)
        product = self.step(rows.shape, out.dtype, "mul", *sides)
        return self.step(out.shape, out.dtype, "fold", product, "add", rows.shape[-1])

    def used(self, result: int) -> list[list[Any]]:
        """The steps that the result depends on."""
        wanted, kept = {result}, []
        for made in reversed(self.steps):
            if made[0] in wanted:
                kept.append(made)
                wanted |= set(_arguments(made))
        self.constants = {p: v for p, v in self.constants.items() if p in wanted}
        return kept[::-1]


def _arguments(step: list[Any]) -> list[int]:
    """The places that a step reads."""
    return step[2:3] if step[1] in ("take", "fold") else step[2:]


def _places(value: Any) -> np.ndarray:
    """Flat places of the entries, in the shape of the value."""
    return np.arange(int(np.prod(value.shape)), dtype=float).reshape(value.shape)


def _matrix(value: Any, summed: Sequence[int], batch: Sequence[int]) -> np.ndarray:
    """Flat places as [batch, free, summed]."""
    free = [i for i in range(len(value.shape)) if i not in (*summed, *batch)]
    places = _places(value).astype(int).transpose(*batch, *free, *summed)
    sizes = [int(np.prod([value.shape[i] for i in some])) for some in (batch, free, summed)]
    return places.reshape(sizes)


def portable_laws(laws: FittedLaws, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The losses of fitted laws as steps that a program without JAX can run.

    Args:
        laws: m fits of one law.
        inputs: of the law at one budget, by name; what is no function of N, D and the weights, such
            as a learning rate, keeps the value it has here.

    Returns:
        ``inputs``, the names of the first places, parameters before inputs; ``constants``, flat
        arrays by place; ``steps``, each the place it fills, an operation and the places it reads;
        ``result``, the place of the loss in nats; and ``targets``, with the parameters of each as
        flat arrays, the fixed inputs, and the domain whose weight a law of its own domain reads.

    Raises:
        JaxmixError: the law uses an operation that has no such step.
    """
    law, first = laws.law, laws[0]
    seen = {one.name: np.asarray(inputs.get(one.name, one.default), float) for one in law.inputs}
    k = len(laws.domains)
    for one in law.inputs:
        if one.per == "domain":
            seen[one.name] = np.broadcast_to(inputs.get(one.name, one.default or 0.0), (k,))
        elif one.per == "own":
            seen[one.name] = np.asarray(0.5)
    params = {p.name: np.asarray(first.params[p.name], float) for p in law.parameters}
    names, many = [*params, *seen], len(params)

    def loss(*values: Any) -> Any:
        given = zip(names[:many], values, strict=False)
        return law.loss(dict(given), dict(zip(names[many:], values[many:], strict=True)))

    given = [np.asarray(v, float) for v in (*params.values(), *seen.values())]
    with float64():
        traced = jax.make_jaxpr(loss)(*given)
        made = _Steps(law.name)
        slots = [made.slot(value.shape, value.dtype) for value in given]
        (result,) = made.run(traced.jaxpr, traced.consts, slots)
    place = made.place(result)
    steps = made.used(place)
    moving = ("n_params", "tokens", "weights")
    fixed = {n: np.ravel(v).tolist() for n, v in seen.items() if n not in moving}
    return {
        "inputs": names,
        "constants": {str(p): v.tolist() for p, v in made.constants.items()},
        "steps": steps,
        "result": place,
        "fixed": fixed,
        "targets": [
            {
                "name": f.target,
                "own": f.own_domain,
                "params": {p.name: np.ravel(f.params[p.name]).tolist() for p in law.parameters},
            }
            for f in laws
        ],
    }
