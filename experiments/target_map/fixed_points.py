"""Target mixtures that are their own optimum: a search between the points of a grid."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxmix.fitting import FittedLaw
from jaxmix.mixtures import FixedPoints, fixed_point_map, optimize

CORNER = 0.95  # a mixture with a larger weight is at a corner
FIXED = 1e-3  # Jensen-Shannon distance below which w is taken for its own optimum
_SEEDS, _TRIES, _SHRINK = 8, 24, 0.75
_APART = 0.02  # places that are nearer than this are one


def summary(found: FixedPoints) -> dict[str, Any]:
    """How far the map moves target mixtures, and with what certificates."""
    w, inside = found.target_weights, found.target_weights.max(1) < CORNER
    largest = w.max(1) == 1.0
    return {
        "targets": len(w),
        "median_distance": float(np.median(found.distance[inside])),
        "largest_distance": float(found.distance.max()),
        "at_corners": float(found.distance[largest].max()),
        "least_inside": float(found.distance[inside].min()),
        "below_0.02_inside": int(np.sum(found.distance[inside] < 0.02)),
        "largest_gap": float(found.optima.gap.max()),
        "proven": int(found.optima.proven),
        "not_converged": int(np.sum(~found.optima.converged)),
        "found_by_one_start": int(np.sum(found.optima.agreeing == 1)),
        "starts": found.optima.starts,
    }


def search(
    laws: Sequence[FittedLaw], budget: tuple[float, float], found: FixedPoints, rounds: int
) -> list[dict[str, Any]]:
    """Places away from the corners where w moves least, from the best points of the grid.

    Every place is tried with random steps that shrink: near a fixed point the distance falls in
    proportion to that from it, so that what is left after the last round tells whether it is one.
    Every other step keeps weights of 0, so that edges are searched too.
    """
    inside = np.flatnonzero(found.target_weights.max(1) < CORNER)
    w = _apart(found.target_weights[inside], found.distance[inside])
    rng, radius = np.random.default_rng(0), 0.05
    distance = np.full(len(w), np.inf)
    for _ in range(rounds):
        tried = np.repeat(w, _TRIES, 0)
        step = radius * rng.normal(size=tried.shape)
        which = np.arange(len(tried))[:, None] % _TRIES
        step *= (which > 0) & ((which % 2 == 0) | (tried > 0))  # the first try stays
        moved = np.abs(tried + step)
        moved /= moved.sum(1, keepdims=True)
        moved = np.where(moved.max(1, keepdims=True) < CORNER, moved, tried)
        many = fixed_point_map(laws, *budget, moved)
        best = many.distance.reshape(-1, _TRIES).argmin(1) + np.arange(len(w)) * _TRIES
        w, distance, radius = many.target_weights[best], many.distance[best], radius * _SHRINK
    return [_place(laws, budget, w[i], float(distance[i])) for i in _distinct(w, distance)]


def _apart(w: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """The grid points that move least, no two near one another, [seeds, k]."""
    chosen: list[np.ndarray] = []
    for i in np.argsort(distance):
        if all(np.abs(w[i] - c).max() > 0.15 for c in chosen):
            chosen.append(w[i])
        if len(chosen) == _SEEDS:
            break
    return np.array(chosen)


def _distinct(w: np.ndarray, distance: np.ndarray) -> list[int]:
    """Indices of places that are not the same, nearest to being fixed first."""
    chosen: list[int] = []
    for i in np.argsort(distance):
        if all(np.abs(w[i] - w[j]).max() > _APART for j in chosen):
            chosen.append(int(i))
    return chosen


def _place(
    laws: Sequence[FittedLaw], budget: tuple[float, float], w: np.ndarray, distance: float
) -> dict[str, Any]:
    """One place; `slope` is the largest stretch of the map there (below 1, it draws targets in)."""
    ordered = {law.target: law for law in laws}
    domains = laws[0].domains
    laws = [ordered[d] for d in domains]
    found = optimize(laws, *budget, target_weights=w).sensitivity()
    jacobian = np.array([[found.target_weights[t][d] for t in domains] for d in domains])
    tangent = np.linalg.svd(np.ones((1, len(w))))[2][1:]  # an orthonormal basis of sums of 0
    slopes = np.abs(np.linalg.eigvals(tangent @ jacobian @ tangent.T))
    return {
        "js_distance": distance,
        "fixed": int(distance < FIXED),
        "slope": float(slopes.max()),
        "gap": found.optimum.gap,
        **{f"w_{i}": f"{d} {x:.3f}" for i, (d, x) in enumerate(zip(domains, w, strict=True))},
    }
