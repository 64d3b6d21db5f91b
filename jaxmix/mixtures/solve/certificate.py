"""What every constraint that binds costs, the certificate that follows, and what it proves."""

from dataclasses import dataclass

import numpy as np
import scipy

from jaxmix.fitting.fitted import FittedLaw, FittedLaws
from jaxmix.laws import Inputs, law_recipe
from jaxmix.mixtures.designs import dirichlet_design
from jaxmix.mixtures.polytope import Polytope, Row
from jaxmix.mixtures.simplex import FLOOR
from jaxmix.mixtures.solve.program import Program, Terms
from jaxmix.runs.names import unit_of

_AT = 1e-12  # share of a bound within which a weight is at it
_TIGHT = 1e-7  # a row with less room than this may bind
NOTHING = 1e-9  # nats per unit below which it does not
_PROBES = 64


@dataclass(frozen=True)
class Price:
    """One binding constraint.

    Attributes:
        label: the constraint as typed.
        price: what loosening it gains, nats per unit of its bound.
        worth: the same in words; empty for ``h >= 0``.
    """

    label: str
    price: float
    worth: str


@dataclass(frozen=True, eq=False)
class Proof:
    """Multipliers of all constraints at one x [n], and how well they explain it.

    Attributes:
        rows: [r] multipliers of the program's rows.
        low: [n] of the lower bounds.
        high: [n] of the upper bounds.
        gap: duality gap, nats.
        residual: largest cost, nats per unit of weight, that no multiplier explains, each weight's
            counted by its size.
    """

    rows: np.ndarray
    low: np.ndarray
    high: np.ndarray
    gap: float
    residual: float


def prove(terms: Terms, program: Program, x: np.ndarray) -> Proof:
    """Multipliers by non-negative least squares on the normals of the tight constraints.

    They exist also if constraints repeat or imply one another. The gap is that of the Lagrangian
    over the box (Jaggi 2013) plus the products of multipliers and room.
    """
    n, unit, shape = len(x), np.eye(len(x)), program.shape
    # Just above 0 for weights at 0, where the slope of a law may be infinite.
    floored = np.append(np.maximum(x[:-1], FLOOR), x[-1])
    gradient, jacobian = program.slopes(terms, floored)
    room = program.room(terms, x)
    capped = np.array([row is not None for row in shape.upper_row])
    tight = np.flatnonzero(room <= _TIGHT)
    low = np.flatnonzero(x[:-1] - shape.lower <= 2 * FLOOR + _AT * shape.lower)
    high = np.flatnonzero((shape.upper - x[:-1] <= 2 * FLOOR + _AT * shape.upper) & capped)
    ones = np.append(np.ones(n - 1), 0.0)
    normals = np.vstack([jacobian[tight], -unit[low], unit[high], ones, -ones])
    # A free weight's equation counts by its size, so that tiny weights with steep costs do not
    # blur the others; a held one's by its cost, which its own bound explains.
    weight, held = np.append(np.minimum(x[:-1], 1.0), 1.0), np.isin(np.arange(n), [*low, *high])
    scale = np.where(held, 1.0 / (1.0 + np.abs(gradient)), weight)
    table = (scale * normals).T
    size = np.maximum(np.abs(table).max(0), 1e-300)
    z = scipy.optimize.nnls(table / size, -scale * gradient)[0] / size
    rows, lows, highs = np.zeros(len(room)), np.zeros(n), np.zeros(n)
    rows[tight], lows[low], highs[high], _ = np.split(
        z, np.cumsum([len(tight), len(low), len(high)])
    )
    cost = gradient + rows @ jacobian
    left = (cost - lows + highs + (z[-2] - z[-1]) * ones) * weight
    gap = _frank_wolfe(shape, cost[:-1], x[:-1]) + float(rows @ np.maximum(room, 0.0))
    return Proof(rows, lows, highs, gap, float(np.abs(left).max()))


