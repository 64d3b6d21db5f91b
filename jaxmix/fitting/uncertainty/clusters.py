"""What is resampled together: whole runs, or whole mixtures with all their runs."""

from typing import Literal

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.runs import RunTable

Unit = Literal["mixture", "run"]

FEWEST = 6  # units below which resampling says nothing
_FOLDS = 64  # refits at most for residuals of units that were left out
_ALIKE = 1e-6  # weights that differ by less are one mixture


def default_unit(runs: RunTable, uses_weights: bool) -> Unit:
    """Whole mixtures where the law looks at them and there are enough, else whole runs."""
    if not (uses_weights and runs.domains):
        return "run"
    return "mixture" if mixture_labels(runs.weights).max() + 1 >= 2 * FEWEST else "run"


def labels(runs: RunTable, unit: Unit) -> np.ndarray:
    """The unit of each row, integers [p] from 0.

    Checkpoints of one run are one trajectory and share what chance gave it; runs of one mixture
    share what the law misses there. Rows of a unit are therefore drawn together or not at all.

    Raises:
        JaxmixError: fewer than ``FEWEST`` units, or no mixtures.
    """
    if unit == "mixture" and not runs.domains:
        raise JaxmixError(f"{runs.source}: no columns w_<domain>; resample by run")
    keys = mixture_labels(runs.weights) if unit == "mixture" else run_labels(runs)
    count = int(keys.max()) + 1
    if count < FEWEST:
        raise JaxmixError(
            f"{runs.source}: {count} {unit}s are too few to resample; at least {FEWEST} are needed"
        )
    return keys


def mixture_labels(weights: np.ndarray) -> np.ndarray:
    """Integers [p] that are equal where the mixtures [p, k] are."""
    rounded = np.round(weights / _ALIKE).astype(np.int64)
    return np.unique(rounded, axis=0, return_inverse=True)[1].ravel()


def run_labels(runs: RunTable) -> np.ndarray:
    """Integers [p] that are equal where the rows belong to one run."""
    names = runs.frame["run"].astype(str).to_numpy()
    return np.unique(names, return_inverse=True)[1].ravel()


def folds(keys: np.ndarray, seed: int, count: int = _FOLDS) -> np.ndarray:
    """Units [p] as at most ``count`` folds of whole units, [p]; every unit its own if it fits."""
    units = int(keys.max()) + 1
    if units <= count:
        return keys
    order = np.random.default_rng(seed).permutation(units)
    return (order % count)[keys]
