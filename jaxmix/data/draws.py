"""Random numbers as pure functions of seed, name and position: the same on every machine."""

import hashlib

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)


def mixed(x: np.ndarray) -> np.ndarray:
    """Mixes the bits of uint64 numbers with the finalizer of splitmix64; the shape stays."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def keyed(key: str, first: int, last: int) -> np.ndarray:
    """Numbers `first` to `last` - 1 of the stream that `key` names, uint64 [last - first]."""
    start = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    return mixed(np.arange(first + 1, last + 1, dtype=np.uint64) * _STEP + np.uint64(start))


def uniforms(draws: np.ndarray, count: int) -> np.ndarray:
    """`count` numbers in [0, 1) from each draw, uint64 [n] to float64 [n, count]."""
    streams = np.asarray(draws, np.uint64)[:, None] + np.arange(1, count + 1, dtype=np.uint64)
    return (mixed(streams * _STEP) >> np.uint64(11)) * 2.0**-53
