"""Uses of trained models: features, predicted patches, captions, and likelihoods of text."""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmix.models.functional import Params
from jaxmix.models.model import token_losses
from jaxmix.models.multimodal import MultimodalConfig, early_fusion
from jaxmix.models.ranges import prefix_ranges
from jaxmix.models.text import TextConfig, text_functional
from jaxmix.models.vision import VisionConfig, VisionModel, vision_functional

Logits = Callable[[jax.Array], jax.Array]


@functools.partial(jax.jit, static_argnames="config")
def features(config: VisionConfig, params: Params, patches_BxKxP: jax.Array) -> jax.Array:
    """The encoder's features of every patch; all patches see one another.

    Args:
        config: configuration of the model.
        params: its parameters; only the encoder's are used.
        patches_BxKxP: raw pixels, uint8.

    Returns:
        [B, K, D] in the dtype of the model's products.
    """
    return _encode(vision_functional(config).bind(params), patches_BxKxP)


@functools.partial(jax.jit, static_argnames="config")
def predict_patches(
    config: VisionConfig, params: Params, batch: Mapping[str, jax.Array]
) -> jax.Array:
    """Predicts the second to the last patch of each picture, each from those before it.

    Args:
        config: configuration of the model.
        params: its parameters.
        batch: `patches` uint8 [B, K, P] and `prefix` int [B]; patches inside the prefix are seen
            before they are predicted.

    Returns:
        Float32 [B, K - 1, P], standardized: every patch has zero mean and unit variance.
    """
    module = vision_functional(config).bind(params)
    seen = module.encode(batch["patches"], batch["prefix"])
    return module.decode(seen, jnp.zeros((len(seen), 0), jnp.int32)).patches


@functools.partial(jax.jit, static_argnames=("config", "length"))
def write_captions(
    config: VisionConfig | MultimodalConfig,
    params: Params,
    patches_BxKxP: jax.Array,
    end: int | jax.Array,
    length: int,
) -> jax.Array:
    """Writes captions greedily, with a whole forward pass per token.

    Args:
        config: configuration of a model of either family.
        params: its parameters.
        patches_BxKxP: raw pixels, uint8, one picture per row.
        end: the end-of-text token, which also marks the start of a vision model's captions.
        length: number of tokens to write.

    Returns:
        int32 [B, length]; captions that end early are filled with `end`.
    """
    if isinstance(config, VisionConfig):
        logits = _vision_captions(config, params, patches_BxKxP)
    else:
        logits = _multimodal_captions(config, params, patches_BxKxP)

    def write(position: jax.Array, tokens: jax.Array) -> jax.Array:
        likeliest = logits(tokens[:, :-1])[:, position].argmax(-1)
        over = (position > 0) & (tokens[:, position] == end)
        return tokens.at[:, position + 1].set(jnp.where(over, end, likeliest).astype(jnp.int32))

    start = jnp.full((len(patches_BxKxP), length + 1), end, jnp.int32)
    return jax.lax.fori_loop(0, length, write, start)[:, 1:]


def _encode(module: VisionModel, patches_BxKxP: jax.Array) -> jax.Array:
    return module.encode(patches_BxKxP, jnp.full(len(patches_BxKxP), patches_BxKxP.shape[1]))


def _vision_captions(config: VisionConfig, params: Params, patches_BxKxP: jax.Array) -> Logits:
    """A function of captions after a start marker, [B, S], to their logits, [B, S, vocab]."""
    module = vision_functional(config).bind(params)
    seen = _encode(module, patches_BxKxP)
    return lambda tokens: module.decode(seen, tokens).logits


def _multimodal_captions(
    config: MultimodalConfig, params: Params, patches_BxKxP: jax.Array
) -> Logits:
    """The same, but the last patch predicts the first token, without a start marker."""
    config.grid.check(patches_BxKxP, per_picture=True)
    module = early_fusion(config).bind(params)
    batch, patches = patches_BxKxP.shape[:2]

    def logits(tokens_BxS: jax.Array) -> jax.Array:
        written = tokens_BxS.shape[1] - 1
        tokens = jnp.pad(tokens_BxS[:, 1:], ((0, 0), (patches, 0)))
        pixels = jnp.pad(patches_BxKxP, ((0, 0), (0, written), (0, 0)))
        is_patch = jnp.broadcast_to(jnp.arange(patches + written) < patches, tokens.shape)
        keys = prefix_ranges(jnp.full(batch, patches), patches + written)
        return module(tokens, pixels, is_patch, keys)[:, patches - 1 :]

    return logits


class Likelihood(NamedTuple):
    """The likelihood of tokens in a batch of rows.

    Attributes:
        sums: log-probability of the counted tokens together, in nats, float32 [B].
        greedy: whether each counted token is the likeliest at its position, bool [B].
    """

    sums: jax.Array
    greedy: jax.Array


def token_likelihood(
    config: TextConfig, params: Params, tokens_BxU: jax.Array, counted_BxT: jax.Array
) -> Likelihood:
    """Scores some tokens of every row, each given all tokens before it; `likelihood` is compiled.

    Args:
        config: configuration of the model.
        params: its parameters.
        tokens_BxU: int [B, T + 1]; tokens after the last counted one do not matter.
        counted_BxT: whether token t + 1 counts, bool [B, T].
    """
    tokens = tokens_BxU.astype(jnp.int32)
    targets = tokens[:, 1:]
    logits = text_functional(config).bind(params)(tokens[:, :-1])
    sums = -jnp.where(counted_BxT, token_losses(logits, targets), 0.0).sum(1)
    likeliest = logits.argmax(-1) == targets
    return Likelihood(sums, (likeliest | ~counted_BxT).all(1))


likelihood = jax.jit(token_likelihood, static_argnames="config")
