"""The optimum of one question at other budgets and under other limits, as tables to interpolate.

The tables are refined where the optimum bends, until the middle of two neighbors is their mean. A
page or a notebook reads them without solving anything.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.mixtures.optimum import Optimum, unread_sizes
from jaxmix.mixtures.polytope import Polytope
from jaxmix.mixtures.solve.constrained import solve_program
from jaxmix.mixtures.solve.lanes import Lanes, make_starts, solve
from jaxmix.mixtures.solve.problem import Problem, problem_of

WITHIN = 0.005  # of weight: an interpolated mixture is this near to the optimum
_MIDDLE = 0.4 * WITHIN  # at a kink, twice what the middle of two neighbors shows can be missed
_BEYOND = 100.0  # how far beyond the largest budget that was run
_POINTS = 9, 5  # on an axis at first: within bounds alone, and within other limits, which take long
_MOST = 64, 11  # on an axis in the end
_CLOSEST = 0.003  # of an axis, between two points
_STARTS = 4  # beside the optimum, within other limits than bounds
_MOST_CUTS = 100  # half-spaces that hold the hull of the runs near an optimum
_ROUGH = 1e-7  # tolerance of many starts; the best is polished


@dataclass(frozen=True, eq=False, kw_only=True)
class BudgetSurface:
    """Optima at the points of a grid of budgets.

    Attributes:
        n_params: [a] N, ascending; one value if the laws do not read it.
        tokens: [b] D, likewise.
        weights: [a, b, k]; NaN if no mixture was found to meet the limits.
        rough: bool [max(a - 1, 1), max(b - 1, 1)], cells in which the optimum jumps, so that
            nothing is known between their corners.
    """

    n_params: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray
    rough: np.ndarray

    def at(self, n_params: float, tokens: float) -> np.ndarray:
        """The mixture [k] at a budget inside the grid, linear in log N and log D."""
        (i, u), (j, v) = _place(self.n_params, n_params), _place(self.tokens, tokens)
        up, right = min(i + 1, len(self.n_params) - 1), min(j + 1, len(self.tokens) - 1)
        h = self.weights
        low, high = ((1 - v) * h[at, j] + v * h[at, right] for at in (i, up))
        return (1 - u) * low + u * high


@dataclass(frozen=True, eq=False, kw_only=True)
class LimitCurve:
    """Optima if one weight is limited, at one budget.

    Attributes:
        domain: bare name.
        limit: [t] ascending. Below the weight of the optimum it is the largest weight allowed,
            above it the smallest.
        weights: [t, k].
        rough: bool [t - 1], intervals in which the optimum jumps.
    """

    domain: str
    limit: np.ndarray
    weights: np.ndarray
    rough: np.ndarray


def _place(axis: np.ndarray, value: float) -> tuple[int, float]:
    """The interval of an axis that holds a value, and how far into it, in logarithms."""
    if len(axis) == 1:
        return 0, 0.0
    i = int(np.clip(np.searchsorted(axis, value) - 1, 0, len(axis) - 2))
    low, high = np.log(axis[i : i + 2])
    return i, float(np.clip((np.log(value) - low) / (high - low), 0.0, 1.0))


def budget_surface(optimum: Optimum) -> BudgetSurface | None:
    """The optimum over budgets, from the smallest that was run to a hundred times the largest.

    Args:
        optimum: at a finite budget; what it was asked for holds at the others too.

    Returns:
        None if the laws read neither N nor D, or the budget is infinite.
    """
    unread, other = unread_sizes(optimum.laws), _Elsewhere(optimum)
    home = {"n_params": optimum.n_params, "tokens": optimum.tokens}
    if len(unread) == 2 or not np.isfinite(list(home.values())).all():
        return None
    n, d = (np.log([v]) if name in unread else other.axis(name) for name, v in home.items())
    h = other.budgets(n, d)

    def columns(at: np.ndarray, near: np.ndarray) -> np.ndarray:
        return other.budgets(n, at, near.swapaxes(0, 1)).swapaxes(0, 1)

    def lines(at: np.ndarray, near: np.ndarray) -> np.ndarray:
        return other.budgets(at, d, near)

    def more_tokens(d: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
        d, across, unsure = _refined(d, h.swapaxes(0, 1), columns, other.most)
        return d, across.swapaxes(0, 1), unsure.T

    d, h, _ = more_tokens(d, h)
    n, h, by_n = _refined(n, h, lines, other.most)
    then, (d, h, by_d) = d, more_tokens(d, h)
    # What is not known between two sizes holds at the token counts added since, too.
    left, right = np.searchsorted(then, d, "right") - 1, np.searchsorted(then, d, "left")
    by_n = by_n[:, left] | by_n[:, right]
    edges = by_n & _apart(h), by_d.T & _apart(h.swapaxes(0, 1))
    edges = [e if len(e) else np.zeros((1, e.shape[1]), bool) for e in edges]
    rough = _corners(edges[0], 1) | _corners(edges[1].T, 0)
    return BudgetSurface(n_params=np.exp(n), tokens=np.exp(d), weights=h, rough=rough)


def limit_curves(optimum: Optimum) -> tuple[LimitCurve, ...]:
    """The optimum if a domain's weight is limited, for every domain whose weight may vary."""
    other = _Elsewhere(optimum)
    found = []
    for i, (low, high) in enumerate(other.ranges):
        if high - low < WITHIN:
            continue
        first = np.linspace(low, high, other.points)
        limit = np.unique(np.append(first, np.clip(optimum.h[i], low, high)))

        limited = partial(other.limited, i)
        limit, h, unsure = _refined(limit, limited(limit), limited, other.most)
        rough = unsure[:, 0] & _apart(h)[:, 0]
        known = np.flatnonzero(np.isfinite(h).all((1, 2)))
        if len(known) > 1:  # what cannot be met lies at the ends
            kept = slice(known[0], known[-1] + 1)
            curve = {
                "limit": limit[kept],
                "weights": h[kept, 0],
                "rough": rough[known[0] : known[-1]],
            }
            found.append(LimitCurve(domain=optimum.domains[i], **curve))
    return tuple(found)


