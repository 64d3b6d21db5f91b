"""Vision encoders trained as in AIMv2: to predict the next patch, then the caption (section 3.3).

Source: Fini et al., "Multimodal Autoregressive Pre-training of Large Vision Encoders" (AIMv2,
arXiv 2411.14402); its prefix attention and its loss on patches are those of AIM (arXiv 2401.08541).
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxmix.errors import JaxmixError
from jaxmix.models.blocks import StackConfig, make_blocks, run_blocks
from jaxmix.models.functional import Functional, functional
from jaxmix.models.layers import Linear, RMSNorm, embed, fan_in
from jaxmix.models.pixels import ImageConfig, centered, grid_positions
from jaxmix.models.ranges import prefix_ranges


@dataclass(frozen=True)
class VisionConfig(ImageConfig):
    """An encoder and the decoder that trains it; SwiGLU, RMSNorm, no biases in both.

    Positions in the encoder are sines and cosines of row and column, without parameters. Positions
    in the decoder are rotary and run through the patches into the caption. Width, depth and heads
    are the encoder's.

    Attributes:
        decoder_width: width of the decoder, the same for all encoders in AIMv2.
        decoder_depth: number of its layers.
        decoder_heads: number of its attention heads.
        alpha: weight of the loss on patches, beside the loss on captions.
    """

    heads: int = 8
    decoder_width: int = 1024
    decoder_depth: int = 12
    decoder_heads: int = 8
    alpha: float = 0.4

    def __post_init__(self) -> None:
        _ = self.encoder, self.decoder, self.grid  # check the heads and the patches
        if self.width % 4:
            raise JaxmixError(
                f"width {self.width} is not a multiple of 4, which sines and cosines of rows and "
                "columns need; choose another width"
            )

    @property
    def encoder(self) -> StackConfig:
        """The encoder's blocks."""
        return self.make_stack(rotary=False)

    @property
    def decoder(self) -> StackConfig:
        """The decoder's blocks."""
        return self.make_stack((self.decoder_width, self.decoder_depth, self.decoder_heads))


class Predictions(NamedTuple):
    """Predictions of the decoder, in float32.

    Attributes:
        patches: the second to the last patch, standardized, [B, K - 1, P].
        logits: logits of the caption's tokens, [B, S, vocab].
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
        # Small heads, so that losses start at ln(vocab) and at the variance of the patches, 1.
        self.image_head = linear(inner, patch_dim, 0.1)
        self.text_head = linear(inner, config.vocab_size, 0.1)

    def encode(self, patches_BxKxP: jax.Array, prefix_B: jax.Array) -> jax.Array:
        """Features [B, K, D]; a patch sees the first `prefix` patches and all before itself."""
        config = self.config
        config.grid.check(patches_BxKxP, per_picture=True)
        side = config.image_size // config.patch_size
        x = self.patch_projection(centered(patches_BxKxP).astype(config.compute))
        x = x + grid_positions(side, config.width).astype(x.dtype)
        keys = prefix_ranges(prefix_B, config.grid.patches)
        return self.encoder_norm(run_blocks(self.encoder, x, config.encoder, keys))

    def decode(self, features_BxKxD: jax.Array, tokens_BxS: jax.Array) -> Predictions:
        """Predictions from features and the caption after its start marker; S may be 0."""
        patches = features_BxKxD.shape[1]
        caption = embed(self.embedding[...], tokens_BxS).astype(features_BxKxD.dtype)
        x = jnp.concatenate([self.connector(features_BxKxD), caption], axis=1)
        x = self.decoder_norm(run_blocks(self.decoder, x, self.config.decoder))
        images, text = self.image_head(x[:, : patches - 1]), self.text_head(x[:, patches:])
        return Predictions(images.astype(jnp.float32), text.astype(jnp.float32))


def vision_functional(config: VisionConfig) -> Functional[VisionModel]:
    """The module as pure functions of its parameters."""
    return functional(lambda rngs: VisionModel(config, rngs))


def predicted_patches(prefix_B: jax.Array, patches: int) -> jax.Array:
    """Whether each of the second to the last patch is predicted unseen, bool [B, K - 1].

    Patches inside the prefix are visible to those before them and do not count.
    """
    return jnp.arange(1, patches) >= prefix_B.astype(jnp.int32)[:, None]


def record_flops(config: VisionConfig, caption_length: int) -> float:
    """FLOPs of forward and backward pass on one record, encoder and decoder.

    Attention counts as causal in both. A prefix that is uniform on 1 to K - 1 adds a third to the
    encoder's attention, on average.
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
    """Mean of the counted values in each row, [B, N] to [B]; 0 if none counts."""
    weights = counted.astype(jnp.float32)
    return (values * weights).sum(-1) / jnp.maximum(weights.sum(-1), 1)
