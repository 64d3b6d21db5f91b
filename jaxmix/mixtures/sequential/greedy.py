"""The greedy choice of a batch of runs: what it is made from, and the loop."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.problem import Problem
from jaxmix.mixtures.optimum import Optima
from jaxmix.mixtures.sequential.candidates import Candidates, cross, distance, near
from jaxmix.mixtures.sequential.criterion import stakes
from jaxmix.mixtures.sequential.posterior import (
    Beliefs,
    believe,
    expected,
    pose,
    reductions,
    run_gradients,
    update,
)
from jaxmix.runs import RunTable

MOST_RUNS = 1000


class Scene(NamedTuple):
    """What a batch is chosen from."""

    problem: Problem
    beliefs: Beliefs
    optima: Optima
    pool: Candidates  # c runs
    losses: np.ndarray  # [m, c] predicted
    gradients: Any  # [c, m, r, P]
    finite: np.ndarray  # [c] the law has a value there
    made: Candidates  # rows that were run
    stakes: tuple[Any, Any]  # of regret and of variance, [m, P, k]
    notes: tuple[str, ...]


class Batch(NamedTuple):
    """What was chosen."""

    chosen: list[int]  # indices into the pool
    curve: np.ndarray  # [c + 1, 2] regret and spread
    refused: int  # candidates that are near-duplicates


def make_scene(
    laws: Sequence[FittedLaw],
    runs: RunTable,
    optima: Optima,
    mixtures: np.ndarray,
    sizes: Sequence[tuple[float, float]] | None,
    flops: float | None,
    checkpoints: int,
    noise: float | None,
) -> Scene:
    """Beliefs, candidates and what they tell; arguments of ``next_runs``.

    Raises:
        JaxmixError: laws and runs of different domains, or no size that the budget pays, or an
            infinite law.
    """
    problem = pose(laws, runs)
    beliefs, notes = believe(problem, laws, noise=noise)
    runs, ran = problem.runs, problem.used.any(0)  # domains in the order of the laws
    made = Candidates(runs.n_params[ran], runs.tokens[ran], runs.weights[ran])
    pool = cross(mixtures, sizes or _sizes_run(made), flops)
    steps = pool.tokens[:, None] * (np.arange(checkpoints) + 1) / checkpoints
    gradients = run_gradients(problem, beliefs.z, pool.n_params, steps, pool.weights)
    losses = np.array(
        [
            law.predict(dict(zip(("n_params", "tokens", "weights"), pool, strict=True)))
            for law in laws
        ]
    )  # [m, c]
    finite = np.asarray(jnp.isfinite(gradients).all((1, 2, 3))) & np.isfinite(losses).all(0)
    if not finite.any():
        raise JaxmixError(f"the law '{laws[0].law.name}' is infinite at every candidate mixture")
    gradients = jnp.where(jnp.isfinite(gradients), gradients, 0.0)
    aims = (
        stakes(problem, beliefs, optima, "regret"),
        stakes(problem, beliefs, optima, "variance"),
    )
    lost = (f"{np.sum(~finite)} candidates left out where the law is infinite",)
    notes = (*notes, *_other_rows(laws, problem), *(() if finite.all() else lost))
    return Scene(problem, beliefs, optima, pool, losses, gradients, finite, made, aims, notes)


def _other_rows(laws: Sequence[FittedLaw], problem: Problem) -> list[str]:
    """A note where the laws were not fitted on these rows."""
    return [
        f"'{law.target}' was fitted on {law.report.rows} rows and these are {used}: fit again"
        for law, used in zip(laws, problem.used.sum(1), strict=True)
        if law.report.rows not in (0, used)
    ][:1]


def _sizes_run(made: Candidates) -> list[tuple[float, float]]:
    """Each N that was run with its largest D."""
    n, d = made.n_params, made.tokens
    return [(float(size), float(d[n == size].max())) for size in np.unique(n)]


def choose(
    scene: Scene,
    criterion: str,
    flops: float | None,
    count: int | None,
    closest: float | None,
    seed: int,
) -> Batch:
    """The greedy loop; ``closest`` None allows near-duplicates."""
    pool, beliefs, cost = scene.pool, scene.beliefs, scene.pool.flops
    rng, left = np.random.default_rng(seed), np.inf if flops is None else float(flops)
    repeated = np.zeros(len(cost), bool) if closest is None else near(pool, scene.made, closest)
    taken = np.zeros(len(cost), bool)
    chosen: list[int] = []
    curve = [_at(beliefs, scene)]
    while len(chosen) < (count or MOST_RUNS):
        allowed = scene.finite & ~repeated & ~taken & (cost <= left * (1 + 1e-9))
        if not allowed.any():
            break
        price = np.maximum(cost, left / (count - len(chosen)) if count else 0.0)
        score = _score(scene, beliefs, criterion, chosen, allowed, rng)
        score = score / (price if criterion in ("regret", "variance") and flops else 1.0)
        pick = int(np.argmax(np.where(allowed, score, -np.inf)))
        chosen.append(pick)
        left -= float(cost[pick])
        beliefs = update(beliefs, scene.gradients[pick])
        curve.append(_at(beliefs, scene))
        if closest is not None:
            taken[pick] = True
            repeated |= near(pool, pool.take([pick]), closest) & ~taken
    if not chosen:
        raise JaxmixError(
            f"no run is left to choose: {int(repeated.sum())} of {len(cost)} candidates are "
            "near-duplicates of runs that were made; allow repeats, or give other sizes or mixtures"
        )
    return Batch(chosen, np.array(curve), int(repeated.sum()))


def _at(beliefs: Beliefs, scene: Scene) -> tuple[float, float]:
    """Expected regret, and the root of tr Cov(h*)."""
    regret, variance = (float(expected(beliefs.covariance, aim)) for aim in scene.stakes)
    return regret, max(variance, 0.0) ** 0.5


def _score(
    scene: Scene,
    beliefs: Beliefs,
    criterion: str,
    chosen: Sequence[int],
    allowed: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """[c] how good each candidate is, the highest the best."""
    if criterion in ("regret", "variance"):
        aim = scene.stakes[criterion == "variance"]
        return np.asarray(reductions(beliefs, aim, scene.gradients))
    pool = scene.pool
    if criterion == "random":
        score = rng.random(len(allowed))
    else:
        score = distance(pool.weights, np.vstack([scene.made.weights, pool.weights[list(chosen)]]))
    # Sizes in turn, among those that the budget still pays.
    costs = np.unique(pool.flops[allowed])
    turn = pool.flops == costs[len(chosen) % len(costs)]
    return np.where(turn, score, -1.0)
