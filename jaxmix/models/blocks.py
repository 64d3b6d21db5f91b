"""Stacks of transformer blocks, of which every family has one or two, and common settings."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
from flax import nnx

from jaxmix.errors import JaxmixError
from jaxmix.models.attention import ATTENTION
from jaxmix.models.layers import Attention, GeluMLP, LayerNorm, RMSNorm, SwiGLU
from jaxmix.models.ranges import KeyRanges
from jaxmix.placement import by_record

Compute = Literal["float32", "bfloat16"]
Remat = Literal["none", "full", "dots"]
Style = Literal["llama", "gpt2"]


@dataclass(frozen=True)
class StackConfig:
    """A stack of blocks.

    Attributes:
        width: width of the residual stream.
        depth: number of blocks.
        heads: number of attention heads; the width of a head is width / heads.
        style: "llama" (SwiGLU, RMSNorm, no biases) or "gpt2" (GELU, LayerNorm, biases).
        rotary: whether queries and keys have rotary positions.
        qk_norm: whether queries and keys have an RMSNorm.
        compute: see `ModelConfig`, also for `remat` and `scan`.
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
        """Width of the feed-forward layer: about 8/3 d for SwiGLU, else 4 d.

        From a width of 256 on it is a multiple of 64: accelerators pad or load slowly rows of other
        lengths. Smaller models, whose counts would change by more, take the next even number.
        """
        if self.style != "llama":
            return 4 * self.width
        unit = 64 if self.width >= 256 else 2
        return unit * round(8 * self.width / 3 / unit)

    @property
    def weights(self) -> int:
        """Number of weights in matrix products; each costs 2 FLOPs per position, forward."""
        mlp = (3 if self.style == "llama" else 2) * self.width * self.inner
        return self.depth * (4 * self.width**2 + mlp)

    def attention_flops(self, pairs: float) -> float:
        """FLOPs of scores and values in a forward pass, from the number of pairs of row and key."""
        return 4.0 * self.depth * self.width * pairs

    def norm(self) -> RMSNorm | LayerNorm:
        """A normalization in this style."""
        return (RMSNorm if self.style == "llama" else LayerNorm)(self.width)


@dataclass(frozen=True)
class ModelConfig:
    """Settings of all families.

    Attributes:
        vocab_size: number of tokens of the tokenizer.
        width: latent dimension d, the only size that differs among the paper's models.
        depth: number of layers; 24 in the paper.
        heads: number of attention heads; the width of a head is width / heads.
        compute: dtype of matrix products, "float32" or "bfloat16"; parameters are float32.
        remat: what the backward pass recomputes: "none", "full" (every block), or "dots"
            (everything but the matrix products).
        scan: compile one block for all layers, which is fast to compile. If there are few layers,
            unrolled ones run faster.
    """

    vocab_size: int
    width: int
    depth: int = 24
    heads: int = 16
    compute: Compute = "float32"
    remat: Remat = "none"
    scan: bool = True

    def make_stack(self, sizes: tuple[int, int, int] | None = None, **options: Any) -> StackConfig:
        """A stack of these sizes (width, depth, heads); None for those of the model."""
        width, depth, heads = sizes or (self.width, self.depth, self.heads)
        common = {"compute": self.compute, "remat": self.remat, "scan": self.scan}
        return StackConfig(width, depth, heads, **common, **options)


class Block(nnx.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, config: StackConfig, rngs: nnx.Rngs):
        llama = config.style == "llama"
        # Residual branches start small, so that the sum of all layers keeps its scale.
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
        """[B, T, D] to the same; causal if no ranges of keys are given."""
        x_BxTxD = x_BxTxD + self.attention(self.attention_norm(x_BxTxD), keys)
        return x_BxTxD + self.mlp(self.mlp_norm(x_BxTxD))


def make_blocks(config: StackConfig, rngs: nnx.Rngs) -> Block:
    """All blocks of a stack as one block, whose parameters have a leading axis for the layers."""

    @nnx.split_rngs(splits=config.depth)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def make(rngs: nnx.Rngs) -> Block:
        return Block(config, rngs)

    return make(rngs)


def run_blocks(
    blocks: Block, x_BxTxD: jax.Array, config: StackConfig, keys: KeyRanges | None = None
) -> jax.Array:
    """Applies stacked blocks in turn to [B, T, D]; causal if no ranges of keys are given."""
    definition, stacked = nnx.split(blocks)

    def body(x: jax.Array, params: nnx.State) -> tuple[jax.Array, None]:
        return by_record(nnx.merge(definition, params)(x, keys)), None

    if config.remat != "none":
        body = jax.checkpoint(body, policy=_saved if config.remat == "dots" else None)
    unroll = 1 if config.scan else True
    x = by_record(x_BxTxD.astype(config.compute))
    return jax.lax.scan(body, x, stacked, unroll=unroll)[0]


def _saved(primitive: Any, *shapes: Any, **settings: Any) -> bool:
    """Whether the backward pass finds a result saved: of products, and of kernels of attention."""
    policies = jax.checkpoint_policies
    kernel = policies.save_only_these_names(ATTENTION)(primitive, *shapes, **settings)
    dot = policies.dots_with_no_batch_dims_saveable(primitive, *shapes, **settings)
    return bool(kernel) or bool(dot) or "attention_fwd" in primitive.name
