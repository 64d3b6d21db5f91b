"""The Pareto front of several targets: mixtures that cannot lower one loss without raising another.

Every point solves ``min t, L^i(h) <= ideal_i + share_i t`` for one direction (Pascoletti and
Serafini 1984): an epsilon-constraint for all targets at once, which reaches the parts of a front
that no weighted sum does. Its multipliers are the weights of the sum that the point is
stationary for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.mixtures.assembly import FAR, Problem, lanes_of, make_problem, make_program, run_lanes
from jaxmix.mixtures.constraints import Constraints, constraints
from jaxmix.mixtures.designs import grid_design
from jaxmix.mixtures.feasible import check_feasible
from jaxmix.mixtures.interior import Found
from jaxmix.mixtures.program import Program
from jaxmix.mixtures.solve.certificate import find_prices
from jaxmix.mixtures.solving import check_finite, inner_starts, meet_guards
from jaxmix.mixtures.within import in_order

_TRACE = 1e-6  # weight of the mean loss beside t: no point may leave a loss it could lower
_SAME = 1e-8  # nats within which two points are one


@dataclass(frozen=True, eq=False)
class Front:
    """A Pareto front, F points in order of the first target's loss.

    Attributes:
        domains: bare names, the order of ``weights``.
        targets: bare names, the order of ``losses``.
        n_params: N.
        tokens: D.
        weights: [F, k] mixtures.
        losses: [F, m] losses there, nats; no row is as high as another in every target.
        target_weights: [F, m] w with sum 1 for which the point is stationary: at the margin,
            target i may be lowered by w_j nats for every w_i that target j rises.
        multipliers: for each point, by constraint that binds there, what loosening it gains in
            ``sum_i w_i L^i``, nats per unit.
        proven: the losses are convex in h, so that every point is optimal for its weights.
        reason: why they are or may not be.
    """

    domains: tuple[str, ...]
    targets: tuple[str, ...]
    n_params: float
    tokens: float
    weights: np.ndarray
    losses: np.ndarray
    target_weights: np.ndarray
    multipliers: tuple[dict[str, float], ...]
    proven: bool
    reason: str

    def __len__(self) -> int:
        return len(self.weights)


def pareto(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    limits: Constraints | None = None,
    *,
    targets: Sequence[str] | None = None,
    points: int = 21,
    starts: int | None = None,
    key: int = 0,
) -> Front:
    """The Pareto front of two or more targets within constraints at one budget.

    Args:
        laws: one fitted law per target; the same law over the same domains.
        n_params: N; ``inf`` for the limit.
        tokens: D.
        limits: what every mixture must meet; None for nothing. Guards may be on other targets.
        targets: those that are traded; None for all.
        points: about how many directions are tried: each target's own optimum, and an even
            lattice between. Directions that lead to the same or a dominated point are left out.
        starts: starting points of each; as for ``optimize_within``.
        key: seed of the random starts.

    Raises:
        JaxmixError: fewer than two targets or as many points, or as ``optimize_within``.
    """
    names = tuple(targets) if targets is not None else tuple(law.target for law in laws)
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise JaxmixError(f"a Pareto front needs two or more different targets, not {list(names)}")
    if points < len(names):
        raise JaxmixError(f"points is {points}: a front of {len(names)} targets needs as many")
    domains = laws[0].domains
    limits = in_order(constraints(domains) if limits is None else limits, domains)
    check_feasible(limits, tokens)
    problem = make_problem(
        laws, n_params, tokens, limits, dict.fromkeys(names, 1.0), worst_case="loss", pull=0.0
    )
    begin = inner_starts(problem, starts, key)
    check_finite(problem, begin)
    program, begin = meet_guards(problem, make_program(problem), begin)
    order = [names.index(g.target) if g.epigraph else -1 for g in problem.guards]
    traded = _Traded(problem, program, begin, np.array(order), _columns(problem, names))
    programs, found = _anchors(traded)
    low, high = found.losses[:, traded.columns].min(0), found.losses[:, traded.columns].max(0)
    between = _between(traded, low, high, points)
    if between is not None:
        programs = Program(*map(np.concatenate, zip(programs, between[0], strict=True)))
        found = Found(*map(np.concatenate, zip(found, between[1], strict=True)))
    return _front(traded, names, programs, found)


@dataclass(frozen=True, eq=False)
class _Traded:
    """A problem whose last rows are those of the traded targets."""

    problem: Problem
    program: Program
    starts: np.ndarray  # [S, k]
    order: np.ndarray  # [rows] which traded target a row is of, -1 for a guardrail
    columns: np.ndarray  # [m] where the traded targets are among the losses


def _columns(problem: Problem, names: Sequence[str]) -> np.ndarray:
    targets = [law.target for law in problem.laws]
    return np.array([targets.index(name) for name in names])


def _solve(traded: _Traded, **changes: np.ndarray) -> tuple[Program, Found]:
    """The best of all starts for each of B programs; both with a leading axis B."""
    count, starts = len(changes["weights"]), traded.starts
    programs = lanes_of(traded.program, count, **changes)
    wide = Program(*(np.repeat(np.asarray(x), len(starts), 0) for x in programs))
    found = run_lanes(traded.problem.stacked, wide, np.tile(starts, (count, 1)))
    fine = np.isfinite(found.value) & (found.excess <= 1e-8)
    values = np.where(fine, found.value, np.inf).reshape(count, len(starts))
    best = values.argmin(1) + len(starts) * np.arange(count)
    return programs, Found(*(x[best] for x in found))


def _anchors(traded: _Traded) -> tuple[Program, Found]:
    """Every traded target's own optimum; among equals, the one that is best for the others."""
    m, rows = len(traded.columns), traded.program.share
    weights = np.zeros((m, len(traded.problem.laws)))
    weights[:, traded.columns] = _TRACE / m + np.eye(m)
    return _solve(
        traded,
        weights=weights,
        slope=np.zeros(m),
        limit=np.tile(np.where(rows > 0, FAR, traded.program.limit), (m, 1)),
        share=np.zeros((m, len(rows))),
    )


