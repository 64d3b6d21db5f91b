"""What every constraint that binds costs, and the certificate that follows from it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import nnls

from jaxmix.fitting.fitted import StackedLaws
from jaxmix.mixtures.assembly import Problem
from jaxmix.mixtures.constraints import Polytope, Row
from jaxmix.mixtures.interior import Found
from jaxmix.mixtures.program import Program, Slopes, slopes
from jaxmix.mixtures.simplex import FLOOR, oracle

_TIGHT = 1e-9  # a constraint with less room than this may bind
_NOTHING = 1e-9  # nats per unit below which it does not


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


@dataclass(frozen=True)
class Certificate:
    """What proves or supports an optimum.

    Attributes:
        prices: the binding constraints.
        gap: duality gap, nats.
        residual: largest cost, nats per unit of weight, that no price explains, each weight's
            counted by its size.
        shares: [r] multipliers of the rows of a worst case, with sum 1; 0 for guardrails.
    """

    prices: tuple[Price, ...]
    gap: float
    residual: float
    shares: np.ndarray


class _Column(NamedTuple):
    """One constraint that may bind: its normal in (h, t), its room, and where it stands."""

    normal: np.ndarray  # [k + 1]
    room: float
    box: int  # the weight that it bounds, -1 for a general constraint
    price: Price  # per unit of the normal's own bound
    guard: int = -1


def row_price(row: Row, price: float) -> Price:
    """The price of one linear row, per unit of its bound."""
    step = f"{0.01 * price:.2g} nats"
    if row.domain and row.bound == 0 and row.slope.max() > 0:
        return Price(row.label, price, "")  # the slope at 0 may be infinite: no word for it
    if row.kind == "epochs":
        by = price * row.per_epoch
        return Price(row.label, price, f"one more epoch of {row.domain} is worth {by:.2g} nats")
    if row.domain:
        more = "more" if row.slope.max() > 0 else "less"
        return Price(row.label, price, f"0.01 {more} of {row.domain} is worth {step}")
    return Price(row.label, price, f"0.01 more room in {row.label} is worth {step}")


def box_prices(shape: Polytope, multipliers: np.ndarray) -> tuple[Price, ...]:
    """Prices of bounds from multipliers [k], positive at a minimum and negative at a maximum."""
    found = []
    for i in np.flatnonzero(multipliers):
        index = (shape.lower_row if multipliers[i] > 0 else shape.upper_row)[i]
        found.append(_bound_price(shape, int(i), int(index), abs(float(multipliers[i]))))
    return tuple(found)


def _bound_price(shape: Polytope, i: int, index: int, price: float) -> Price:
    if index < 0:
        return Price(f"{shape.bounds.domains[i]}>=0", price, "")
    row = shape.rows[index]
    return row_price(row, price / abs(float(row.slope[i])))


def find_prices(problem: Problem, program: Program, found: Found) -> Certificate:
    """Multipliers by non-negative least squares on the normals of the tight constraints.

    Unlike those of the path they exist also where constraints repeat or imply one another.

    Args:
        problem: the problem.
        program: its program, as it was solved.
        found: its solution, no lane axis.
    """
    x = np.append(found.weights, found.level)
    at = _slopes_at(problem, program, x)
    k = len(found.weights)
    columns = [*_box_columns(problem.shape, found.weights), *_general_columns(problem, program, at)]
    z, level = _multipliers(at.gradient, columns, found.weights)
    general = [(c, v) for c, v in zip(columns, z, strict=True) if c.box < 0]
    cost = at.gradient + sum((v * c.normal for c, v in general), np.zeros(k + 1))
    gap = _frank_wolfe(problem.shape, cost[:k], found.weights)
    gap += sum(v * max(c.room, 0.0) for c, v in general)
    left = cost + sum((v * c.normal for c, v in zip(columns, z, strict=True) if c.box >= 0))
    left[:k] = (left[:k] + level) * np.minimum(found.weights, 1.0)
    prices = [
        _scaled(problem, c, float(v))
        for c, v in zip(columns, z, strict=True)
        if v > _NOTHING and not (c.guard >= 0 and problem.guards[c.guard].epigraph)
    ]
    shares = np.zeros(len(problem.guards))
    for c, v in general:
        if c.guard >= 0 and problem.guards[c.guard].epigraph:
            shares[c.guard] = v
    return Certificate(tuple(prices), float(gap), float(np.abs(left).max()), shares)


@jax.jit
def _slopes(laws: StackedLaws, p: Program, x: jax.Array) -> Slopes:
    return slopes(laws, p, x, jnp.zeros(len(p.right) + len(p.target) + 1))


def _slopes_at(problem: Problem, program: Program, x: np.ndarray) -> Any:
    """Derivatives just above 0 for weights at 0, where a law's slope may be infinite."""
    open_program = program._replace(fixed=np.zeros_like(program.fixed))
    with jax.enable_x64(True):
        arrays = Program(*(jnp.asarray(v) for v in open_program))
        floored = np.append(np.maximum(x[:-1], FLOOR), x[-1])
        return jax.tree.map(np.asarray, _slopes(problem.stacked, arrays, jnp.asarray(floored)))


