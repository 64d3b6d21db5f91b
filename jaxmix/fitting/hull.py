"""Whether a mixture lies among those that were run: distance to their convex hull."""

import numpy as np
import scipy

from jaxmix.errors import JaxmixError


def hull_distance(mixtures: np.ndarray, weights: np.ndarray) -> float:
    """Euclidean distance of a mixture to the convex hull of others; 0 inside.

    Args:
        mixtures: [u, k] mixtures that were run.
        weights: [k] the mixture in question.

    Raises:
        JaxmixError: no mixtures, or another number of domains.

    Example:
        >>> hull_distance(np.eye(2), np.array([0.3, 0.7]))
        0.0
        >>> round(hull_distance(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0.2, 0.8])), 4)
        0.4243
    """
    distance = float(np.linalg.norm(nearest_inside(mixtures, weights) - weights))
    return distance if distance > 1e-9 else 0.0


def nearest_inside(mixtures: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mixture [k] of the convex hull that is nearest to another; arguments as above."""
    points, weights = np.asarray(mixtures, float), np.asarray(weights, float)
    if points.ndim != 2 or not len(points) or points.shape[1:] != weights.shape:
        raise JaxmixError(
            f"mixtures must be [u, {len(weights)}] with at least one row, not {points.shape}"
        )
    away = points - weights
    # The u >= 0 with the least |away.T u|^2 + (sum u - 1)^2 are the nearest point's shares, scaled.
    table, goal = np.vstack([away.T, np.ones(len(away))]), np.append(0.0 * weights, 1.0)
    share = scipy.optimize.nnls(table, goal)[0]
    return weights + share @ away / share.sum()
