"""Compute-optimal training: the model size, the tokens and the mixture for a budget of FLOPs.

Training costs 6 N D FLOPs and serving T tokens 2 N T, so a budget C leaves
D(N) = C / (6 N) - T / 3. The optimal value V(log N) = min_h L(N, D(N), h) has by the envelope
theorem the slope of the Lagrangian at the optimal mixture alone; with prices p_i of the weights
that available tokens cap at c_i ∝ 1 / D::

    dV/dlog N = dL/dlog N - C / (6 N D) (dL/dlog D + sum_i p_i c_i)

All budgets are searched at once: every mixture problem of a grid of sizes in one batch, then of
finer grids around the root of the slope next to the best size. Within other constraints than bounds
each mixture is a problem of its own, and the minimum is found from values alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import scipy

from jaxmix.display import Parts, Shown, axes_or_new
from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, FittedLaws, StackedLaws
from jaxmix.fitting.precision import float64
from jaxmix.fitting.solvers.multistart import Progress
from jaxmix.laws import Inputs
from jaxmix.mixtures.constraints import Constraints
from jaxmix.mixtures.optimize import Weights, as_laws, optimize, optimize_many
from jaxmix.mixtures.optimum import Optima, Optimum
from jaxmix.mixtures.solve.lanes import weighted_loss
from jaxmix.quantities import amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = jax.Array

_GRID = 41
_RATIOS = (1e-2, 1e6)  # tokens per parameter that are searched if no sizes are given
_FINER = 17
_TOLERANCE = 1e-10  # of log N; 1e-7 from values alone


@dataclass(frozen=True, eq=False, repr=False)
class BudgetPlan(Shown):
    """The compute-optimal run at one budget.

    Attributes:
        flops: budget C of training and serving.
        inference_tokens: T, served by the trained model.
        optimum: N, D, the mixture there and its certificate.
        epochs: passes over each domain whose available tokens are given.
        at_edge: the best size is the smallest or largest that was searched.
        sizes: [G] sizes that were searched; the isoFLOP curve is ``losses`` over them.
        losses: [G] objective at the optimal mixture of each.
        notes: what a reader should know before training, one sentence each.
    """

    flops: float
    inference_tokens: float
    optimum: Optimum
    epochs: dict[str, float]
    at_edge: bool
    sizes: np.ndarray
    losses: np.ndarray
    notes: tuple[str, ...]

    @property
    def n_params(self) -> float:
        """N."""
        return self.optimum.n_params

    @property
    def tokens(self) -> float:
        """D."""
        return self.optimum.tokens

    @property
    def tokens_per_param(self) -> float:
        """D / N."""
        return self.tokens / self.n_params

    @property
    def objective(self) -> float:
        """Weighted loss, nats."""
        return self.optimum.objective

    @property
    def headline(self) -> str:
        """The size, the tokens and the loss they reach in one sentence."""
        return (
            f"{amount(self.n_params)} parameters on {amount(self.tokens)} tokens "
            f"({self.tokens_per_param:.3g} per parameter) for {self.flops:.4g} FLOPs: loss "
            f"{self.objective:.4f} nats"
        )

    def _shown(self) -> Parts:
        losses = {"predicted losses, nats per token": self.optimum.predicted}
        mixture = {"": self.to_frame()} if len(self.optimum.h) else {}
        return Parts(self.headline, {**mixture, **losses}, self.notes)

    def to_frame(self) -> pd.DataFrame:
        """One row per domain: its weight, and its epochs if its available tokens are given."""
        index = pd.Index(self.optimum.domains, name="domain")
        frame = pd.DataFrame({"weight": self.optimum.h}, index=index)
        return frame.assign(epochs=pd.Series(self.epochs)) if self.epochs else frame

    def to_dict(self) -> dict[str, Any]:
        """One entry of ``plans`` in the ``--json`` of ``jaxmix budget``."""
        names = ("flops", "inference_tokens", "n_params", "tokens", "tokens_per_param", "epochs")
        of = ("weights", "predicted", "active", "gap", "proven")
        return {
            **{name: getattr(self, name) for name in (*names, "objective", "at_edge", "notes")},
            **{name: getattr(self.optimum, name) for name in of},
        }

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The isoFLOP curve: loss at the optimal mixture over model size, with its minimum."""
        from jaxmix.mixtures.pictures import draw_isoflops

        ax = axes_or_new(ax)
        draw_isoflops(ax, [self])
        return ax


