"""Text language models: Llama-style, and GPT-2-style as in the analyses on the Pile."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from jaxmix.models.blocks import Compute, Remat, StackConfig, Style, make_blocks, run_blocks
from jaxmix.models.layers import Linear, fan_in


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
    style: Style = "llama"
    qk_norm: bool = False
    tied: bool = False
    max_length: int = 1024
    compute: Compute = "float32"
    remat: Remat = "none"
    scan: bool = True

    def __post_init__(self) -> None:
        _ = self.stack  # says what is wrong with the heads, if anything is

    @property
    def stack(self) -> StackConfig:
        """The blocks."""
        return StackConfig(
            self.width,
            self.depth,
            self.heads,
            style=self.style,
            rotary=self.style == "llama",
            qk_norm=self.qk_norm,
            compute=self.compute,
            remat=self.remat,
            scan=self.scan,
        )

    @property
    def inner(self) -> int:
        """Width of the feed-forward layer: 8/3 d for SwiGLU to the next even number, else 4 d."""
        return self.stack.inner


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
        self.blocks = make_blocks(config.stack, rngs)
        self.norm = config.stack.norm()
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
        x = self.norm(run_blocks(self.blocks, x, config.stack))
        if self.head is None:
            return (x @ self.embedding[...].astype(x.dtype).T).astype(jnp.float32)
        return self.head(x).astype(jnp.float32)
