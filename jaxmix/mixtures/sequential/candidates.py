"""Runs that could be made next: their mixtures and sizes, which repeat a run, what each tells."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.problem import Problem
from jaxmix.mixtures.designs import dirichlet_design, vertices
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.polytope import Polytope
from jaxmix.mixtures.sequential.criterion import criterion_roots
from jaxmix.mixtures.sequential.posterior import Beliefs, expected, run_gradients

_SAME_SIZE = 0.02  # sizes are the same if log N and log D differ by less
_MET = 1e-6  # by how much a mixture may miss a constraint
_EDGES = 200  # most pairs of corners whose middle is a candidate


class Candidates(NamedTuple):
    """c runs: sizes N and D [c] and mixtures [c, k]."""

    n_params: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray

    @staticmethod
    def made(problem: Problem) -> "Candidates":
        """The rows that were run."""
        table, ran = problem.runs, problem.used.any(0)
        return Candidates(table.n_params[ran], table.tokens[ran], table.weights[ran])

    @property
    def flops(self) -> np.ndarray:
        """``6 N D`` [c]."""
        return 6.0 * self.n_params * self.tokens

    def take(self, which: Any) -> "Candidates":
        """Some of them, by mask or indices."""
        return Candidates(*(x[which] for x in self))

    def longest(self) -> list[tuple[float, float]]:
        """Every size N with its largest D."""
        sizes = np.unique(self.n_params)
        return [(float(n), float(self.tokens[self.n_params == n].max())) for n in sizes]

    def inputs(self, others: Mapping[str, Any], checkpoints: int) -> dict[str, np.ndarray]:
        """Inputs of a law at evenly spaced checkpoints r of every run, [c, r] or [c, r, k].

        Args:
            others: inputs that all runs share, [] or [k], by name.
            checkpoints: r.
        """
        steps = self.tokens[:, None] * (np.arange(checkpoints) + 1) / checkpoints
        x = {name: np.broadcast_to(v, (*steps.shape, *np.shape(v))) for name, v in others.items()}
        return x | {
            "n_params": np.broadcast_to(self.n_params[:, None], steps.shape),
            "tokens": steps,
            "weights": np.repeat(self.weights[:, None], checkpoints, 1),
        }


def corners(shape: Polytope, seed: int) -> np.ndarray:
    """Corners [v, k] of linear constraints: the extreme mixtures in many directions."""
    k = len(shape.lower)
    if not (shape.mixed or shape.lower.any() or np.any(shape.upper < 1)):
        return vertices(k)
    random = np.random.default_rng(seed).normal(size=(4 * k, k))
    found = shape.extremes(np.vstack([-np.eye(k), np.eye(k), random]))
    return found[np.unique(found.round(7), axis=0, return_index=True)[1]]


def candidate_mixtures(corners: np.ndarray, optimum: np.ndarray, seed: int) -> np.ndarray:
    """Mixtures [q, k] of a feasible set: all over it, around h*, and its corners and edges.

    Args:
        corners: [v, k] corners of the set; every candidate is a convex combination of them.
        optimum: [k] h*, in the set.
        seed: of the random ones.
    """
    v = len(corners)
    if v == 1:
        return corners
    i, j = np.triu_indices(v, 1)
    edges = 0.5 * (corners[i] + corners[j])
    spread = dirichlet_design(v, 600, seed=seed) @ corners
    sparse = dirichlet_design(v, 600, seed=seed + 1, concentration=0.4) @ corners
    near = 0.6 * optimum + 0.4 * sparse[:400]
    inside = 0.98 * corners + 0.02 * corners.mean(0)
    found = np.vstack([optimum, spread, sparse[400:], near, inside, edges[:_EDGES]])
    return found / found.sum(1, keepdims=True)


def given_mixtures(given: Any, shape: Polytope) -> np.ndarray:
    """Those of the given mixtures [q, k] that meet the linear constraints.

    Raises:
        JaxmixError: they are no mixtures of the domains, or none meets the constraints.
    """
    found, k = np.asarray(given, np.float64), len(shape.domains)
    if found.ndim != 2 or found.shape[1] != k or not len(found):
        raise JaxmixError(f"candidates must be [q, {k}], not {list(found.shape)}")
    if not (np.all(found >= 0) and np.all(np.abs(found.sum(1) - 1) < 0.005)):
        raise JaxmixError("candidates must be mixtures: weights of at least 0 with sum 1")
    met = np.all((found >= shape.lower - _MET) & (found <= shape.upper + _MET), 1)
    for row in shape.mixed:
        met &= found @ row.slope <= row.bound + _MET
    if not met.any():
        raise JaxmixError(f"none of {len(found)} candidates meets the constraints; loosen them")
    return found[met] / found[met].sum(1, keepdims=True)


def cross(
    mixtures: np.ndarray, sizes: Sequence[tuple[float, float]], flops: float | None
) -> Candidates:
    """Every size (N, D) that the budget pays with every mixture [q, k].

    Raises:
        JaxmixError: a size that is no size, or a budget that pays none.
    """
    if any(not 0 < x < np.inf for size in sizes for x in size):
        raise JaxmixError("every size needs N and D above 0 and finite")
    paid = [s for s in sizes if flops is None or 6.0 * s[0] * s[1] <= flops * (1 + 1e-9)]
    if not paid:
        cheapest = min(6.0 * n * d for n, d in sizes)
        raise JaxmixError(
            f"a budget of {flops:.3g} FLOPs pays no run: the cheapest size takes {cheapest:.3g} "
            "(6 N D); raise it (--flops) or add a smaller size (--sizes)"
        )
    size = np.repeat(np.asarray(paid, float), len(mixtures), 0)
    return Candidates(size[:, 0], size[:, 1], np.tile(mixtures, (len(paid), 1)))


def near(pool: Candidates, others: Candidates, closest: float) -> np.ndarray:
    """[c] whether one of the other runs has the same size and nearly the same mixture."""
    found = np.zeros(len(pool.n_params), bool)
    for n, d in sorted(set(zip(pool.n_params.tolist(), pool.tokens.tolist(), strict=True))):
        mine = (pool.n_params == n) & (pool.tokens == d)
        gaps = np.maximum(abs(np.log(others.n_params / n)), abs(np.log(others.tokens / d)))
        same = np.unique(others.weights[gaps < _SAME_SIZE], axis=0)
        if len(same):
            found[mine] = distance(pool.weights[mine], same) < closest
    return found


def distance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean distance of each point [c, k] to the nearest of others [u, k]; [c]."""
    square = (points**2).sum(1)[:, None] + (others**2).sum(1) - 2 * points @ others.T
    return np.sqrt(np.maximum(square.min(1), 0.0))