def plan_budget(
    laws: Sequence[FittedLaw], flops: float, constraints: Constraints | None = None, **options: Any
) -> BudgetPlan:
    """The size, the tokens and the mixture that minimize the weighted loss at a budget.

    Args:
        laws: one fitted law per target; the same law over the same domains.
        flops: C = 6 N D, and 2 N T if tokens are to be served.
        constraints: as for ``frontier``.
        **options: likewise.

    Raises:
        JaxmixError: as for ``frontier``.
    """
    return frontier(laws, [flops], constraints, **options)[0]


def frontier(
    laws: Sequence[FittedLaw],
    flops: Sequence[float],
    constraints: Constraints | None = None,
    *,
    inference_tokens: float = 0.0,
    sizes: tuple[float, float] | None = None,
    target_weights: Weights = None,
    at: Mapping[str, Any] | None = None,
    starts: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[BudgetPlan, ...]:
    """Compute-optimal plans at many budgets, searched together.

    Args:
        laws: one fitted law per target; the same law over the same domains.
        flops: budgets C, each above 0.
        constraints: what every mixture must meet. Available tokens cap epochs at each size by its
            own D, and a law that reads them counts what repetition costs.
        inference_tokens: T that the trained model will serve, at 2 N FLOPs each (Sardana et al.
            2023, arXiv 2401.00448); their cost is within the budget.
        sizes: smallest and largest N to search; the default is .01 to a million tokens per
            parameter.
        target_weights: as for ``optimize``.
        at: likewise.
        starts: starting points of each mixture problem.
        seed: of the random ones.
        progress: called with the sizes tried and about how many there will be.

    Returns:
        Plans in the order of ``flops``.

    Raises:
        JaxmixError: the law does not read both N and D, a budget that buys no training, or what
            ``optimize`` refuses.

    Source: Hoffmann et al. 2022 (arXiv 2203.15556), section 3.3, whose closed form it reproduces.
    """
    laws = as_laws(laws)
    _check(laws, flops, inference_tokens, sizes)
    given = (constraints or Constraints()).over(laws.domains, laws.targets)
    options = {"target_weights": target_weights, "at": at, "starts": starts, "seed": seed}
    budgets, tell = np.asarray(flops, float), _tell(progress, len(flops))
    value = _Value(laws, budgets, float(inference_tokens), given, options, tell)
    grid = _grid(value, sizes)  # [B, G]
    losses, _ = value.on_grid(np.log(grid))
    log_n = (_zoom if value.bounds_only else _bounded)(value, np.log(grid), losses)
    n = np.exp(log_n)
    optima = value.optima(n, value.tokens(n, value.flops))
    edge = np.abs(log_n[:, None] - np.log(grid[:, [0, -1]])).min(1) < 1e-6
    return tuple(
        _plan(value, optima[b], b, bool(edge[b]), grid[b], losses[b]) for b in range(len(grid))
    )


def _tell(progress: Progress | None, budgets: int) -> Callable[[int], None]:
    """Counts sizes tried; the search beside the grid is about as long as the grid."""
    done, total = 0, 2 * _GRID * budgets

    def tell(tried: int) -> None:
        nonlocal done
        done += tried
        if progress:
            progress(min(done, total), total)

    return tell


@dataclass(frozen=True, eq=False)
class _Value:
    """V(log N) of B budgets: optimal mixtures, values and slopes."""

    laws: FittedLaws
    flops: np.ndarray
    inference_tokens: float
    constraints: Constraints
    options: dict[str, Any]
    tell: Callable[[int], None]  # called with how many sizes were tried

    @property
    def reads_unique(self) -> bool:
        """Whether the law prices repetition itself."""
        return self.laws.law.reads("unique")

    @property
    def bounds_only(self) -> bool:
        """Whether all mixtures of a batch can be solved at once."""
        return self.constraints.bounds_only(self.laws.domains)

    def tokens(self, n: np.ndarray, flops: Any) -> np.ndarray:
        """D that a budget leaves at size N."""
        return flops / (6.0 * n) - self.inference_tokens / 3.0

    def optima(self, n: np.ndarray, d: np.ndarray) -> Optima | list[Optimum]:
        """The optimal mixtures at budgets [B]."""
        if self.bounds_only:
            many = optimize_many(self.laws, n, d, self.constraints, **self.options)
            self.tell(len(n))
            return many
        found = []
        for one in zip(n.tolist(), d.tolist(), strict=True):
            found.append(optimize(self.laws, *one, self.constraints, **self.options))
            self.tell(1)
        return found

    def on_grid(self, log_n: np.ndarray) -> tuple[np.ndarray, Optima | list[Optimum]]:
        """V at sizes (log N, [B, G]) as [B, G], and the optima there."""
        n, flops = np.exp(log_n).ravel(), np.repeat(self.flops, log_n.shape[1])
        found = self.optima(n, self.tokens(n, flops))
        many = isinstance(found, Optima)
        values = found.objective if many else np.array([optimum.objective for optimum in found])
        return values.reshape(log_n.shape), found

    def slopes(self, found: Optima) -> np.ndarray:
        """dV/dlog N at optima of every budget in turn."""
        with float64():
            x = {name: jnp.asarray(v) for name, v in found.inputs.items()}
            slopes = _slopes(self.laws.stacked, x, found.target_weights, found.h)
        by_n, by_d = (np.asarray(v) for v in slopes)
        flops = np.repeat(self.flops, len(found) // len(self.flops))
        rate = flops / (6.0 * found.n_params * found.tokens)
        return by_n - rate * (by_d + self._caps(found))

    def _caps(self, found: Optima) -> np.ndarray:
        """What the caps on epochs cost as D grows, nats per unit of log D; [B]."""
        total = np.zeros(len(found))
        for name, most in self.constraints.caps(reads_unique=self.reads_unique).items():
            i = self.laws.domains.index(name)
            cap = most * self.constraints.available[name] / found.tokens
            held = (found.multipliers[:, i] < 0) & (np.abs(found.h[:, i] - cap) <= 1e-12)
            total += np.where(held, -found.multipliers[:, i] * cap, 0.0)
        return total


@jax.jit
def _slopes(laws: StackedLaws, x: Inputs, w: Array, h: Array) -> tuple[Array, Array]:
    """dL/dlog N and dL/dlog D of the weighted loss, [B] each."""

    def loss(log_n: Array, log_d: Array, x: dict[str, Array], w: Array, h: Array) -> Array:
        given = {**x, "n_params": jnp.exp(log_n), "tokens": jnp.exp(log_d)}
        return weighted_loss(laws, given, w, h)

    logs = jnp.log(x["n_params"]), jnp.log(x["tokens"])
    return jax.vmap(jax.grad(loss, argnums=(0, 1)))(*logs, dict(x), w, h)


def _bounded(value: _Value, grid: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Log N [B] of the minimum next to the best size of a grid (log N, [B, G]), from values."""
    found = []
    for flops, sizes, at in zip(value.flops, grid, losses.argmin(1), strict=True):

        def objective(log_n: float, flops: float = flops) -> float:
            n = np.exp([log_n])
            return value.optima(n, value.tokens(n, flops))[0].objective

        ends = sizes[max(at - 1, 0)], sizes[min(at + 1, len(sizes) - 1)]
        end: Any = scipy.optimize.minimize_scalar(
            objective, bounds=ends, method="bounded", options={"xatol": 1e-7}
        )
        found.append(end.x if end.fun < objective(sizes[at]) else sizes[at])
    return np.array(found)


def _zoom(value: _Value, grid: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Log N [B] of the minimum next to the best size of a grid (log N, [B, G]).

    Finer and finer grids between the neighbors of the best size, or, once the slope changes its
    sign between two sizes, between these.
    """
    row = np.arange(len(grid))
    best = losses.argmin(1)
    low, high = grid[row, np.maximum(best - 1, 0)], grid[row, np.minimum(best + 1, _GRID - 1)]
    share = np.linspace(0.0, 1.0, _FINER)
    while np.max(high - low) > _TOLERANCE:
        grid = low[:, None] * (1 - share) + high[:, None] * share
        losses, found = value.on_grid(grid)
        assert isinstance(found, Optima)
        slopes = value.slopes(found).reshape(grid.shape)
        best = losses.argmin(1)
        left, right = np.maximum(best - 1, 0), np.minimum(best + 1, _FINER - 1)
        turns = (slopes[:, :-1] < 0) & (slopes[:, 1:] >= 0)
        turn = np.where(turns, losses[:, :-1], np.inf).argmin(1)
        sure = turns.any(1)
        low = grid[row, np.where(sure, turn, left)]
        high = grid[row, np.where(sure, turn + 1, right)]
    return 0.5 * (low + high)


def _grid(value: _Value, sizes: tuple[float, float] | None) -> np.ndarray:
    """Sizes [B, G] to search, evenly in log N, each leaving tokens to train on."""
    flops, served = value.flops, value.inference_tokens
    limit = flops / (2.0 * served) if served else np.full(len(flops), np.inf)
    if sizes is None:
        sparse, dense = (np.sqrt(flops / (6.0 * r)) for r in reversed(_RATIOS))
    else:
        sparse, dense = (np.full(len(flops), s) for s in sizes)
    dense = np.minimum(dense, 0.999 * limit)
    sparse = np.minimum(sparse, 1e-4 * dense) if sizes is None else sparse
    given = value.constraints
    most = given.most_tokens(value.laws.domains, reads_unique=value.reads_unique)
    sparse = np.maximum(sparse, flops / (6.0 * (most + served / 3.0)) * (1 + 1e-9))
    if (sparse >= dense).any():
        at = int(np.argmax(sparse >= dense))
        why = "" if np.isinf(most) else f" on the {most:.4g} tokens that the constraints allow"
        raise JaxmixError(
            f"{flops[at]:.4g} FLOPs buy no training{why} beside the tokens served at "
            f"{sparse[at]:.4g} parameters or more; change --flops or --sizes"
        )
    share = np.linspace(0.0, 1.0, _GRID)
    return np.exp(np.log(sparse)[:, None] * (1 - share) + np.log(dense)[:, None] * share)


def _check(laws: FittedLaws, flops: Any, served: float, sizes: tuple[float, float] | None) -> None:
    law = laws.law
    if not (law.reads("n_params") and law.reads("tokens")):
        raise JaxmixError(f"law '{law.name}' does not read both N and D; fit one that does")
    if not laws.domains:
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


def over_all_data(laws: FittedLaws) -> FittedLaws:
    """Laws of N and D alone, fitted on rows without a mixture, as laws over one domain."""
    ones = (replace(f.data, mixtures=np.ones((1, 1))) for f in laws)
    return FittedLaws(replace(f, domains=("all",), data=d) for f, d in zip(laws, ones, strict=True))


def without_mixture(plan: BudgetPlan, laws: FittedLaws) -> BudgetPlan:
    """A plan of N and D for the laws that ``over_all_data`` was given."""
    none = {"active": (), "prices": {}, "worth": {}}
    optimum = replace(plan.optimum, laws=laws, h=np.empty(0), **none)
    return replace(plan, optimum=optimum)


def _plan(
    value: _Value, optimum: Optimum, b: int, at_edge: bool, sizes: np.ndarray, losses: np.ndarray
) -> BudgetPlan:
    stock = value.constraints.available
    epochs = {d: w * optimum.tokens / stock[d] for d, w in optimum.weights.items() if d in stock}
    edge = (
        f"the best size is at the edge of those searched ({sizes[0]:.3g} to {sizes[-1]:.3g} "
        "parameters): the law has no optimum between them",
    )
    return BudgetPlan(
        float(value.flops[b]),
        value.inference_tokens,
        optimum,
        epochs,
        at_edge,
        sizes,
        losses,
        (*optimum.notes, *(edge if at_edge else ())),
    )
