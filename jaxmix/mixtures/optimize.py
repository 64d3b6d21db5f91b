"""The optimal mixture: eq. (7) for one target, (8) for several, (13) for weighted ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, StackedLaws, stack
from jaxmix.mixtures.convexity import convexity
from jaxmix.mixtures.optimum import Optima, Optimum
from jaxmix.mixtures.simplex import Bounds, make_bounds
from jaxmix.mixtures.solve.descent import Solution
from jaxmix.mixtures.solve.lanes import Lanes, make_starts, predict, solve
from jaxmix.runs.names import resolve

_ROUGH = 1e-7  # tolerance of the many starts; the best one is polished to the full one

Weights = Mapping[str, float] | np.ndarray | Sequence[Any] | None


def optimize(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    *,
    target_weights: Weights = None,
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
    starts: int | None = None,
    key: int = 0,
) -> Optimum:
    """The mixture that minimizes the weighted loss of fitted laws at one budget.

    Exponentiated gradient with curvature in float64, from one start
    where the problem is convex and from many where that is not known.

    Args:
        laws: one fitted law per target; the same law over the same domains.
        n_params: N of the big run; ``inf`` for the limit.
        tokens: D of the big run; ``inf`` for the limit.
        target_weights: w of eq. (13) by target (targets left out get 0) or in the order of
            ``laws``; normalized to sum 1, so that the objective is a mean loss. None weighs all
            targets equally.
        minimum: smallest weight by domain; 0 where not given.
        maximum: largest weight by domain; 1 where not given. Equal to the minimum pins it.
        starts: starting points; None for 1 where the problem is convex, else ``max(8, k + 4)``:
            the center of the bounds, near every vertex, and random ones.
        key: seed of the random starts.

    Returns:
        The mixture with its certificate.

    Raises:
        JaxmixError: an unknown domain or target, bounds that no mixture meets, weights or budgets
            that are no numbers above 0, or a loss that is infinite all over the bounds.

    Source: eq. (7), (8) and (13) of the paper; the gap is that of Jaggi 2013 (Frank-Wolfe).
    """
    return optimize_many(
        laws,
        [n_params],
        [tokens],
        target_weights=target_weights,
        minimum=minimum,
        maximum=maximum,
        starts=starts,
        key=key,
    )[0]


def optimize_many(
    laws: Sequence[FittedLaw],
    n_params: Any,
    tokens: Any,
    *,
    target_weights: Weights = None,
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
    starts: int | None = None,
    key: int = 0,
) -> Optima:
    """The optimal mixtures at many budgets, or for many target weights, in one compiled batch.

    Args:
        laws: as for ``optimize``.
        n_params: [B] or a scalar.
        tokens: [B] or a scalar.
        target_weights: as for ``optimize``, or [B, m], one row for each budget.
        minimum: as for ``optimize``, the same for all budgets.
        maximum: as for ``optimize``, the same for all budgets.
        starts: starting points for each budget.
        key: seed of the random starts.

    Returns:
        Arrays with a leading axis B.

    Raises:
        JaxmixError: as for ``optimize``.
    """
    if not laws:
        raise JaxmixError("optimize needs at least one fitted law")
    domains, targets = laws[0].domains, tuple(law.target for law in laws)
    bounds = make_bounds(domains, minimum, maximum)
    w = target_weight_rows(target_weights, targets)
    n, d, rows = _budgets(n_params, tokens, len(w))
    w = np.broadcast_to(w, (rows, len(targets)))
    with jax.enable_x64(True):
        stacked = stack(laws)
        proven, reason = convexity(stacked, targets)
        count = starts or (1 if proven else max(8, len(domains) + 4))
        best, agreeing = _solve_all(stacked, n, d, w, bounds, count, key)
        _check_finite(best, w, stacked, targets)
        predicted = predict(stacked, jnp.asarray(n), jnp.asarray(d), jnp.asarray(best.weights))
    return Optima(
        domains,
        targets,
        n,
        d,
        w,
        best.weights,
        np.asarray(predicted),
        best.value,
        best.gap,
        best.multipliers,
        best.converged,
        agreeing,
        count,
        proven,
        reason,
        bounds,
        tuple(law.data for law in laws),
        laws[0].law.reads("unique"),
    )


def target_weight_rows(target_weights: Weights, targets: Sequence[str]) -> np.ndarray:
    """Target weights as rows [B or 1, m] with sum 1.

    Raises:
        JaxmixError: an unknown target, another number of them, a negative weight, or all zero.
    """
    if target_weights is None:
        target_weights = np.ones(len(targets))
    elif isinstance(target_weights, Mapping):
        given = resolve(target_weights, targets, "target")
        target_weights = [given.get(name, 0.0) for name in targets]
    w = np.atleast_2d(np.asarray(target_weights, float))
    if w.ndim != 2 or w.shape[1] != len(targets):
        raise JaxmixError(f"target weights have shape {w.shape}: expected [B, {len(targets)}]")
    if not (np.all(w >= 0) and np.all(np.isfinite(w)) and np.all(w.sum(1) > 0)):
        raise JaxmixError("target weights must be non-negative numbers, not all of them 0")
    return w / w.sum(1, keepdims=True)


def _budgets(n_params: Any, tokens: Any, rows: int) -> tuple[np.ndarray, np.ndarray, int]:
    """N and D as [B], B being what they and the target weights broadcast to."""
    n, d = np.atleast_1d(np.asarray(n_params, float)), np.atleast_1d(np.asarray(tokens, float))
    for name, values in (("n_params", n), ("tokens", d)):
        if not np.all(values > 0):
            raise JaxmixError(f"{name} must be above 0 (inf is the limit), not {values.min():g}")
    (size,) = np.broadcast_shapes(n.shape, d.shape, (rows,))
    return np.broadcast_to(n, size).copy(), np.broadcast_to(d, size).copy(), size


def _solve_all(
    laws: StackedLaws,
    n: np.ndarray,
    d: np.ndarray,
    w: np.ndarray,
    bounds: Bounds,
    starts: int,
    key: int,
) -> tuple[Solution, np.ndarray]:
    """The best of all starts at each budget, and how many starts agree with it; [B, ...].

    Many starts run to a rough tolerance, the best one is polished.
    """
    points = make_starts(bounds.lower, bounds.upper, starts, key)  # [S, k]
    # Lanes of one start side by side: they take alike many steps, so that few wait for others.
    start, budget = np.divmod(np.arange(len(n) * len(points)), len(n))
    lanes = Lanes(n[budget], d[budget], w[budget], points[start])
    if starts == 1:
        found = solve(laws, lanes, bounds.lower, bounds.upper)
        return found, np.ones(len(n), int)
    found = solve(laws, lanes, bounds.lower, bounds.upper, _ROUGH)
    values = np.where(np.isfinite(found.value), found.value, np.inf).reshape(-1, len(n))
    lowest = values.min(0)
    agreeing = np.sum(values <= lowest + 1e-6 * np.abs(lowest), axis=0)
    best = values.argmin(0) * len(n) + np.arange(len(n))
    lanes = Lanes(n, d, w, found.weights[best])
    return solve(laws, lanes, bounds.lower, bounds.upper), agreeing


def _check_finite(best: Solution, w: np.ndarray, laws: StackedLaws, targets: Sequence[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(best.value))
    if len(bad):
        used = ", ".join(t for t, weight in zip(targets, w[bad[0]], strict=True) if weight > 0)
        raise JaxmixError(
            f"the law '{laws.law.name}' is not finite at any mixture within the bounds for "
            f"target(s) {used}: allow their own domain a weight above 0, or give them no weight"
        )
