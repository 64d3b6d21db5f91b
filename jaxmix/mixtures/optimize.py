"""The optimal mixture: eq. (7) for one target, (8) for several, (13) for weighted ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, FittedLaws
from jaxmix.fitting.inputs import budget_inputs
from jaxmix.fitting.precision import float64
from jaxmix.fitting.stacked import predict_losses
from jaxmix.laws import Inputs
from jaxmix.mixtures.constraints import Constraints
from jaxmix.mixtures.optimum import Optima, Optimum, WorstCase, make_optimum
from jaxmix.mixtures.region import Within
from jaxmix.mixtures.solve.certificate import convexity, find_prices
from jaxmix.mixtures.solve.constrained import solve_program
from jaxmix.mixtures.solve.descent import Solution
from jaxmix.mixtures.solve.lanes import Lanes, make_starts, solve
from jaxmix.mixtures.solve.problem import (
    Problem,
    counted_laws,
    make_problem,
    not_finite,
    problem_of,
)
from jaxmix.runs.names import UNITS, resolve, unit_of

_MOST_CUTS = 100  # half-spaces that hold the hull of the runs near the optimum
_ROUGH = 1e-7  # tolerance of the many starts; the best one is polished to the full one

Weights = Mapping[str, float] | np.ndarray | Sequence[Any] | None


def optimize(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    constraints: Constraints | None = None,
    *,
    target_weights: Weights = None,
    worst_case: WorstCase | None = None,
    pull: float = 0.0,
    at: Mapping[str, Any] | None = None,
    starts: int | None = None,
    seed: int = 0,
) -> Optimum:
    """The mixture that minimizes the predicted loss at one budget, within constraints.

    Minima, maxima, pins and availability alone are solved by exponentiated gradient with curvature,
    anything else by sequential quadratic programming; in float64, from one start if the problem is
    convex and from many if that is not known.

    Args:
        laws: one fitted law per target; the same law over the same domains.
        n_params: N of the big run; ``inf`` for the limit.
        tokens: D of the big run; ``inf`` for the limit.
        constraints: what the mixture must meet; None for nothing.
        target_weights: w of eq. (13) by target (targets left out get 0, and one of weight 0 need
            not be fitted) or in the order of ``laws``; normalized to sum 1, so that the objective
            is a mean loss. None weighs all losses equally, and tasks (``task_<name>``, in bits
            per byte) or else accuracies only if there are no losses in nats. A worst case is over
            the targets of weight above 0.
        worst_case: ``"loss"`` minimizes the largest loss of any target, ``"gap"`` the largest
            excess over its loss at ``constraints.reference``; None the weighted loss.
        pull: ``pull * KL(h‖prior)`` is added to the objective; nats of loss per nat.
        at: other inputs of the law by name, such as ``{"learning_rate": 3e-4}``.
        starts: starting points; None for 1 if the problem is convex, else ``max(8, k + 4)``: the
            center, near every vertex, and random ones.
        seed: of the random starts.

    Returns:
        The mixture with its certificate.

    Raises:
        JaxmixError: an unknown name; constraints or guardrails that no mixture meets, with those
            that clash and by how much; weights or budgets that are no numbers above 0; an input
            that is not given; or a loss that is infinite at every mixture.

    Source: eq. (7), (8) and (13) of the paper; the gap is that of Jaggi 2013 (Frank-Wolfe).
    """
    laws = as_laws(laws)
    if left := _unfitted(laws, target_weights, constraints):
        rest = laws[[name for name in laws.targets if name not in left]]
        found = optimize(
            rest, n_params, tokens, constraints, target_weights=target_weights,
            worst_case=worst_case, pull=pull, at=at, starts=starts, seed=seed,
        )  # fmt: skip
        note = f"{', '.join(left)}: weight 0, left out, because there is no fit"
        return replace(found, notes=(*found.notes, note))
    w = target_weight_rows(target_weights, laws.targets)[0]
    problem = make_problem(
        laws, n_params, tokens, constraints, w, worst_case=worst_case, pull=pull, at=at
    )
    if problem.bounds_only:
        asked = {"target_weights": w, "at": at, "starts": starts, "seed": seed}
        found = optimize_many(laws, [n_params], [tokens], constraints, **asked)[0]
    else:
        found = _inside_hull(problem, starts, seed)
    notes = unit_notes(laws.targets, w)
    return replace(found, notes=(*found.notes, *notes)) if notes else found


def unit_notes(targets: Sequence[str], w: np.ndarray) -> list[str]:
    """Notes on targets that are no losses in nats: tasks in bits per byte, and accuracies.

    Args:
        targets: m bare names.
        w: [m] their weights in the objective.
    """
    notes = []
    for unit in dict.fromkeys(map(unit_of, targets)):
        own = {name: one for name, one in zip(targets, w, strict=True) if unit_of(name) == unit}
        if unit != UNITS[0]:
            some = ", ".join([*own][:3]) + ", ..." * (len(own) > 3)
            none = "" if any(own.values()) else "; without weight (--target-weights gives one)"
            notes.append(f"{some}: in {unit}, not nats{none}")
    return notes


def optimize_many(
    laws: Sequence[FittedLaw],
    n_params: Any,
    tokens: Any,
    constraints: Constraints | None = None,
    *,
    target_weights: Weights = None,
    at: Mapping[str, Any] | None = None,
    starts: int | None = None,
    seed: int = 0,
) -> Optima:
    """The optimal mixtures at many budgets, or for many target weights, in one compiled batch.

    Args:
        laws: as for ``optimize``.
        n_params: [B] or a scalar.
        tokens: [B] or a scalar.
        constraints: minima, maxima, pins and available tokens; an availability caps a weight at
            each budget by its own tokens.
        target_weights: as for ``optimize``, or [B, m], one row for each budget.
        at: as for ``optimize``, the same for all budgets.
        starts: starting points for each budget.
        seed: of the random starts.

    Returns:
        Arrays with a leading axis B.

    Raises:
        JaxmixError: as for ``optimize``, or other constraints than bounds.
    """
    laws = as_laws(laws)
    domains, law = laws.domains, laws.law
    given = (constraints or Constraints()).over(domains, laws.targets)
    w = target_weight_rows(target_weights, laws.targets)
    x = budget_inputs(law, domains, n_params, tokens, available=given.available, at=at)
    x, w = _batched(law, x, w)
    tightest = float(np.max(x["tokens"], initial=1.0, where=np.isfinite(x["tokens"])))
    counted = counted_laws(laws, w, given)
    given = given.supported(counted.support, tightest, reads_unique=law.reads("unique"))
    if not replace(given, region=None).bounds_only(domains):
        raise JaxmixError(
            "many budgets at once take minima, maxima, pins and available tokens only; "
            "optimize each budget on its own within other constraints"
        )
    if not given.bounds_only(domains):
        return _each_alone(laws, x, w, given, starts, seed)
    boxes = given.boxes(domains, x["tokens"], reads_unique=law.reads("unique"))
    first = {name: value[0] for name, value in x.items()}
    proofs = _proofs(laws, first, w)
    many = starts or max(8, len(domains) + 4)
    counts = np.array([starts or 1 if proven else many for proven, _ in proofs])
    columns = [laws.targets.index(name) for name in counted.targets]
    best, agreeing = _solve_each(counted, x, w[:, columns], boxes, counts, seed)
    _check_finite(best, x, w, laws)
    with float64():
        predicted = predict_losses(laws.stacked, {**x, "weights": best.weights}).T
    return Optima(
        laws=laws,
        inputs=x,
        constraints=given,
        target_weights=w,
        h=best.weights,
        predicted=predicted,
        objective=best.value,
        gap=best.gap,
        multipliers=best.multipliers,
        converged=best.converged,
        agreeing=agreeing,
        starts=counts,
        proofs=proofs,
    )


def _proofs(laws: FittedLaws, x: Inputs, w: np.ndarray) -> tuple[tuple[bool, str], ...]:
    """``convexity`` of each row of target weights [B, m]: it depends on those above 0 alone."""
    kinds, which = np.unique(w > 0, axis=0, return_inverse=True)
    found = [convexity(laws, x, counted) for counted in kinds]
    return tuple(found[i] for i in which.ravel())


def _unfitted(laws: FittedLaws, target_weights: Weights, given: Constraints | None) -> list[str]:
    """Targets that have no finite parameters and of which nothing is asked."""
    lost = [f.target for f in laws if not all(np.isfinite(v).all() for v in f.params.values())]
    if not lost or not isinstance(target_weights, Mapping):
        return []
    w, limits = target_weight_rows(target_weights, laws.targets), given or Constraints()
    counted = counted_laws(laws, w, limits.over(laws.domains, laws.targets)).targets
    return [name for name in lost if name not in counted]


def as_laws(laws: Sequence[FittedLaw]) -> FittedLaws:
    """Fits as one value.

    Raises:
        JaxmixError: there is none, or they do not belong together.
    """
    return laws if isinstance(laws, FittedLaws) else FittedLaws(laws)


def target_weight_rows(target_weights: Weights, targets: Sequence[str]) -> np.ndarray:
    """Target weights as rows [B or 1, m] with sum 1, in the order of the targets' bare names.

    Raises:
        JaxmixError: an unknown target, another number of them, a negative weight, or all zero.
    """
    if target_weights is None:
        units = [unit_of(name) for name in targets]
        counted = next(unit for unit in UNITS if unit in units)
        target_weights = [float(unit == counted) for unit in units]
    elif isinstance(target_weights, Mapping):
        counts = {name: weight for name, weight in target_weights.items() if weight != 0}
        given = resolve(counts, targets, "target")  # one of weight 0 need not have been fitted
        target_weights = [given.get(name, 0.0) for name in targets]
    w = np.atleast_2d(np.asarray(target_weights, float))
    if w.ndim != 2 or w.shape[1] != len(targets):
        raise JaxmixError(f"target weights have shape {w.shape}: expected [B, {len(targets)}]")
    if not (np.all(w >= 0) and np.all(np.isfinite(w)) and np.all(w.sum(1) > 0)):
        raise JaxmixError("target weights must be non-negative numbers, not all of them 0")
    return w / w.sum(1, keepdims=True)


def _batched(law: Any, x: Inputs, w: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs [B] or [B, k] and target weights [B, m], B being what all of them broadcast to."""
    per_domain = {i.name for i in law.inputs if i.per != "row"}
    shapes = [np.shape(v)[:-1] if n in per_domain else np.shape(v) for n, v in x.items()]
    try:
        (size,) = np.broadcast_shapes(*shapes, (len(w),))
    except ValueError:
        sizes = sorted({s[0] for s in [*shapes, (len(w),)] if s and s[0] != 1})
        raise JaxmixError(
            f"budgets and target weights come in different numbers: {sizes}"
        ) from None
    wide = {
        name: np.broadcast_to(value, (size, *np.shape(value)[-1:]) if name in per_domain else size)
        for name, value in x.items()
    }
    return wide, np.broadcast_to(w, (size, w.shape[1]))


