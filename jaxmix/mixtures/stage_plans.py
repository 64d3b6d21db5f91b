"""Weights by stage that a law plans: exponentiated gradient on a product of simplices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, StackedLaws, stack
from jaxmix.mixtures.optimize import Weights, target_weight_rows
from jaxmix.mixtures.solve.descent import descend
from jaxmix.mixtures.solve.lanes import make_starts
from jaxmix.mixtures.stages import as_array, equal_loss, staged_losses
from jaxmix.runs.names import resolve

Array = jax.Array
_ROUNDS, _SWEEPS = 60, 2  # of multipliers, and over the stages in each
_CANDIDATES, _PENALTY = 4096, 10.0  # random plans, and what a nat over a limit costs them
_MET = 1e-4  # nats by which a limit may be missed and still be read as kept


@dataclass(frozen=True, eq=False)
class StagePlan:
    """Weights by stage, and the best constant mixture by the same law and limits.

    Attributes:
        domains: bare names, the order of the weights.
        shares: [S] of the tokens, by stage.
        weights: [S, k].
        predicted: loss by target at the end, nats.
        objective: weighted loss at the end, nats.
        fixed: [k] the best constant mixture.
        fixed_predicted: its loss by target.
        fixed_objective: its weighted loss.
    """

    domains: tuple[str, ...]
    shares: np.ndarray
    weights: np.ndarray
    predicted: dict[str, float]
    objective: float
    fixed: np.ndarray
    fixed_predicted: dict[str, float]
    fixed_objective: float

    @property
    def gain(self) -> float:
        """Predicted gain of the stages over the best constant mixture, nats; not below 0."""
        return self.fixed_objective - self.objective

    @property
    def stages(self) -> tuple[tuple[float, dict[str, float]], ...]:
        """Share of the tokens and weights by domain, stage by stage."""
        return tuple(
            (float(share), dict(zip(self.domains, h.tolist(), strict=True)))
            for share, h in zip(self.shares, self.weights, strict=True)
        )


class _Problem(NamedTuple):
    laws: StackedLaws
    n_params: Array
    tokens: Array
    recency: Array | None  # [m], or None for equal loss
    target_weights: Array  # [m]
    limits: Array  # [m] inf where there is none


def plan_stages(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    shares: Sequence[float],
    recency: Mapping[str, float] | None = None,
    *,
    target_weights: Weights = None,
    limits: Mapping[str, float] | None = None,
    starts: int = 8,
    key: int = 0,
) -> StagePlan:
    """The weights by stage that minimize a weighted loss at the end of a run.

    Args:
        laws: one fitted law per target, of constant mixtures; the same law over the same domains.
        n_params: N.
        tokens: D of the whole run.
        shares: [S] of the tokens that each stage has, sum 1.
        recency: of every target, from `fit_recency`; None for the rule of equal loss.
        target_weights: as for `optimize`.
        limits: losses that targets must not exceed at the end, such as those of the model that the
            run starts from.
        starts: starting points: the best of some thousand random plans, and the best constant
            mixture in every stage. The problem is not convex, so that more may find more.
        key: seed of the random plans.

    Raises:
        JaxmixError: shares that do not sum to 1, a target without recency, or limits that no
            mixture meets.
    """
    parts = np.asarray(shares, float)
    if parts.ndim != 1 or not parts.size or parts.min() <= 0 or abs(parts.sum() - 1) > 1e-6:
        raise JaxmixError(f"shares {list(shares)} of the stages: give shares above 0 that sum to 1")
    targets, domains = tuple(law.target for law in laws), laws[0].domains
    given = resolve(limits or {}, targets, "target")
    w = target_weight_rows(target_weights, targets)[0]
    m = None if recency is None else as_array(laws, recency)
    most = np.array([given.get(t, np.inf) for t in targets])
    k = len(domains)
    with jax.enable_x64(True):
        n, d, wanted, limit = (jnp.asarray(x, jnp.float64) for x in (n_params, tokens, w, most))
        problem = _Problem(stack(laws), n, d, None if m is None else jnp.asarray(m), wanted, limit)
        one = make_starts(np.zeros(k), np.ones(k), max(starts, k + 1), key)[:, None]
        even = problem._replace(recency=jnp.ones(len(targets)))  # one stage: rules agree
        fixed = _best(even, np.ones(1), one, targets)
        ends = np.append(np.cumsum(parts)[:-1], 1.0)
        tried = _candidates(fixed[0], len(parts), key)
        many = np.concatenate([np.tile(fixed[0], (1, len(parts), 1)), tried])
        found = _best(problem, ends, _screened(problem, ends, many, starts), targets)
        losses = [_losses(problem, ends, found), _losses(even, np.ones(1), fixed)]
    named = [dict(zip(targets, x.tolist(), strict=True)) for x in losses]
    value, constant = (float(w @ x) for x in losses)
    if constant < value:  # by rounding: a constant mixture is one of stages as well
        found, named[0], value = np.tile(fixed[0], (len(parts), 1)), named[1], constant
    return StagePlan(domains, parts, found, named[0], value, fixed[0], named[1], constant)


@jax.jit
def _at_end(p: _Problem, ends: Array, weights: Array) -> Array:
    """Losses [m] by the problem's rule."""
    if p.recency is None:
        return equal_loss(p.laws, p.n_params, p.tokens, ends, weights)
    return staged_losses(p.laws, p.n_params, p.tokens, ends, weights, p.recency)


