"""Early fusion: one transformer for text and patches, without an image encoder (3.2, A.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxmix.models.blocks import StackConfig, make_blocks, run_blocks
from jaxmix.models.functional import Functional, functional
from jaxmix.models.layers import Linear, RMSNorm, embed, fan_in
from jaxmix.models.pixels import ImageConfig, centered
from jaxmix.models.ranges import KeyRanges, key_pairs


@dataclass(frozen=True)
class MultimodalConfig(ImageConfig):
    """An early-fusion model: RoPE by position in the row, SwiGLU, RMSNorm, no biases.

    Only distances between positions matter, so that a document gives the same result anywhere in a
    packed row.

    Attributes:
        qk_norm: whether queries and keys have an RMSNorm, as in the paper.
    """

    qk_norm: bool = True

    def __post_init__(self) -> None:
        _ = self.stack, self.grid  # check the heads and the patches

    @property
    def stack(self) -> StackConfig:
        """The blocks."""
        return self.make_stack(qk_norm=self.qk_norm)


class EarlyFusion(nnx.Module):
    """Embedding of tokens or projection of pixels, blocks, norm and a head for text."""

    def __init__(self, config: MultimodalConfig, rngs: nnx.Rngs):
        self.config = config
        shape = (config.vocab_size, config.width)
        self.embedding = nnx.Param(jax.random.normal(rngs.params(), shape))
        self.patch_projection = Linear(
            config.grid.patch_dim, config.width, bias=False, init=fan_in(), rngs=rngs
        )
        self.blocks = make_blocks(config.stack, rngs)
        self.norm = RMSNorm(config.width)
        self.head = Linear(*reversed(shape), bias=False, init=fan_in(0.1), rngs=rngs)

    def __call__(
        self,
        tokens_BxT: jax.Array,
        patches_BxTxP: jax.Array,
        is_patch_BxT: jax.Array,
        keys: KeyRanges,
    ) -> jax.Array:
        """Logits of the text that follows each position, in float32, [B, T, vocab]."""
        config = self.config
        config.grid.check(patches_BxTxP, per_picture=False)
        text = embed(self.embedding[...], tokens_BxT).astype(config.compute)
        pixels = self.patch_projection(centered(patches_BxTxP).astype(config.compute))
        x = jnp.where(is_patch_BxT.astype(bool)[..., None], pixels, text)
        x = self.norm(run_blocks(self.blocks, x, config.stack, keys))
        return self.head(x).astype(jnp.float32)


def early_fusion(config: MultimodalConfig) -> Functional[EarlyFusion]:
    """The module as pure functions of its parameters."""
    return functional(lambda rngs: EarlyFusion(config, rngs))


def batch_flops(config: MultimodalConfig, batch: Mapping[str, Any]) -> float:
    """FLOPs of forward and backward pass on one batch, with attention counted by ranges of keys.

    Matrix products count at every position, including padding, except for the projection of pixels,
    which counts at patches.
    """
    stack = config.stack
    weights = batch["tokens"].size * (stack.weights + config.width * config.vocab_size)
    weights += int(batch["is_patch"].sum()) * config.grid.patch_dim * config.width
    pairs = key_pairs(batch["key_start"], batch["key_end"])
    return 3.0 * (2 * weights + stack.attention_flops(pairs))
