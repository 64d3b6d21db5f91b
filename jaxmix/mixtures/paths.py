"""How the optimal mixture moves: over budgets, over targets, and against the target mixture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.mixtures.optimize import Weights, optimize_many
from jaxmix.mixtures.optimum import Optima
from jaxmix.mixtures.simplex import js_distance

Schedule = Literal["fixed-n", "fixed-d", "linear", "sqrt", "log"]


# By what N and D grow, from the factors and the reference N.
_GROWTH: dict[str, Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]] = {
    "fixed-n": lambda by, n: (np.ones_like(by), by),
    "fixed-d": lambda by, n: (by, np.ones_like(by)),
    "linear": lambda by, n: (by, by),
    "sqrt": lambda by, n: (by, np.sqrt(by)),
    "log": lambda by, n: (by, 1.0 + np.log(by) / np.log(n)),
}


def schedule(
    kind: Schedule,
    n_params: float,
    tokens: float,
    factors: Sequence[float] | np.ndarray,
    *,
    limit: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Budgets (N, D) that grow from a reference one: the asymptotes of figure 10.

    Args:
        kind: ``"fixed-n"`` (D grows alone), ``"fixed-d"`` (N grows alone), ``"linear"`` (D ∝ N),
            ``"sqrt"`` (D ∝ √N) or ``"log"`` (D ∝ log N).
        n_params: N of the reference, above 1.
        tokens: D of the reference.
        factors: [t] by which the growing one (N, unless it is fixed) is multiplied.
        limit: add the limit point, where what grows is infinite.

    Returns:
        N and D, each [t], or [t + 1] with the limit.

    Raises:
        JaxmixError: an unknown kind.

    Example:
        >>> schedule("sqrt", 1e8, 1e10, [1, 4], limit=True)
        (array([1.e+08, 4.e+08,    inf]), array([1.e+10, 2.e+10,    inf]))
    """
    if kind not in _GROWTH:
        raise JaxmixError(f"unknown schedule '{kind}': choose one of {', '.join(_GROWTH)}")
    by = np.append(np.asarray(factors, float), [np.inf] if limit else [])
    n_by, d_by = _GROWTH[kind](by, n_params)
    return n_params * n_by, tokens * d_by


def optimal_path(
    laws: Sequence[FittedLaw],
    n_params: Any,
    tokens: Any,
    *,
    target_weights: Weights = None,
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
    starts: int | None = None,
    key: int = 0,
) -> Optima:
    """h*(N, D) along a schedule of budgets (figures 6 and 10).

    Args:
        laws: one fitted law per target.
        n_params: [t] as from ``schedule``; infinite entries are limits.
        tokens: [t].
        target_weights: as for ``optimize``, the same all along.
        minimum: smallest weight by domain.
        maximum: largest weight by domain.
        starts: starting points for each budget.
        key: seed of the random starts.

    Returns:
        The optima in the order of the schedule.

    Raises:
        JaxmixError: as ``optimize``, or N and D of different length.
    """
    if np.ndim(n_params) and np.ndim(tokens) and np.shape(n_params) != np.shape(tokens):
        raise JaxmixError(f"N has {np.size(n_params)} points along the path, D {np.size(tokens)}")
    return optimize_many(
        laws,
        n_params,
        tokens,
        target_weights=target_weights,
        minimum=minimum,
        maximum=maximum,
        starts=starts,
        key=key,
    )


def corners(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    *,
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
    starts: int | None = None,
    key: int = 0,
) -> Optima:
    """h* for each target alone, w at the corners of the simplex (figure 7).

    Returns:
        One optimum per target, in the order of ``laws``.
    """
    return optimize_many(
        laws,
        n_params,
        tokens,
        target_weights=np.eye(len(laws)),
        minimum=minimum,
        maximum=maximum,
        starts=starts,
        key=key,
    )


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """The map w ↦ h*(w) on a grid (figures 8 and 9).

    Attributes:
        target_weights: [q, k] target mixtures w, in the order of the domains.
        optima: h*(w), one for each.
        distance: [q] Jensen-Shannon distance of w and h*(w); near 0 at a fixed point, where
            training on the target mixture itself is best.
    """

    target_weights: np.ndarray
    optima: Optima
    distance: np.ndarray


def fixed_point_map(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    w_grid: np.ndarray,
    *,
    starts: int | None = None,
    key: int = 0,
) -> FixedPoints:
    """The map w ↦ h*(w) and how far it moves each target mixture (figures 8 and 9).

    Args:
        laws: one fitted law per domain, in any order: the targets must be the training domains.
        n_params: N.
        tokens: D.
        w_grid: [q, k] target mixtures in the order of the laws' domains, as from
            ``grid_design``.
        starts: starting points for each w.
        key: seed of the random starts.

    Raises:
        JaxmixError: the targets are not the training domains; it names those that differ.
    """
    domains, targets = laws[0].domains, [law.target for law in laws]
    if sorted(domains) != sorted(targets):
        odd = sorted(set(domains).symmetric_difference(targets)) or ["one given twice"]
        raise JaxmixError(
            f"the map w to h*(w) needs one law per training domain; they differ in: "
            f"{', '.join(odd)}"
        )
    ordered = [laws[targets.index(domain)] for domain in domains]
    optima = optimize_many(ordered, n_params, tokens, target_weights=w_grid, starts=starts, key=key)
    w = optima.target_weights
    return FixedPoints(w, optima, _distances(w, optima.weights))


def _distances(w: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distances in float64, [q]."""
    with jax.enable_x64(True):
        return np.asarray(js_distance(w, h))
