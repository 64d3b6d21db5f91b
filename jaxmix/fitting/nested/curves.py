"""A run table as curves: the rows of one size and one mixture, whichever runs they come from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.problem import FitError, row_weights
from jaxmix.fitting.selection.splits import mixture_ids
from jaxmix.runs import RunTable


@dataclass(frozen=True, eq=False)
class Curves:
    """The rows of a table by size and mixture: m targets, c curves of at most q rows.

    Attributes:
        mixtures: [u, k] the distinct mixtures.
        n_params: [c] size of each curve.
        mixture: [c] row of ``mixtures``.
        names: [c] first run of each curve.
        runs: [c] how many runs it pools.
        tokens: [c, q], 1 where there is no row.
        losses: [m, c, q], 1 where there is none.
        weights: [m, c, q] row weights, 0 where there is no row or no loss.
    """

    mixtures: np.ndarray
    n_params: np.ndarray
    mixture: np.ndarray
    names: tuple[str, ...]
    runs: np.ndarray
    tokens: np.ndarray
    losses: np.ndarray
    weights: np.ndarray

    def checkpoints(self) -> np.ndarray:
        """Distinct numbers of tokens with a loss, [m, c]."""
        return distinct(np.broadcast_to(self.tokens, self.losses.shape), self.weights > 0)

    def span(self) -> np.ndarray:
        """Fewest and most tokens with a loss [m, c, 2]; infinite where there is none."""
        seen = self.weights > 0
        low = np.where(seen, self.tokens, np.inf).min(-1)
        return np.stack([low, np.where(seen, self.tokens, -np.inf).max(-1)], -1)

    def classes(self, share: str) -> np.ndarray:
        """[c] which curves share an exponent: ``"none"``, those of one ``"size"``, or ``"all"``."""
        if share == "none":
            return np.arange(len(self.n_params))
        if share == "all":
            return np.zeros(len(self.n_params), int)
        return np.unique(self.n_params, return_inverse=True)[1].reshape(-1)


def distinct(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """How many different values stand where ``seen``, along the last axis of [..., q]."""
    ordered = np.sort(np.where(seen, values, np.nan), -1)  # those not seen go last
    fresh = np.isfinite(ordered)
    fresh[..., 1:] &= ordered[..., 1:] != ordered[..., :-1]
    return fresh.sum(-1)


def make_curves(runs: RunTable, targets: Sequence[str], weighting: str) -> Curves:
    """Sorts the rows into curves.

    Raises:
        FitError: there are no mixtures, or ``weighting`` asks for columns that are missing.
    """
    if not runs.domains:
        raise FitError(f"{runs.source}: the nested laws need columns w_<domain>; there is none")
    losses = runs.losses(targets)  # [m, p]
    weights = row_weights(runs, tuple(targets), np.isfinite(losses), weighting)
    ids = mixture_ids(runs)
    mixtures = runs.weights[np.unique(ids, return_index=True)[1]]
    keys = np.stack([runs.n_params, ids], 1)
    found, curve = np.unique(keys, axis=0, return_inverse=True)
    curve = curve.reshape(-1)
    order = np.lexsort([runs.tokens, curve])
    place = np.empty(len(runs), int)
    first = np.searchsorted(curve[order], np.arange(len(found)))
    place[order] = np.arange(len(runs)) - first[curve[order]]
    shape = (len(found), int(place.max()) + 1)

    def padded(rows: np.ndarray, fill: float) -> np.ndarray:
        out = np.full((*rows.shape[:-1], *shape), fill)
        out[..., curve, place] = rows
        return out

    names = runs.frame["run"].astype(str).to_numpy()
    return Curves(
        mixtures=mixtures,
        n_params=found[:, 0],
        mixture=found[:, 1].astype(int),
        names=tuple(str(names[order][at]) for at in first),
        runs=np.array([len(set(names[curve == i])) for i in range(len(found))]),
        tokens=padded(runs.tokens, 1.0),
        losses=padded(np.where(np.isfinite(losses), losses, 1.0), 1.0),
        weights=padded(weights, 0.0),
    )