def _losses(problem: _Problem, ends: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(_at_end(problem, jnp.asarray(ends), jnp.asarray(weights)))


def lagrangian(
    problem: _Problem, ends: Array, weights: Array, multipliers: Array, strength: Array
) -> Array:
    """Weighted loss of weights [S, k] plus the augmented Lagrangian's price of missed limits."""
    p = problem
    losses = _at_end(p, ends, weights)
    bound = jnp.isfinite(p.limits)
    over = jnp.where(bound, losses - jnp.where(bound, p.limits, 0.0), 0.0)
    price = jnp.maximum(multipliers + strength * over, 0.0) ** 2 - multipliers**2
    return jnp.sum(jnp.where(p.target_weights > 0, p.target_weights * losses, 0.0)) + jnp.sum(
        jnp.where(bound, price, 0.0)
    ) / (2 * strength)


@partial(jax.jit, static_argnames=("rounds", "sweeps"))
def _search(
    problem: _Problem, ends: Array, start: Array, rounds: int = _ROUNDS, sweeps: int = _SWEEPS
) -> tuple[Array, Array]:
    """Weights [S, k] from one start, and by how much [m] they miss the limits."""
    p, (stages, k) = problem, start.shape
    lower, upper = jnp.zeros(k), jnp.ones(k)

    def of_stage(i: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        """Descends on one stage's simplex, the others held."""
        weights, multipliers, strength = carry
        s = i % stages

        def objective(h: Array) -> Array:
            return lagrangian(p, ends, weights.at[s].set(h), multipliers, strength)

        found = descend(objective, weights[s], lower, upper, max_iterations=60)
        better = found.value <= objective(weights[s])
        return weights.at[s].set(jnp.where(better, found.weights, weights[s])), *carry[1:]

    def over(weights: Array) -> Array:
        losses = _at_end(p, ends, weights)
        return jnp.where(jnp.isfinite(p.limits), losses - p.limits, -jnp.inf)

    def round_of(i: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        weights, multipliers, strength = jax.lax.fori_loop(0, sweeps * stages, of_stage, carry)
        multipliers = jnp.maximum(multipliers + strength * over(weights), 0.0)
        return weights, multipliers, jnp.minimum(2.0 * strength, 100.0)

    begun = (start, jnp.zeros(len(p.limits)), jnp.asarray(1.0))
    weights, *_ = jax.lax.fori_loop(0, rounds, round_of, begun)
    return weights, jnp.maximum(over(weights), 0.0)


def _candidates(fixed: np.ndarray, stages: int, key: int) -> np.ndarray:
    """Random plans [n, S, k]: each stage anything from a vertex to the constant mixture."""
    rng, k = np.random.default_rng(key), len(fixed)
    shape = (_CANDIDATES, stages)
    sparse = rng.random(shape)[..., None] < 0.5
    drawn = np.where(
        sparse, rng.dirichlet(np.full(k, 0.1), shape), rng.dirichlet(np.ones(k), shape)
    )
    share = np.clip(rng.uniform(-0.5, 1.5, shape), 0.0, 1.0)[..., None]
    return (1 - share) * drawn + share * fixed


def _screened(problem: _Problem, ends: np.ndarray, plans: np.ndarray, count: int) -> np.ndarray:
    """The first plan and the best others by weighted loss and by how much they miss the limits."""
    at = jax.jit(jax.vmap(lambda h: _at_end(problem, jnp.asarray(ends), h)))
    losses = np.asarray(at(jnp.asarray(plans)))
    missed = np.maximum(losses - np.asarray(problem.limits), 0.0).sum(1)
    values = losses @ np.asarray(problem.target_weights) + _PENALTY * missed
    order = 1 + np.argsort(values[1:], kind="stable")[: count - 1]
    return np.maximum(plans[np.append(0, order)], 1e-6)


def _best(
    problem: _Problem, ends: np.ndarray, starts: np.ndarray, targets: tuple[str, ...]
) -> np.ndarray:
    """The best weights [S, k] of all starts [n, S, k] that keep the limits."""
    found, missed = jax.vmap(lambda start: _search(problem, jnp.asarray(ends), start))(
        jnp.asarray(starts)
    )
    weights, missed = np.asarray(found), np.asarray(missed)
    kept = missed.max(1) <= _MET
    if not kept.any():
        near = missed[missed.max(1).argmin()]
        worst = targets[int(near.argmax())]
        raise JaxmixError(
            f"no mixture keeps all limits: the nearest found has '{worst}' {near.max():.3g} nats "
            "over its own; raise limits or train for more tokens"
        )
    w = np.asarray(problem.target_weights)
    values = [float(w @ _losses(problem, ends, h)) for h in weights]
    return weights[int(np.argmin(np.where(kept, values, np.inf)))]
