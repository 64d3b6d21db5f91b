"""Whether any mixture meets the linear constraints, which of them clash, and where the inside is.

Small linear programs, solved by HiGHS: exact answers before anything is fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from jaxmix.errors import JaxmixError
from jaxmix.mixtures.constraints import Constraints, Polytope, Row, linear_rows

_TOUCH = 1e-9  # a constraint missed by less is met: twice the rounding of a typed sum


@dataclass(frozen=True)
class Clash:
    """Constraints that no mixture meets together, none of which can be left out.

    Attributes:
        labels: the constraints as typed.
        alone: by label, by how much the bound of that one alone must give for all of these to be
            met: weight, or epochs for availability; inf where it cannot.
        total: least sum of what all constraints must give, each over its largest coefficient.
        message: all of it in one line.
    """

    labels: tuple[str, ...]
    alone: dict[str, float]
    total: float
    message: str


def check_feasible(limits: Constraints, tokens: float) -> None:
    """Raises where no mixture meets the linear constraints at a budget; needs no law.

    Call it before a study is run or a law fitted. Guardrails and ``kl_max`` need laws or are
    convex; ``optimize_within`` judges them.

    Args:
        limits: the constraints.
        tokens: D.

    Raises:
        JaxmixError: the constraints that clash, and by how much; or availability at D = inf.

    Example:
        >>> from jaxmix.mixtures.constraints import constraints
        >>> limits = constraints(["web", "code"], minimum={"web": 0.7}, linear=["web <= 2*code"])
        >>> check_feasible(limits, 1e11)
        Traceback (most recent call last):
        JaxmixError: no mixture meets web>=0.7 and web <= 2*code together; to meet the others, \
web>=0.7 must give 0.0333 of weight or web <= 2*code 0.1
    """
    clash = find_clash(linear_rows(limits, tokens, use_prior=limits.kl_max is not None))
    if clash:
        raise JaxmixError(clash.message)


def find_clash(rows: Sequence[Row]) -> Clash | None:
    """An irreducible set of constraints that clash, by a deletion filter; None if none do."""
    total = _relaxation(rows, rows)
    if total <= _TOUCH:
        return None
    kept = list(rows)
    for row in rows:
        rest = [r for r in kept if r is not row]
        if not rest or _relaxation(rest, rest) <= _TOUCH:
            continue
        kept = rest
    alone: dict[str, float] = {}
    for label in dict.fromkeys(row.label for row in kept):
        chosen = [row for row in kept if row.label == label]
        give = _relaxation(kept, chosen) * np.abs(chosen[0].slope).max()
        alone[label] = give / chosen[0].per_epoch if chosen[0].per_epoch else give
    epochs = {row.label for row in kept if row.kind == "epochs"}
    message = _message(alone, epochs)
    if total > _relaxation(kept, kept) + _TOUCH:
        message += f"; others clash too: all together must give {total:.3g} of weight"
    return Clash(tuple(alone), alone, total, message)


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
    give = np.zeros((len(rows), len(gives)))
    give[gives, range(len(gives))] = -1.0
    cost = np.append(np.zeros(k), np.ones(len(gives)))
    sums = np.append(np.ones(k), np.zeros(len(gives)))[None]
    found = linprog(cost, np.hstack([slopes, give]), bounds, sums, [1.0], method="highs")
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


@dataclass(frozen=True, eq=False)
class Inside:
    """The relative interior of a polytope.

    Attributes:
        point: [k] a mixture that meets every constraint, strictly where any mixture does.
        fixed: [k] weights that every mixture shares.
        lower: [k] their value, else the minimum.
        upper: [k] their value, else the maximum.
        equal: [q] rows that every mixture meets with equality.
    """

    point: np.ndarray
    fixed: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    equal: np.ndarray


def find_inside(shape: Polytope) -> Inside:
    """A point strictly inside a polytope, and the constraints that leave no room.

    Every slack u <= 1 is made as large as possible over the cone of the polytope, so that those
    that stay 0 are 0 at every mixture (Freund, Roundy and Todd 1985); then the smallest of the
    others is made as large as possible.

    Args:
        shape: constraints that some mixture meets.
    """
    lower, upper = shape.bounds.lower, np.maximum(shape.bounds.lower, shape.bounds.upper)
    k = len(lower)
    slopes = np.vstack([-np.eye(k), np.eye(k), shape.matrix])
    size = np.abs(slopes).max(1)
    slopes, right = slopes / size[:, None], np.concatenate([-lower, upper, shape.right]) / size
    slack = _cone_slack(slopes, right)
    tight = slack < 1e-5
    point = _deepest(slopes, right, tight)
    fixed = tight[:k] | tight[k : 2 * k] | (upper - lower <= 1e-12)
    lower = np.where(fixed, np.clip(point, lower, upper), lower)
    at_edge = np.where(tight[:k], shape.bounds.lower, np.where(tight[k : 2 * k], upper, lower))
    lower = np.where(fixed, at_edge, lower)
    upper = np.where(fixed, lower, upper)
    point, equal = np.where(fixed, lower, point), tight[2 * k :]
    ties = np.vstack([np.ones(k), shape.matrix[equal]])
    missed = np.append(1.0, shape.right[equal]) - ties @ point  # by what the programs allow
    point = point + np.linalg.pinv(np.where(fixed, 0.0, ties)) @ missed
    return Inside(point, fixed, lower, upper, equal)


def _cone_slack(slopes: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Slack of every row where as many as can be are 1, on the polytope's cone; [rows]."""
    rows, k = slopes.shape
    cost = np.concatenate([np.zeros(k + 1), -np.ones(rows)])  # variables h, scale, slack
    meets = np.hstack([slopes, -right[:, None], np.eye(rows)])
    sums = np.concatenate([np.ones(k), [-1.0], np.zeros(rows)])[None]
    limits = [(0, None)] * k + [(1, 1e6)] + [(0, 1)] * rows
    loose = np.full(rows, _TOUCH)
    found = linprog(cost, meets, loose, sums, [0.0], limits, method="highs")
    if found.status != 0:
        raise JaxmixError("no mixture meets the constraints")
    return found.x[k + 1 :]


def _deepest(slopes: np.ndarray, right: np.ndarray, tight: np.ndarray) -> np.ndarray:
    """The mixture whose smallest slack over the rows with room is largest; [k]."""
    k = slopes.shape[1]
    cost = np.append(np.zeros(k), -1.0)
    meets = np.hstack([slopes, np.where(tight, 0.0, 1.0)[:, None]])
    sums = np.append(np.ones(k), 0.0)[None]
    limits = [(0, None)] * k + [(0, 1)]
    loose = np.where(tight, _TOUCH, 0.0)
    found = linprog(cost, meets, right + loose, sums, [1.0], limits, method="highs")
    if found.status != 0:
        raise JaxmixError("no mixture meets the constraints")
    return found.x[:k]
