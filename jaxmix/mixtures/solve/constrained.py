"""Mixtures within any constraints: sequential quadratic programming with exact curvature.

Every step minimizes a quadratic model of the Lagrangian within the linearized constraints (Nocedal
and Wright 2006, chapter 18), in units of the square roots of the weights: the metric of
exponentiated gradient, as in ``descent``. Damping in that metric adapts to how well the model
predicted each step, so that the search starts as mirror descent and ends as Newton's method. The
quadratic programs are solved in their dual by non-negative least squares (Lawson and Hanson 1974,
chapter 23).

SciPy's SLSQP, the textbook choice, needed ten times as many evaluations, left the simplex's
boundary badly, where losses are steep, and lost seconds to the threads of its linear algebra.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy

from jaxmix.errors import JaxmixError
from jaxmix.mixtures.simplex import FLOOR
from jaxmix.mixtures.solve.certificate import NOTHING, Proof, prove
from jaxmix.mixtures.solve.program import Program, Terms

MET = 1e-9  # nats, or weight: a constraint missed by less is met
_FINE = 100 * MET  # likewise for an end to count as a solution
_REACH = 5.0  # largest change of log h in one step
_GROWTH = 1e-3  # what a weight may gain however small it is
_STEPS = 150
_PATIENCE = 12  # steps refused in a row before a search gives up


@dataclass(frozen=True, eq=False)
class Found:
    """The best end of a search.

    Attributes:
        x: [k + 1] mixture and t; weights at a bound are exactly at it.
        value: objective.
        proof: what the constraints cost, and the gap.
        program: what was solved: guardrails that leave a single mixture are loosened by a billionth
            of a nat.
        agreeing: how many starts ended within 1e-6 (relative) of the best.
    """

    x: np.ndarray
    value: float
    proof: Proof
    program: Program
    agreeing: int


def solve_program(terms: Terms, program: Program, starts: np.ndarray) -> Found:
    """The best solution of a program from several starts [S, k].

    Raises:
        JaxmixError: no mixture meets the guardrails; it says which are missed, and by how much.
    """
    program, starts = meet_limits(terms, program, starts)
    x, agreeing = best_end(terms, program, starts)
    return Found(x, program.value(terms, x), prove(terms, program, x), program, agreeing)


def best_end(
    terms: Terms, program: Program, starts: np.ndarray, tolerance: float = 1e-14
) -> tuple[np.ndarray, int]:
    """The best end [n] of searches from every start [S, k], and how many agree with it."""
    ends = [search(terms, program, start, tolerance) for start in starts]
    values = np.array([program.value(terms, x) for x in ends])
    missed = np.array([program.excess(terms, x) for x in ends])
    fits = np.isfinite(values) & (missed <= max(_FINE, np.nanmin(missed)))
    values = np.where(fits, values, np.inf)
    lowest = values.min()
    return ends[int(values.argmin())], int(np.sum(values <= lowest + 1e-6 * abs(lowest)))


@dataclass(frozen=True, eq=False)
class _Point:
    x: np.ndarray  # [n]
    z: np.ndarray  # [r] multipliers of the rows
    value: float
    missed: float  # by how much the worst constraint is missed

    def merit(self, price: float) -> float:
        """The exact penalty function."""
        return self.value + price * self.missed


def _point(terms: Terms, p: Program, h: np.ndarray, z: np.ndarray) -> _Point:
    x = p.lifted(terms, _floored(p, h))
    return _Point(x, z, p.value(terms, x), p.excess(terms, x))


def search(
    terms: Terms, p: Program, start: np.ndarray, tolerance: float = 1e-14, enough: float = -np.inf
) -> np.ndarray:
    """The end [n] of a search from one mixture [k]: a local solution.

    Args:
        terms: the functions of the program.
        p: the program.
        start: [k] weights; they need not meet the constraints.
        tolerance: share of the objective that the model promises below which steps are the last.
        enough: an objective that ends the search.
    """
    at = _point(terms, p, start, np.zeros(len(p.right)))
    damping, price, refused = -1.0, 0.0, 0
    for _ in range(_STEPS if p.free.any() else 0):
        model = _Model(terms, p, at)
        damping = model.spread if damping < 0 else damping
        step = model.step(model.room, damping)
        price = max(1.5 * step.prices + 1e-3, 0.7 * price) if step else price
        new = _accepted(terms, p, model, at, step, damping, price) if step else None
        if step is None or new is None:
            damping, refused = 8.0 * damping + 1e-8 * model.spread, refused + 1
            if refused > _PATIENCE:
                break
            continue
        gain = at.merit(price) - new.merit(price)
        trusted = gain > 0.5 * step.promised or abs(gain) <= _noise(at, price)
        damping, refused = damping * (0.1 if trusted else 2.0), 0
        last = step.promised <= tolerance * (1 + abs(new.value)) and new.missed <= 1e-3 * MET
        last = last and np.all(np.abs(new.x - at.x)[:-1] <= tolerance**0.5 * at.x[:-1])
        at = new
        if last or (at.value <= enough and at.missed <= MET):
            break
    return _rounded(terms, p, at.x)


def _noise(at: _Point, price: float) -> float:
    """What rounding may do to the penalty function."""
    return 16 * np.finfo(float).eps * (1 + abs(at.value)) * (1 + price)


def _accepted(
    terms: Terms, p: Program, model: "_Model", at: _Point, step: "_Step", damping: float,
    price: float,
) -> _Point | None:  # fmt: skip
    """The end of a step, corrected to second order if need be; None if it is no better."""
    for correct in (False, True):
        if correct:  # the rows as they are where the step ends
            room = p.room(terms, at.x + step.d) + model.jacobian @ step.d
            step = model.step(np.where(p.bent, room, model.room), damping) or step
        new = _point(terms, p, (at.x + step.d)[:-1], step.z)
        better = new.merit(price) <= at.merit(price) + _noise(at, price)
        if np.isfinite(new.value) and better:
            return new
    return None


def _floored(p: Program, h: np.ndarray) -> np.ndarray:
    """Weights within the box, those that can move above 0."""
    low, high = p.lower[:-1], p.upper[:-1]
    return np.clip(h, np.where(p.free[:-1], np.maximum(low, np.minimum(FLOOR, high)), low), high)


def _rounded(terms: Terms, p: Program, x: np.ndarray) -> np.ndarray:
    """The end with weights that a bound holds exactly at it, if that is no worse."""
    proof = prove(terms, p, x)
    at = np.where(proof.low > NOTHING, p.lower, np.where(proof.high > NOTHING, p.upper, x))
    off = np.abs(at - x)[:-1].max() <= 1e-11
    fine = p.value(terms, at) <= p.value(terms, x) + 1e-12 * (1 + abs(p.value(terms, x)))
    return at if off and fine else x


@dataclass(frozen=True, eq=False)
class _Step:
    d: np.ndarray  # [n]
    z: np.ndarray  # [r] multipliers of the rows
    prices: float  # sum of all multipliers but those of the box
    promised: float  # by how much the model falls


class _Model:
    """The quadratic model of a program at a point, in units of the square roots of its weights."""

    def __init__(self, terms: Terms, p: Program, at: _Point) -> None:
        x, h, free = at.x, np.maximum(at.x[:-1], FLOOR), p.free
        gradient, self.jacobian = p.slopes(terms, x)
        self.p, self.room, (table, right) = p, p.room(terms, x), p.equations
        self.unit = np.append(np.sqrt(h), 1.0)[free]
        bent = np.pad(terms.curvature(p.objective + at.z @ p.mix, h), (0, 1))
        self.hessian = bent[np.ix_(free, free)] * self.unit * self.unit[:, None]
        self.gradient = gradient[free] * self.unit
        self.ties, self.missing = table[:, free] * self.unit, right - table @ x
        least = np.append(_floored(p, p.lower[:-1]), p.lower[-1]) - x
        low = np.maximum(least, np.append(h * (np.exp(-_REACH) - 1), -np.inf))
        high = np.append(h * (np.exp(_REACH) - 1) + _GROWTH, np.inf)
        ends = np.concatenate([-low[free], np.minimum(p.upper - x, high)[free]])
        self.ends, eye = ends / np.tile(self.unit, 2), np.eye(len(self.unit))
        self.rows = np.vstack([self.jacobian[~p.equal][:, free] * self.unit, -eye, eye])
        costs = np.vstack([gradient, self.jacobian[p.bent]])[:, :-1]
        costs = (costs - costs @ h[:, None])[:, free[:-1]]
        self.spread = float(np.abs(costs).max(initial=0.0))

    def step(self, room: np.ndarray, damping: float) -> _Step | None:
        """The model's minimum within rows with so much room; None if there is none."""
        right = np.concatenate([room[~self.p.equal], self.ends])
        keep = np.isfinite(right)
        rows, right, eye = self.rows[keep], right[keep], np.eye(len(self.unit))
        curves = np.linalg.eigvalsh(self.hessian)
        least = 1e-7 * max(np.abs(curves).max(), np.abs(self.gradient).max(), 1e-12)
        bent = self.hessian + max(damping, least - curves[0]) * eye
        found = _quadratic(self.gradient, bent, rows, right, self.ties, self.missing)
        if found is None:
            return None
        y, z, prices = self._exact(rows, right, self.hessian + damping * eye, *found)
        d, full = np.zeros(len(self.p.cost)), np.zeros(len(keep))
        d[self.p.free], full[keep] = self.unit * y, z
        own = np.zeros(len(room))
        own[~self.p.equal] = full[: (~self.p.equal).sum()]
        promised = -float(self.gradient @ y + 0.5 * y @ self.hessian @ y)
        return _Step(d, own, own.sum() + np.abs(prices).sum(), promised)

    def _exact(
        self, rows: np.ndarray, right: np.ndarray, bent: np.ndarray, y: np.ndarray, z: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The minimum on the rows that bind, with multipliers of rows and ties.

        It is exact also if the curvature was shifted to find which rows these are; least squares
        decides between rows that say the same.
        """
        on, count = z > 0, len(y)
        both = np.vstack([rows[on], self.ties])
        system = np.block([[bent, both.T], [both, np.zeros((len(both), len(both)))]])
        wanted = np.concatenate([-self.gradient, right[on], self.missing])
        again, own, ties = np.split(
            np.linalg.lstsq(system, wanted, rcond=1e-14)[0], [count, count + on.sum()]
        )
        meets = np.all(rows @ again <= right + 1e-12 * (1 + np.abs(right)))
        if meets and np.all(own >= -1e-9 * (1 + np.abs(own).max(initial=0.0))):
            y, z = again, z.copy()
            z[on] = np.maximum(own, 0.0)
        return y, z, ties


def _quadratic(
    g: np.ndarray, m: np.ndarray, a: np.ndarray, r: np.ndarray, ties: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """The y with the least ``g.y + y m y / 2`` and ``a y <= r``, ``ties y = b``; multipliers of a.

    In the null space of the ties and with m = L L^T it is the point of a polyhedron nearest to one
    given; its dual is a problem of non-negative least squares. None if no y meets the constraints.
    """
    left, sizes, basis = np.linalg.svd(ties)
    rank = int((sizes > 1e-11 * sizes[0]).sum())
    first, free = basis[:rank].T @ (left[:, :rank].T @ b / sizes[:rank]), basis[rank:].T
    if not free.shape[1]:
        return first, np.zeros(len(r))
    moves = np.linalg.norm(a @ free, axis=1) > 1e-11  # the ties decide on the other rows
    root = np.linalg.cholesky(free.T @ m @ free)
    center = np.linalg.solve(root, free.T @ (g + m @ first))
    normals = -np.linalg.solve(root, (a[moves] @ free).T).T  # normals . u >= bounds,
    bounds = normals @ center - (r - a @ first)[moves]  # u = root^T w + center
    size = np.linalg.norm(normals, axis=1)
    normals, bounds = normals / size[:, None], bounds / size
    scale = max(1.0, float(np.abs(bounds).max(initial=0.0)))
    table = np.vstack([normals.T, bounds / scale])
    goal = np.eye(len(table))[-1]
    found = scipy.optimize.nnls(table, goal, maxiter=50 * sum(table.shape))[0]
    residual = table @ found - goal
    if residual[-1] > -1e-13:
        return None
    y = first + free @ np.linalg.solve(root.T, -scale * residual[:-1] / residual[-1] - center)
    z = np.zeros(len(r))
    z[moves] = -scale * found / residual[-1] / size
    return y, z


def meet_limits(terms: Terms, p: Program, starts: np.ndarray) -> tuple[Program, np.ndarray]:
    """Starts [S, k] that meet the guardrails and the limit on KL, and the program for them.

    Minimizes the largest excess t from every start, until it is below 0. Limits that leave a single
    mixture, such as those at an optimum, are loosened by a billionth of a nat.

    Raises:
        JaxmixError: no mixture meets them.
    """
    limits = np.array([row.kind in ("guard", "kl") for row in p.rows], bool)
    if not limits.any():
        return p, starts
    keep = np.array([row.kind != "worst" for row in p.rows])  # no mixture breaks those
    matrix = p.matrix.copy()
    matrix[:, -1] = np.where(limits, -1.0, 0.0)
    phase = replace(
        p,
        rows=tuple(row for row in p.rows if row.kind != "worst"),
        objective=np.zeros_like(p.objective),
        cost=np.eye(len(p.cost))[-1],
        mix=p.mix[keep],
        matrix=matrix[keep],
        right=p.right[keep],
        lower=np.append(p.lower[:-1], -np.inf),
        upper=np.append(p.upper[:-1], np.inf),
    )
    found = np.array([search(terms, phase, start, enough=-_FINE) for start in starts])
    missed = np.array([phase.excess(terms, x) for x in found])
    level = np.where(missed <= _FINE, found[:, -1], np.inf)
    least = int(level.argmin())
    if level[least] > MET:
        raise JaxmixError(_unmet(terms, phase, found[least]))
    thin = level[least] > -0.1 * MET
    fits = level <= (level[least] + 0.1 * MET if thin else -0.1 * MET)
    loose = np.where(limits, level[least] + MET if thin else 0.0, 0.0)
    return replace(p, right=p.right + loose), found[fits, :-1]


def _unmet(terms: Terms, phase: Program, x: np.ndarray) -> str:
    """Which guardrails the mixture that comes closest misses, and by how much."""
    missed = -phase.room(terms, np.append(x[:-1], 0.0))
    listed = ", ".join(
        f"{row.label} by {by:.3g} nats"
        for row, by in zip(phase.rows, missed, strict=True)
        if row.kind in ("guard", "kl") and by > x[-1] - 1e-6
    )
    return f"no mixture meets the guardrails; the one found that comes closest misses {listed}"
