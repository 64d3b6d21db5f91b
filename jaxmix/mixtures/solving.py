"""From starting points to a solution: mixtures that meet guardrails, or by how much none does."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.mixtures.assembly import FAR, Problem, lanes_of, make_program, run_lanes
from jaxmix.mixtures.interior import Found
from jaxmix.mixtures.program import Program
from jaxmix.mixtures.simplex import kl
from jaxmix.mixtures.solve.lanes import make_starts, predict

_INSIDE = 1e-7  # a mixture this many nats inside its guards is a start
THIN = 1e-9  # guards that leave less room than this are loosened by it, nats


def inner_starts(problem: Problem, count: int | None, key: int) -> np.ndarray:
    """Mixtures strictly inside the linear constraints, [S, k]: the middle, then towards others."""
    inside, program = problem.inside, make_program(problem)
    count = count or (1 if problem.proven else max(8, len(inside.point) + 4))
    wanted = make_starts(np.zeros_like(inside.point), np.ones_like(inside.point), count, key)
    ties = np.where(inside.fixed, 0.0, program.equations)
    along = np.eye(len(inside.point)) - np.linalg.pinv(ties) @ ties
    moves = np.where(inside.fixed, 0.0, (wanted - inside.point) @ along)
    moves[0] = 0.0
    slopes = np.vstack([-np.eye(len(inside.point)), np.eye(len(inside.point)), program.matrix])
    right = np.concatenate([-program.lower, program.upper, program.right])
    room, falls = right - slopes @ inside.point, moves @ slopes.T
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(falls > 1e-15, np.maximum(room, 0.0) / falls, np.inf).min(1)
    return inside.point + np.minimum(0.9 * reach, 1.0)[:, None] * moves


def solve_problem(
    problem: Problem, starts: int | None, key: int
) -> tuple[Found, Program, int, int]:
    """The best solution of a problem (no lane axis), its program, starts, and how many agree.

    Raises:
        JaxmixError: guardrails that no mixture meets, or a loss that is never finite.
    """
    points = inner_starts(problem, starts, key)
    check_finite(problem, points)
    program, points = meet_guards(problem, make_program(problem), points)
    found = run_lanes(problem.stacked, lanes_of(program, len(points)), points)
    values = np.where(np.isfinite(found.value) & (found.excess <= THIN), found.value, np.inf)
    best = int(values.argmin())
    agreeing = int(np.sum(values <= values[best] + 1e-6 * abs(values[best])))
    return Found(*(x[best] for x in found)), program, len(points), agreeing


def check_finite(problem: Problem, points: np.ndarray) -> None:
    """Raises where a loss that counts is infinite inside the linear constraints."""
    with jax.enable_x64(True):
        budget = jnp.full(len(points), problem.n_params), jnp.full(len(points), problem.tokens)
        losses = np.asarray(predict(problem.stacked, *budget, jnp.asarray(points)))
    bad = np.flatnonzero(~np.all(np.isfinite(losses), axis=0))
    if len(bad):
        raise JaxmixError(
            f"the law '{problem.stacked.law.name}' is not finite within the constraints for "
            f"target '{problem.laws[bad[0]].target}': allow its own domain a weight above 0, or "
            "give it no weight"
        )


def meet_guards(
    problem: Problem, program: Program, points: np.ndarray
) -> tuple[Program, np.ndarray]:
    """Starts that meet the guardrails and the KL limit strictly, and the program for them.

    Minimizes the largest excess from every start, and stops where it is below 0. Guards that
    leave a single mixture, such as those at an optimum, are loosened by a billionth of a nat.
    """
    guarded = any(not guard.epigraph for guard in problem.guards)
    if not guarded and problem.limits.kl_max is None:
        return program, points
    m = len(problem.laws)
    # Rows of a worst case take no part: no mixture breaks them.
    limit = np.where(program.share > 0, FAR, program.limit)
    search = program._replace(
        weights=np.zeros(m), pull=0.0, slope=1.0, enough=-_INSIDE, kl_share=1.0
    )._replace(limit=limit, share=np.ones_like(limit))
    found = run_lanes(problem.stacked, lanes_of(search, len(points)), points)
    level = np.where(np.isfinite(found.level), found.level, np.inf)
    least = int(level.argmin())
    if level[least] > THIN:
        raise JaxmixError(_unmet(problem, program, Found(*(x[least] for x in found)), len(points)))
    fits = level < -1e-10
    if not fits.any():
        loose = level[least] + THIN
        fits = level <= level[least] + 1e-10
        limit = np.where(program.share > 0, program.limit, program.limit + loose)
        program = program._replace(limit=limit, kl_limit=program.kl_limit + loose)
    return program, found.weights[fits]


def _unmet(problem: Problem, program: Program, found: Found, starts: int) -> str:
    """Which guards the mixture that comes closest misses, and by how much."""
    missed = {}
    targets = [law.target for law in problem.laws]
    for guard in problem.guards:
        if not guard.epigraph:
            missed[guard.label] = found.losses[targets.index(guard.target)] - guard.limit
    if problem.limits.kl_max is not None:
        with jax.enable_x64(True):
            far = float(kl(found.weights, problem.limits.prior_weights()))
        missed[f"KL<={problem.limits.kl_max:g}"] = far - program.kl_limit
    worst = {name: by for name, by in missed.items() if by > found.level - 1e-6}
    listed = ", ".join(f"{name} by {by:.3g} nats" for name, by in worst.items())
    known = "" if problem.proven else f" that {starts} starts found"
    return f"no mixture meets the guardrails; the one{known} that comes closest misses {listed}"
