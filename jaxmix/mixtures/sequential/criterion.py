"""How much the optimal mixture depends on each direction of the fitted parameters.

The expected loss of acting on a noisy optimum is, to second order, with H the Hessian of the
objective on the directions of sum 0 and G_i the derivative of its gradient by the parameters of
target i::

    E[F(h) - F(h*)] = 1/2 tr(H Cov(h*)) = sum_i tr(B_i^T Cov(z_i) B_i)
    B_i B_i^T = 1/2 G_i^T H^+ G_i

This is L-optimal design (Pukelsheim 2006, Optimal Design of Experiments, chapter 2).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.objective import Objective
from jaxmix.fitting.problem import Problem
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.sequential.posterior import Beliefs
from jaxmix.mixtures.solve.problem import problem_of

Array = jax.Array

_INSIDE = 0.02  # share of the feasible set's center in the mixture at which curvature is taken
_LEAST_HELD = 0.01  # smallest share of a direction that an active constraint holds
_LEAST_CURVED = 1e-3  # smallest curvature as a share of the largest, because the simplex is bounded


class _At(NamedTuple):
    """Where the criterion is taken.

    Attributes:
        x: inputs of the big run in the problem's units, without the weights.
        w: [m] target weights.
        own: [m] each target's own domain, or None.
        h: [k] a mixture a little inside the feasible set.
        prices: [k] what the active bound of each weight costs, nats per unit; 0 if none is active.
        pinned: [k] whether all feasible mixtures share the weight.
        normals: [q, k] slopes of active rows with several domains.
    """

    x: dict[str, Any]
    w: Any
    own: Any
    h: Any
    prices: Any
    pinned: Any
    normals: Any


def criterion_roots(
    problem: Problem, beliefs: Beliefs, optimum: Optimum, middle: np.ndarray
) -> dict[str, Array]:
    """B [m, P, k] of each criterion: ``sum_i tr(B_i^T Cov(z_i) B_i)`` is its value.

    Curvature is taken a little inside the feasible set. A direction that an active bound holds
    counts by the share of the gradient's noise that would free it (at least 1%; not at all if the
    weight is pinned), and one that an active row of several domains holds does not count.
    Guardrails and a KL limit are taken not to bind.

    Args:
        problem: the laws' problem.
        beliefs: about the m targets.
        optimum: at the big run's budget.
        middle: [k] a mixture inside the feasible set.

    Returns:
        ``"regret"`` in nats, and ``"variance"``, tr Cov(h*).
    """
    law, domains = problem.objective.law, optimum.domains
    shape = problem_of(optimum).shape
    h = np.maximum((1 - _INSIDE) * optimum.h + _INSIDE * middle, 1e-9)
    x = law.in_units({**optimum.inputs, "weights": h}, problem.units)
    rows = zip(domains, shape.lower_row, shape.upper_row, strict=True)
    labels = [
        (low.label if low else f"{d}>=0", high.label if high else "") for d, low, high in rows
    ]
    held = [row.slope for row in shape.mixed if row.label in optimum.active]
    at = _At(
        x={name: jnp.asarray(v) for name, v in x.items() if name != "weights"},
        w=jnp.asarray(optimum.w),
        own=jnp.asarray([domains.index(t) for t in problem.targets]) if law.reads_own else None,
        h=jnp.asarray(h),
        prices=jnp.asarray([sum(optimum.prices.get(n, 0.0) for n in pair) for pair in labels]),
        pinned=jnp.asarray(shape.upper - shape.lower < 1e-12),
        normals=jnp.asarray(np.array(held).reshape(-1, len(domains))),
    )
    regret, variance = _roots_at(problem.objective, beliefs, at)
    return {"regret": regret, "variance": variance}


@partial(jax.jit, static_argnums=0)
def _roots_at(objective: Objective, beliefs: Beliefs, at: _At) -> tuple[Array, Array]:
    law = objective.law

    def weighted(z: Array, h: Array) -> Array:
        def one(z: Array, own: Array | None) -> Array:
            x = at.x | {"weights": h if own is None else h[own]}
            return jnp.asarray(law.loss(law.from_working(z, objective.k), x))

        losses = jax.vmap(one, (0, None if at.own is None else 0))(z, at.own)
        return jnp.sum(jnp.where(at.w > 0, at.w * losses, 0.0))

    slope = jax.grad(weighted, 1)
    cross = jax.jacrev(slope)(beliefs.z, at.h)  # G [k, m, P]
    cross = jnp.where(jnp.isfinite(cross), cross, 0.0)
    hess = jax.jacfwd(slope, 1)(beliefs.z, at.h)
    free = _free(cross, beliefs.covariance, at.prices, at.pinned)
    regret, moved = _roots(hess, at.h, free, at.normals)
    return jnp.einsum("kmp,kj->mpj", cross, regret), jnp.einsum("kmp,kj->mpj", cross, moved)


def _free(cross: Array, covariance: Array, prices: Array, pinned: Array) -> Array:
    """[k] 1 for free weights; for held ones E[(noise - price)_+^2] / noise^2, normal noise."""
    level = cross - jnp.mean(cross, 0)
    sd = jnp.sqrt(jnp.einsum("kmp,mpq,kmq->k", level, covariance, level))
    t = prices / jnp.maximum(sd, 1e-300)
    normal = jax.scipy.stats.norm
    freed = (1 + t**2) * normal.cdf(-t) - t * normal.pdf(t)
    held = jnp.clip(freed, _LEAST_HELD, 1.0)
    return jnp.where(pinned, 0.0, jnp.where(prices > 0, held, 1.0))


def _roots(hess: Array, h: Array, free: Array, normals: Array) -> tuple[Array, Array]:
    """Roots [k, k] of 1/2 H^+ and of (H^+)^2 on the directions of sum 0 that no row holds.

    In coordinates d / sqrt(h), in which the simplex is round. Where ``free`` is below 1, curvature
    replaces what it takes away.
    """
    root = jnp.sqrt(h) * jnp.sqrt(free)
    inner = jnp.sqrt(h)[:, None] * hess * jnp.sqrt(h)[None, :]
    inner = jnp.where(jnp.isfinite(inner), inner, 0.0)
    soft = jnp.sqrt(free)[:, None] * inner * jnp.sqrt(free)[None, :]
    soft = soft + jnp.diag((1 - free) * jnp.abs(jnp.diagonal(inner)))
    across = jnp.concatenate([jnp.ones((1, len(h))), normals]) * root  # [1 + q, k]
    off = jnp.eye(len(h)) - jnp.linalg.pinv(across) @ across
    values, vectors = jnp.linalg.eigh(off @ soft @ off)
    size = jnp.abs(values)
    curved = jnp.maximum(size, jnp.maximum(_LEAST_CURVED * jnp.max(size), 1e-12))
    half = root[:, None] * (off @ vectors) / jnp.sqrt(curved)
    return half / jnp.sqrt(2.0), half @ half.T
