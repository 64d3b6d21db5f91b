"""The weights by stage that a law predicts to end lowest: SLSQP from many starts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from experiments.continual.memory import as_array, equal_loss, staged_losses
from jaxmix import JaxmixError
from jaxmix.fitting import FittedLaws

Array = jax.Array
_CANDIDATES, _PENALTY = 4096, 10.0  # random plans, and what a nat over a limit costs them
_MET = 1e-6  # nats over a limit that still count as kept
_LEAST = 1e-9  # smallest weight tried: some laws have an infinite slope at 0


@dataclass(frozen=True, eq=False)
class StagePlan:
    """Weights by stage, and the best constant mixture by the same laws and limits.

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
        """Predicted gain of the stages over the best constant mixture, nats; at least 0."""
        return self.fixed_objective - self.objective

    @property
    def stages(self) -> tuple[tuple[float, dict[str, float]], ...]:
        """Share of the tokens and weights by domain, stage by stage."""
        return tuple(
            (float(share), dict(zip(self.domains, h.tolist(), strict=True)))
            for share, h in zip(self.shares, self.weights, strict=True)
        )


def plan_stages(
    laws: FittedLaws,
    n_params: float,
    tokens: float,
    shares: Sequence[float],
    recency: Mapping[str, float] | None = None,
    *,
    target_weights: Mapping[str, float],
    limits: Mapping[str, float] | None = None,
    starts: int = 8,
    seed: int = 0,
) -> StagePlan:
    """The weights by stage that minimize a weighted loss at the end of a run.

    Args:
        laws: fitted on constant mixtures.
        n_params: N.
        tokens: D of the whole run.
        shares: [S] of the tokens that each stage has, sum 1.
        recency: of every target, from `fit_recency`; None for the rule of equal loss.
        target_weights: of all targets.
        limits: losses that targets must not exceed at the end, such as those of the model that the
            run starts from.
        starts: starting points: the best constant mixture in every stage, and the best of some
            thousand random plans. The problem is not convex, so more may find a better plan.
        seed: of the random plans.

    Raises:
        JaxmixError: shares that do not sum to 1, a target without recency, or limits that no
            mixture meets.
    """
    parts = np.asarray(shares, float)
    if parts.ndim != 1 or not parts.size or parts.min() <= 0 or abs(parts.sum() - 1) > 1e-6:
        raise JaxmixError(f"shares {list(shares)} of the stages: give shares above 0 that sum to 1")
    wanted = np.array([target_weights[t] for t in laws.targets])
    most = np.array([(limits or {}).get(t, np.inf) for t in laws.targets])
    memory = None if recency is None else as_array(laws, recency)
    even, rng = np.ones(len(laws)), np.random.default_rng(seed)
    with jax.enable_x64(True):
        one = _losses_of(laws, n_params, tokens, np.ones(1), even)  # one stage: the rules agree
        corners = np.maximum(np.eye(len(laws.domains)), 0.01)
        drawn = [*corners, *rng.dirichlet(np.ones(len(laws.domains)), starts)]
        fixed = _best(one, [h[None] / h.sum() for h in drawn], wanted, most, laws.targets)
        ends = np.append(np.cumsum(parts)[:-1], 1.0)
        staged = _losses_of(laws, n_params, tokens, ends, memory)
        repeated = np.tile(fixed, (len(parts), 1))
        tried = _random_plans(fixed[0], len(parts), rng)
        chosen = [repeated, *_screened(staged, tried, wanted, most, starts - 1)]
        found = _best(staged, chosen, wanted, most, laws.targets)
        losses, constant = (np.asarray(f(h)) for f, h in ((staged, found), (one, fixed)))
    if wanted @ constant <= wanted @ losses:  # a constant mixture is a plan as well
        found, losses = repeated, constant
    named = [dict(zip(laws.targets, x.tolist(), strict=True)) for x in (losses, constant)]
    values = [float(wanted @ x) for x in (losses, constant)]
    return StagePlan(laws.domains, parts, found, named[0], values[0], fixed[0], named[1], values[1])


