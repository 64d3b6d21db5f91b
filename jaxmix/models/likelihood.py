"""How likely a text model holds a continuation to be, and whether it would have written it."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmix.models.functional import Params, functional
from jaxmix.models.model import token_losses
from jaxmix.models.text import TextConfig, TextLM


class Likelihood(NamedTuple):
    """Of a batch of rows, by row.

    Attributes:
        sums: float32 [B], natural logarithm of the probability of the counted tokens together.
        greedy: bool [B], whether each of them was the likeliest in its place.
    """

    sums: jax.Array
    greedy: jax.Array


@functools.partial(jax.jit, static_argnames="config")
def likelihood(
    config: TextConfig, params: Params, tokens_BxU: jax.Array, counted_BxT: jax.Array
) -> Likelihood:
    """Scores some tokens of every row, each given all that stand before it.

    Args:
        config: of the model.
        params: of the model.
        tokens_BxU: int [B, T + 1]; what follows the last counted token does not matter.
        counted_BxT: bool [B, T], whether token t + 1 counts.
    """
    tokens = tokens_BxU.astype(jnp.int32)
    targets = tokens[:, 1:]
    logits = _bound(config, params)(tokens[:, :-1])
    sums = -jnp.where(counted_BxT, token_losses(logits, targets), 0.0).sum(1)
    likeliest = logits.argmax(-1) == targets
    return Likelihood(sums, (likeliest | ~counted_BxT).all(1))


def _bound(config: TextConfig, params: Params) -> TextLM:
    return functional(lambda rngs: TextLM(config, rngs)).bind(params)
