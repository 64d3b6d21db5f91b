"""The layers of the transformers of all families.

Names give shapes: B records, T positions, D width, H heads, K width of a head, F width of the
feed-forward layer.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jaxmix.models.ranges import KeyRanges, key_mask

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

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., d_in] to [..., d_out]."""
        y = x @ self.kernel[...].astype(x.dtype)
        return y if self.bias is None else y + self.bias[...].astype(x.dtype)


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


def causal_attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Every position sees itself and those before it; arrays are [B, T, H, K].

    ::

        key    0 1 2
        row 0  x . .
        row 1  x x .
        row 2  x x x
    """
    if jax.default_backend() == "gpu" and q.dtype == jnp.bfloat16:
        return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn")
    return _masked_attention(q, k, v, jnp.tril(jnp.ones((q.shape[1], q.shape[1]), bool)))


def ranged_attention(
    q: jax.Array, k: jax.Array, v: jax.Array, key_start: jax.Array, key_end: jax.Array
) -> jax.Array:
    """Every position sees its range of keys; q, k and v are [B, T, H, K], ranges int [B, T]."""
    seen_BxTxT = key_mask(key_start, key_end)
    if jax.default_backend() == "gpu" and q.dtype == jnp.bfloat16:
        seen = seen_BxTxT[:, None]
        return jax.nn.dot_product_attention(q, k, v, mask=seen, implementation="cudnn")
    return _masked_attention(q, k, v, seen_BxTxT[:, None])


def _masked_attention(q: jax.Array, k: jax.Array, v: jax.Array, seen: jax.Array) -> jax.Array:
    """Attention by matrix products; `seen` is bool, [T, T] or [B, 1, T, T], without empty rows."""
    # Heads before positions give plain matrix products, and dividing the sums rather than the
    # scores saves a pass over them: a gradient on a CPU takes 10 to 25% less time.
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    scores = jnp.matmul(q, k.swapaxes(2, 3), preferred_element_type=jnp.float32)
    scores_BxHxTxT = jnp.where(seen, scores * q.shape[-1] ** -0.5, -jnp.inf)
    top = jax.lax.stop_gradient(scores_BxHxTxT.max(-1, keepdims=True))
    shares = jnp.exp(scores_BxHxTxT - top)
    summed = jnp.matmul(shares.astype(v.dtype), v, preferred_element_type=jnp.float32)
    return (summed / shares.sum(-1, keepdims=True)).astype(v.dtype).swapaxes(1, 2)


class SwiGLU(nnx.Module):
    """(silu(x W) * x V) U, without biases."""

    def __init__(self, width: int, inner: int, *, out_scale: float, rngs: nnx.Rngs):
        self.up = Linear(width, 2 * inner, bias=False, init=fan_in(), rngs=rngs)
        self.down = Linear(inner, width, bias=False, init=fan_in(out_scale), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] to the same."""
        gate, value = jnp.split(self.up(x), 2, axis=-1)
        return self.down(jax.nn.silu(gate) * value)


class GeluMLP(nnx.Module):
    """gelu(x W) U, with biases."""

    def __init__(self, width: int, inner: int, *, out_scale: float, rngs: nnx.Rngs):
        self.up = Linear(width, inner, bias=True, init=fan_in(), rngs=rngs)
        self.down = Linear(inner, width, bias=True, init=fan_in(out_scale), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] to the same."""
        return self.down(jax.nn.gelu(self.up(x)))
