"""What a proposal rests on: how it moves if the runs of one mixture are left out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from jaxmix.fitting.precision import float64
from jaxmix.fitting.uncertainty.clusters import Cluster, cluster_labels
from jaxmix.fitting.uncertainty.refit import make_refitters
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.solve.refits import solve_refits
from jaxmix.runs import RunTable

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class LeaveOneOut:
    """The optima of refits that each leave out one cluster of rows, c in all.

    Attributes:
        optimum: of the full fit.
        run: [c] a run of each cluster.
        rows: [c] number of its rows.
        mixtures: [c, k] the mixture of that run.
        h: [c, k] the optimum without it.
    """

    optimum: Optimum
    run: tuple[str, ...]
    rows: np.ndarray
    mixtures: np.ndarray
    h: np.ndarray

    @property
    def distance(self) -> np.ndarray:
        """[c] the weight that moves from one domain to another if the cluster is left out."""
        return np.abs(self.h - self.optimum.h).sum(-1) / 2

    def to_dict(self) -> list[dict[str, Any]]:
        """One entry per cluster, the one that moves the optimum most first."""
        moves, domains = (self.h - self.optimum.h).tolist(), self.optimum.domains
        return [
            {
                "run": self.run[c],
                "rows": int(self.rows[c]),
                "distance": float(self.distance[c]),
                "moves": dict(zip(domains, moves[c], strict=True)),
            }
            for c in np.argsort(-self.distance, kind="stable").tolist()
        ]

    def to_frame(self) -> pd.DataFrame:
        """The same as a table; changes of the weights are in columns ``w_<domain>``."""
        rows = [{**one, **{f"w_{d}": x for d, x in one["moves"].items()}} for one in self.to_dict()]
        return pd.DataFrame(rows).drop(columns="moves")


def leave_one_out(
    optimum: Optimum,
    runs: RunTable,
    *,
    cluster: Cluster = "mixture",
    weighting: str = "equal",
    seed: int = 0,
    progress: Progress | None = None,
) -> LeaveOneOut:
    """Refits the laws without each mixture (or run) in turn, and asks for the optimum again.

    Args:
        optimum: the proposal.
        runs: the very rows that its laws were fitted on.
        cluster: what is left out together: all runs of a ``"mixture"``, or one ``"run"``.
        weighting: as in the fit.
        seed: of the searches.
        progress: called with the targets refitted and their total.

    Raises:
        JaxmixError: other rows than those fitted, or fewer than six clusters.
    """
    counted = optimum.counted
    labels = cluster_labels(runs, cluster)
    count = int(labels.max()) + 1
    params: list[dict[str, Any]] = []
    with float64():
        refitters = make_refitters(counted.laws, runs, weighting=weighting, seed=seed)
        for refitter in refitters:
            params.append(refitter.natural(refitter.leave_out(labels, folds=count).z))
            if progress:
                progress(len(params), len(refitters))
        stacked: dict[str, Any] = {
            name: np.stack([p[name] for p in params], axis=1) for name in params[0]
        }
        h, _ = solve_refits(counted, counted.laws.stacked.replace_params(stacked))
    first = np.unique(labels, return_index=True)[1]
    order = [runs.domains.index(d) for d in optimum.domains]
    return LeaveOneOut(
        optimum=optimum,
        run=tuple(runs.frame["run"].iloc[first].astype(str)),
        rows=np.bincount(labels),
        mixtures=runs.weights[first][:, order],
        h=h,
    )
