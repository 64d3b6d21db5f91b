"""What a proposal rests on: how it moves if the runs of one mixture are left out.

Derivatives (``mixture_influence``) hold for small changes. A whole mixture takes rows across the
kinks of eq. (6), and weights to 0. So the laws go downhill from where they are, without the
mixture's rows, and the optimum is asked for again.

How far equally good fits of all rows differ says which moves mean something. A law with many
parameters has many optima whose objectives differ by less than the noise of the data, and searches
without a mixture end in any of them: their optima move by that much whatever is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from jaxmix.fitting.precision import float64
from jaxmix.fitting.solvers.multistart import SEARCHES, run_search
from jaxmix.fitting.uncertainty.clusters import Cluster, cluster_labels
from jaxmix.fitting.uncertainty.refit import Refitter, make_refitters
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.solve.refits import solve_refits
from jaxmix.runs import RunTable

Progress = Callable[[int, int], None]
_RESTARTS = 64  # of the search for equally good fits
_OTHERS = 32  # combinations of them whose optima are compared
_SHARE = 0.9  # of these optima lie within ``spread``


@dataclass(frozen=True, eq=False, kw_only=True)
class LeaveOneOut:
    """The optima of refits that each leave out one cluster of rows, c in all.

    Attributes:
        optimum: of the full fit.
        base: [k] the same with the laws at the very bottoms of their basins, where moves begin.
        run: [c] a run of each cluster.
        rows: [c] number of its rows.
        mixtures: [c, k] the mixture of that run.
        h: [c, k] the optimum without it.
        spread: distance from ``base`` within which nine of ten other fits of all rows, with
            objectives within 1% of the best, have their optima. A shorter move is within what
            the fit leaves open anyway.
    """

    optimum: Optimum
    base: np.ndarray
    run: tuple[str, ...]
    rows: np.ndarray
    mixtures: np.ndarray
    h: np.ndarray
    spread: float

    @property
    def distance(self) -> np.ndarray:
        """[c] the weight that moves from one domain to another if the cluster is left out."""
        return _distance(self.h, self.base)

    def to_dict(self) -> list[dict[str, Any]]:
        """One entry per cluster, the one that moves the optimum most first."""
        moves, domains = (self.h - self.base).tolist(), self.optimum.domains
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
        seed: of the search for equally good fits.
        progress: called with the targets refitted and their total.

    Raises:
        JaxmixError: other rows than those fitted, or fewer than six clusters.
    """
    counted = optimum.counted
    labels = cluster_labels(runs, cluster)
    count = int(labels.max()) + 1
    kept = np.arange(count + 1)[:, None] != labels  # the last leaves none out
    found: list[np.ndarray] = []
    with float64():
        options = {"weighting": weighting, "basins": 1, "restarts": _RESTARTS, "seed": seed}
        refitters = make_refitters(counted.laws, runs, **options)
        refitters = [refitter.at_bottom() for refitter in refitters]
        for refitter in refitters:
            found.append(refitter.nearby(kept * 1.0))
            if progress:
                progress(len(found), len(refitters))
        h = _optima(counted, refitters, found)
        others = _optima(counted, refitters, _equally_good(refitters, seed))
    first = np.unique(labels, return_index=True)[1]
    order = [runs.domains.index(d) for d in optimum.domains]
    return LeaveOneOut(
        optimum=optimum,
        base=h[-1],
        run=tuple(runs.frame["run"].iloc[first].astype(str)),
        rows=np.bincount(labels),
        mixtures=runs.weights[first][:, order],
        h=h[:-1],
        spread=float(np.quantile(_distance(others, h[-1]), _SHARE)),
    )


def _distance(h: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The weight that moves between mixtures [..., k]."""
    return np.abs(h - other).sum(-1) / 2


def _optima(optimum: Optimum, refitters: list[Refitter], z: list[np.ndarray]) -> np.ndarray:
    """Optima [B, k] of laws given by working vectors [B, P] of each target."""
    params = [refitter.natural(one) for refitter, one in zip(refitters, z, strict=True)]
    stacked: dict[str, Any] = {
        name: np.stack([p[name] for p in params], axis=1) for name in params[0]
    }
    return solve_refits(optimum, optimum.laws.stacked.replace_params(stacked))[0]


def _equally_good(refitters: list[Refitter], seed: int) -> list[np.ndarray]:
    """Working vectors [B, P] of each target: equally good fits of all rows, drawn at random."""
    search = SEARCHES["pooled-hopping"]
    pool = run_search(search, refitters[0].problem, _RESTARTS, seed)
    rng, drawn = np.random.default_rng(seed), []
    for refitter in refitters:
        z = refitter.equally_good(pool, _OTHERS)
        drawn.append(z[rng.integers(0, len(z), _OTHERS)])
    return drawn