def _refined(
    axis: np.ndarray,
    values: np.ndarray,
    solved: Callable[[np.ndarray, np.ndarray], np.ndarray],
    most: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """More points between neighbors whose mean is not the value in their middle.

    Args:
        axis: [a], ascending.
        values: [a, l, k] on l lines.
        solved: values at other points [c], from mixtures near them [c, l, s, k].
        most: points.

    Returns:
        The axis, its values, and where this is still so, by interval and line, bool [a - 1, l].
    """
    least = _CLOSEST * float(np.ptp(axis))
    unsure = np.ones(values.shape[:2], bool)  # by the left end of an interval; the last has none
    while True:
        at = np.flatnonzero(unsure[:-1].any(1) & (np.diff(axis) > least))
        if not len(at):
            break
        middle, pair = (axis[at] + axis[at + 1]) / 2, np.stack([values[at], values[at + 1]], 2)
        mean = pair.mean(2)
        found = solved(middle, np.concatenate([mean[:, :, None], pair], 2))
        nothing = np.isnan(found) & np.isnan(pair).all(2)
        off = np.where(nothing, 0.0, np.nan_to_num(np.abs(found - mean), nan=1.0)).max(2)
        unsure[at] = bent = off > _MIDDLE  # [c, l]
        if len(axis) >= most:
            break
        worst = np.argsort(-off.max(1), kind="stable")[: most - len(axis)]
        new = worst[bent.any(1)[worst]]
        order = np.argsort(np.append(axis, middle[new]), kind="stable")
        axis = np.append(axis, middle[new])[order]
        values = np.concatenate([values, found[new]])[order]
        unsure = np.concatenate([unsure, bent[new]])[order]
    return axis, values, unsure[:-1]


def _apart(h: np.ndarray) -> np.ndarray:
    """Whether neighbors [a, l, k] along the first axis are too far apart to lie between them."""
    return ~(np.abs(np.diff(h, axis=0)).max(-1, initial=0.0) <= 2 * WITHIN)


def _corners(edges: np.ndarray, axis: int) -> np.ndarray:
    """Cells that have one of these edges."""
    count = edges.shape[axis]
    first = np.take(edges, np.arange(max(count - 1, 1)), axis)
    return first | np.take(edges, np.arange(min(1, count - 1), count), axis)


@dataclass(frozen=True, eq=False)
class _Elsewhere:
    """Solves the question of an optimum at other budgets and under other limits."""

    optimum: Optimum

    @cached_property
    def problem(self) -> Problem:
        return problem_of(self.optimum.counted)

    @property
    def points(self) -> int:
        return _POINTS[not self.problem.bounds_only]

    @property
    def most(self) -> int:
        hull = self.problem.constraints.within == "hull"  # cut by cut: the slowest of all
        return _POINTS[0] if hull else _MOST[not self.problem.bounds_only]

    @cached_property
    def shape(self) -> Polytope:
        return self.problem.shape

    @property
    def ranges(self) -> np.ndarray:
        """[k, 2] the least and the most that the linear limits allow each weight."""
        unit = np.eye(len(self.optimum.h))
        ends = self.shape.extremes(np.vstack([unit, -unit]))
        k = len(unit)
        return np.stack([np.diag(ends[:k]), np.diag(ends[k:])], 1)

    def axis(self, name: str) -> np.ndarray:
        """Logarithms of a size to solve at, among them that of the optimum."""
        optimum = self.optimum
        runs = [getattr(fit.data, name) for fit in optimum.counted.laws]
        home = float(getattr(optimum, name))
        low, high = min(run[0] for run in runs), _BEYOND * max(run[1] for run in runs)
        low, high = min(low, home), max(high, home)
        if name == "tokens":
            reads = optimum.laws.law.reads("unique")
            most = optimum.constraints.most_tokens(optimum.domains, reads_unique=reads)
            high = max(min(high, most * (1 - 1e-6)), home)
        even = np.linspace(np.log(low), np.log(high), self.points)
        return np.unique(np.append(even, np.log(home)))

    def budgets(self, n: np.ndarray, d: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        """[a, b, k] at logarithms of budgets, from mixtures near the optima [a, b, s, k]."""
        sizes, tokens = (np.exp(x).ravel() for x in np.meshgrid(n, d, indexing="ij"))
        low, high = np.zeros((len(sizes), len(self.optimum.h))), np.ones(1)
        starts = None if near is None else near.reshape(-1, *near.shape[2:])
        found = self._solved(sizes, tokens, low, high + low, starts)
        return found.reshape(len(n), len(d), -1)

    def limited(self, i: int, limit: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        """[t, 1, k] if the weight of one domain is limited."""
        k, home = len(self.optimum.h), self.optimum.h[i]
        low, high = np.zeros((len(limit), k)), np.ones((len(limit), k))
        low[:, i], high[:, i] = np.where(limit > home, limit, 0), np.where(limit < home, limit, 1)
        n, d = (np.full(len(limit), x) for x in (self.optimum.n_params, self.optimum.tokens))
        return self._solved(n, d, low, high, None if near is None else near[:, 0])[:, None]

    def _solved(
        self, n: np.ndarray, d: np.ndarray, low: np.ndarray, high: np.ndarray,
        near: np.ndarray | None,
    ) -> np.ndarray:  # fmt: skip
        """Optima [B, k] at budgets [B], within bounds [B, k] too, from starts [B, s, k]."""
        if self.problem.bounds_only:
            return self._inside_boxes(n, d, low, high, near)
        rows = zip(n, d, low, high, near if near is not None else [None] * len(n), strict=True)
        return np.array([self._alone(*row) for row in rows])

    def _inside_boxes(
        self, n: np.ndarray, d: np.ndarray, low: np.ndarray, high: np.ndarray,
        near: np.ndarray | None,
    ) -> np.ndarray:  # fmt: skip
        problem, laws = self.problem, self.problem.laws
        reads = laws.law.reads("unique")
        box = problem.constraints.boxes(laws.domains, d, reads_unique=reads)
        low, high = np.clip(low, *box), np.clip(high, *box)
        if near is None or not np.isfinite(near).all():
            starts = 1 if self.optimum.proven else max(8, low.shape[1] + 4)
            near = np.tile(make_starts(low[0], high[0], starts, 0), (len(n), 1, 1))
        near = near[:, : 1 if self.optimum.proven else None]
        count, starts, k = near.shape
        x = {**problem.x, "n_params": n, "tokens": d}
        x = {a: np.broadcast_to(v, (count, *np.shape(v)[-1:]) if np.ndim(v) and a not in
             ("n_params", "tokens") else count) for a, v in x.items()}  # fmt: skip
        w = np.tile(problem.target_weights, (count, 1))
        each = np.repeat(np.arange(count), starts)
        lanes = Lanes(
            {a: v[each] for a, v in x.items()}, w[each], np.maximum(near.reshape(-1, k), 1e-6),
            low[each], high[each],
        )  # fmt: skip
        found = solve(laws.stacked, lanes, _ROUGH if starts > 1 else 1e-12)
        value = np.where(np.isfinite(found.value), found.value, np.inf).reshape(count, starts)
        best = np.arange(count) * starts + value.argmin(1)
        h = found.weights[best]
        if starts > 1:
            h = solve(laws.stacked, Lanes(x, w, h, low, high)).weights
        return np.where(np.isfinite(value.min(1))[:, None], h, np.nan)

    def _alone(
        self, n: float, d: float, low: np.ndarray, high: np.ndarray, near: np.ndarray | None
    ) -> np.ndarray:
        """One optimum [k] within any limits; NaN if no mixture is found that meets them."""
        given, names = self.problem.constraints, self.optimum.domains
        bounds = {
            "minimum": {m: x for m, x in zip(names, low.tolist(), strict=True) if x > 0},
            "maximum": {m: x for m, x in zip(names, high.tolist(), strict=True) if x < 1},
        }
        free = {m: dict(getattr(given, m)) | own for m, own in bounds.items()}
        problem = replace(
            self.problem,
            x={**self.problem.x, "n_params": np.asarray(n), "tokens": np.asarray(d)},
            constraints=replace(given, **free),
        )
        try:
            if near is None or not np.isfinite(near).all():
                near = np.vstack([self.optimum.h, problem.shape.starts(_STARTS, 0)])
            return _searched(problem, near[: 1 if self.optimum.proven else None])
        except JaxmixError:
            return np.full(len(names), np.nan)


def _searched(problem: Problem, starts: np.ndarray) -> np.ndarray:
    """The best end of searches [k], inside the hull of the runs if that is asked."""
    h = starts[0]
    for _ in range(_MOST_CUTS):
        terms = problem.terms(problem.laws.stacked)
        h = solve_program(terms, problem.program(problem.laws.stacked), starts).x[:-1]
        region = problem.constraints.region
        cut = region.cut(h) if region and problem.constraints.within == "hull" else None
        if region is None or cut is None:
            break
        region = replace(region, cuts=(*region.cuts, cut))
        problem = replace(problem, constraints=replace(problem.constraints, region=region))
    return h
