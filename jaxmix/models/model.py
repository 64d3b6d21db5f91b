"""Models as pure functions, which is all that training uses; one maker per family."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from jaxmix.models.blocks import StackConfig
from jaxmix.models.functional import Params
from jaxmix.models.multimodal import MultimodalConfig, early_fusion
from jaxmix.models.pixels import standardized
from jaxmix.models.ranges import KeyRanges
from jaxmix.models.text import TextConfig, text_functional
from jaxmix.models.vision import (
    VisionConfig,
    masked_mean,
    predicted_patches,
    record_flops,
    vision_functional,
)
from jaxmix.placement import by_record, current

Batch = Mapping[str, jax.Array]


@dataclass(frozen=True)
class Losses:
    """Losses of the records of a batch.

    Attributes:
        sums: sum of the loss over each record in nats, [B].
        counts: number of tokens that were predicted, [B]; may be 0.
        parts: the components of `sums`, by name, [B] each.
    """

    sums: jax.Array
    counts: jax.Array
    parts: Mapping[str, jax.Array] = field(default_factory=dict)


jax.tree_util.register_dataclass(Losses, ["sums", "counts", "parts"], [])


@dataclass(frozen=True)
class ParameterCount:
    """Numbers of parameters: `n_params`, the run table's N, and all.

    N leaves out embedding and head. For a vision model it counts only the encoder, which is the
    part that is used after training.
    """

    n_params: int
    n_params_total: int


@dataclass(frozen=True)
class Model:
    """A model of any family.

    Attributes:
        init: takes a key and returns parameters; fleets vmap it.
        losses: takes parameters and a batch and returns the losses of its records.
        flops_per_token: FLOPs of forward and backward pass with causal attention, as a function of
            a record's length in positions (tokens and patches).
        attention_flops: FLOPs of attention in those passes on one record of a length.
        outside: names of the parameters that `n_params` does not count.
    """

    init: Callable[[jax.Array], Params]
    losses: Callable[[Params, Batch], Losses]
    flops_per_token: Callable[[int], float]
    attention_flops: Callable[[int], float]
    outside: tuple[str, ...] = ("embedding", "positions", "head")

    def count(self) -> ParameterCount:
        """Counts parameters without making any."""
        shapes = jax.eval_shape(self.init, jax.random.key(0))
        total = _size(shapes)
        return ParameterCount(total - sum(_size(shapes.get(n, {})) for n in self.outside), total)


def _size(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def text_model(config: TextConfig) -> Model:
    """A text language model; batches are ``{"tokens": int [B, T + 1]}``.

    The loss is the cross-entropy of tokens 1 to T given those before them.

    Example:
        >>> model = text_model(TextConfig(vocab_size=257, width=32, depth=2, heads=2))
        >>> model.count()
        ParameterCount(n_params=24864, n_params_total=41312)
    """
    pure = text_functional(config)

    def losses(params: Params, batch: Batch) -> Losses:
        tokens = batch["tokens"].astype(jnp.int32)
        nats = token_losses(pure.bind(params)(tokens[:, :-1]), tokens[:, 1:])
        return Losses(nats.sum(1), jnp.full(nats.shape[0], nats.shape[1], jnp.float32))

    return _language_model(pure.init, losses, config.stack, config.vocab_size)


def multimodal_model(config: MultimodalConfig) -> Model:
    """An early-fusion model of text and pictures in packed rows.

    Batches have rows of T positions and patches of P values: `tokens` int [B, T], the input;
    `targets` int [B, T], the text token that follows; `counted` [B, T], 1 if the loss counts;
    `patches` uint8 [B, T, P], raw pixels; `is_patch` [B, T], 1 if they are the input; `key_start`
    and `key_end` int [B, T], the keys that a position sees.

    The loss is the cross-entropy of the text; pictures are not predicted.

    Example:
        >>> model = multimodal_model(MultimodalConfig(257, 32, depth=2, heads=2, patch_size=8))
        >>> model.count()
        ParameterCount(n_params=31072, n_params_total=47520)
    """
    pure = early_fusion(config)

    def losses(params: Params, batch: Batch) -> Losses:
        tokens, targets = (batch[name].astype(jnp.int32) for name in ("tokens", "targets"))
        keys = KeyRanges(batch["key_start"], batch["key_end"])
        logits = pure.bind(params)(tokens, batch["patches"], batch["is_patch"], keys)
        counted = batch["counted"].astype(jnp.float32)
        return Losses((token_losses(logits, targets) * counted).sum(1), counted.sum(1))

    return _language_model(pure.init, losses, config.stack, config.vocab_size)


def vision_model(config: VisionConfig) -> Model:
    """A vision encoder with the decoder that trains it; every record has a count of 1.

    Batches have K patches of P values and captions of S tokens: `patches` uint8 [B, K, P], raw
    pixels; `prefix` int [B], the number of patches that see one another; `tokens` int [B, S], the
    caption after a start marker; `targets` int [B, S], the caption; `counted` [B, S], 1 if the loss
    counts.

    The loss is AIMv2's, caption + alpha * image. Its parts are the mean cross-entropy of the
    caption's tokens, in nats, and the mean squared error of standardized patches after the prefix.

    Example:
        >>> config = VisionConfig(257, 32, depth=2, heads=2, decoder_width=32, decoder_depth=1)
        >>> vision_model(config).count()
        ParameterCount(n_params=43680, n_params_total=92416)
    """
    pure = vision_functional(config)
    patches = config.grid.patches

    def losses(params: Params, batch: Batch) -> Losses:
        tokens, targets = (batch[name].astype(jnp.int32) for name in ("tokens", "targets"))
        module = pure.bind(params)
        found = module.decode(module.encode(batch["patches"], batch["prefix"]), tokens)
        caption = masked_mean(token_losses(found.logits, targets), batch["counted"])
        errors = ((found.patches - standardized(batch["patches"][:, 1:])) ** 2).mean(-1)
        image = masked_mean(errors, predicted_patches(batch["prefix"], patches))
        parts = {"caption": caption, "image": image}
        return Losses(caption + config.alpha * image, jnp.ones_like(caption), parts)

    def flops_per_token(length: int) -> float:
        return record_flops(config, length - patches) / length

    decoder = ("connector", "embedding", "decoder", "decoder_norm", "image_head", "text_head")

    def attention_flops(length: int) -> float:
        sizes = ((config.encoder, patches), (config.decoder, length))
        return 3.0 * sum(stack.attention_flops(n * (n + 1) / 2) for stack, n in sizes)

    return Model(pure.init, losses, flops_per_token, attention_flops, decoder)


def _language_model(
    init: Callable[[jax.Array], Params],
    losses: Callable[[Params, Batch], Losses],
    stack: StackConfig,
    vocab_size: int,
) -> Model:
    """A causal model of tokens, which counts their FLOPs."""

    def flops_per_token(length: int) -> float:
        matrices = model.count().n_params + stack.width * vocab_size
        # A causal position sees (length + 1) / 2 keys on average.
        return 3.0 * (2 * matrices + stack.attention_flops((length + 1) / 2))

    def attention_flops(length: int) -> float:
        return 3.0 * stack.attention_flops(length * (length + 1) / 2)

    model = Model(init, losses, flops_per_token, attention_flops)
    return model


def token_losses(logits_BxTxV: jax.Array, targets_BxT: jax.Array) -> jax.Array:
    """Cross-entropy of every token in nats, [B, T]."""
    logits_BxTxV = by_record(logits_BxTxV)
    if current().platform == "cpu":
        chosen = jnp.take_along_axis(logits_BxTxV, targets_BxT[..., None], axis=-1)[..., 0]
    else:
        # The gradient of a sum over all tokens but one needs no scatter, which takes a pass over
        # float32 logits of its own; on a CPU it would take a fifth more time.
        is_target = jnp.arange(logits_BxTxV.shape[-1]) == targets_BxT[..., None]
        chosen = jnp.where(is_target, logits_BxTxV, 0).sum(-1)
    return jax.nn.logsumexp(logits_BxTxV, axis=-1) - chosen