def _box_columns(shape: Polytope, h: np.ndarray) -> list[_Column]:
    """Bounds that the mixture touches."""
    columns, unit = [], np.eye(len(h) + 1)
    for i, (low, high) in enumerate(zip(shape.bounds.lower, shape.bounds.upper, strict=True)):
        if h[i] - low <= _TIGHT:
            price = _bound_price(shape, i, int(shape.lower_row[i]), 1.0)
            columns.append(_Column(-unit[i], h[i] - low, i, price))
        if shape.upper_row[i] >= 0 and high - h[i] <= _TIGHT:
            price = _bound_price(shape, i, int(shape.upper_row[i]), 1.0)
            columns.append(_Column(unit[i], high - h[i], i, price))
    return columns


def _general_columns(problem: Problem, program: Program, at: Any) -> list[_Column]:
    """Rows with several domains, guardrails, rows of a worst case and the KL limit, where tight.

    Their room is measured against the constraint as typed.
    """
    columns, q = [], len(program.right)
    for j, index in enumerate(problem.shape.mixed):
        row = problem.shape.rows[index]
        # A row that every mixture meets with equality is no row of the program.
        room = 0.0 if problem.inside.equal[j] else -float(at.values.general[j])
        columns.append(_Column(np.append(row.slope, 0.0), room, -1, row_price(row, 1.0)))
    for j, guard in enumerate(problem.guards):
        price, room = Price(guard.label, 1.0, ""), -float(at.values.general[q + j])
        columns.append(_Column(at.jacobian[q + j], room, -1, price, j))
    if problem.limits.kl_max is not None:
        price = Price(f"KL<={problem.limits.kl_max:g}", 1.0, "")
        columns.append(_Column(at.jacobian[-1], -float(at.values.general[-1]), -1, price))
    return [column for column in columns if column.room <= _TIGHT]


def _scaled(problem: Problem, column: _Column, value: float) -> Price:
    """A column's price for the multiplier it was given."""
    shape = problem.shape
    if column.box >= 0:
        side = shape.lower_row if column.normal[column.box] < 0 else shape.upper_row
        return _bound_price(shape, column.box, int(side[column.box]), value)
    step = f"{0.01 * value:.2g} nats"
    if column.guard >= 0:
        target = problem.guards[column.guard].target
        worth = f"allowing {target} 0.01 nats more is worth {step}"
        return Price(column.price.label, value, worth)
    for row in shape.rows:
        if row.label == column.price.label:
            return row_price(row, value)
    return Price(column.price.label, value, f"a KL larger by 0.01 is worth {step}")


def _multipliers(
    gradient: np.ndarray, columns: list[_Column], h: np.ndarray
) -> tuple[np.ndarray, float]:
    """Prices z >= 0 and a level that make ``gradient + sum z normal + level`` smallest.

    A free weight's equation counts by its weight, so that tiny weights with steep costs do not
    blur the others; a held one's by its cost, which its own bound explains.
    """
    k = len(h)
    boxed = {column.box for column in columns if column.box >= 0}
    held = np.isin(np.arange(k), list(boxed))
    scale = np.append(np.where(held, 1 / (1 + np.abs(gradient[:k])), np.minimum(h, 1.0)), 1.0)
    ones = np.append(np.ones(k), 0.0)
    normals = [*(column.normal for column in columns), ones, -ones]
    matrix = scale[:, None] * np.array(normals).T
    size = np.maximum(np.abs(matrix).max(0), 1e-300)
    z = nnls(matrix / size, -scale * gradient)[0] / size
    return z[:-2], float(z[-2] - z[-1])


def _frank_wolfe(shape: Polytope, cost: np.ndarray, h: np.ndarray) -> float:
    """The most that a linear cost can fall within the box."""
    lower, upper = shape.bounds.lower, np.maximum(shape.bounds.lower, shape.bounds.upper)
    with jax.enable_x64(True):
        best = np.asarray(oracle(jnp.asarray(cost), jnp.asarray(lower), jnp.asarray(upper)))
    return max(float(cost @ (h - best)), 0.0)
