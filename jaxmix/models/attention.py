"""Attention over queries, keys and values [B, T, H, K], with the kernel that suits the devices.

Names give shapes: B records, T positions, H heads, K width of a head.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from jaxmix.models.ranges import key_mask
from jaxmix.placement import current

ATTENTION = "attention"  # by which a backward pass finds what a kernel has saved for it
SHORT = 256  # positions up to which plain products cost no more than a kernel
_TILE = 128  # of TPU kernels: positions and widths of heads come in multiples of it


def causal_attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Every position sees itself and those before it; arrays are [B, T, H, K].

    ::

        key    0 1 2
        row 0  x . .
        row 1  x x .
        row 2  x x x
    """
    if _fits_cudnn(q):
        return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn")
    if _fits_splash(q):
        return _splash(q, k, v)
    return _masked_attention(q, k, v, jnp.tril(jnp.ones((q.shape[1], q.shape[1]), bool)))


def ranged_attention(
    q: jax.Array, k: jax.Array, v: jax.Array, key_start: jax.Array, key_end: jax.Array
) -> jax.Array:
    """Every position sees its range of keys; q, k and v are [B, T, H, K], ranges int [B, T]."""
    seen_Bx1xTxT = key_mask(key_start, key_end)[:, None]
    length, heads = q.shape[1:3]
    if _fits_cudnn(q) and length > SHORT and length % 2 == 0:
        if current().members:  # cuDNN refuses a vmapped mask that all heads share
            shape = (q.shape[0], heads, length, length)
            seen_Bx1xTxT = jnp.broadcast_to(seen_Bx1xTxT, shape)
        return jax.nn.dot_product_attention(q, k, v, mask=seen_Bx1xTxT, implementation="cudnn")
    return _masked_attention(q, k, v, seen_Bx1xTxT)


def _fits_cudnn(q: jax.Array) -> bool:
    """Whether cuDNN has a kernel: heads of multiples of 8 up to 128, in bfloat16, on a GPU."""
    width = q.shape[-1]
    fits = width % 8 == 0 and width <= 128 and q.dtype == jnp.bfloat16
    return fits and current().platform == "gpu"


def _fits_splash(q: jax.Array) -> bool:
    """Whether the TPU kernel works on arrays of this shape."""
    _, length, _, width = q.shape
    tiles = length % _TILE == 0 and width % _TILE == 0 and length > SHORT
    return tiles and current().platform == "tpu" and not current().members


def _splash(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Causal attention by Pallas; the partitioner cannot cut it, so every device runs its own."""
    place = current()
    length, heads = q.shape[1:3]

    def run(*arrays: jax.Array) -> jax.Array:
        q, k, v = (x.swapaxes(1, 2) for x in arrays)
        y = jax.vmap(_splash_kernel(length, heads))(q * q.shape[-1] ** -0.5, k, v)
        return y.swapaxes(1, 2)

    if place.mesh is not None:
        spec = P(place.records)
        run = jax.shard_map(
            run, mesh=place.mesh, in_specs=(spec,) * 3, out_specs=spec, check_vma=False
        )
    return run(q, k, v)


@functools.cache
def _splash_kernel(length: int, heads: int) -> Any:
    from jax.experimental.pallas.ops.tpu import splash_attention as splash

    block = max(b for b in (128, 256, 512) if length % b == 0)
    sizes = splash.BlockSizes(
        block_q=block,
        block_kv=block,
        block_q_dkv=block,
        block_kv_dkv=block,
        use_fused_bwd_kernel=True,
    )
    mask = splash.MultiHeadMask([splash.CausalMask((length, length))] * heads)
    with jax.ensure_compile_time_eval():
        return splash.make_splash_mha(
            mask,
            block_sizes=sizes,
            head_shards=1,
            q_seq_shards=1,
            residual_checkpoint_name=ATTENTION,
        )


def _masked_attention(q: jax.Array, k: jax.Array, v: jax.Array, seen: jax.Array) -> jax.Array:
    """Attention by matrix products; `seen` is bool, [T, T] or [B, 1, T, T], without empty rows."""
    # Heads before positions give plain matrix products, and dividing the sums rather than the
    # scores saves a pass over them: a gradient on a CPU takes 10 to 25% less time.
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    scores = _product(q, k.swapaxes(2, 3))
    scores_BxHxTxT = jnp.where(seen, scores * q.shape[-1] ** -0.5, -jnp.inf)
    top = jax.lax.stop_gradient(scores_BxHxTxT.max(-1, keepdims=True))
    shares = jnp.exp(scores_BxHxTxT - top)
    summed = _product(shares.astype(v.dtype), v)
    return (summed / shares.sum(-1, keepdims=True)).astype(v.dtype).swapaxes(1, 2)


@jax.custom_vjp
def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """The product a @ b in float32; its gradients multiply in the type of a and b.

    The gradient that JAX derives multiplies a float32 cotangent by a bfloat16 array, which
    accelerators do in float32.
    """
    return jnp.matmul(a, b, preferred_element_type=jnp.float32)


def _product_forward(a: jax.Array, b: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _product(a, b), (a, b)


def _product_backward(
    held: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    a, b = held
    g = cotangent.astype(a.dtype)
    return g @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ g


_product.defvjp(_product_forward, _product_backward)
