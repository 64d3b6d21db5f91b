"""The linear constraints at one budget: a box and rows, which of them clash, and points inside.

Small linear programs, solved by HiGHS: exact answers before anything is fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy

from jaxmix.errors import JaxmixError

Kind = Literal[
    "minimum", "maximum", "pin", "epochs", "linear", "prior", "guard", "worst", "kl", "run"
]
_SAME = 1e-12
_TOUCH = 1e-9  # a constraint missed by less is met: twice the rounding of a typed sum


@dataclass(frozen=True, eq=False)
class Row:
    """One linear constraint ``slope . h <= bound``, or a limit on losses.

    Attributes:
        label: the constraint as people write it.
        slope: [k].
        bound: right-hand side.
        kind: where it came from.
        name: the domain or target that it limits, if it is one.
        per_epoch: weight that one epoch of the domain fills, U / D; 0 for other rows.
        losses: [m + 1] coefficients of the losses and of KL(h‖prior) on the left, if there are any.
    """

    label: str
    slope: np.ndarray
    bound: float
    kind: Kind
    name: str = ""
    per_epoch: float = 0.0
    losses: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Polytope:
    """Linear constraints, split into a box and the rest.

    Attributes:
        domains: bare names.
        lower: [k] smallest weights; not known to leave a mixture.
        upper: [k] largest weights.
        lower_row: by domain, the row that gives ``lower``; None if that is ``h >= 0``.
        upper_row: by domain, the row that gives ``upper``; None if that is ``h <= 1``.
        mixed: the rows with several domains.
    """

    domains: tuple[str, ...]
    lower: np.ndarray
    upper: np.ndarray
    lower_row: tuple[Row | None, ...]
    upper_row: tuple[Row | None, ...]
    mixed: tuple[Row, ...]

    def extremes(self, costs: np.ndarray) -> np.ndarray:
        """The mixtures [s, k] with the lowest costs [s, k], all in one linear program.

        Raises:
            JaxmixError: no mixture meets the constraints.
        """
        count, k = costs.shape
        table = np.array([row.slope for row in self.mixed]).reshape(-1, k)
        right = np.array([row.bound for row in self.mixed]) + _TOUCH
        blocks = np.kron(np.eye(count), table), np.tile(right, count)
        sums = np.kron(np.eye(count), np.ones((1, k))), np.ones(count)
        box = np.tile(np.stack([self.lower, np.maximum(self.lower, self.upper)], 1), (count, 1))
        found = scipy.optimize.linprog(costs.ravel(), *blocks, *sums, box, method="highs")
        if found.status != 0:
            raise JaxmixError("no mixture meets the constraints")
        return found.x.reshape(count, k)

    def starts(self, count: int, seed: int) -> np.ndarray:
        """Mixtures inside, [count, k]: a middle, then near the extreme ones in many directions."""
        k = len(self.lower)
        ends = self.extremes(-np.eye(k))
        middle = ends.mean(0)
        if count > k + 1:
            costs = np.random.default_rng(seed).normal(size=(count - 1 - k, k))
            ends = np.vstack([ends, self.extremes(costs)])
        return np.vstack([middle, 0.1 * middle + 0.9 * ends])[:count]


def polytope(domains: tuple[str, ...], rows: Sequence[Row]) -> Polytope:
    """Rows as the tightest box and what is no bound on a single weight."""
    k = len(domains)
    lower, upper = np.zeros(k), np.ones(k)
    lows: list[Row | None] = [None] * k
    highs: list[Row | None] = [None] * k
    mixed = []
    for row in rows:
        involved = np.flatnonzero(row.slope)
        if len(involved) > 1:
            mixed.append(row)
            continue
        i = int(involved[0])
        edge = row.bound / row.slope[i]
        if row.slope[i] > 0 and edge < upper[i] + (0 if highs[i] else _SAME):
            upper[i], highs[i] = min(edge, 1.0), row
        elif row.slope[i] < 0 and edge > lower[i]:
            lower[i], lows[i] = edge, row
    return Polytope(domains, lower, upper, tuple(lows), tuple(highs), tuple(mixed))


def find_clash(rows: Sequence[Row]) -> str | None:
    """The constraints that no mixture meets together and by how much they must give, in words.

    They are an irreducible set, found by a deletion filter. None if some mixture meets all rows.
    """
    total = _relaxation(rows, rows)
    if total <= _TOUCH:
        return None
    kept = list(rows)
    for row in rows:
        rest = [r for r in kept if r is not row]
        if rest and _relaxation(rest, rest) > _TOUCH:
            kept = rest
    alone: dict[str, float] = {}  # by how much each must give for all of the set to be met
    for label in dict.fromkeys(row.label for row in kept):
        chosen = [row for row in kept if row.label == label]
        give = _relaxation(kept, chosen) * np.abs(chosen[0].slope).max()
        alone[label] = give / chosen[0].per_epoch if chosen[0].per_epoch else give
    message = _message(alone, {row.label for row in kept if row.kind == "epochs"})
    if total > _relaxation(kept, kept) + _TOUCH:
        message += f"; others clash too: all together must give {total:.3g} of weight"
    return message


def _relaxation(rows: Sequence[Row], elastic: Sequence[Row]) -> float:
    """Least sum by which the elastic rows must give for all rows to be met; inf if never.

    What a row gives is measured in weight: its slope is scaled to a largest entry of 1.
    """
    if not rows:
        return 0.0
    size = np.array([np.abs(row.slope).max() for row in rows])
    slopes = np.array([row.slope for row in rows]) / size[:, None]
    bounds = np.array([row.bound for row in rows]) / size
    k, gives = slopes.shape[1], [i for i, row in enumerate(rows) if row in elastic]
    give = -np.eye(len(rows))[:, gives]
    cost = np.append(np.zeros(k), np.ones(len(gives)))
    sums = np.append(np.ones(k), np.zeros(len(gives)))[None]
    table = np.hstack([slopes, give])
    found = scipy.optimize.linprog(cost, table, bounds, sums, [1.0], method="highs")
    return float(found.fun) if found.status == 0 else np.inf


def _message(alone: dict[str, float], epochs: set[str]) -> str:
    labels = list(alone)
    many = f"{', '.join(labels[:-1])} and {labels[-1]} together" if labels[1:] else labels[0]
    parts = []
    for label, give in alone.items():
        if np.isfinite(give):
            must, unit = ("", "") if parts else (" must give", " of weight")
            unit = " more epochs" if label in epochs else unit
            parts.append(f"{label}{must} {give:.3g}{unit}")
    others = "to meet the others, " if labels[1:] else ""
    return f"no mixture meets {many}; {others}{' or '.join(parts)}"
