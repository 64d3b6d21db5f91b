"""The mixtures that the runs support: a box, equations along flat directions, cuts of the hull."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from jaxmix.fitting.hull import nearest_inside
from jaxmix.fitting.support import Support
from jaxmix.mixtures.polytope import Row

Within = Literal["range", "hull", "anywhere"]
_INSIDE = 1e-7  # distance from the hull that counts as inside


@dataclass(frozen=True, eq=False, kw_only=True)
class Region:
    """What a proposal may use of what was run.

    Attributes:
        within: ``"range"``, ``"hull"``, or None for all but what the runs say nothing about.
        support: of the mixtures that were run.
        held: [k] domains that keep the one weight that was run.
        flat: [r, k] directions in which a proposal keeps the observed proportions.
        cuts: half-spaces ``slope . h <= bound`` that hold the hull, found so far.
    """

    within: Within | None
    support: Support
    held: np.ndarray
    flat: np.ndarray
    cuts: tuple[tuple[np.ndarray, float], ...] = ()

    @property
    def bounds_only(self) -> bool:
        """Whether it is a box."""
        return not len(self.flat) and self.within != "hull"

    def box(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest weights [..., k] inside other bounds, which come first."""
        low, high = np.zeros(lower.shape[-1]), np.ones(lower.shape[-1])
        if self.within:
            low, high = self.support.low, self.support.high
        mean = self.support.center
        low, high = np.where(self.held, mean, low), np.where(self.held, mean, high)
        return np.maximum(lower, np.minimum(low, upper)), np.minimum(upper, np.maximum(high, lower))

    def rows(self, lower: np.ndarray, upper: np.ndarray) -> list[Row]:
        """Its rows inside other bounds [k]."""
        domains, unit = self.support.domains, np.eye(len(lower))
        low, high = self.box(lower, upper)
        rows = []
        for i, name in enumerate(domains):
            if high[i] < upper[i]:
                label = f"{name}<={high[i]:.4g} (the most run)"
                rows.append(Row(label, unit[i], high[i], "run", name))
            if low[i] > lower[i]:
                label = f"{name}>={low[i]:.4g} (the least run)"
                rows.append(Row(label, -unit[i], -low[i], "run", name))
        for slope in self.flat:
            label, value = _label(slope, domains), float(slope @ self.support.center)
            rows += [Row(label, sign * slope, sign * value, "run") for sign in (1.0, -1.0)]
        return rows + [Row("the hull of the runs", *cut, "run") for cut in self.cuts]

    def cut(self, h: np.ndarray) -> tuple[np.ndarray, float] | None:
        """A half-space that holds all mixtures that were run but not h [k]; None if h is inside."""
        nearest = nearest_inside(self.support.mixtures, h)
        away = h - nearest
        distance = float(np.linalg.norm(away))
        if distance <= _INSIDE:
            return None
        slope = away / distance
        return slope, float((self.support.mixtures @ slope).max())


def _label(slope: np.ndarray, domains: tuple[str, ...]) -> str:
    largest = np.argsort(-np.abs(slope), kind="stable")
    named = [domains[i] for i in largest if abs(slope[i]) > 0.2 * abs(slope[largest[0]])]
    shown = ", ".join(named[:4]) + (", ..." if len(named) > 4 else "")
    return f"proportions of {shown} as in all runs"