def _frank_wolfe(shape: Polytope, cost: np.ndarray, h: np.ndarray) -> float:
    """The most that a linear cost can fall within the box."""
    upper = np.maximum(shape.lower, shape.upper)
    best, left = shape.lower.copy(), 1.0 - shape.lower.sum()
    for i in np.argsort(cost):
        best[i] += min(max(left, 0.0), upper[i] - best[i])
        left -= best[i] - shape.lower[i]
    return max(float(cost @ (h - best)), 0.0)


def find_prices(program: Program, proof: Proof) -> tuple[Price, ...]:
    """The constraints that bind, the box first; rows of a worst case are no constraints."""
    found = [*box_prices(program.shape, proof.low[:-1] - proof.high[:-1])]
    found += [
        row_price(row, float(price))
        for row, price in zip(program.rows, proof.rows, strict=True)
        if price > NOTHING and row.kind != "worst"
    ]
    return tuple(found)


def box_prices(shape: Polytope, multipliers: np.ndarray) -> tuple[Price, ...]:
    """Prices of bounds from multipliers [k], positive at a minimum and negative at a maximum."""
    found = []
    for i in np.flatnonzero(np.abs(multipliers) > NOTHING):
        row = (shape.lower_row if multipliers[i] > 0 else shape.upper_row)[i]
        price = abs(float(multipliers[i]))
        if row is None:
            found.append(Price(f"{shape.domains[i]}>=0", price, ""))
        else:
            found.append(row_price(row, price / abs(float(row.slope[i]))))
    return tuple(found)


def row_price(row: Row, price: float) -> Price:
    """The price of one row, per unit of its bound."""
    step = f"worth {0.01 * price:.2g} nats"
    if row.kind == "guard":
        unit = unit_of(row.name).removesuffix(" per token")
        return Price(row.label, price, f"allowing {row.name} 0.01 {unit} more is {step}")
    if row.kind == "kl":
        return Price(row.label, price, f"a KL larger by 0.01 is {step}")
    if row.kind == "linear":
        return Price(row.label, price, f"0.01 more room in {row.label} is {step}")
    if row.kind == "epochs":
        by = price * row.per_epoch
        return Price(row.label, price, f"one more epoch of {row.name} is worth {by:.2g} nats")
    if row.bound == 0 and row.slope.max() > 0:
        return Price(row.label, price, "")  # the slope at 0 may be infinite: no word for it
    more = "more" if row.slope.max() > 0 else "less"
    return Price(row.label, price, f"0.01 {more} of {row.name} is {step}")


def convexity(laws: FittedLaws, x: Inputs, counted: np.ndarray) -> tuple[bool, str]:
    """Whether the losses that count are convex in h, so that a small gap proves the optimum.

    A law says so itself (``Law.convex``). What a law that is not one of the package's says is also
    tried at random midpoints.

    Args:
        laws: fits of m targets.
        x: inputs at one budget but the weights.
        counted: [m] which targets count.

    Returns:
        (proven, reason): the reason is one sentence for people.
    """
    law = laws.law
    for fit in (fit for fit, count in zip(laws, counted, strict=True) if count):
        reason = law.convex(fit.params)
        if reason is None and law_recipe(law) is None:
            reason = _refuted(fit, x)
        if reason is not None:
            return (
                False,
                f"the law '{law.name}' of target '{fit.target}' may not be convex: {reason}",
            )
    return True, f"the law '{law.name}' is convex in the weights at these parameters"


def _refuted(fit: FittedLaw, x: Inputs) -> str | None:
    """A reason if the loss lies above a chord at some random midpoint."""
    k = len(fit.domains)
    ends = [dirichlet_design(k, _PROBES, seed=seed, concentration=0.5) for seed in (0, 1)]
    points = np.stack([*ends, 0.5 * (ends[0] + ends[1])])  # [3, probes, k]
    first, last, middle = fit.predict({**x, "weights": points})
    above = middle - 0.5 * (first + last) > 1e-9 * (1 + np.abs(middle))
    return "it lies above its chords, against what the law says" if above.any() else None
