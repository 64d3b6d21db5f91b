"""The mixture problem of a set of fitted laws: eq. (7), (8) and (13) as batched arrays."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.fitted import StackedLaws
from jaxmix.mixtures.designs import dirichlet_design
from jaxmix.mixtures.simplex import center
from jaxmix.mixtures.solve.descent import Solution, descend

Array = jax.Array


def _chunk() -> int:
    """Lanes in one loop: bounds the memory, and how many wait for a slow one.

    On two CPU cores 32 to 128 were fastest and 1024 took twice as long; a GPU wants many.
    """
    return 128 if jax.default_backend() == "cpu" else 4096


class Lanes(NamedTuple):
    """What differs between the problems that are solved at once; L lanes."""

    n_params: Any  # [L]
    tokens: Any  # [L]
    target_weights: Any  # [L, m]
    start: Any  # [L, k]


def weighted_loss(laws: StackedLaws, n_params: Any, tokens: Any, w: Array, h: Array) -> Array:
    """``sum_i w_i L^i(N, D, h)``, eq. (13), at one budget; w [m], h [k] -> scalar.

    Targets of weight 0 do not count even where their loss is infinite.
    """
    losses = laws.losses({"n_params": n_params, "tokens": tokens, "weights": h})  # [m]
    return jnp.sum(jnp.where(w > 0, w * losses, 0.0))


@jax.jit
def _solve_chunk(
    laws: StackedLaws, lanes: Lanes, lower: Array, upper: Array, tolerance: Array
) -> Solution:
    def one(lane: Lanes) -> Solution:
        def objective(h: Array) -> Array:
            return weighted_loss(laws, lane.n_params, lane.tokens, lane.target_weights, h)

        return descend(objective, lane.start, lower, upper, tolerance=tolerance)

    return jax.vmap(one)(lanes)


def solve(
    laws: StackedLaws,
    lanes: Lanes,
    lower: np.ndarray,
    upper: np.ndarray,
    tolerance: float = 1e-12,
) -> Solution:
    """Minimizes every lane's objective, in chunks of few different sizes (each compiles once).

    Args:
        laws: m targets, float64.
        lanes: L problems.
        lower: [k] smallest weights.
        upper: [k] largest weights.
        tolerance: share of the objective below which a duality gap ends a lane.

    Returns:
        numpy arrays with a leading axis L.
    """
    count, chunk = len(lanes.start), _chunk()
    size = chunk if count > chunk else max(16, 1 << (count - 1).bit_length())

    def part(first: int) -> Solution:
        take = np.minimum(np.arange(first, first + size), count - 1)
        with jax.enable_x64(True):  # the setting is each thread's own
            some = Lanes(*(jnp.asarray(np.asarray(x)[take]) for x in lanes))
            box = jnp.asarray(lower), jnp.asarray(upper)
            found = _solve_chunk(laws, some, *box, jnp.asarray(tolerance))
            return Solution(*map(np.asarray, found))

    parts = [part(0)]  # compiles
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:  # a chunk keeps one core busy
        parts += threads.map(part, range(size, count, size))
    return Solution(*(np.concatenate(x)[:count] for x in zip(*parts, strict=True)))


@jax.jit
def predict(laws: StackedLaws, n_params: Array, tokens: Array, weights: Array) -> Array:
    """Losses of every target at B budgets, each with its mixture [B, k]; [B, m]."""
    return jax.vmap(laws.losses)({"n_params": n_params, "tokens": tokens, "weights": weights})


def make_starts(lower: np.ndarray, upper: np.ndarray, count: int, key: int) -> np.ndarray:
    """Starting mixtures, [count, k]: the center, then near every vertex, then random ones.

    They are positive and need not meet the bounds: the solver projects them.
    """
    k = len(lower)
    with jax.enable_x64(True):
        middle = np.asarray(jax.jit(center)(jnp.asarray(lower), jnp.asarray(upper)))
    near = 0.9 * np.eye(k) + 0.1 / k
    random = dirichlet_design(k, max(count - 1 - k, 0), seed=key)
    return np.maximum(np.vstack([middle, near, random])[:count], 1e-6)
