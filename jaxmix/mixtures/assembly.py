"""Constraints and laws to programs, their starting points, and the best of their solutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, StackedLaws, stack
from jaxmix.mixtures.constraints import Constraints, Polytope, polytope
from jaxmix.mixtures.convexity import convexity
from jaxmix.mixtures.feasible import Inside, find_inside
from jaxmix.mixtures.interior import Found, interior_point
from jaxmix.mixtures.optimize import Weights, target_weight_rows
from jaxmix.mixtures.program import Program
from jaxmix.runs.names import resolve

WorstCase = Literal["loss", "gap"]

_CHUNK = 16  # lanes that run side by side
FAR = 1e3  # nats: a KL limit that no mixture with positive weights comes near


@dataclass(frozen=True, eq=False)
class Guard:
    """``L^target <= limit`` where ``epigraph`` is False, else ``L^target - limit <= t``."""

    label: str
    target: str
    limit: float
    epigraph: bool = False


@dataclass(frozen=True, eq=False)
class Problem:
    """One constrained problem, by name and as arrays.

    Attributes:
        laws: one fitted law per target; that of another one where a target does not count and
            its loss is infinite.
        stacked: the same as arrays, float64.
        n_params: N.
        tokens: D.
        weights: [m] w.
        limits: the constraints.
        shape: the linear ones.
        inside: their relative interior.
        guards: rows on losses.
        pull: weight of KL(h‖prior) in the objective.
        slope: 1 where the objective is t, else 0.
        proven: whether every loss is convex in h.
        reason: why it is or may not be.
    """

    laws: tuple[FittedLaw, ...]
    stacked: StackedLaws
    n_params: float
    tokens: float
    weights: np.ndarray
    limits: Constraints
    shape: Polytope
    inside: Inside
    guards: tuple[Guard, ...]
    pull: float
    slope: float
    proven: bool
    reason: str


def make_problem(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    limits: Constraints,
    target_weights: Weights,
    *,
    worst_case: WorstCase | None,
    pull: float,
) -> Problem:
    """The problem of ``optimize_within``; the same arguments and errors."""
    targets = [law.target for law in laws]
    (w,) = target_weight_rows(target_weights, targets)
    for name, value in (("n_params", n_params), ("tokens", tokens)):
        if not value > 0:
            raise JaxmixError(f"{name} must be above 0 (inf is the limit), not {value:g}")
    if not (pull >= 0 and np.isfinite(pull)):
        raise JaxmixError(f"pull is {pull:g}: it must be a number of at least 0")
    guards = _guards(laws, n_params, tokens, limits, w, worst_case)
    use_prior = bool(pull) or limits.kl_max is not None
    shape = polytope(limits, tokens, use_prior=use_prior)
    inside = find_inside(shape)
    counted = w > 0
    counted |= np.isin(targets, [guard.target for guard in guards])
    chosen = _finite(laws, counted, n_params, tokens, inside.point)
    with jax.enable_x64(True):
        stacked = stack(chosen)
        proven, reason = convexity(stacked, [law.target for law in chosen])
    share = np.zeros(len(laws)) if worst_case else w
    slope = 1.0 if worst_case else 0.0
    return Problem(
        chosen,
        stacked,
        float(n_params),
        float(tokens),
        share,
        limits,
        shape,
        inside,
        guards,
        float(pull),
        slope,
        proven,
        reason,
    )


def _finite(
    laws: Sequence[FittedLaw], counted: np.ndarray, n: float, d: float, h: np.ndarray
) -> tuple[FittedLaw, ...]:
    """The laws, those that do not count replaced where they are infinite: 0 times inf is no loss.

    They stay in place, so that one compiled program serves all choices of targets.
    """
    spare = laws[int(counted.argmax())]
    keep = [
        bool(c) or bool(np.isfinite(f.predict({"n_params": n, "tokens": d, "weights": h})))
        for f, c in zip(laws, counted, strict=True)
    ]
    return tuple(law if fine else spare for law, fine in zip(laws, keep, strict=True))


def _guards(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    limits: Constraints,
    w: np.ndarray,
    worst_case: WorstCase | None,
) -> tuple[Guard, ...]:
    """Guardrails, then the rows of a worst case."""
    targets = [law.target for law in laws]
    allowed = resolve(limits.guards, targets, "target")
    if worst_case not in (None, "loss", "gap"):
        raise JaxmixError(f"worst_case is '{worst_case}': it must be 'loss', 'gap' or None")
    base = np.zeros(len(laws))
    reference = limits.reference_weights()
    if reference is not None:
        base = np.array(
            [
                float(law.predict({"n_params": n_params, "tokens": tokens, "weights": reference}))
                for law in laws
            ]
        )
    elif worst_case == "gap":
        raise JaxmixError("worst_case 'gap' compares with a reference mixture; give one")
    rows = [
        Guard(f"{name}<=reference+{eps:g}", name, base[targets.index(name)] + eps)
        for name, eps in allowed.items()
    ]
    if worst_case:
        offset = base if worst_case == "gap" else np.zeros(len(laws))
        named = zip(targets, w, offset, strict=True)
        rows += [Guard(f"worst:{name}", name, o, True) for name, x, o in named if x > 0]
    for row in rows:
        if not np.isfinite(row.limit):
            raise JaxmixError(
                f"target '{row.target}' has an infinite loss at the reference mixture"
            )
    return tuple(rows)


def make_program(problem: Problem, **changes: Any) -> Program:
    """The program of a problem, numpy arrays without a lane axis."""
    k, inside, shape = len(problem.limits.domains), problem.inside, problem.shape
    targets = [law.target for law in problem.laws]
    guards = _filled(list(problem.guards), 4, Guard("", targets[0], FAR))
    rows = [np.append(a, b) for a, b in zip(shape.matrix, shape.right, strict=True)]
    ties = _independent([row for row, e in zip(rows, inside.equal, strict=True) if e], inside.fixed)
    ties = np.array(_filled([np.ones(k + 1), *ties], 3, np.zeros(k + 1)))
    idle = np.append(np.zeros(k), 1.0)
    rows = [idle if e else row for row, e in zip(rows, inside.equal, strict=True)]
    table = np.array(_filled(rows, 4, idle))
    limit = FAR if problem.limits.kl_max is None else problem.limits.kl_max
    spread = np.where(inside.upper < 1 - 1e-12, inside.upper, 2.0)
    program = Program(
        problem.n_params,
        problem.tokens,
        problem.weights,
        problem.pull,
        problem.slope,
        -np.inf,
        problem.limits.prior_weights(),
        limit,
        0.0,
        np.array([targets.index(guard.target) for guard in guards]),
        np.array([guard.limit for guard in guards]),
        np.array([float(guard.epigraph) for guard in guards]),
        table[:, :-1],
        table[:, -1],
        ties[:, :-1],
        ties[:, -1],
        inside.lower,
        np.where(inside.fixed, inside.lower, spread),
        inside.fixed,
    )
    return program._replace(**changes)


def _filled(rows: list[Any], step: int, dummy: Any) -> list[Any]:
    """Rows filled up to a multiple, so that few shapes are compiled."""
    return rows + [dummy] * (-len(rows) % step if rows else step)


def _independent(rows: list[np.ndarray], fixed: np.ndarray) -> list[np.ndarray]:
    """Those rows [k + 1] that add an equation on the free weights to the sum and those before."""
    kept: list[np.ndarray] = []
    basis = [np.where(fixed, 0.0, 1.0)]
    for row in rows:
        candidate = [*basis, np.where(fixed, 0.0, row[:-1]) / np.abs(row[:-1]).max()]
        if np.linalg.matrix_rank(np.array(candidate), tol=1e-9) == len(candidate):
            basis, kept = candidate, [*kept, row]
    return kept


def lanes_of(program: Program, count: int, **changes: np.ndarray) -> Program:
    """The program in every lane, fields in ``changes`` given with a lane axis."""
    wide = {
        name: np.broadcast_to(np.asarray(value), (count, *np.shape(value)))
        for name, value in program._asdict().items()
        if name not in changes
    }
    return Program(**wide, **changes)


@jax.jit
def _solve(laws: StackedLaws, programs: Program, starts: Any) -> Found:
    return jax.vmap(partial(interior_point, laws))(programs, starts)


def run_lanes(laws: StackedLaws, programs: Program, starts: np.ndarray) -> Found:
    """Solves L programs from L starts [L, k]; numpy arrays with a leading axis L.

    In chunks of one size, so that one program is compiled and few lanes wait for a slow one.
    """
    count, parts = len(starts), []
    for first in range(0, count, _CHUNK):
        take = np.minimum(np.arange(first, first + _CHUNK), count - 1)
        with jax.enable_x64(True):
            arrays = [jnp.asarray(np.asarray(x)[take]) for x in programs]
            found = _solve(laws, Program(*arrays), jnp.asarray(starts[take]))
        parts.append([np.asarray(x) for x in found])
    return Found(*(np.concatenate(x)[:count] for x in zip(*parts, strict=True)))
