"""Text language models: Llama-style, and GPT-2-style as in the analyses on the Pile."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from jaxmix.models.blocks import ModelConfig, StackConfig, Style, make_blocks, run_blocks
from jaxmix.models.functional import Functional, functional
from jaxmix.models.layers import Linear, embed, fan_in


@dataclass(frozen=True)
class TextConfig(ModelConfig):
    """A text model.

    Attributes:
        style: "llama" (RoPE, SwiGLU, RMSNorm, no biases) or "gpt2" (learned positions, GELU,
            LayerNorm, biases).
        qk_norm: whether queries and keys have an RMSNorm.
        tied: whether the head is the embedding itself, as in GPT-2.
        max_length: longest window in tokens; only "gpt2" has parameters for it.
    """

    style: Style = "llama"
    qk_norm: bool = False
    tied: bool = False
    max_length: int = 1024

    def __post_init__(self) -> None:
        _ = self.stack  # checks the heads

    @property
    def stack(self) -> StackConfig:
        """The blocks."""
        rotary = self.style == "llama"
        return self.make_stack(style=self.style, rotary=rotary, qk_norm=self.qk_norm)


class TextLM(nnx.Module):
    """Embedding, blocks, norm and head; block parameters have a leading axis for the layers."""

    def __init__(self, config: TextConfig, rngs: nnx.Rngs):
        self.config = config
        # A small head, so that the loss starts at ln(vocab) for any width. A tied embedding is as
        # small, and the first norm makes up for that.
        small = 0.1 / config.width**0.5
        scale = small if config.tied else 1.0
        shape = (config.vocab_size, config.width)
        self.embedding = nnx.Param(scale * jax.random.normal(rngs.params(), shape))
        if config.style == "gpt2":
            shape = (config.max_length, config.width)
            self.positions = nnx.Param(0.3 * scale * jax.random.normal(rngs.params(), shape))
        self.blocks = make_blocks(config.stack, rngs)
        self.norm = config.stack.norm()
        self.head = nnx.data(None)
        if not config.tied:
            shape = (config.width, config.vocab_size)
            self.head = Linear(*shape, bias=False, init=fan_in(0.1), rngs=rngs)

    def __call__(self, tokens_BxT: jax.Array) -> jax.Array:
        """Logits in float32, [B, T, vocab]."""
        config = self.config
        x = embed(self.embedding[...], tokens_BxT)
        if config.style == "gpt2":
            x = x + self.positions[...][: tokens_BxT.shape[1]]
        x = self.norm(run_blocks(self.blocks, x, config.stack))
        if self.head is None:
            return (x @ self.embedding[...].astype(x.dtype).T).astype(jnp.float32)
        return self.head(x).astype(jnp.float32)


def text_functional(config: TextConfig) -> Functional[TextLM]:
    """The module as pure functions of its parameters."""
    return functional(lambda rngs: TextLM(config, rngs))
