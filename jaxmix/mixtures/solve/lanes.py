"""Box-constrained mixture problems in batches: eq. (7), (8) and (13) for many budgets or refits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.precision import float64, solver_devices
from jaxmix.fitting.programs import compile_quickly
from jaxmix.fitting.stacked import StackedLaws
from jaxmix.laws import Inputs
from jaxmix.mixtures.designs import dirichlet_design
from jaxmix.mixtures.simplex import center
from jaxmix.mixtures.solve.descent import Solution, descend

Array = jax.Array


def _chunk() -> int:
    """Lanes in one loop: bounds the memory, and how many wait for a slow one.

    On CPUs 64 to 256 were equally fast, with 7 domains and with 17; a GPU wants many.
    """
    return 128 if solver_devices()[0].platform == "cpu" else 4096


class Lanes(NamedTuple):
    """What differs between the problems that are solved at once; L lanes.

    Attributes:
        x: inputs by name but the weights: [L] each, or [L, k] per domain.
        target_weights: [L, m].
        start: [L, k] positive mixtures.
        lower: [L, k] smallest weights.
        upper: [L, k] largest weights.
    """

    x: Any
    target_weights: Any
    start: Any
    lower: Any
    upper: Any


def map_targets(f: Callable[..., Array], laws: StackedLaws, *args: Array) -> Array:
    """``f(law, *args)`` for the law of every target alone; args have a leading axis m.

    Apart, so that a loss that is infinite leaves the derivatives of the others alone.
    """

    def one(params: dict[str, Array], own: Array | None, *args: Array) -> Array:
        alone = {name: value[None] for name, value in params.items()}
        return f(StackedLaws(alone, None if own is None else own[None], laws.law), *args)

    axes = (0, None if laws.own is None else 0, *(0 for _ in args))
    return jax.vmap(one, in_axes=axes)(laws.params, laws.own, *args)


def weighted_loss(laws: StackedLaws, x: Inputs, w: Array, h: Array) -> Array:
    """``sum_i w_i L^i(x, h)``, eq. (13), at one budget; w [m], h [k] -> scalar.

    Targets of weight 0 are evaluated at the uniform mixture, so that neither their value nor their
    slope at a boundary, which may be infinite, has any part in it.
    """

    def part(law: StackedLaws, w: Array) -> Array:
        seen = jnp.where(w > 0, h, 1.0 / h.shape[-1])
        return jnp.where(w > 0, w * law.losses({**x, "weights": seen})[0], 0.0)

    return jnp.sum(map_targets(part, laws, w))


def _solve_lanes(laws: StackedLaws, lanes: Lanes, tolerance: Array, refits: bool) -> Solution:
    def one(params: dict[str, Array], lane: Lanes) -> Solution:
        each = laws.replace_params(params)

        def objective(h: Array) -> Array:
            return weighted_loss(each, lane.x, lane.target_weights, h)

        return descend(objective, lane.start, lane.lower, lane.upper, tolerance=tolerance)

    return jax.vmap(one, in_axes=(0 if refits else None, 0))(laws.params, lanes)


# A few lanes are solved in less time than it takes to optimize their program; thousands are not.
_solve_few = compile_quickly(static_argnames="refits")(_solve_lanes)
_solve_chunk = compile_quickly(optimize=True, static_argnames="refits")(_solve_lanes)


def solve(laws: StackedLaws, lanes: Lanes, tolerance: float = 1e-12) -> Solution:
    """Minimizes every lane's objective, in chunks of few different sizes (each compiles once).

    Args:
        laws: m targets, float64; parameters have leading axes [m], or [L, m] for other ones in
            each lane.
        lanes: L problems.
        tolerance: share of the objective below which a duality gap ends a lane.

    Returns:
        numpy arrays with a leading axis L.
    """
    count = len(lanes.start)
    first = laws.law.parameters[0]
    refits = laws.params[first.name].ndim > 1 + (first.shape == "domain")
    lanes = jax.tree.map(np.asarray, lanes)
    parts = []
    with float64():
        size, solver = (16, _solve_few) if count <= 16 else (_chunk(), _solve_chunk)
        for at in range(0, count, size):
            take = np.minimum(np.arange(at, at + size), count - 1)
            some = jax.tree.map(lambda v, take=take: v[take], lanes)
            params: dict[str, Any] = {
                n: np.asarray(v)[take] if refits else v for n, v in laws.params.items()
            }
            found = solver(laws.replace_params(params), some, np.asarray(tolerance), refits)
            parts.append(jax.tree.map(np.asarray, found))
    return Solution(*(np.concatenate(v)[:count] for v in zip(*parts, strict=True)))


def make_starts(lower: np.ndarray, upper: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Starting mixtures, [count, k]: the center, then near every vertex, then random ones.

    They are positive and need not meet the bounds: solvers project them.
    """
    k = len(lower)
    with float64():
        middle = np.asarray(_center(np.asarray(lower, float), np.asarray(upper, float)))
    near = 0.9 * np.eye(k) + 0.1 / k
    random = dirichlet_design(k, max(count - 1 - k, 0), seed=seed)
    return np.maximum(np.vstack([middle, near, random])[:count], 1e-6)


_center = compile_quickly()(center)
