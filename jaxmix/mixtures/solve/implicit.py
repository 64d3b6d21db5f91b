"""The optimal mixture as a differentiable function: implicit derivatives of the KKT system.

At an optimum h* with held weights A and free weights F, for every input x (N, D, w, bounds and the
parameters of every law)::

    [ H_FF  1 ] [ dh_F    ]     [ d(grad_h F)_F / dx . dx + H_FA dh_A ]
    [ 1^T   0 ] [ -dlevel ] = - [ 1^T dh_A                            ]

with dh_A the change of the bounds that hold. Right where the active set does not change.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import StackedLaws
from jaxmix.laws import Inputs
from jaxmix.mixtures.simplex import center
from jaxmix.mixtures.solve.descent import Point, descend, evaluate, held, make_box, touches
from jaxmix.mixtures.solve.lanes import weighted_loss

Array = jax.Array


@jax.custom_jvp
def _attach(
    h: Array, laws: StackedLaws, x: dict[str, Array], w: Array, lower: Array, upper: Array
) -> Array:
    """The known optimum h [k] of a problem, with its implicit derivatives by the problem."""
    return h


def _bordered_solve(at: Point, fixed: Array, right: Array, total: Array) -> Array:
    """dh_F of the system above, 0 where ``fixed``; linear in right [k] and total [].

    The free weights are scaled by sqrt(h), so that weights of very different size are solved for
    equally well. NaN if the curvature along some direction is lost in rounding.
    """
    k, info = at.h.shape[0], jnp.finfo(at.h.dtype)
    root = jnp.where(fixed, 0.0, jnp.sqrt(at.h))
    inner = root[:, None] * at.hess * root[None, :]
    scale = jnp.maximum(jnp.max(jnp.abs(inner)), info.tiny)
    system = jnp.zeros((k + 1, k + 1), root.dtype)
    system = system.at[:k, :k].set(inner / scale + jnp.diag(fixed.astype(root.dtype)))
    system = system.at[:k, k].set(root).at[k, :k].set(root)
    system = system.at[k, k].set(jnp.all(fixed).astype(root.dtype))  # no free weight: no border
    solution = jnp.linalg.solve(system, jnp.append(root * right / scale, total))
    least = jnp.min(jnp.abs(jnp.linalg.eigvalsh(jax.lax.stop_gradient(system))))
    rounding = 64 * info.eps * (1.0 + jnp.max(jnp.abs(root * root * at.grad)) / scale)
    flat = (least < rounding) & (jnp.sum(~fixed) > 1)
    return jnp.where(flat, jnp.nan, root) * solution[:k]


@_attach.defjvp
def _attach_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    h, laws, x, w, lower, upper = primals
    inputs, moves = primals[1:4], tangents[1:4]
    box = make_box(lower, upper)
    at = evaluate(lambda y: weighted_loss(laws, x, w, y), jnp.maximum(h, box.floor), box)
    fixed, (low, _) = held(at, box), touches(at.h, box)
    bound = jnp.where(low, tangents[4], tangents[5])
    bound = jnp.where(fixed, bound, 0.0)  # [k] dh_A

    def slope(*inputs: Any) -> Array:  # grad_h F at the fixed h, as a function of the inputs
        return jax.grad(weighted_loss, argnums=3)(*inputs, at.h)

    _, cross = jax.jvp(slope, inputs, moves)  # [k]
    right = -(cross + at.hess @ bound)
    moved = _bordered_solve(at, fixed, right, -jnp.sum(bound))
    return _attach(*primals), bound + moved


def optimal_weights(
    laws: StackedLaws,
    x: Inputs,
    target_weights: Any,
    lower: Any = 0.0,
    upper: Any = 1.0,
    start: Any | None = None,
) -> Array:
    """h*(x, w) of eq. (13) at one budget within bounds, as a pure function of arrays.

    ``jax.grad``, ``jax.jacobian``, ``jax.jvp``, ``jax.jit`` and ``jax.vmap`` all work on it, with
    respect to every argument but ``start``: the parameters in ``laws`` (so derivatives chain
    through a fit), the inputs, the target weights and the bounds. The derivatives are those of the
    active set at h*: one-sided limits if it is about to change, NaN if the optimum is not isolated
    (a law that does not depend on the mixture).

    Args:
        laws: m targets: ``FittedLaws.stacked``. Call within ``float64()`` for float64.
        x: inputs by name but the weights, such as ``{"n_params": N, "tokens": D}``; ``inf`` is the
            limit, with derivative 0.
        target_weights: w [m], non-negative; only their ratios move h*.
        lower: smallest weights, [k] or one for all.
        upper: largest weights, [k] or one for all.
        start: [k] positive mixture to start from, for problems with several minima; None for the
            center of the bounds.

    Returns:
        h* [k].

    Raises:
        JaxmixError: nothing says how many domains there are.
    """
    k = _domains(laws, lower, upper)
    given = {name: jnp.asarray(value, float) for name, value in x.items()}
    w = jnp.asarray(target_weights, float)
    lower = jnp.broadcast_to(jnp.asarray(lower, float), (k,))
    upper = jnp.broadcast_to(jnp.asarray(upper, float), (k,))
    begin = center(lower, upper) if start is None else jnp.asarray(start, float)
    inputs = (laws, given, w, lower, upper)
    return _attach(_solve(jax.lax.stop_gradient((*inputs, begin))), *inputs)


def _solve(problem: Any) -> Array:
    """h* [k], without derivatives."""
    laws, x, w, lower, upper, start = problem
    return descend(lambda h: weighted_loss(laws, x, w, h), start, lower, upper).weights


def _domains(laws: StackedLaws, lower: Any, upper: Any) -> int:
    """k, from the bounds or from any parameter that has one value per domain."""
    sizes = [laws.params[p.name].shape[-1] for p in laws.law.parameters if p.shape == "domain"]
    sizes += [jnp.shape(bound)[0] for bound in (lower, upper) if jnp.ndim(bound)]
    if not sizes:
        raise JaxmixError(
            f"the law '{laws.law.name}' has no parameter per domain: give lower or upper as [k]"
        )
    return sizes[0]
