"""Modules as pure functions of their parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
from flax import nnx

Params = Any  # a nested dict of float32 arrays
M = TypeVar("M", bound=nnx.Module)


@dataclass(frozen=True)
class Functional(Generic[M]):
    """A module as pure functions.

    Attributes:
        init: takes a key and returns parameters; fleets vmap it.
        bind: takes parameters and returns the module that holds them.
    """

    init: Callable[[jax.Array], Params]
    bind: Callable[[Params], M]


def functional(make: Callable[[nnx.Rngs], M]) -> Functional[M]:
    """Makes pure functions of the module that `make` builds, without making any parameters."""
    definition, abstract = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))

    def init(key: jax.Array) -> Params:
        return nnx.to_pure_dict(nnx.state(make(nnx.Rngs(key))))

    def bind(params: Params) -> M:
        leaves = jax.tree.leaves(params)
        return nnx.merge(definition, jax.tree.unflatten(jax.tree.structure(abstract), leaves))

    return Functional(init, bind)
