"""What leaving rows out does to a fit and to h*: by derivatives, by steps, and by refits."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting import FittedLaw, StackedLaws, stack
from jaxmix.fitting.solvers import to_bottom
from jaxmix.fitting.uncertainty import Influence, Refitter, fresh_search, make_refitters
from jaxmix.mixtures import Optimum, make_starts, mixture_influence, solve_refits
from jaxmix.runs import RunTable


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
    """Where changes are looked at: the optimum, and the mixture [k] whose losses are predicted."""

    optimum: Optimum
    mixture: np.ndarray

    @property
    def x(self) -> dict[str, object]:
        """The inputs of the laws there."""
        best = self.optimum
        return {"n_params": best.n_params, "tokens": best.tokens, "weights": self.mixture}


def derivatives(influences: Sequence[Influence], place: Place, keys: np.ndarray) -> Moves:
    """First-order changes as each unit is left out.

    Args:
        influences: of every target.
        place: where.
        keys: [p] unit of each row.
    """
    moved = mixture_influence(influences, place.optimum).by_weight
    weights = np.sum([moved[i.fitted.target] for i in influences], axis=0)  # [k, p]
    losses = np.array([i.on_prediction(place.x)[1] for i in influences])
    member = np.arange(keys.max() + 1)[:, None] == keys  # [u, p]
    return Moves(*(-(member @ change.T) for change in (weights, losses)))


def refits(
    laws: Sequence[FittedLaw],
    runs: RunTable,
    place: Place,
    keys: np.ndarray,
    *,
    restarts: int,
    searches: Sequence[str],
) -> dict[str, Moves]:
    """The same changes, of fits of the rows that are left.

    Args:
        laws: fits of one law on ``runs``, at the bottoms of their basins.
        runs: the table.
        place: where.
        keys: [p] unit of each row.
        restarts: local solves of a search.
        searches: names of searches that know nothing of the full fit; they differ in their seeds.

    Returns:
        By name: ``"steps"``, as the library leaves mixtures out; ``"tenth"`` and ``"same"``, at the
        bottom of the full fit's basin with nine tenths of the unit's weight or none; searches.
    """
    member = np.arange(keys.max() + 1)[:, None] == keys
    tenth, none = (np.where(member, keep, 1.0) for keep in (0.9, 0.0))
    with jax.enable_x64(True):
        refitters = [r.at_bottom() for r in make_refitters(tuple(laws), runs, basins=1)]
        begun = _at(laws, refitters, place, [r.starts[:1] for r in refitters])
        found = {
            "tenth": [_bottom(r, tenth) for r in refitters],
            "steps": [r.nearby(none) for r in refitters],
            "same": [_bottom(r, none) for r in refitters],
        }
        for seed, name in enumerate(searches, 1):
            found[name] = [
                fresh_search(r, None, none, restarts=restarts, seed=seed).z for r in refitters
            ]
        ended = {name: _at(laws, refitters, place, z) for name, z in found.items()}
    return {
        name: Moves(end.weights - begun.weights, end.losses - begun.losses)
        for name, end in ended.items()
    }


def _bottom(refitter: Refitter, row_weights: np.ndarray) -> np.ndarray:
    """Working vectors [B, P] of refits that only go downhill from the full fit."""
    count, rows = len(row_weights), refitter.rows
    weights = rows.row_weights * row_weights
    rows = rows._replace(
        losses=jnp.broadcast_to(rows.losses, weights.shape),
        row_weights=weights / jnp.sum(weights, 1, keepdims=True),
    )
    z = jnp.broadcast_to(jnp.asarray(refitter.starts[0]), (count, refitter.starts.shape[1]))
    return to_bottom(refitter.problem.objective, rows, z, np.arange(count)).z


def _at(
    laws: Sequence[FittedLaw], refitters: Sequence[Refitter], place: Place, z: Sequence[np.ndarray]
) -> Moves:
    """h* [B, k] for the mean of the targets, and losses [B, m], of working vectors [B, P]."""
    found = [r.natural(one) for r, one in zip(refitters, z, strict=True)]
    params = {n: jnp.asarray(np.stack([f[n] for f in found], 1)) for n in found[0]}
    made = StackedLaws(params, stack(laws).own, laws[0].law)  # [B, m]
    k = len(place.mixture)
    starts = make_starts(np.zeros(k), np.ones(k), k + 2, 0)
    losses = jax.vmap(lambda p: StackedLaws(p, made.own, made.law).losses(place.x))(made.params)
    return Moves(solve_refits(place.optimum, made, starts)[0], np.asarray(losses))


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
