"""What leaving rows out does to a fit and to h*: by derivatives, and by refits."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting import FittedLaw, StackedLaws, influence, stack
from jaxmix.fitting.solvers.gauss_newton import GaussNewton
from jaxmix.fitting.solvers.lanes import POLISH, Jobs
from jaxmix.fitting.solvers.multistart import run_jobs
from jaxmix.fitting.solvers.newton import Newton
from jaxmix.fitting.uncertainty.refit import Refitter, make_refitters
from jaxmix.mixtures import Optimum, mixture_influence, optimize
from jaxmix.mixtures.solve.lanes import make_starts
from jaxmix.mixtures.solve.refits import solve_refits
from jaxmix.runs import RunTable

_LOCAL = GaussNewton(max_iterations=(300, 150, 150), rtol=(1e-4, 1e-4, 1e-5), patience=(5,) * 3)

# Largest gradient of a fit that counts as 0: flat directions and kinks end at up to 4e-5.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Moves:
    """Changes of h* [u, k] and of predicted losses [u, m], one row per unit that is left out."""

    weights: np.ndarray
    losses: np.ndarray

    def __mul__(self, share: float) -> "Moves":
        """The changes as only a share of the weight is taken, to first order."""
        return Moves(share * self.weights, share * self.losses)


@dataclass(frozen=True)
class Place:
    """Where changes are looked at: a budget, and the mixture whose losses are predicted."""

    n_params: float
    tokens: float
    mixture: np.ndarray

    @property
    def budget(self) -> tuple[float, float]:
        return self.n_params, self.tokens


def predicted(laws: Sequence[FittedLaw], runs: RunTable, place: Place, keys: np.ndarray) -> Moves:
    """First-order changes as each unit is left out.

    Args:
        laws: fits of one law on ``runs``.
        runs: the table.
        place: where.
        keys: [p] unit of each row.
    """
    influences = [influence(law, runs, tolerance=TOLERANCE) for law in laws]
    moved = mixture_influence(influences, optimize(laws, *place.budget)).by_weight
    weights = np.sum([moved[law.target] for law in laws], axis=0)  # [k, p]
    x = {"n_params": place.n_params, "tokens": place.tokens, "weights": place.mixture}
    losses = np.array([i.on_prediction(x)[1] for i in influences])
    member = np.arange(keys.max() + 1)[:, None] == keys  # [u, p]
    return Moves(*(-(member @ change.T) for change in (weights, losses)))


def refitted(
    laws: Sequence[FittedLaw],
    runs: RunTable,
    place: Place,
    keys: np.ndarray,
    keep: float,
    *,
    everywhere: bool,
) -> Moves:
    """The same changes, of fits of the rows that are left.

    Args:
        laws: fits of one law on ``runs``.
        runs: the table.
        place: where.
        keys: [p] unit of each row.
        keep: share of the weight that is kept.
        everywhere: look for the best basin of each refit; else each stays in that of the full fit.
    """
    member = np.arange(keys.max() + 1)[:, None] == keys
    weights = np.vstack(
        [np.where(member, keep, 1.0), np.ones(len(keys))]
    )  # the last leaves none out
    with jax.enable_x64(True):
        refitters = make_refitters(tuple(laws), runs, basins=4 if everywhere else 1)
        found = [
            r.natural(r.run(None, weights).z if everywhere else _nearby(r, weights))
            for r in refitters
        ]
        params = {n: jnp.asarray(np.stack([f[n] for f in found], 1)) for n in found[0]}
        refits = StackedLaws(params, stack(laws).own, laws[0].law)  # [u + 1, m]
        h = _optima(refits, optimize(laws, *place.budget))
        losses = np.asarray(_losses(refits, place))
    return Moves(h[:-1] - h[-1], losses[:-1] - losses[-1])


def _nearby(refitter: Refitter, row_weights: np.ndarray) -> np.ndarray:
    """Working vectors [B, P] of refits that only go downhill from the full fit."""
    count, rows = len(row_weights), refitter.rows
    weights = rows.row_weights * row_weights
    rows = rows._replace(
        losses=jnp.broadcast_to(rows.losses, weights.shape),
        row_weights=weights / jnp.sum(weights, 1, keepdims=True),
    )
    z = jnp.broadcast_to(jnp.asarray(refitter.starts[0]), (count, refitter.starts.shape[1]))
    keys = jax.random.split(jax.random.key(0), count)
    for solver in (_LOCAL, Newton()):
        jobs = Jobs(z, jnp.arange(count), keys, jnp.full(count, POLISH))
        z = jnp.asarray(run_jobs(solver, refitter.problem.objective, rows, jobs).z)
    return np.asarray(z)


def _optima(refits: StackedLaws, best: Optimum) -> np.ndarray:
    """h* of every set of laws for the mean of the targets, [B, k]."""
    k = len(best.h)
    return solve_refits(best, refits, make_starts(np.zeros(k), np.ones(k), k + 2, 0))[0]


def _losses(refits: StackedLaws, place: Place) -> jax.Array:
    """Losses [B, m] at the mixture."""
    n, d, h = (jnp.asarray(x) for x in (*place.budget, place.mixture))

    def one(params: dict[str, jax.Array]) -> jax.Array:
        return StackedLaws(params, refits.own, refits.law).losses(
            dict(n_params=n, tokens=d, weights=h)
        )

    return jax.vmap(one)(refits.params)


@dataclass(frozen=True)
class Agreement:
    """How well predicted changes [...] match those of refits.

    Attributes:
        correlation: Pearson's.
        ranks: Spearman's.
        slope: of refits on predictions, through the origin.
        same_sign: share of the changes with the right sign, of those above a tenth of the median.
        predicted_size: median absolute predicted change.
        size: median absolute change of refits.
    """

    correlation: float
    ranks: float
    slope: float
    same_sign: float
    predicted_size: float
    size: float


def agreement(said: np.ndarray, done: np.ndarray) -> Agreement:
    """Compares predicted changes with those of refits, entry by entry."""
    said, done = said.ravel(), done.ravel()
    finite = np.isfinite(said) & np.isfinite(done)
    said, done = said[finite], done[finite]
    order = [np.argsort(np.argsort(x)) for x in (said, done)]
    size = float(np.median(np.abs(done)))
    clear = np.abs(done) > 0.1 * size
    return Agreement(
        float(np.corrcoef(said, done)[0, 1]),
        float(np.corrcoef(*order)[0, 1]),
        float(said @ done / (said @ said)),
        float(np.mean(np.sign(said[clear]) == np.sign(done[clear]))),
        float(np.median(np.abs(said))),
        size,
    )
