"""One law fitted to several targets as arrays: what batched code and derivatives run on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.programs import compile_quickly
from jaxmix.laws import Inputs, Law

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaw

Array = jax.Array
_PER_DOMAIN = ("weights", "unique")  # inputs that have a domain axis whatever the law reads


@partial(jax.tree_util.register_dataclass, data_fields=["params", "own"], meta_fields=["law"])
@dataclass(frozen=True)
class StackedLaws:
    """One law fitted to m targets as arrays: what batched code and derivatives run on.

    Attributes:
        params: natural parameters with a leading axis m.
        own: [m] index of each target's own domain, or None.
        law: the law (static).
    """

    params: dict[str, Array]
    own: Array | None
    law: Law

    def losses(self, x: Inputs) -> Array:
        """Predicted losses [m, ...] at inputs [...] per row and [..., k] per domain, by name."""
        x = {name: jnp.asarray(value) for name, value in x.items()}
        # A law that does not look at N, D or h still answers once per point.
        shape = self.points(x)
        read = self._read(x)

        def one(params: dict[str, Array], own: Array | None) -> Array:
            seen = {n: v if own is None or n not in owned else v[..., own] for n, v in read.items()}
            return jnp.broadcast_to(self.law.loss(params, seen), shape)

        owned = {i.name for i in self.law.inputs if i.per == "own"}
        return jax.vmap(one, in_axes=(0, None if self.own is None else 0))(self.params, self.own)

    def points(self, x: Inputs) -> tuple[int, ...]:
        """The shape [...] of the points that arrays of inputs stand for."""
        tails = self.tails(x)
        return np.broadcast_shapes(*(v.shape[: v.ndim - len(tails[n])] for n, v in x.items()))

    def tails(self, x: Inputs) -> dict[str, tuple[int, ...]]:
        """By input: (k,) if its last axis is that of the domains, else ()."""
        per_domain = {i.name for i in self.law.inputs if i.per != "row"} | set(_PER_DOMAIN)
        return {name: v.shape[-1:] if name in per_domain else () for name, v in x.items()}

    def _read(self, x: Inputs) -> dict[str, Array]:
        """What the law reads, with its defaults filled in."""
        read = {}
        for one in self.law.inputs:
            if one.name not in x and one.default is None:
                raise JaxmixError(
                    f"law '{self.law.name}' reads '{one.name}', which is not given; "
                    f"given: {', '.join(x) or 'nothing'}"
                )
            default = one.default if one.per == "row" else (one.default,)
            read[one.name] = x[one.name] if one.name in x else jnp.asarray(default)
        return read

    def replace_params(self, params: dict[str, Array]) -> "StackedLaws":
        """The same law and targets at other parameters."""
        return StackedLaws(params, self.own, self.law)


def stack(laws: "Sequence[FittedLaw]") -> StackedLaws:
    """Fits of one law over the same domains as one pytree, targets in the order given.

    Raises:
        JaxmixError: different laws or domains.
    """
    first = laws[0]
    if any(f.law != first.law or f.domains != first.domains for f in laws):
        raise JaxmixError("stack needs fits of one law over the same domains")
    params = {p.name: _stacked([f.params[p.name] for f in laws]) for p in first.law.parameters}
    own = [i for f in laws if (i := f.own_domain) is not None]
    return StackedLaws(params, jnp.asarray(own) if own else None, first.law)


def _stacked(values: Sequence[Any]) -> Array:
    """Arrays with a new leading axis; on the host if that is where they are."""
    there = any(isinstance(value, jax.Array) for value in values)
    return jnp.stack(values) if there else jnp.asarray(np.stack(values))


@compile_quickly()
def losses(laws: StackedLaws, x: Inputs) -> Array:
    """Losses [m, ...] at inputs, in one compiled program."""
    return laws.losses(x)


def predict_losses(laws: StackedLaws, x: Inputs) -> np.ndarray:
    """Losses [m, ...] at inputs whose points broadcast, in float64 if its scope is entered.

    The points become one axis that is padded to one of a few sizes, so that few programs are
    compiled.
    """
    given = {name: np.asarray(value, float) for name, value in x.items()}
    shape, tails = laws.points(given), laws.tails(given)
    count = math.prod(shape)
    if not count:
        return np.asarray(losses(laws, given))
    at = np.minimum(np.arange(_padded(count)), count - 1)
    flat = {
        name: np.broadcast_to(v, shape + tails[name]).reshape(count, *tails[name])[at]
        for name, v in given.items()
    }
    return np.asarray(losses(laws, flat))[:, :count].reshape(-1, *shape)


def _padded(count: int) -> int:
    """The number of points in a program: 8, 64, 512, and then powers of 2."""
    return next((n for n in (8, 64, 512) if count <= n), 1 << (count - 1).bit_length())
