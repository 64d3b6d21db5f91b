"""How the optimal mixture moves: over budgets, over targets, and against the target mixture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.precision import float64
from jaxmix.mixtures.constraints import Constraints
from jaxmix.mixtures.optimize import as_laws, optimize_many
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


def corners(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    constraints: Constraints | None = None,
    **options: Any,
) -> Optima:
    """h* for each target alone, w at the corners of the simplex (figure 7).

    Args:
        laws: one fitted law per target.
        n_params: N.
        tokens: D.
        constraints: as for ``optimize_many``.
        **options: likewise.

    Returns:
        One optimum per target, in the order of ``laws``.
    """
    w = np.eye(len(laws))
    return optimize_many(laws, n_params, tokens, constraints, target_weights=w, **options)


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
    **options: Any,
) -> FixedPoints:
    """The map w ↦ h*(w) and how far it moves each target mixture (figures 8 and 9).

    Args:
        laws: one fitted law per domain, in any order: the targets must be the training domains.
        n_params: N.
        tokens: D.
        w_grid: [q, k] target mixtures in the order of the laws' domains, as from
            ``grid_design``.
        **options: as for ``optimize_many``.

    Raises:
        JaxmixError: the targets are not the training domains; it names those that differ.
    """
    laws = as_laws(laws)
    if sorted(laws.domains) != sorted(laws.targets):
        odd = ", ".join(sorted(set(laws.domains).symmetric_difference(laws.targets)))
        raise JaxmixError(
            f"the map w to h*(w) needs one law per training domain; they differ in: {odd}"
        )
    ordered = laws[list(laws.domains)]
    optima = optimize_many(ordered, n_params, tokens, target_weights=w_grid, **options)
    with float64():
        distance = np.asarray(js_distance(optima.target_weights, optima.h))
    return FixedPoints(optima.target_weights, optima, distance)
