"""Stacks of alike transformer blocks: every family is one or two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax
from flax import nnx

from jaxmix.errors import JaxmixError
from jaxmix.models.layers import Attention, GeluMLP, LayerNorm, RMSNorm, SwiGLU
from jaxmix.models.ranges import KeyRanges

Compute = Literal["float32", "bfloat16"]
Remat = Literal["none", "full", "dots"]
Style = Literal["llama", "gpt2"]


@dataclass(frozen=True)
class StackConfig:
    """A stack of blocks.

    Attributes:
        width: of the residual stream.
        depth: blocks.
        heads: of attention; the width of a head is width / heads.
        style: "llama" (SwiGLU, RMSNorm, no biases) or "gpt2" (GELU, LayerNorm, biases).
        rotary: queries and keys turn with their position.
        qk_norm: RMSNorm of queries and keys.
        compute: type of the products.
        remat: what the backward pass computes again: "none", "full" (every block), or "dots"
            (all but the matrix products).
        scan: one block's program for all layers.
    """

    width: int
    depth: int
    heads: int
    style: Style = "llama"
    rotary: bool = True
    qk_norm: bool = False
    compute: Compute = "float32"
    remat: Remat = "none"
    scan: bool = True

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.rotary and self.width // self.heads % 2):
            raise JaxmixError(
                f"width {self.width} does not divide into {self.heads} heads of even width; "
                "choose another number of heads"
            )

    @property
    def inner(self) -> int:
        """Width of the feed-forward layer: 8/3 d for SwiGLU to the next even number, else 4 d."""
        return 2 * round(4 * self.width / 3) if self.style == "llama" else 4 * self.width

    @property
    def weights(self) -> int:
        """Weights of the matrix products, which a position costs 2 FLOPs each in a forward pass."""
        mlp = (3 if self.style == "llama" else 2) * self.width * self.inner
        return self.depth * (4 * self.width**2 + mlp)

    def attention_flops(self, pairs: float) -> float:
        """Of scores and values in a forward pass, from the pairs of rows and keys."""
        return 4.0 * self.depth * self.width * pairs

    def norm(self) -> RMSNorm | LayerNorm:
        """A normalization in this style."""
        return (RMSNorm if self.style == "llama" else LayerNorm)(self.width)


class Block(nnx.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, config: StackConfig, rngs: nnx.Rngs):
        llama = config.style == "llama"
        # Residual branches start small enough for the sum of all layers to keep its scale.
        out_scale = (2 * config.depth) ** -0.5
        self.attention_norm, self.mlp_norm = config.norm(), config.norm()
        self.attention = Attention(
            config.width,
            config.heads,
            bias=not llama,
            qk_norm=config.qk_norm,
            rotary=config.rotary,
            out_scale=out_scale,
            rngs=rngs,
        )
        mlp = SwiGLU if llama else GeluMLP
        self.mlp = mlp(config.width, config.inner, out_scale=out_scale, rngs=rngs)

    def __call__(self, x_BxTxD: jax.Array, keys: KeyRanges | None = None) -> jax.Array:
        """[B, T, D] to the same; causal where no ranges of keys are given."""
        x_BxTxD = x_BxTxD + self.attention(self.attention_norm(x_BxTxD), keys)
        return x_BxTxD + self.mlp(self.mlp_norm(x_BxTxD))


def make_blocks(config: StackConfig, rngs: nnx.Rngs) -> Block:
    """All blocks of a stack as one, whose parameters lead with depth."""

    @nnx.split_rngs(splits=config.depth)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def make(rngs: nnx.Rngs) -> Block:
        return Block(config, rngs)

    return make(rngs)


def run_blocks(
    blocks: Block, x_BxTxD: jax.Array, config: StackConfig, keys: KeyRanges | None = None
) -> jax.Array:
    """Applies stacked blocks in turn to [B, T, D]; causal where no ranges of keys are given."""
    definition, stacked = nnx.split(blocks)

    def body(x: jax.Array, params: nnx.State) -> tuple[jax.Array, None]:
        return nnx.merge(definition, params)(x, keys), None

    if config.remat != "none":
        dots = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
        body = jax.checkpoint(body, policy=dots if config.remat == "dots" else None)
    unroll = 1 if config.scan else True
    return jax.lax.scan(body, x_BxTxD.astype(config.compute), stacked, unroll=unroll)[0]
