"""Text language models: Llama-style, and GPT-2-style as in the analyses on the Pile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from jaxmix.models.layers import (
    Attention,
    GeluMLP,
    LayerNorm,
    Linear,
    RMSNorm,
    SwiGLU,
    fan_in,
)

Remat = Literal["none", "full", "dots"]


@dataclass(frozen=True)
class TextConfig:
    """A text model, everything that decides its parameters and its arithmetic.

    Attributes:
        vocab_size: tokens of the tokenizer.
        width: latent dimension d, the paper's only knob of scale.
        depth: layers; 24 in the paper.
        heads: attention heads; the width of a head is width / heads.
        style: "llama" (RoPE, SwiGLU, RMSNorm, no biases) or "gpt2" (learned positions, GELU,
            LayerNorm, biases).
        qk_norm: RMSNorm of queries and keys.
        tied: the head is the embedding itself, as in GPT-2.
        max_length: longest window in tokens; only "gpt2" has parameters for it.
        compute: type of the products, "float32" or "bfloat16"; parameters are float32.
        remat: what the backward pass computes again: "none", "full" (every block), or "dots"
            (all but the matrix products).
        scan: one block's program for all layers, which compiles fast; unrolled runs faster where
            layers are few.
    """

    vocab_size: int
    width: int
    depth: int = 24
    heads: int = 16
    style: Literal["llama", "gpt2"] = "llama"
    qk_norm: bool = False
    tied: bool = False
    max_length: int = 1024
    compute: Literal["float32", "bfloat16"] = "float32"
    remat: Remat = "none"
    scan: bool = True

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.style == "llama" and self.width // self.heads % 2):
            raise ValueError(
                f"width {self.width} does not divide into {self.heads} heads of even width; "
                "choose another number of heads"
            )

    @property
    def inner(self) -> int:
        """Width of the feed-forward layer: 8/3 d for SwiGLU to the next even number, else 4 d."""
        return 2 * round(4 * self.width / 3) if self.style == "llama" else 4 * self.width


class Block(nnx.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, config: TextConfig, rngs: nnx.Rngs):
        llama = config.style == "llama"
        norm = RMSNorm if llama else LayerNorm
        # Residual branches start small enough for the sum of all layers to keep its scale.
        out_scale = (2 * config.depth) ** -0.5
        self.attention_norm, self.mlp_norm = norm(config.width), norm(config.width)
        self.attention = Attention(
            config.width,
            config.heads,
            bias=not llama,
            qk_norm=config.qk_norm,
            rotary=llama,
            out_scale=out_scale,
            rngs=rngs,
        )
        mlp = SwiGLU if llama else GeluMLP
        self.mlp = mlp(config.width, config.inner, out_scale=out_scale, rngs=rngs)

    def __call__(self, x_BxTxD: jax.Array) -> jax.Array:
        """[B, T, D] to the same."""
        x_BxTxD = x_BxTxD + self.attention(self.attention_norm(x_BxTxD))
        return x_BxTxD + self.mlp(self.mlp_norm(x_BxTxD))


class TextLM(nnx.Module):
    """Embedding, blocks, norm and a head of its own; stacked block parameters lead with depth."""

    def __init__(self, config: TextConfig, rngs: nnx.Rngs):
        self.config = config
        # A small head: the loss starts at ln(vocab), whatever the width. Tied to it, the embedding
        # is as small, and the first norm makes up for that.
        small = 0.1 / config.width**0.5
        scale = small if config.tied else 1.0
        shape = (config.vocab_size, config.width)
        self.embedding = nnx.Param(scale * jax.random.normal(rngs.params(), shape))
        if config.style == "gpt2":
            places = (config.max_length, config.width)
            self.positions = nnx.Param(0.3 * scale * jax.random.normal(rngs.params(), places))
        self.blocks = _stacked(config, rngs)
        self.norm = RMSNorm(config.width) if config.style == "llama" else LayerNorm(config.width)
        self.head = nnx.data(None)
        if not config.tied:
            shape = (config.width, config.vocab_size)
            self.head = Linear(*shape, bias=False, init=fan_in(0.1), rngs=rngs)

    def __call__(self, tokens_BxT: jax.Array) -> jax.Array:
        """Logits in float32, [B, T, vocab]."""
        config = self.config
        x = self.embedding[...][tokens_BxT]
        if config.style == "gpt2":
            x = x + self.positions[...][: tokens_BxT.shape[1]]
        x = run_blocks(self.blocks, x.astype(config.compute), config.remat, config.scan)
        x = self.norm(x)
        if self.head is None:
            return (x @ self.embedding[...].astype(x.dtype).T).astype(jnp.float32)
        return self.head(x).astype(jnp.float32)


def _stacked(config: TextConfig, rngs: nnx.Rngs) -> Block:
    @nnx.split_rngs(splits=config.depth)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def make(rngs: nnx.Rngs) -> Block:
        return Block(config, rngs)

    return make(rngs)


def run_blocks(blocks: nnx.Module, x: jax.Array, remat: Remat, scan: bool) -> jax.Array:
    """Applies stacked blocks in turn to [B, T, D]."""
    definition, stacked = nnx.split(blocks)

    def body(x: jax.Array, params: nnx.State) -> tuple[jax.Array, None]:
        return nnx.merge(definition, params)(x), None

    if remat != "none":
        dots = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
        body = jax.checkpoint(body, policy=dots if remat == "dots" else None)
    return jax.lax.scan(body, x, stacked, unroll=1 if scan else True)[0]


def token_losses(logits_BxTxV: jax.Array, targets_BxT: jax.Array) -> jax.Array:
    """Cross-entropy of every token in nats, [B, T]."""
    chosen = jnp.take_along_axis(logits_BxTxV, targets_BxT[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits_BxTxV, axis=-1) - chosen
