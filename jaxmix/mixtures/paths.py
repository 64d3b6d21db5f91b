"""How the optimal mixture moves: over budgets, over targets, and against the target mixture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new, ink, plain
from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.precision import float64
from jaxmix.mixtures.constraints import Constraints
from jaxmix.mixtures.optimize import as_laws, optimize_many
from jaxmix.mixtures.optimum import Optima
from jaxmix.mixtures.simplex import js_distance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


@dataclass(frozen=True, eq=False, repr=False)
class FixedPoints(Shown):
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

    def _shown(self) -> Parts:
        near = int(self.distance.argmin())
        weights = zip(self.optima.domains, self.target_weights[near], strict=True)
        at = ", ".join(f"{domain} {weight:.2f}" for domain, weight in weights)
        said = f"of {len(self.distance)} target mixtures, training on itself is nearest to best at"
        return Parts(f"{said} {at} (distance {self.distance[near]:.2g})", {"": self.to_frame()})

    def to_frame(self) -> pd.DataFrame:
        """One row per target mixture: ``target_<domain>``, the optimal ``w_<domain>``, distance."""
        domains = self.optima.domains
        columns = {f"target_{d}": self.target_weights[:, i] for i, d in enumerate(domains)}
        columns |= {f"w_{d}": self.optima.h[:, i] for i, d in enumerate(domains)}
        return pd.DataFrame({**columns, "distance": self.distance})

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Each domain's optimal weight against its weight in the target mixture."""
        ax = axes_or_new(ax)
        ax.axline((0, 0), slope=1, color=ink(), linewidth=0.8, alpha=0.5)
        for i, domain in enumerate(self.optima.domains):
            ax.plot(self.target_weights[:, i], self.optima.h[:, i], "o", ms=4, label=plain(domain))
        ax.set(xlabel="weight in the target mixture", ylabel="optimal weight")
        ax.legend(frameon=False)
        return ax


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