def _solve_each(
    laws: FittedLaws,
    x: dict[str, np.ndarray],
    w: np.ndarray,
    boxes: tuple[np.ndarray, np.ndarray],
    starts: np.ndarray,
    seed: int,
) -> tuple[Solution, np.ndarray]:
    """``_solve_all`` of the budgets with each number of starts [B], in the order of the budgets."""
    parts, order = [], []
    for count in np.unique(starts):
        which = np.flatnonzero(starts == count)
        some = {name: value[which] for name, value in x.items()}
        low, high = (edge[which] for edge in boxes)
        parts.append(_solve_all(laws, some, w[which], (low, high), int(count), seed))
        order.append(which)
    back = np.argsort(np.concatenate(order))
    best = Solution(*(np.concatenate(v)[back] for v in zip(*(p[0] for p in parts), strict=True)))
    return best, np.concatenate([agreeing for _, agreeing in parts])[back]


def _solve_all(
    laws: FittedLaws,
    x: dict[str, np.ndarray],
    w: np.ndarray,
    boxes: tuple[np.ndarray, np.ndarray],
    starts: int,
    seed: int,
) -> tuple[Solution, np.ndarray]:
    """The best of all starts at each budget, and how many starts agree with it; [B, ...].

    Many starts run to a rough tolerance, the best one is polished.
    """
    count = len(w)
    points = make_starts(boxes[0][0], boxes[1][0], starts, seed)  # [S, k]
    # Lanes of one start side by side: they take alike many steps, so that few wait for others.
    start, budget = np.divmod(np.arange(count * len(points)), count)
    each = {name: value[budget] for name, value in x.items()}
    lanes = Lanes(each, w[budget], points[start], boxes[0][budget], boxes[1][budget])
    if starts == 1:
        return solve(laws.stacked, lanes), np.ones(count, int)
    found = solve(laws.stacked, lanes, _ROUGH)
    values = np.where(np.isfinite(found.value), found.value, np.inf).reshape(-1, count)
    lowest = values.min(0)
    agreeing = np.sum(values <= lowest + 1e-6 * np.abs(lowest), axis=0)
    best = values.argmin(0) * count + np.arange(count)
    return solve(laws.stacked, Lanes(x, w, found.weights[best], *boxes)), agreeing