class Pool(NamedTuple):
    """What a batch is chosen from: c candidates, m targets, and rows that were run.

    Attributes:
        beliefs: about the targets.
        runs: the candidates.
        losses: [m, c] predicted.
        gradients: [c, m, r, P].
        finite: [c] whether the law has a value there.
        made: the rows that were run.
        roots: by criterion, [m, P, k].
    """

    beliefs: Beliefs
    runs: Candidates
    losses: np.ndarray
    gradients: Any
    finite: np.ndarray
    made: Candidates
    roots: dict[str, Any]

    def values(self, beliefs: Beliefs) -> tuple[float, float]:
        """Expected regret, and the square root of tr Cov(h*)."""
        regret, variance = (float(expected(beliefs.covariance, b)) for b in self.roots.values())
        return regret, max(variance, 0.0) ** 0.5

    def noise_share(self, log: bool) -> float:
        """Noise as a share of the standard deviation of losses over the mixtures of one size."""
        costs = self.runs.flops[self.finite]
        losses = self.losses[:, self.finite][:, costs == costs[0]]
        effect = np.std(np.log(losses) if log else losses, axis=1)
        return float(np.median(np.asarray(self.beliefs.noise) / np.maximum(effect, 1e-300)))


def make_pool(
    problem: Problem,
    beliefs: Beliefs,
    optimum: Optimum,
    made: Candidates,
    runs: Candidates,
    checkpoints: int,
    middle: np.ndarray,
) -> Pool:
    """What candidates tell.

    Raises:
        JaxmixError: the law is infinite at all of them.
    """
    budget = ("n_params", "tokens")
    others = {name: v for name, v in optimum.inputs.items() if name not in budget}
    gradients = run_gradients(problem, beliefs.z, runs.inputs(others, checkpoints))
    losses = np.array([law.predict(others | runs._asdict()) for law in optimum.laws])  # [m, c]
    finite = np.asarray(jnp.isfinite(gradients).all((1, 2, 3))) & np.isfinite(losses).all(0)
    if not finite.any():
        name = problem.objective.law.name
        raise JaxmixError(f"the law '{name}' is infinite at every candidate mixture")
    gradients = jnp.where(jnp.isfinite(gradients), gradients, 0.0)
    roots = criterion_roots(problem, beliefs, optimum, middle)
    return Pool(beliefs, runs, losses, gradients, finite, made, roots)
