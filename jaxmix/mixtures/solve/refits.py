"""The same question asked of other parameters: optima of refits, and edges of a level set."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from jaxmix.fitting.fitted import StackedLaws
from jaxmix.fitting.precision import float64
from jaxmix.fitting.stacked import predict_losses
from jaxmix.laws import Inputs
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.polytope import Row
from jaxmix.mixtures.simplex import kl
from jaxmix.mixtures.solve.constrained import MET, best_end, search
from jaxmix.mixtures.solve.lanes import Lanes, make_starts, solve
from jaxmix.mixtures.solve.problem import Problem, problem_of
from jaxmix.mixtures.solve.program import Program, Terms

_LEAST = 1e-6  # smallest weight of a start
_ROUGH = 1e-9  # tolerance of a refit's optimum, share of the objective
_MORE = 3  # starts beside the optimum itself if it is not proven, within general constraints
_HALVINGS = 40


def solve_refits(
    optimum: Optimum, refits: StackedLaws, starts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The optimum of every refit within the constraints of a proposal, and its objective.

    Bounds alone are solved in one batch by exponentiated gradient, anything else refit by refit by
    quadratic programs. Guardrails compare with the reference in each refit's own losses; a refit
    that no mixture satisfies gives the one that comes closest.

    Args:
        optimum: the proposal.
        refits: parameters with leading axes [B, m].
        starts: [S, k] mixtures to start from; None for the proposal, and others if it is not
            proven.

    Returns:
        Mixtures [B, k] and objectives [B].
    """
    problem, count = problem_of(optimum), len(next(iter(refits.params.values())))
    if starts is None:
        starts = np.vstack([optimum.h, *([] if optimum.proven else [_others(problem)])])
    if not problem.bounds_only:
        return _one_by_one(problem, refits, starts, count)
    which, start = np.divmod(np.arange(count * len(starts)), len(starts))

    def wide(value: np.ndarray) -> np.ndarray:
        return np.broadcast_to(value, (len(which), *np.shape(value)))

    x = {name: wide(value) for name, value in problem.x.items()}
    box = wide(problem.shape.lower), wide(np.maximum(problem.shape.lower, problem.shape.upper))
    first = np.maximum(starts, _LEAST)[start]
    many = refits.replace_params({name: v[which] for name, v in refits.params.items()})
    found = solve(many, Lanes(x, wide(problem.target_weights), first, *box), 0.1 * _ROUGH)
    values = np.where(np.isfinite(found.value), found.value, np.inf).reshape(count, -1)
    best = np.arange(count) * len(starts) + values.argmin(1)
    return found.weights[best], found.value[best]


def _others(problem: Problem) -> np.ndarray:
    """Starts beside a proposal that is not proven: fewer if each refit is solved on its own."""
    shape = problem.shape
    if not problem.bounds_only:
        return shape.starts(_MORE, 0)
    return make_starts(shape.lower, np.maximum(shape.lower, shape.upper), len(shape.lower) + 1, 0)


def _one_by_one(
    problem: Problem, refits: StackedLaws, starts: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    params = {name: np.asarray(v) for name, v in refits.params.items()}
    found, values = [], []
    for b in range(count):
        laws = refits.replace_params({name: v[b] for name, v in params.items()})
        terms, program = problem.terms(laws), problem.program(laws)
        x, _ = best_end(terms, program, starts, _ROUGH)
        found.append(x[:-1])
        values.append(program.value(terms, x))
    return np.array(found), np.array(values)


def level_edges(optimum: Optimum, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest weight of each domain over the mixtures that are nearly optimal.

    These are the mixtures that meet the constraints and whose objective exceeds that of the optimum
    by no more than a threshold.

    Args:
        optimum: the proposal.
        threshold: nats, at least 0.

    Returns:
        Two arrays [k].
    """
    problem = problem_of(optimum)
    laws = problem.laws.stacked
    terms, program = problem.terms(laws), _within(problem.program(laws), optimum, threshold)
    k = len(optimum.h)
    ends = []
    for cost in (*np.eye(k), *-np.eye(k)):
        tilted = replace(program, cost=np.append(cost, 0.0))
        end = search(terms, tilted, optimum.h)[:-1]
        ends.append(_pulled_back(terms, tilted, end, optimum.h))
    points = np.array([optimum.h, *ends])
    return points.min(0), points.max(0)


def _within(program: Program, optimum: Optimum, threshold: float) -> Program:
    """The program with its objective as a row."""
    limit = optimum.objective + threshold
    k = len(optimum.h)
    return replace(
        program,
        rows=(*program.rows, Row("level", np.zeros(k), limit, "guard")),
        objective=np.zeros_like(program.objective),
        mix=np.vstack([program.mix, program.objective]),
        matrix=np.vstack([program.matrix, program.cost]),
        right=np.append(program.right, limit),
    )


def _pulled_back(terms: Terms, program: Program, end: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The mixture between two [k] that is nearest to the end and meets the constraints."""

    def fits(share: float) -> bool:
        point = program.lifted(terms, inside + share * (end - inside))
        return program.excess(terms, point) <= MET

    low, high = 0.0, 1.0
    if fits(high):
        return end
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if fits(middle) else (low, middle)
    return inside + low * (end - inside)


def losses_at(optimum: Optimum, x: Inputs) -> np.ndarray:
    """Losses [m, ...] that the laws of a proposal predict at inputs by name."""
    with float64():
        return predict_losses(optimum.laws.stacked, x)


def objective_of(optimum: Optimum, predict: Callable[[Inputs], np.ndarray], h: Any) -> np.ndarray:
    """What a proposal minimizes, at other mixtures or by other laws.

    Args:
        optimum: says what: weighted losses, worst loss or gap, and a pull.
        predict: losses [m, ...] at inputs by name.
        h: mixtures [..., k].

    Returns:
        Objectives [...], nats; targets of weight 0 have no part in them.
    """
    given, w, h = optimum.constraints, optimum.w, np.asarray(h, float)
    at = np.moveaxis(predict({**optimum.inputs, "weights": h}), 0, -1)
    if optimum.worst_case == "gap":
        reference = given.mixture("reference", optimum.domains)
        at = at - np.moveaxis(predict({**optimum.inputs, "weights": reference}), 0, -1)
    if optimum.worst_case:
        value = np.where(w > 0, at, -np.inf).max(-1)
    else:
        value = np.sum(np.where(w > 0, w * at, 0.0), -1)
    if not optimum.pull:
        return value
    with float64():
        return value + optimum.pull * np.asarray(kl(h, given.mixture("prior", optimum.domains)))


def meets(optimum: Optimum, h: np.ndarray) -> np.ndarray:
    """Whether mixtures [..., k] meet the constraints of a proposal, bool [...]."""
    given, shape = optimum.constraints, problem_of(optimum).shape
    met = np.all((h >= shape.lower - MET) & (h <= shape.upper + MET), axis=-1)
    for row in shape.mixed:
        met &= h @ row.slope <= row.bound + MET
    if given.kl_max is not None:
        met &= np.asarray(kl(h, given.mixture("prior", optimum.domains))) <= given.kl_max + MET
    if given.guards:
        reference = given.mixture("reference", optimum.domains)
        for name, more in given.guards.items():
            at, base = (
                optimum.laws[name].predict({**optimum.inputs, "weights": x}) for x in (h, reference)
            )
            met &= at <= base + more + MET
    return met
