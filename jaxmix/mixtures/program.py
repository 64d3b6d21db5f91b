"""The constrained mixture problem as arrays: objective, constraints and their derivatives.

In x = (h, t), h [k] a mixture and t a scalar, one program is::

    minimize    sum_i w_i L^i(h) + pull KL(h‖prior) + slope t
    subject to  lower <= h <= upper,  A h <= b,  E h = e  (sum h = 1 among them),
                L^target_r(h) - limit_r <= share_r t,   KL(h‖prior) - kl_limit <= kl_share t

With slope 0 and shares 0 the rows are guardrails; with slope 1 and shares 1 it is the worst case
over targets; with w = 0 it finds a mixture that meets guardrails, or how far none does.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmix.fitting.fitted import StackedLaws
from jaxmix.mixtures.simplex import kl

Array = jax.Array


class Program(NamedTuple):
    """One problem; arrays without a lane axis. m targets, r loss rows, q rows, e equations."""

    n_params: Any  # N
    tokens: Any  # D
    weights: Any  # [m] w
    pull: Any
    slope: Any
    enough: Any  # the search may end once t is below this; -inf to minimize
    prior: Any  # [k]
    kl_limit: Any
    kl_share: Any
    target: Any  # [r] which loss
    limit: Any  # [r]
    share: Any  # [r]
    matrix: Any  # [q, k] A
    right: Any  # [q] b
    equations: Any  # [e, k] E, padded with rows of 0
    equal: Any  # [e]
    lower: Any  # [k]
    upper: Any  # [k]
    fixed: Any  # [k] bool: weights that every mixture shares


class Values(NamedTuple):
    """Objective and general constraints at one x; c <= 0 is met."""

    objective: Array
    losses: Array  # [m]
    general: Array  # [q + r + 1] rows, then losses, then KL


def values(laws: StackedLaws, p: Program, x: Array) -> Values:
    """Objective and constraints at x [k + 1]."""
    h, t = x[:-1], x[-1]
    losses = laws.losses({"n_params": p.n_params, "tokens": p.tokens, "weights": h})
    far = kl(h, jnp.where(p.prior > 0, p.prior, 1.0))  # where the prior is 0, so is h
    objective = jnp.sum(jnp.where(p.weights > 0, p.weights * losses, 0.0))
    rows = p.matrix @ h - p.right
    guards = losses[p.target] - p.limit - p.share * t
    bent = jnp.append(guards, far - p.kl_limit - p.kl_share * t)
    return Values(objective + p.pull * far + p.slope * t, losses, jnp.append(rows, bent))


class Slopes(NamedTuple):
    """Derivatives at one x; entries of fixed weights are 0."""

    values: Values
    gradient: Array  # [k + 1]
    jacobian: Array  # [q + r + 1, k + 1]
    hessian: Array  # [k + 1, k + 1] of objective + multipliers . general


def slopes(laws: StackedLaws, p: Program, x: Array, multipliers: Array) -> Slopes:
    """Values and derivatives at x [k + 1] for the multipliers of the general constraints."""
    free = jnp.append(~p.fixed, True)

    def lagrangian(x: Array) -> Array:
        at = values(laws, p, x)
        return at.objective + multipliers @ at.general

    def both(x: Array) -> tuple[tuple[Array, Array], Values]:
        at = values(laws, p, x)
        return (at.objective, at.general), at

    (gradient, jacobian), at = jax.jacfwd(both, has_aux=True)(x)
    hessian = jax.jacfwd(jax.grad(lagrangian))(x)
    gradient, jacobian = jnp.where(free, gradient, 0.0), jnp.where(free, jacobian, 0.0)
    hessian = jnp.where(free[:, None] & free[None, :], hessian, 0.0)
    return Slopes(at, gradient, jacobian, hessian)
