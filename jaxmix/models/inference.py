"""What trained image models are used for: features, predicted patches and captions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxmix.models.functional import Params
from jaxmix.models.multimodal import MultimodalConfig, early_fusion
from jaxmix.models.ranges import prefix_ranges
from jaxmix.models.vision import VisionConfig, VisionModel, vision_functional

Logits = Callable[[jax.Array], jax.Array]


@functools.partial(jax.jit, static_argnames="config")
def features(config: VisionConfig, params: Params, patches_BxKxP: jax.Array) -> jax.Array:
    """The encoder's features of every patch, all of which see one another.

    Args:
        config: of the model.
        params: of the model; the encoder's alone are used.
        patches_BxKxP: raw pixels, uint8.

    Returns:
        [B, K, D] in the type of the model's products.
    """
    return _encode(vision_functional(config).bind(params), patches_BxKxP)


@functools.partial(jax.jit, static_argnames="config")
def predict_patches(
    config: VisionConfig, params: Params, batch: Mapping[str, jax.Array]
) -> jax.Array:
    """What the model expects of the second patch to the last, given those before.

    Args:
        config: of the model.
        params: of the model.
        batch: holds `patches` uint8 [B, K, P] and `prefix` int [B]; patches inside the prefix were
            seen before they are predicted.

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
    """Writes the likeliest token after the likeliest token, a whole forward pass for each.

    Args:
        config: of a model of either family.
        params: of the model.
        patches_BxKxP: raw pixels, uint8, one picture a row.
        end: the end-of-text token, which marks the start of a vision model's captions too.
        length: tokens to write.

    Returns:
        int32 [B, length]; captions that end early go on with `end`.
    """
    if isinstance(config, VisionConfig):
        logits = _vision_captions(config, params, patches_BxKxP)
    else:
        logits = _multimodal_captions(config, params, patches_BxKxP)

    def write(place: jax.Array, tokens: jax.Array) -> jax.Array:
        likeliest = logits(tokens[:, :-1])[:, place].argmax(-1)
        over = (place > 0) & (tokens[:, place] == end)
        return tokens.at[:, place + 1].set(jnp.where(over, end, likeliest).astype(jnp.int32))

    start = jnp.full((len(patches_BxKxP), length + 1), end, jnp.int32)
    return jax.lax.fori_loop(0, length, write, start)[:, 1:]


def _encode(module: VisionModel, patches_BxKxP: jax.Array) -> jax.Array:
    return module.encode(patches_BxKxP, jnp.full(len(patches_BxKxP), patches_BxKxP.shape[1]))


def _vision_captions(config: VisionConfig, params: Params, patches_BxKxP: jax.Array) -> Logits:
    """Captions behind a start marker, [B, S], to the logits of their tokens, [B, S, vocab]."""
    module = vision_functional(config).bind(params)
    seen = _encode(module, patches_BxKxP)
    return lambda tokens: module.decode(seen, tokens).logits


def _multimodal_captions(
    config: MultimodalConfig, params: Params, patches_BxKxP: jax.Array
) -> Logits:
    """The same; here the last patch predicts the first token, and there is no start marker."""
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
