"""Runs that could be made next: which mixtures, which sizes, and which repeat a run."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.mixtures.designs import dirichlet_design, vertices
from jaxmix.mixtures.simplex import Bounds, project

_SAME_SIZE = 0.02  # difference of log N and of log D within which sizes are the same
_MOST_EDGES = 200


class Candidates(NamedTuple):
    """c runs: sizes N and D [c] and mixtures [c, k]."""

    n_params: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray

    @property
    def flops(self) -> np.ndarray:
        """``6 N D`` [c]."""
        return 6.0 * self.n_params * self.tokens

    def take(self, which: Any) -> "Candidates":
        """Some of them, by mask or indices."""
        return Candidates(*(x[which] for x in self))


def candidate_mixtures(bounds: Bounds, optimum: np.ndarray, seed: int) -> np.ndarray:
    """Mixtures [q, k] within bounds: all over them, around h*, and their corners and edges."""
    k = len(optimum)
    pure, (i, j) = vertices(k), np.triu_indices(k, 1)
    edges = (0.5 * (pure[i] + pure[j]))[:_MOST_EDGES]
    near = 0.9 * optimum + 0.1 / k
    free = np.vstack(
        [
            optimum,
            dirichlet_design(k, 600, seed=seed),
            dirichlet_design(k, 200, seed=seed + 1, concentration=0.4),
            dirichlet_design(k, 400, seed=seed + 2, concentration=8.0, mean=near.tolist()),
            0.98 * pure + 0.02 / k,
            edges,
        ]
    )
    lower, upper = jnp.asarray(bounds.lower), jnp.asarray(bounds.upper)
    onto = jax.jit(jax.vmap(lambda y: project(y, lower, upper)))
    return _exact(np.asarray(onto(jnp.maximum(free, 1e-12))).round(6))


def given_mixtures(given: Any, bounds: Bounds) -> np.ndarray:
    """Those of the given mixtures [q, k] that are within bounds.

    Raises:
        JaxmixError: they are no mixtures of the domains, or none is within the bounds.
    """
    found, k = np.asarray(given, np.float64), len(bounds.domains)
    if found.ndim != 2 or found.shape[1] != k or not len(found):
        raise JaxmixError(f"candidates must be [q, {k}], not {list(found.shape)}")
    if not (np.all(found >= 0) and np.all(np.abs(found.sum(1) - 1) < 0.005)):
        raise JaxmixError("candidates must be mixtures: weights of at least 0 with sum 1")
    inside = np.all((found >= bounds.lower - 1e-6) & (found <= bounds.upper + 1e-6), 1)
    if not inside.any():
        raise JaxmixError(f"none of {len(found)} candidates is within the bounds; widen them")
    return _exact(found[inside])


def _exact(mixtures: np.ndarray) -> np.ndarray:
    return mixtures / mixtures.sum(1, keepdims=True)


def cross(
    mixtures: np.ndarray, sizes: Sequence[tuple[float, float]], flops: float | None
) -> Candidates:
    """Every size (N, D) that the budget pays with every mixture [q, k].

    Raises:
        JaxmixError: a size that is no size, or a budget that pays none.
    """
    if any(not 0 < x < np.inf for size in sizes for x in size):
        raise JaxmixError("every size needs N and D above 0 and finite")
    paid = [s for s in sizes if flops is None or 6.0 * s[0] * s[1] <= flops * (1 + 1e-9)]
    if not paid:
        cheapest = min(6.0 * n * d for n, d in sizes)
        raise JaxmixError(
            f"a budget of {flops:.3g} FLOPs pays no run: the cheapest size takes {cheapest:.3g} "
            "(6 N D); raise it or add a smaller size"
        )
    size = np.repeat(np.asarray(paid, float), len(mixtures), 0)
    return Candidates(size[:, 0], size[:, 1], np.tile(mixtures, (len(paid), 1)))


def near(pool: Candidates, others: Candidates, closest: float) -> np.ndarray:
    """[c] whether one of the other runs has the same size and nearly the same mixture."""
    found = np.zeros(len(pool.n_params), bool)
    for n, d in sorted(set(zip(pool.n_params.tolist(), pool.tokens.tolist(), strict=True))):
        mine = (pool.n_params == n) & (pool.tokens == d)
        gaps = np.maximum(abs(np.log(others.n_params / n)), abs(np.log(others.tokens / d)))
        same = np.unique(others.weights[gaps < _SAME_SIZE], axis=0)
        if len(same):
            found[mine] = distance(pool.weights[mine], same) < closest
    return found


def distance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean distance of each point [c, k] to the nearest of others [u, k]; [c]."""
    square = (points**2).sum(1)[:, None] + (others**2).sum(1) - 2 * points @ others.T
    return np.sqrt(np.maximum(square.min(1), 0.0))