def _losses_of(
    laws: FittedLaws, n_params: float, tokens: float, ends: np.ndarray, recency: np.ndarray | None
) -> Callable[[np.ndarray], Array]:
    """The compiled function from weights [S, k] to losses [m] at the end of a run."""
    stacked = laws.stacked

    def at_end(weights: Array) -> Array:
        if recency is None:
            return equal_loss(stacked, n_params, tokens, jnp.asarray(ends), weights)
        given = jnp.asarray(ends), weights, jnp.asarray(recency)
        return staged_losses(stacked, n_params, tokens, *given)

    return jax.jit(at_end)


def _random_plans(fixed: np.ndarray, stages: int, rng: np.random.Generator) -> np.ndarray:
    """Plans [n, S, k]; each stage lies between a random mixture and the constant one."""
    shape, k = (_CANDIDATES, stages), len(fixed)
    sparse = rng.random(shape)[..., None] < 0.5
    few, many = (rng.dirichlet(np.full(k, a), shape) for a in (0.1, 1.0))
    share = np.clip(rng.uniform(-0.5, 1.5, shape), 0.0, 1.0)[..., None]
    return (1 - share) * np.where(sparse, few, many) + share * fixed


def _screened(
    losses_of: Callable[[np.ndarray], Array],
    plans: np.ndarray,
    wanted: np.ndarray,
    most: np.ndarray,
    count: int,
) -> np.ndarray:
    """The best plans by weighted loss and by how far they exceed the limits."""
    losses = np.asarray(jax.vmap(losses_of)(jnp.asarray(plans)))
    over = np.maximum(losses - most, 0.0).sum(1)
    return plans[np.argsort(losses @ wanted + _PENALTY * over, kind="stable")[:count]]


def _best(
    losses_of: Callable[[np.ndarray], Array],
    starts: Sequence[np.ndarray],
    wanted: np.ndarray,
    most: np.ndarray,
    targets: Sequence[str],
) -> np.ndarray:
    """The best weights [S, k] from all starts that keep the limits."""
    slope_of = jax.jit(jax.jacrev(losses_of))
    found = [_solve(losses_of, slope_of, h, wanted, most) for h in starts]
    losses = np.array([losses_of(h) for h in found])
    over = losses - most
    if over.max(1).min() > _MET:
        near = over[over.max(1).argmin()]
        raise JaxmixError(
            f"no mixture keeps all limits: the nearest found has '{targets[int(near.argmax())]}' "
            f"{near.max():.3g} nats over its own; raise limits or train for more tokens"
        )
    return found[int(np.argmin(np.where(over.max(1) <= _MET, losses @ wanted, np.inf)))]


def _solve(
    losses_of: Callable[[np.ndarray], Array],
    slope_of: Callable[[np.ndarray], Array],
    start: np.ndarray,
    wanted: np.ndarray,
    most: np.ndarray,
) -> np.ndarray:
    """Weights [S, k] from one start."""
    shape, limited = start.shape, np.isfinite(most)
    losses = lambda z: np.asarray(losses_of(z.reshape(shape)))  # noqa: E731
    slopes = lambda z: np.asarray(slope_of(z.reshape(shape))).reshape(len(most), -1)  # noqa: E731
    total = np.kron(np.eye(shape[0]), np.ones(shape[1]))  # [S, S k]
    rules = [{"type": "eq", "fun": lambda z: total @ z - 1, "jac": lambda z: total}]
    if limited.any():
        kept = lambda z: (most - losses(z))[limited]  # noqa: E731
        rules.append({"type": "ineq", "fun": kept, "jac": lambda z: -slopes(z)[limited]})
    end = minimize(
        lambda z: wanted @ losses(z),
        np.clip(start.reshape(-1), 1e-3, 1.0),
        jac=lambda z: wanted @ slopes(z),
        bounds=[(_LEAST, 1.0)] * start.size,
        constraints=rules,
        method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-13},
    )
    h = np.maximum(end.x.reshape(shape), 0.0)
    return h / h.sum(1, keepdims=True)
