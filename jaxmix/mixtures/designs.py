"""Designs: which mixtures to run. Rows of float64 weights [q, k], each with sum 1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.quantities import count

_MOST_POINTS = 1_000_000


def uniform(k: int) -> np.ndarray:
    """The uniform mixture, [1, k]."""
    return _exact(np.full((1, k), 1.0 / k))


def vertices(k: int) -> np.ndarray:
    """Every domain alone, [k, k]."""
    return np.eye(k)


def one_out(k: int) -> np.ndarray:
    """Every domain left out, the others equal, [k, k].

    Raises:
        JaxmixError: fewer than two domains.
    """
    if k < 2:
        raise JaxmixError("leaving one domain out needs at least two")
    return _exact((1.0 - np.eye(k)) / (k - 1))


def grid_design(k: int, steps: int, minimum: float | Sequence[float] = 0.0) -> np.ndarray:
    """All evenly spaced mixtures whose weights are at least a minimum: the paper's design.

    Args:
        k: domains.
        steps: intervals along every edge of the simplex; the weights move by
            ``(1 - sum of minima) / steps``.
        minimum: smallest weight, one for all or one per domain. The paper uses 0.1 (section 2.3).

    Returns:
        [q, k] with q = C(steps + k - 1, k - 1), in lexicographic order of the first weights.

    Raises:
        JaxmixError: minima whose sum exceeds 1, no step, or more than a million points.

    Example:
        >>> grid_design(2, steps=2, minimum=0.1)
        array([[0.9, 0.1],
               [0.5, 0.5],
               [0.1, 0.9]])
    """
    if steps < 1:
        raise JaxmixError(f"a grid needs at least one step, not {steps}")
    lowest = _minima(k, minimum)
    points = math.comb(steps + k - 1, k - 1)
    if points > _MOST_POINTS:
        raise JaxmixError(
            f"a grid of {count(steps, 'step')} over {k} domains has {points:,} points"
        )
    parts = _compositions(steps, k)
    return _exact(lowest + (1.0 - lowest.sum()) * parts / steps)


def dirichlet_design(
    k: int,
    q: int,
    *,
    seed: int,
    concentration: float = 1.0,
    mean: Sequence[float] | None = None,
    minimum: float | Sequence[float] = 0.0,
) -> np.ndarray:
    """Random mixtures, Dirichlet with parameters ``concentration * k * mean``.

    Args:
        k: domains.
        q: mixtures.
        seed: the same seed gives the same design.
        concentration: 1 with no mean is uniform over the simplex; larger draws are nearer to the
            mean, smaller ones nearer to the vertices.
        mean: [k] prior mixture around which to draw, such as the domains' token shares; it is
            normalized. None for uniform. A zero leaves the domain out.
        minimum: smallest weight, one for all or one per domain: the draws fill the simplex above.

    Returns:
        [q, k].

    Raises:
        JaxmixError: a mean that is no mixture of k domains, minima whose sum exceeds 1, or a
            concentration that is not positive.
    """
    if not concentration > 0:
        raise JaxmixError(f"concentration must be positive, not {concentration:g}")
    prior = np.full(k, 1.0) if mean is None else np.asarray(mean, float)
    if prior.shape != (k,) or not np.all(prior >= 0) or not 0 < prior.sum() < np.inf:
        raise JaxmixError(f"mean must be {k} non-negative weights, not {mean}")
    lowest = _minima(k, minimum)
    used = prior > 0
    draws = np.zeros((q, k))
    alpha = concentration * k * prior[used] / prior.sum()
    draws[:, used] = np.random.default_rng(seed).dirichlet(alpha, q)
    return _exact(lowest + (1.0 - lowest.sum()) * draws)


@dataclass(frozen=True)
class Coverage:
    """How well mixtures cover the simplex; Euclidean distances between weight vectors.

    Attributes:
        farthest: distance from the nearest mixture of the point that is worst covered, estimated
            on random points and the vertices.
        typical: its mean over the random points.
        closest: smallest distance between two mixtures; 0 where one is run twice.
    """

    farthest: float
    typical: float
    closest: float


def coverage(mixtures: np.ndarray, *, probes: int = 2000, seed: int = 0) -> Coverage:
    """How well mixtures [q, k] cover the simplex of their domains."""
    mixtures = np.asarray(mixtures, float)
    k = mixtures.shape[1]
    random = _nearest(dirichlet_design(k, probes, seed=seed), mixtures)
    edge = _nearest(vertices(k), mixtures)
    gaps = [_nearest(mixtures[i : i + 1], mixtures[:i])[0] for i in range(1, len(mixtures))]
    closest = min(gaps, default=math.inf)
    farthest = max(random.max(), edge.max())
    return Coverage(float(farthest), float(random.mean()), float(closest))


def _nearest(points: np.ndarray, mixtures: np.ndarray) -> np.ndarray:
    """Distance of each point [r, k] to the nearest mixture [q, k]; [r]."""
    return np.array([np.sqrt(((mixtures - p) ** 2).sum(1).min()) for p in points])


def _minima(k: int, minimum: float | Sequence[float]) -> np.ndarray:
    lowest = np.broadcast_to(np.asarray(minimum, float), (k,))
    if not np.all(lowest >= 0) or lowest.sum() > 1 + 1e-12:
        raise JaxmixError(
            f"minimum weights must be non-negative with a sum of at most 1: "
            f"{k} domains with minimum {minimum} sum to {lowest.sum():g}"
        )
    return lowest


def _compositions(total: int, parts: int) -> np.ndarray:
    """All ways to write ``total`` as an ordered sum of ``parts`` counts; [q, parts]."""
    if parts == 1:
        return np.array([[total]])
    rows = []
    for first in range(total, -1, -1):
        rest = _compositions(total - first, parts - 1)
        rows.append(np.hstack([np.full((len(rest), 1), first), rest]))
    return np.vstack(rows)


def _exact(mixtures: np.ndarray) -> np.ndarray:
    """The rows with the rounding of their sums put on the largest weight."""
    mixtures = np.maximum(mixtures, 0.0)
    mixtures[np.arange(len(mixtures)), mixtures.argmax(1)] += 1.0 - mixtures.sum(1)
    return mixtures
