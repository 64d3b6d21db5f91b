"""Vision encoders trained as in AIMv2: predict the next patch, then the caption (section 3.3).

Source: Fini et al., "Multimodal Autoregressive Pre-training of Large Vision Encoders" (AIMv2,
arXiv 2411.14402); its prefix attention and its loss on patches are those of AIM (arXiv 2401.08541).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxmix.errors import JaxmixError
from jaxmix.models.blocks import Compute, Remat, StackConfig, make_blocks, run_blocks
from jaxmix.models.functional import Functional, functional
from jaxmix.models.layers import Linear, RMSNorm, fan_in
from jaxmix.models.pixels import PatchGrid, centered, grid_positions
from jaxmix.models.ranges import prefix_ranges


@dataclass(frozen=True)
class VisionConfig:
    """An encoder and the decoder that trains it; SwiGLU, RMSNorm, no biases in both.

    The encoder's positions are sines and cosines of row and column, without parameters; the
    decoder's are rotary, along the patches and on into the caption.

    Attributes:
        vocab_size: tokens of the tokenizer.
        width: of the encoder, the paper's only knob of scale.
        depth: the encoder's layers; 24 in the paper.
        heads: the encoder's attention heads.
        decoder_width: of the decoder, which AIMv2 keeps the same for all encoders.
        decoder_depth: its layers.
        decoder_heads: its attention heads.
        image_size: side of a picture in pixels.
        patch_size: side of a patch in pixels.
        alpha: weight of the patches' loss beside the caption's.
        compute: type of the products, "float32" or "bfloat16"; parameters are float32.
        remat: what the backward pass computes again; see `TextConfig`.
        scan: one block's program for all layers; see `TextConfig`.
    """

    vocab_size: int
    width: int
    depth: int = 24
    heads: int = 8
    decoder_width: int = 1024
    decoder_depth: int = 12
    decoder_heads: int = 8
    image_size: int = 224
    patch_size: int = 14
    alpha: float = 0.4
    compute: Compute = "float32"
    remat: Remat = "none"
    scan: bool = True

    def __post_init__(self) -> None:
        _ = self.encoder, self.decoder, self.grid  # each says what is wrong with it
        if self.width % 4:
            raise JaxmixError(
                f"width {self.width} is no multiple of 4, which sines and cosines of rows and "
                "columns need; choose another width"
            )

    @property
    def encoder(self) -> StackConfig:
        """The encoder's blocks."""
        return self._stack(self.width, self.depth, self.heads, rotary=False)

    @property
    def decoder(self) -> StackConfig:
        """The decoder's blocks."""
        return self._stack(self.decoder_width, self.decoder_depth, self.decoder_heads, rotary=True)

    def _stack(self, width: int, depth: int, heads: int, *, rotary: bool) -> StackConfig:
        return StackConfig(
            width,
            depth,
            heads,
            rotary=rotary,
            compute=self.compute,
            remat=self.remat,
            scan=self.scan,
        )

    @property
    def grid(self) -> PatchGrid:
        """How pictures are cut."""
        return PatchGrid(self.image_size, self.patch_size)


class Predictions(NamedTuple):
    """What the decoder says comes next, in float32.

    Attributes:
        patches: [B, K - 1, P], of the second patch to the last, standardized.
        logits: [B, S, vocab], of the caption's tokens.
    """

    patches: jax.Array
    logits: jax.Array


class VisionModel(nnx.Module):
    """Encoder of patches with prefix attention, then a causal decoder with two heads."""

    def __init__(self, config: VisionConfig, rngs: nnx.Rngs):
        self.config = config
        patch_dim, inner = config.grid.patch_dim, config.decoder_width

        def linear(d_in: int, d_out: int, scale: float = 1.0) -> Linear:
            return Linear(d_in, d_out, bias=False, init=fan_in(scale), rngs=rngs)

        self.patch_projection = linear(patch_dim, config.width)
        self.encoder = make_blocks(config.encoder, rngs)
        self.encoder_norm = RMSNorm(config.width)
        self.connector = linear(config.width, inner)
        self.embedding = nnx.Param(jax.random.normal(rngs.params(), (config.vocab_size, inner)))
        self.decoder = make_blocks(config.decoder, rngs)
        self.decoder_norm = RMSNorm(inner)
        # Small heads: losses start at ln(vocab) and at the variance of the patches, which is 1.
        self.image_head = linear(inner, patch_dim, 0.1)
        self.text_head = linear(inner, config.vocab_size, 0.1)

    def encode(self, patches_BxKxP: jax.Array, prefix_B: jax.Array) -> jax.Array:
        """Features [B, K, D]; patches see the first `prefix` ones and all before them."""
        config = self.config
        config.grid.check(patches_BxKxP, per_picture=True)
        side = config.image_size // config.patch_size
        x = self.patch_projection(centered(patches_BxKxP).astype(config.compute))
        x = x + grid_positions(side, config.width).astype(x.dtype)
        keys = prefix_ranges(prefix_B, config.grid.patches)
        return self.encoder_norm(run_blocks(self.encoder, x, config.encoder, keys))

    def decode(self, features_BxKxD: jax.Array, tokens_BxS: jax.Array) -> Predictions:
        """Predictions from features and the caption behind its start marker; S may be 0."""
        patches = features_BxKxD.shape[1]
        caption = self.embedding[...][tokens_BxS].astype(features_BxKxD.dtype)
        x = jnp.concatenate([self.connector(features_BxKxD), caption], axis=1)
        x = self.decoder_norm(run_blocks(self.decoder, x, self.config.decoder))
        images, text = self.image_head(x[:, : patches - 1]), self.text_head(x[:, patches:])
        return Predictions(images.astype(jnp.float32), text.astype(jnp.float32))


def vision_functional(config: VisionConfig) -> Functional[VisionModel]:
    """The module apart from its parameters."""
    return functional(lambda rngs: VisionModel(config, rngs))


def predicted_patches(prefix_B: jax.Array, patches: int) -> jax.Array:
    """Which of the second patch to the last are predicted without having been seen.

    A patch inside the prefix was seen by those before it and does not count: bool [B, K - 1].
    """
    return jnp.arange(1, patches) >= prefix_B.astype(jnp.int32)[:, None]


def record_flops(config: VisionConfig, caption_length: int) -> float:
    """FLOPs of forward and backward pass on one record, encoder and decoder.

    Attention counts as causal in both; a prefix that is uniform on 1 to K - 1 adds a third to the
    encoder's, on average.
    """
    patches, inner = config.grid.patches, config.decoder_width
    patch_dim, length = config.grid.patch_dim, patches + caption_length
    weights = patches * (config.encoder.weights + patch_dim * config.width + config.width * inner)
    weights += length * config.decoder.weights + (patches - 1) * inner * patch_dim
    weights += caption_length * inner * config.vocab_size
    attention = config.encoder.attention_flops(patches * (patches + 1) / 2)
    attention += config.decoder.attention_flops(length * (length + 1) / 2)
    return 3.0 * (2 * weights + attention)


def masked_mean(values: jax.Array, counted: jax.Array) -> jax.Array:
    """Mean of each row's counted values, [B, N] to [B]; 0 where none counts."""
    weights = counted.astype(jnp.float32)
    return (values * weights).sum(-1) / jnp.maximum(weights.sum(-1), 1)