def _check_finite(best: Solution, x: Inputs, w: np.ndarray, laws: FittedLaws) -> None:
    for b in np.flatnonzero(~np.isfinite(best.value))[:1]:
        at = laws.predict({**{n: v[b] for n, v in x.items()}, "weights": best.weights[b]})
        lost = ~np.isfinite(at.to_numpy()[0]) & (w[b] > 0)
        raise not_finite(laws, lost if lost.any() else w[b] > 0)


def optimize_anew(optimum: Optimum, *, within: Within | None) -> Optimum:
    """The optimum of the same question within another region; see ``Constraints.within``."""
    problem = problem_of(optimum)
    reads = problem.laws.law.reads("unique")
    given = replace(problem.constraints, within=within)
    given = given.supported(optimum.counted.laws.support, optimum.tokens, reads_unique=reads)
    given.check(optimum.domains, optimum.tokens, reads_unique=reads)
    return _inside_hull(replace(problem, constraints=given), None, 0)


def _each_alone(
    laws: FittedLaws,
    x: dict[str, np.ndarray],
    w: np.ndarray,
    given: Constraints,
    starts: int | None,
    seed: int,
) -> Optima:
    """Budgets one by one, within a region that is no box."""
    found = [
        _inside_hull(
            Problem(
                laws=laws,
                x={name: value[b] for name, value in x.items()},
                constraints=given,
                target_weights=w[b],
                worst_case=None,
                pull=0.0,
            ),
            starts,
            seed,
        )
        for b in range(len(w))
    ]
    columns = ("h", "objective", "gap", "converged", "agreeing")
    return Optima(
        laws=laws,
        inputs=x,
        constraints=found[-1].constraints,
        target_weights=w,
        predicted=np.array([list(one.predicted.values()) for one in found]),
        multipliers=np.zeros_like(np.array([one.h for one in found])),
        starts=np.array([one.starts for one in found]),
        proofs=tuple((one.proven, one.reason) for one in found),
        **{name: np.array([getattr(one, name) for one in found]) for name in columns},
    )


