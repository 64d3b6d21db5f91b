"""Optima of many refits of the same laws at one budget: batched over the parameters of the laws."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.fitted import StackedLaws
from jaxmix.mixtures.solve.descent import Solution, descend
from jaxmix.mixtures.solve.lanes import weighted_loss

Array = jax.Array
_LANES = 128  # in one loop: a slow one keeps few others waiting


@jax.jit
def _solve_chunk(
    params: dict[str, Array],
    one_law: StackedLaws,
    tilt: Array,
    start: Array,
    n: Array,
    d: Array,
    w: Array,
    lower: Array,
    upper: Array,
) -> Solution:
    def one(own: dict[str, Array], tilt: Array, start: Array) -> Solution:
        laws = StackedLaws(own, one_law.own, one_law.law)

        def objective(h: Array) -> Array:
            return weighted_loss(laws, n, d, w, h) + tilt @ h

        return descend(objective, start, lower, upper, tolerance=1e-10)

    return jax.vmap(one)(params, tilt, start)


def solve_refitted(
    laws: StackedLaws,
    n_params: float,
    tokens: float,
    w: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    starts: np.ndarray,
    tilts: np.ndarray | None = None,
) -> Solution:
    """Minimizes ``sum_i w_i L_l^i(N, D, h) + tilt_l h`` for every lane l.

    Args:
        laws: parameters with leading axes [L, m], or [1, m] for one set shared by all lanes.
        n_params: N.
        tokens: D.
        w: [m] target weights.
        lower: [k] smallest weights.
        upper: [k] largest weights.
        starts: [L, k] positive mixtures.
        tilts: [L, k] added slopes, nats per unit of weight; None for none.

    Returns:
        numpy arrays with a leading axis L.
    """
    count = len(starts)
    tilts = np.zeros_like(starts) if tilts is None else tilts
    size = min(_LANES, max(16, 1 << (count - 1).bit_length()))
    shared = next(iter(laws.params.values())).shape[0] == 1
    one_law = StackedLaws({}, laws.own, laws.law)

    def part(first: int) -> Solution:
        take = np.minimum(np.arange(first, first + size), count - 1)
        with jax.enable_x64(True):  # the setting is each thread's own
            params = {k: v[np.zeros_like(take) if shared else take] for k, v in laws.params.items()}
            lanes = (jnp.asarray(tilts[take]), jnp.asarray(starts[take]))
            scalars = [jnp.asarray(float(x)) for x in (n_params, tokens)]
            box = [jnp.asarray(np.asarray(x, float)) for x in (w, lower, upper)]
            return Solution(*map(np.asarray, _solve_chunk(params, one_law, *lanes, *scalars, *box)))

    parts = [part(0)]  # compiles
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        parts += threads.map(part, range(size, count, size))
    return Solution(*(np.concatenate(x)[:count] for x in zip(*parts, strict=True)))


def best_refitted(
    laws: StackedLaws, points: np.ndarray, *args: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The best of several starts [S, k] for every set of parameters [B, m]; weights and values."""
    sets = next(iter(laws.params.values())).shape[0]
    which, start = np.divmod(np.arange(sets * len(points)), len(points))
    many = StackedLaws({n: v[which] for n, v in laws.params.items()}, laws.own, laws.law)
    found = solve_refitted(many, *args, starts=points[start])
    values = np.where(np.isfinite(found.value), found.value, np.inf).reshape(sets, -1)
    at = np.arange(sets) * len(points) + values.argmin(1)
    return found.weights[at], found.value[at]
