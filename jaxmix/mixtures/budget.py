"""Compute-optimal training: the model size, the tokens and the mixture for a budget of FLOPs.

Training costs 6 N D FLOPs and serving T tokens 2 N T, so a budget C leaves
D(N) = C / (6 N) - T / 3. The optimal value V(log N) = min_h L(N, D(N), h) has by the envelope
theorem the slope of L at the optimal mixture alone::

    dV/dlog N = dL/dlog N - C / (6 N D) dL/dlog D

All budgets are searched at once: every mixture problem of a grid of sizes in one batch, then the
root of the slope between the neighbors of the best size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, StackedLaws, stack
from jaxmix.mixtures.optimize import Weights, optimize_many
from jaxmix.mixtures.optimum import Optima, Optimum

Array = jax.Array

_GRID = 41
_RATIOS = (1e-2, 1e6)  # tokens per parameter that are searched, where no sizes are given
_ROUNDS = 60
_TOLERANCE = 1e-10  # of log N


@dataclass(frozen=True, eq=False)
class Plan:
    """The compute-optimal run at one budget.

    Attributes:
        flops: budget C of training and serving.
        inference_tokens: T, served by the trained model.
        n_params: N.
        tokens: D.
        optimum: the mixture there and its certificate.
        epochs: passes over each domain whose unique tokens the laws are tied to.
        at_edge: the best size is the smallest or largest that was searched.
        sizes: [G] sizes that were searched; the isoFLOP curve is ``losses`` over them.
        losses: [G] weighted loss at the optimal mixture of each.
        notes: what a reader should know before training, one sentence each.
    """

    flops: float
    inference_tokens: float
    n_params: float
    tokens: float
    optimum: Optimum
    epochs: dict[str, float]
    at_edge: bool
    sizes: np.ndarray
    losses: np.ndarray
    notes: tuple[str, ...]

    @property
    def tokens_per_param(self) -> float:
        """D / N."""
        return self.tokens / self.n_params

    @property
    def objective(self) -> float:
        """Weighted loss, nats."""
        return self.optimum.objective


def plan_budget(laws: Sequence[FittedLaw], flops: float, **options: Any) -> Plan:
    """The size, the tokens and the mixture that minimize the weighted loss at a budget.

    Args:
        laws: one fitted law per target; the same law over the same domains.
        flops: C = 6 N D, and 2 N T where tokens are to be served.
        **options: as for ``frontier``.

    Raises:
        JaxmixError: as for ``frontier``.
    """
    return frontier(laws, [flops], **options)[0]


def frontier(
    laws: Sequence[FittedLaw],
    flops: Sequence[float],
    *,
    inference_tokens: float = 0.0,
    sizes: tuple[float, float] | None = None,
    target_weights: Weights = None,
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
    starts: int | None = None,
    key: int = 0,
) -> tuple[Plan, ...]:
    """Compute-optimal plans at many budgets, searched together.

    Args:
        laws: one fitted law per target; the same law over the same domains. Tied to unique tokens
            (``with_unique``), they count what repetition costs.
        flops: budgets C, each above 0.
        inference_tokens: T that the trained model will serve, at 2 N FLOPs each (Sardana et al.
            2023, arXiv 2401.00448); their cost is within the budget.
        sizes: smallest and largest N to search; the default is .01 to a million tokens per
            parameter.
        target_weights: as for ``optimize``.
        minimum: smallest weight by domain.
        maximum: largest weight by domain.
        starts: starting points of each mixture problem.
        key: seed of the random ones.

    Returns:
        Plans in the order of ``flops``.

    Raises:
        JaxmixError: the law does not look at both N and D, a budget that buys no training, or what
            ``optimize`` refuses.

    Source: Hoffmann et al. 2022 (arXiv 2203.15556), section 3.3, whose closed form it reproduces.
    """
    _check(laws, flops, inference_tokens, sizes)
    options = {
        "target_weights": target_weights,
        "minimum": minimum,
        "maximum": maximum,
        "starts": starts,
        "key": key,
    }
    value = _Value(laws, np.asarray(flops, float), float(inference_tokens), options)
    grid = _grid(value.flops, value.inference_tokens, sizes)  # [B, G]
    losses = value.on_grid(grid)
    best = losses.argmin(1)
    log_n = _refine(value, np.log(grid), losses, best)
    optima = value.at(log_n)
    ends = np.log(grid[:, [0, -1]])
    edge = np.any(np.abs(log_n[:, None] - ends) < 1e-6, axis=1).tolist()
    return tuple(
        _plan(laws, value, optima, b, edge[b], grid[b], losses[b]) for b in range(len(grid))
    )


class _Value:
    """V(log N) of B budgets: optimal mixtures, values and slopes."""

    def __init__(
        self, laws: Sequence[FittedLaw], flops: np.ndarray, served: float, options: dict[str, Any]
    ) -> None:
        self.laws, self.flops, self.inference_tokens = laws, flops, served
        self.options = options

    def tokens(self, n: np.ndarray, flops: np.ndarray) -> np.ndarray:
        """D that a budget leaves at size N."""
        return flops / (6.0 * n) - self.inference_tokens / 3.0

    def at(self, log_n: np.ndarray) -> Optima:
        """The optimal mixtures at one size for each budget, [B]."""
        n = np.exp(log_n)
        return optimize_many(self.laws, n, self.tokens(n, self.flops), **self.options)

    def on_grid(self, grid: np.ndarray) -> np.ndarray:
        """V at many sizes of each budget, [B, G]."""
        n, flops = grid.ravel(), np.repeat(self.flops, grid.shape[1])
        found = optimize_many(self.laws, n, self.tokens(n, flops), **self.options)
        return found.objective.reshape(grid.shape)

    def slope(self, log_n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """V and dV/dlog N at one size for each budget, [B] each."""
        found = self.at(log_n)
        with jax.enable_x64(True):
            points = (found.n_params, found.tokens, found.target_weights, found.weights)
            by_n, by_d = _slopes(stack(self.laws), *(jnp.asarray(x) for x in points))
        rate = self.flops / (6.0 * found.n_params * found.tokens)
        return found.objective, np.asarray(by_n) - rate * np.asarray(by_d)


@jax.jit
def _slopes(laws: StackedLaws, n: Array, d: Array, w: Array, h: Array) -> tuple[Array, Array]:
    """dL/dlog N and dL/dlog D of the weighted loss, [B] each."""

    def loss(log_n: Array, log_d: Array, w: Array, h: Array) -> Array:
        losses = laws.losses({"n_params": jnp.exp(log_n), "tokens": jnp.exp(log_d), "weights": h})
        return jnp.sum(jnp.where(w > 0, w * losses, 0.0))

    return jax.vmap(jax.grad(loss, argnums=(0, 1)))(jnp.log(n), jnp.log(d), w, h)


def _refine(value: _Value, grid: np.ndarray, losses: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Log N [B] of the minimum next to the best size of the grid (log N, [B, G]).

    Safeguarded false position on the slope. Where the slope does not change sign although the
    value rises, as between two minima, it halves the interval towards the lower value.
    """
    rows = np.arange(len(best))
    middle = grid[rows, best]
    _, slope = value.slope(middle)
    falls = slope < 0  # the minimum lies at a larger size
    other = np.clip(best + np.where(falls, 1, -1), 0, grid.shape[1] - 1)
    far = grid[rows, other]
    low, high = np.minimum(middle, far), np.maximum(middle, far)
    _, far_slope = value.slope(far)
    low_slope, high_slope = np.where(falls, slope, far_slope), np.where(falls, far_slope, slope)
    reference = losses[rows, best]
    last = np.zeros(len(best))
    for step in range(_ROUNDS):
        if np.all(high - low < _TOLERANCE):
            break
        x = _next(low, high, low_slope, high_slope, halve=step % 3 == 2)
        at_x, slope = value.slope(x)
        right = np.where(
            falls, (slope >= 0) | (at_x > reference), (slope > 0) & (at_x <= reference)
        )
        low_slope, high_slope = _illinois(low_slope, high_slope, right, last)
        low, low_slope = np.where(right, low, x), np.where(right, low_slope, slope)
        high, high_slope = np.where(right, x, high), np.where(right, slope, high_slope)
        last = np.where(right, 1.0, -1.0)
    return _next(low, high, low_slope, high_slope, halve=False)