def _inside_hull(problem: Problem, starts: int | None, seed: int) -> Optimum:
    """Cuts off what lies outside the hull of the runs, if that is asked, until the optimum fits."""
    found = _constrained(problem, starts, seed)
    for _ in range(_MOST_CUTS if problem.constraints.within == "hull" else 0):
        given, region = problem.constraints, problem.constraints.region
        cut = region.cut(found.h) if region else None
        if region is None or cut is None:
            break
        region = replace(region, cuts=(*region.cuts, cut))
        problem = replace(problem, constraints=replace(given, region=region))
        found = _constrained(problem, starts, seed)
    return found


def _constrained(problem: Problem, starts: int | None, seed: int) -> Optimum:
    """Anything but bounds alone."""
    laws, counted = problem.laws, problem.counted
    proven, reason = convexity(laws, problem.x, counted)
    count = starts or (1 if proven else max(8, len(laws.domains) + 4))
    points = problem.shape.starts(count, seed)
    problem.check_finite(points[0])
    terms, program = problem.terms(laws.stacked), problem.program(laws.stacked)
    found = solve_program(terms, program, points)
    h = found.x[:-1]
    with float64():
        predicted = predict_losses(laws.stacked, {**problem.x, "weights": h})
    worst = [
        row.name
        for row, share in zip(found.program.rows, found.proof.rows, strict=True)
        if row.kind == "worst" and share > 1e-9
    ]
    return make_optimum(
        laws=laws,
        inputs=problem.x,
        constraints=problem.constraints,
        w=problem.target_weights,
        worst_case=problem.worst_case,
        pull=problem.pull,
        h=h,
        predicted=predicted,
        objective=found.value,
        gap=found.proof.gap,
        prices=find_prices(found.program, found.proof),
        residual=found.proof.residual,
        proven=proven,
        reason=reason,
        starts=count,
        agreeing=found.agreeing,
        notes=(f"the worst targets are {', '.join(worst)}",) if worst else (),
    )
