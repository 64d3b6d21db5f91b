"""Whether a mixture lies among those that were run: distance to their convex hull."""

import numpy as np

from jaxmix.errors import JaxmixError

_STEPS = 1000


def hull_distance(mixtures: np.ndarray, weights: np.ndarray) -> float:
    """Euclidean distance of a mixture to the convex hull of others; 0 inside.

    Wolfe's nearest-point algorithm (Math. Programming 11, 1976): exact after finitely many small
    least-squares problems.

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
    # [u, k], moved so that the origin is the mixture in question.
    points = np.asarray(mixtures, float) - np.asarray(weights, float)
    if points.ndim != 2 or not len(points):
        raise JaxmixError(f"mixtures must be [u, k] with at least one row, not {points.shape}")
    chosen = [int((points**2).sum(1).argmin())]
    share = np.ones(1)
    for _ in range(_STEPS):
        nearest = share @ points[chosen]
        towards = points @ nearest
        best = int(towards.argmin())
        if towards[best] > nearest @ nearest - 1e-14 or best in chosen:
            break
        chosen, share = _minor_cycle(points, [*chosen, best], np.append(share, 0.0))
    distance = float(np.linalg.norm(share @ points[chosen]))
    return distance if distance > 1e-9 else 0.0


def _minor_cycle(
    points: np.ndarray, chosen: list[int], share: np.ndarray
) -> tuple[list[int], np.ndarray]:
    """Drops points until the nearest point of the others' affine hull is a convex combination."""
    while True:
        wanted = _affine_nearest(points[chosen])
        if np.all(wanted > 1e-12):
            return chosen, wanted
        falls = wanted <= 1e-12
        ratio = np.full(len(share), np.inf)
        ratio[falls] = share[falls] / np.maximum(share[falls] - wanted[falls], 1e-300)
        share = share + min(1.0, ratio.min()) * (wanted - share)
        keep = np.arange(len(share)) != int(ratio.argmin())
        chosen = [c for c, kept in zip(chosen, keep, strict=True) if kept]
        share = np.maximum(share[keep], 0.0)
        share = share / share.sum()


def _affine_nearest(points: np.ndarray) -> np.ndarray:
    """Coefficients with sum 1 of the point nearest the origin in an affine hull; [c, k] -> [c]."""
    count = len(points)
    if count == 1:
        return np.ones(1)
    edges = (points[1:] - points[0]).T
    rest = np.linalg.lstsq(edges, -points[0], rcond=None)[0]
    return np.append(1.0 - rest.sum(), rest)
