"""The layers of the transformers of all families.

Names give shapes: B records, T positions, D width, H heads, K width of a head, F width of the
feed-forward layer.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jaxmix.models.attention import causal_attention, ranged_attention
from jaxmix.models.ranges import KeyRanges
from jaxmix.placement import by_record, current, whole

Initializer = Callable[[jax.Array, tuple[int, ...]], jax.Array]


def fan_in(scale: float = 1.0) -> Initializer:
    """Normal with standard deviation scale / sqrt(fan-in); the fan-in is the second-last axis."""

    def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return scale * jax.random.normal(key, shape) / shape[-2] ** 0.5

    return draw


class Linear(nnx.Module):
    """x @ kernel (+ bias); parameters in float32, products in the type of x."""

    def __init__(self, d_in: int, d_out: int, *, bias: bool, init: Initializer, rngs: nnx.Rngs):
        self.kernel = nnx.Param(init(rngs.params(), (d_in, d_out)))
        self.bias = nnx.Param(jnp.zeros(d_out)) if bias else nnx.data(None)

    def halves(self, dtype: jnp.dtype) -> list[jax.Array]:
        """The kernel in two, [d_in, d_out / 2] each."""
        return jnp.split(self.kernel[...].astype(dtype), 2, axis=1)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., d_in] to [..., d_out]."""
        y = by_record(x @ self.kernel[...].astype(x.dtype))
        return y if self.bias is None else y + self.bias[...].astype(x.dtype)


def embed(table_VxD: jax.Array, tokens_BxT: jax.Array) -> jax.Array:
    """Rows of an embedding, [B, T, D], in the type of the table.

    A table that is spread over devices is gathered first: it is smaller than the rows of a batch,
    and its gradient is summed in the table's type.
    """
    return by_record(whole(table_VxD)[tokens_BxT])


class RMSNorm(nnx.Module):
    """Scale to unit root mean square, then a learned gain; in float32 throughout."""

    def __init__(self, width: int):
        self.gain = nnx.Param(jnp.ones(width))

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] to the same."""
        wide = x.astype(jnp.float32)
        wide = wide * jax.lax.rsqrt(jnp.mean(wide * wide, -1, keepdims=True) + 1e-6)
        return (wide * self.gain[...]).astype(x.dtype)


class LayerNorm(nnx.Module):
    """Zero mean and unit variance, then a learned gain and bias; in float32 throughout."""

    def __init__(self, width: int):
        self.gain = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] to the same."""
        wide = jax.nn.standardize(x.astype(jnp.float32), axis=-1, epsilon=1e-5)
        return (wide * self.gain[...] + self.bias[...]).astype(x.dtype)


def rope(x_BxTxHxK: jax.Array, base: float = 10_000.0) -> jax.Array:
    """Rotary positions: rotates the two halves of every head by angles t / base^(2i/K)."""
    positions, half = x_BxTxHxK.shape[1], x_BxTxHxK.shape[-1] // 2
    rates = base ** (-jnp.arange(half) / half)
    angles = jnp.arange(positions)[:, None] * rates
    cos, sin = (f(angles)[None, :, None].astype(x_BxTxHxK.dtype) for f in (jnp.cos, jnp.sin))
    a, b = jnp.split(x_BxTxHxK, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


class Attention(nnx.Module):
    """Self-attention, optionally with rotary positions and QK-norm."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        bias: bool,
        qk_norm: bool,
        rotary: bool,
        out_scale: float,
        rngs: nnx.Rngs,
    ):
        self.heads, self.rotary = heads, rotary
        self.qkv = Linear(width, 3 * width, bias=bias, init=fan_in(), rngs=rngs)
        self.out = Linear(width, width, bias=bias, init=fan_in(out_scale), rngs=rngs)
        self.q_norm = RMSNorm(width // heads) if qk_norm else nnx.data(None)
        self.k_norm = RMSNorm(width // heads) if qk_norm else nnx.data(None)

    def __call__(self, x_BxTxD: jax.Array, keys: KeyRanges | None = None) -> jax.Array:
        """[B, T, D] to the same; causal if no ranges of keys are given."""
        batch, length, width = x_BxTxD.shape
        qkv = self.qkv(x_BxTxD).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = (qkv[:, :, i] for i in range(3))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary:
            q, k = rope(q), rope(k)
        y = causal_attention(q, k, v) if keys is None else ranged_attention(q, k, v, *keys)
        return self.out(y.reshape(batch, length, width))


class SwiGLU(nnx.Module):
    """(silu(x W) * x V) U, without biases."""

    def __init__(self, width: int, inner: int, *, out_scale: float, rngs: nnx.Rngs):
        self.up = Linear(width, 2 * inner, bias=False, init=fan_in(), rngs=rngs)
        self.down = Linear(inner, width, bias=False, init=fan_in(out_scale), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] to the same."""
        if current().platform == "cpu":
            gate, value = jnp.split(self.up(x), 2, axis=-1)
        else:  # two products, because cutting one in halves copies it
            gate, value = (by_record(x @ half) for half in self.up.halves(x.dtype))
        return self.down(jax.nn.silu(gate) * value)


class GeluMLP(nnx.Module):
    """gelu(x W) U, with biases."""

    def __init__(self, width: int, inner: int, *, out_scale: float, rngs: nnx.Rngs):
        self.up = Linear(width, inner, bias=True, init=fan_in(), rngs=rngs)
        self.down = Linear(inner, width, bias=True, init=fan_in(out_scale), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] to the same."""
        return self.down(jax.nn.gelu(self.up(x)))