def _between(
    traded: _Traded, low: np.ndarray, high: np.ndarray, points: int
) -> tuple[Program, Found] | None:
    """Points between the anchors, one for each direction; None where there is nothing to trade."""
    wide = high - low
    m = len(wide)
    if points <= m or wide.max() <= _SAME:
        return None
    directions = _lattice(m, points - m) * np.maximum(wide, 1e-6 * wide.max())
    count, row_of = len(directions), np.maximum(traded.order, 0)
    traces = np.zeros((count, len(traded.problem.laws)))
    traces[:, traded.columns] = _TRACE / m
    limit = np.tile(traded.program.limit, (count, 1))
    share = np.zeros_like(limit)
    rows = np.flatnonzero(traded.order >= 0)
    limit[:, rows] = low[row_of[rows]]
    share[:, rows] = directions[:, row_of[rows]]
    return _solve(traded, weights=traces, slope=np.ones(count), limit=limit, share=share)


def _lattice(m: int, least: int) -> np.ndarray:
    """At least so many directions with positive entries and sum 1, evenly spread; [B, m]."""
    steps = m
    while math.comb(steps - 1, m - 1) < least:
        steps += 1
    grid = grid_design(m, steps)
    return grid[np.all(grid > 0, 1)]


def _front(traded: _Traded, names: tuple[str, ...], programs: Program, found: Found) -> Front:
    losses = found.losses[:, traded.columns]
    fine = np.isfinite(found.value) & (found.excess <= 1e-8)
    keep = best_rows(np.where(fine[:, None], losses, np.inf))
    keep = keep[np.argsort(losses[keep, 0], kind="stable")]
    proofs = [_shares(traded, programs, found, int(i)) for i in keep]
    problem = traded.problem
    return Front(
        problem.limits.domains,
        names,
        problem.n_params,
        problem.tokens,
        found.weights[keep],
        losses[keep],
        np.array([share for share, _ in proofs]),
        tuple(prices for _, prices in proofs),
        problem.proven,
        problem.reason,
    )


def _shares(
    traded: _Traded, programs: Program, found: Found, i: int
) -> tuple[np.ndarray, dict[str, float]]:
    """Target weights of one point, and the prices in their weighted loss."""
    program = Program(*(x[i] for x in programs))
    problem = replace(traded.problem, slope=float(program.slope))
    proof = find_prices(problem, program, Found(*(x[i] for x in found)))
    share = program.weights[traded.columns].copy()
    for row, target in enumerate(traded.order):
        if target >= 0:
            share[target] += proof.shares[row]
    total = share.sum()
    return share / total, {price.label: float(price.price / total) for price in proof.prices}


def best_rows(losses: np.ndarray) -> np.ndarray:
    """Indices of the rows [F, m] that no other row dominates; of equal rows the first.

    >>> best_rows(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [2.0, 2.0]]))
    array([0, 1])
    """
    kept: list[int] = []
    for i, row in enumerate(losses):
        others = np.delete(losses, i, 0)
        dominated = np.any(np.all(others <= row, 1) & np.any(others < row, 1))
        same = any(np.all(np.abs(losses[j] - row) <= _SAME) for j in kept)
        if np.all(np.isfinite(row)) and not dominated and not same:
            kept.append(i)
    return np.array(kept, int)
