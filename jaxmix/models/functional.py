"""Modules as pure functions of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
from flax import nnx

Params = Any  # a nested dict of float32 arrays
M = TypeVar("M", bound=nnx.Module)


@dataclass(frozen=True)
class Functional(Generic[M]):
    """A module apart from its parameters.

    Attributes:
        init: key to parameters; pure, so that fleets can vmap it.
        bind: parameters to the module that holds them.
    """

    init: Callable[[jax.Array], Params]
    bind: Callable[[Params], M]


def functional(make: Callable[[nnx.Rngs], M]) -> Functional[M]:
    """Takes the module that `make` builds apart, without making any of its parameters."""
    definition, abstract = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))

    def init(key: jax.Array) -> Params:
        return nnx.to_pure_dict(nnx.state(make(nnx.Rngs(key))))

    def bind(params: Params) -> M:
        leaves = jax.tree.leaves(params)
        return nnx.merge(definition, jax.tree.unflatten(jax.tree.structure(abstract), leaves))

    return Functional(init, bind)
