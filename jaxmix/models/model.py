"""A model as two pure functions, which is all that a trainer sees of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxmix.models.text import TextConfig, TextLM, token_losses

Params = Any  # a nested dict of float32 arrays
Batch = Mapping[str, jax.Array]


@dataclass(frozen=True)
class Losses:
    """Losses of a batch by record, so that means and standard errors can be taken of them.

    Attributes:
        sums: [B], nats, summed over the record.
        counts: [B], tokens that were predicted.
    """

    sums: jax.Array
    counts: jax.Array


jax.tree_util.register_dataclass(Losses, ["sums", "counts"], [])


@dataclass(frozen=True)
class Model:
    """What training needs of a model of any family.

    Attributes:
        init: key to parameters; pure, so that fleets can vmap it.
        losses: parameters and a batch to the losses of its records.
        flops_per_token: of a training step's forward and backward pass with causal attention, as a
            function of the window's length in tokens.
    """

    init: Callable[[jax.Array], Params]
    losses: Callable[[Params, Batch], Losses]
    flops_per_token: Callable[[int], float]

    def count(self) -> ParameterCount:
        """Counts parameters without making any."""
        return _count(jax.eval_shape(self.init, jax.random.key(0)))


@dataclass(frozen=True)
class ParameterCount:
    """Parameters: `n_params` without embedding and head (the run table's N), and all of them."""

    n_params: int
    n_params_total: int


_EMBEDDINGS = ("embedding", "positions", "head")


def _count(shapes: Params) -> ParameterCount:
    def size(tree: Any) -> int:
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))

    total = size(shapes)
    outside = sum(size(shapes[name]) for name in _EMBEDDINGS if name in shapes)
    return ParameterCount(total - outside, total)


def text_model(config: TextConfig) -> Model:
    """A text language model; batches are ``{"tokens": int [B, T + 1]}``.

    The loss is the cross-entropy of tokens 1 to T given those before them.

    Example:
        >>> model = text_model(TextConfig(vocab_size=257, width=32, depth=2, heads=2))
        >>> model.count()
        ParameterCount(n_params=24864, n_params_total=41312)
    """
    definition, abstract = nnx.split(nnx.eval_shape(lambda: TextLM(config, nnx.Rngs(0))))

    def init(key: jax.Array) -> Params:
        return nnx.to_pure_dict(nnx.state(TextLM(config, nnx.Rngs(key))))

    def losses(params: Params, batch: Batch) -> Losses:
        state = jax.tree.unflatten(jax.tree.structure(abstract), jax.tree.leaves(params))
        tokens = batch["tokens"].astype(jnp.int32)
        logits = nnx.merge(definition, state)(tokens[:, :-1])
        nats = token_losses(logits, tokens[:, 1:])
        return Losses(nats.sum(1), jnp.full(nats.shape[0], nats.shape[1], jnp.float32))

    def flops_per_token(length: int) -> float:
        matrices = _count(jax.eval_shape(init, jax.random.key(0))).n_params
        matrices += config.width * config.vocab_size
        # A causal row sees (length + 1) / 2 keys on average: scores and values, 2 products each.
        attention = 2 * config.depth * config.width * (length + 1)
        return 3.0 * (2 * matrices + attention)

    return Model(init, losses, flops_per_token)
