"""Clusters: the rows that are resampled together, all runs of a mixture or all rows of a run."""

from typing import Literal

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.quantities import count
from jaxmix.runs import RunTable

Cluster = Literal["mixture", "run"]

FEWEST = 6  # clusters below which resampling says nothing
_SAME = 1e-6  # weights that differ by less are one mixture


def default_cluster(runs: RunTable, reads_weights: bool) -> Cluster:
    """``"mixture"`` if the law reads the weights and there are at least twelve, else ``"run"``."""
    if not (reads_weights and runs.domains):
        return "run"
    return "mixture" if mixture_labels(runs.weights).max() + 1 >= 2 * FEWEST else "run"


def cluster_labels(runs: RunTable, cluster: Cluster) -> np.ndarray:
    """The cluster of each row, integers [p] from 0.

    The checkpoints of a run share its random errors, and the runs of a mixture share the law's own
    error there. The rows of a cluster are therefore drawn together.

    Raises:
        JaxmixError: there are fewer than ``FEWEST`` clusters, or the table has no mixtures.
    """
    if cluster == "mixture" and not runs.domains:
        raise JaxmixError(f"{runs.source}: no columns w_<domain>; resample by run")
    labels = mixture_labels(runs.weights) if cluster == "mixture" else run_labels(runs)
    found = int(labels.max()) + 1
    if found < FEWEST:
        raise JaxmixError(
            f"{runs.source}: {count(found, f'{cluster} is', f'{cluster}s are')} too few to "
            f"resample; at least {FEWEST} are needed"
        )
    return labels


def mixture_labels(weights: np.ndarray) -> np.ndarray:
    """Integers [p] that are equal for equal mixtures [p, k]."""
    rounded = np.round(weights / _SAME).astype(np.int64)
    return np.unique(rounded, axis=0, return_inverse=True)[1].ravel()


def run_labels(runs: RunTable) -> np.ndarray:
    """Integers [p] that are equal for rows of the same run."""
    names = runs.frame["run"].astype(str).to_numpy()
    return np.unique(names, return_inverse=True)[1].ravel()


def make_folds(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Fold of each row [p]: clusters one by one, or in at most ``count`` random groups."""
    clusters = int(labels.max()) + 1
    if clusters <= count:
        return labels
    order = np.random.default_rng(seed).permutation(clusters)
    return (order % count)[labels]
