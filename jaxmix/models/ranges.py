"""Ranges of keys that each position sees: from a start up to, but not including, an end.

Text is causal, the patches of a picture see one another, and documents that are packed into one row
do not see each other: ranges describe all three. Here are two documents, the second with a picture
of three patches, and padding, which sees itself so that no softmax is empty::

    key         0 1 2 3 4 5 6 7 8
    0  text     x . . . . . . . .
    1  text     x x . . . . . . .
    2  patch    . . x x x . . . .
    3  patch    . . x x x . . . .
    4  patch    . . x x x . . . .
    5  text     . . x x x x . . .
    6  text     . . x x x x x . .
    7  padding  . . . . . . . x .
    8  padding  . . . . . . . . x

They take O(T) memory, and they count the work of attention exactly.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class KeyRanges(NamedTuple):
    """Position t of a row sees keys start[t] to end[t] - 1; both are int [B, T]."""

    start: jax.Array
    end: jax.Array


def prefix_ranges(prefix_B: jax.Array, length: int) -> KeyRanges:
    """The positions of a prefix see one another, the rest are causal: int [B] to [B, length].

    With a prefix of 2::

        key    0 1 2 3
        row 0  x x . .
        row 1  x x . .
        row 2  x x x .
        row 3  x x x x
    """
    ends = jnp.maximum(prefix_B.astype(jnp.int32)[:, None], jnp.arange(1, length + 1))
    return KeyRanges(jnp.zeros_like(ends), ends)


def key_mask(key_start: jax.Array, key_end: jax.Array) -> jax.Array:
    """Whether row t sees key s, bool [B, T, T]; an empty range sees its own position."""
    positions = jnp.arange(key_start.shape[-1])
    start, end = (x.astype(jnp.int32)[..., None] for x in (key_start, key_end))
    seen = (start <= positions) & (positions < end)
    return seen | ((start >= end) & (positions[:, None] == positions))


def key_pairs(key_start: Any, key_end: Any) -> int:
    """Number of pairs of a row and a key that it sees, in a batch of ranges [B, T].

    It is exact for NumPy arrays; JAX arrays are summed in int32.

    >>> int(key_pairs(*prefix_ranges(jnp.array([0, 2]), 4)))
    21
    """
    return int((key_end - key_start).sum())
