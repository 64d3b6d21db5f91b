"""What is at stake: how much each direction of a fit's parameters matters for the optimal mixture.

The loss expected from acting on a noisy optimum is, to second order, with H the Hessian of the
objective on the directions of sum 0 and G_i the derivative of its gradient by the parameters of
target i::

    E[F(h) - F(h*)] = 1/2 tr(H Cov(h*)) = sum_i tr(B_i^T Cov(z_i) B_i)
    B_i B_i^T = 1/2 G_i^T H^+ G_i

which is L-optimal design (Pukelsheim 2006, Optimal Design of Experiments, chapter 2).
"""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.objective import Objective
from jaxmix.fitting.problem import Problem
from jaxmix.mixtures.optimum import Optima
from jaxmix.mixtures.sequential.posterior import Beliefs
from jaxmix.mixtures.simplex import center

Array = jax.Array
Criterion = Literal["regret", "variance"]

_INSIDE = 0.02  # share of the bounds' center in the mixture at which curvature is taken
_LEAST_HELD = 0.01  # smallest say of a direction that a bound holds
_LEAST_CURVED = 1e-3  # smallest curvature, as a share of the largest: the simplex ends somewhere


class _Big(NamedTuple):
    """The big run: N, D in the problem's units and target weights [m]."""

    n_params: Any
    tokens: Any
    target_weights: Any


def stakes(
    problem: Problem,
    beliefs: Beliefs,
    optima: Optima,
    criterion: Criterion,
) -> Array:
    """B [m, P, k]: ``sum_i tr(B_i^T Cov(z_i) B_i)`` is the expected regret or tr Cov(h*).

    Curvature is taken a little inside the bounds, where every weight may move, and a weight that a
    bound holds has the say of the share of the gradient's noise that would free it (at least 1%,
    nothing where the weight is pinned), so that directions out of the active set still count.

    Args:
        problem: of ``pose``.
        beliefs: about the m targets.
        optima: the optimum at the big run's budget; the first one counts.
        criterion: ``"regret"`` in nats, or ``"variance"`` of the weights.
    """
    n_unit, d_unit = problem.units
    settings = _Big(
        jnp.asarray(optima.n_params[0] / n_unit),
        jnp.asarray(optima.tokens[0] / d_unit),
        jnp.asarray(optima.target_weights[0]),
    )
    own = None
    if problem.objective.law.reads_own:
        own = jnp.asarray([problem.runs.domains.index(t) for t in problem.targets])
    lower, upper = jnp.asarray(optima.bounds.lower), jnp.asarray(optima.bounds.upper)
    h = jnp.asarray(optima.weights[0])
    inside = jnp.maximum((1 - _INSIDE) * h + _INSIDE * center(lower, upper), 1e-9)
    prices, pinned = jnp.asarray(np.abs(optima.multipliers[0])), upper - lower < 1e-12
    at = (inside, prices, pinned)
    return _stakes(problem.objective, beliefs, settings, own, *at, criterion == "variance")


@partial(jax.jit, static_argnums=0)
def _stakes(
    objective: Objective,
    beliefs: Beliefs,
    big: _Big,
    own: Array | None,
    h: Array,
    prices: Array,
    pinned: Array,
    variance: Array,
) -> Array:
    def weighted(z: Array, h: Array) -> Array:
        def one(z: Array, own: Array | None) -> Array:
            seen = h if own is None else h[own]
            params = objective.law.from_working(z, objective.k)
            x = {"n_params": big.n_params, "tokens": big.tokens, "weights": seen}
            return jnp.asarray(objective.law.loss(params, x))

        losses = jax.vmap(one, (0, None if own is None else 0))(z, own)
        return jnp.sum(jnp.where(big.target_weights > 0, big.target_weights * losses, 0.0))

    slope = jax.grad(weighted, 1)
    cross = jax.jacrev(slope)(beliefs.z, h)  # G [k, m, P]
    cross = jnp.where(jnp.isfinite(cross), cross, 0.0)
    hess = jax.jacfwd(slope, 1)(beliefs.z, h)
    free = _say(cross, beliefs.covariance, prices, pinned)
    regret, moved = _roots(hess, h, free)
    return jnp.einsum("kmp,kj->mpj", cross, jnp.where(variance, moved, regret))


def _say(cross: Array, covariance: Array, prices: Array, pinned: Array) -> Array:
    """[k] 1 for free weights; for held ones E[(noise - price)_+^2] / noise^2, normal noise."""
    level = cross - jnp.mean(cross, 0)
    sd = jnp.sqrt(jnp.einsum("kmp,mpq,kmq->k", level, covariance, level))
    t = prices / jnp.maximum(sd, 1e-300)
    normal = jax.scipy.stats.norm
    freed = (1 + t**2) * normal.cdf(-t) - t * normal.pdf(t)
    held = jnp.clip(freed, _LEAST_HELD, 1.0)
    return jnp.where(pinned, 0.0, jnp.where(prices > 0, held, 1.0))


def _roots(hess: Array, h: Array, free: Array) -> tuple[Array, Array]:
    """Roots [k, k] of 1/2 H^+ and of (H^+)^2 on the directions of sum 0.

    In coordinates d / sqrt(h), where the simplex is round; ``free`` damps directions by adding
    curvature for what it takes away.
    """
    root = jnp.sqrt(h) * jnp.sqrt(free)
    inner = jnp.sqrt(h)[:, None] * hess * jnp.sqrt(h)[None, :]
    inner = jnp.where(jnp.isfinite(inner), inner, 0.0)
    soft = jnp.sqrt(free)[:, None] * inner * jnp.sqrt(free)[None, :]
    soft = soft + jnp.diag((1 - free) * jnp.abs(jnp.diagonal(inner)))
    unit = root / jnp.maximum(jnp.linalg.norm(root), 1e-300)
    off = jnp.eye(len(h)) - jnp.outer(unit, unit)
    values, vectors = jnp.linalg.eigh(off @ soft @ off)
    size = jnp.abs(values)
    curved = jnp.maximum(size, jnp.maximum(_LEAST_CURVED * jnp.max(size), 1e-12))
    half = root[:, None] * (off @ vectors) / jnp.sqrt(curved)
    return half / jnp.sqrt(2.0), half @ half.T