def _next(
    low: np.ndarray, high: np.ndarray, low_slope: np.ndarray, high_slope: np.ndarray, halve: bool
) -> np.ndarray:
    """The next point: where the chord of the slopes is 0, or the middle."""
    middle = 0.5 * (low + high)
    change = high_slope - low_slope
    bracketed = (low_slope < 0) & (high_slope > 0)
    chord = low - low_slope * (high - low) / np.where(change > 0, change, 1.0)
    return np.where(bracketed & (not halve), np.clip(chord, low, high), middle)


def _illinois(
    low_slope: np.ndarray, high_slope: np.ndarray, right: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Halves the slope of an end that stays twice, so that false position closes in on both."""
    return (
        np.where(right & (last > 0), 0.5 * low_slope, low_slope),
        np.where(~right & (last < 0), 0.5 * high_slope, high_slope),
    )


def _grid(flops: np.ndarray, served: float, sizes: tuple[float, float] | None) -> np.ndarray:
    """Sizes [B, G] to search, evenly in log N, each leaving tokens to train on."""
    limit = flops / (2.0 * served) if served else np.full(len(flops), np.inf)
    if sizes is None:
        sparse, dense = (np.sqrt(flops / (6.0 * r)) for r in reversed(_RATIOS))
    else:
        sparse, dense = (np.full(len(flops), s) for s in sizes)
    dense = np.minimum(dense, 0.999 * limit)
    sparse = np.minimum(sparse, 1e-4 * dense) if sizes is None else sparse
    if (sparse >= dense).any():
        at = int(np.argmax(sparse >= dense))
        raise JaxmixError(
            f"{flops[at]:.4g} FLOPs buy no training beside the tokens served at "
            f"{sparse[at]:.4g} parameters or more; raise flops or allow smaller sizes"
        )
    share = np.linspace(0.0, 1.0, _GRID)
    return np.exp(np.log(sparse)[:, None] * (1 - share) + np.log(dense)[:, None] * share)


def _check(
    laws: Sequence[FittedLaw], flops: Any, served: float, sizes: tuple[float, float] | None
) -> None:
    if not laws:
        raise JaxmixError("a plan needs at least one fitted law")
    law = laws[0].law
    if not (law.reads("n_params") and law.reads("tokens")):
        raise JaxmixError(f"law '{law.name}' does not look at both N and D; fit one that does")
    if not laws[0].domains:
        raise JaxmixError(
            f"law '{law.name}' was fitted on rows without a mixture; give the rows one domain "
            "(a column w_<domain> of ones)"
        )
    budgets = np.asarray(flops, float)
    if budgets.ndim != 1 or not len(budgets):
        raise JaxmixError("flops must be a list of at least one budget")
    if not (np.all(budgets > 0) and np.all(np.isfinite(budgets))):
        raise JaxmixError("every budget must be a finite number of FLOPs above 0")
    if not 0 <= served < np.inf:
        raise JaxmixError(f"inference_tokens must be at least 0 and finite, not {served:g}")
    if sizes is not None and not 0 < sizes[0] < sizes[1] < np.inf:
        raise JaxmixError(f"sizes must be a smallest and a larger largest N, not {sizes}")


def _plan(
    laws: Sequence[FittedLaw],
    value: _Value,
    optima: Optima,
    b: int,
    at_edge: bool,
    sizes: np.ndarray,
    losses: np.ndarray,
) -> Plan:
    optimum = optima[b]
    unique = np.full(len(laws[0].domains), np.inf)  # until the constraints say what there is
    passes = optimum.weights * optimum.tokens / unique
    epochs = {
        d: float(e) for d, e, u in zip(laws[0].domains, passes, unique, strict=True) if u < np.inf
    }
    edge = (
        f"the best size is at the edge of those searched ({sizes[0]:.3g} to {sizes[-1]:.3g} "
        "parameters): the law has no optimum between them",
    )
    return Plan(
        float(value.flops[b]),
        value.inference_tokens,
        optimum.n_params,
        optimum.tokens,
        optimum,
        epochs,
        at_edge,
        sizes,
        losses,
        (*optimum.notes, *(edge if at_edge else ())),
    )
