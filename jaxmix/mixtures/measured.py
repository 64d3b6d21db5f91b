"""What the runs measured at their ends, beside what the laws predict."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from jaxmix.fitting.fitted import FittedLaws
from jaxmix.fitting.uncertainty.clusters import mixture_labels

_SEED = 0.002  # nats by which seeds move a loss if runs are not repeated (arXiv 2305.16264)
_ALIKE = 0.01  # relative difference of sizes or tokens that count as equal


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasuredMixtures:
    """q mixtures at one budget: measured losses, moved there by the laws.

    Attributes:
        run: [q] id of the run with the lowest loss of the mixture.
        n_params: [q] its N.
        tokens: [q] its D.
        weights: [q, k].
        objective: [q] mean over its runs of the measured weighted loss, and of what the laws
            predict to change from the run's budget to this one, nats.
        count: [q] runs.
        noise: standard deviation of one run; what repeated runs show, or that of published seeds.
    """

    run: tuple[str, ...]
    n_params: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray
    objective: np.ndarray
    count: np.ndarray
    noise: float

    def __len__(self) -> int:
        return len(self.run)

    def below(self, objective: float) -> np.ndarray:
        """Which mixtures measured less than a prediction by more than noise, bool [q]."""
        return self.objective < objective - 2 * self.noise / np.sqrt(self.count)

    @property
    def best(self) -> int:
        """The mixture with the lowest objective."""
        return int(np.argmin(self.objective))


def measured_mixtures(
    laws: FittedLaws, x: Mapping[str, np.ndarray], w: np.ndarray, *, only_here: bool = False
) -> MeasuredMixtures | None:
    """The mixtures of the largest runs, their losses moved to a budget by the laws.

    Args:
        laws: m fits that know their runs.
        x: the budget: inputs of the laws by name but the weights.
        w: [m] target weights.
        only_here: only runs of this N and D count; else the longest of the largest N.

    Returns:
        None if no such run has the losses of all targets of weight above 0.
    """
    counted = [i for i in np.flatnonzero(w > 0) if laws[int(i)].data.measured]
    if len(counted) < np.sum(w > 0):
        return None
    ends = [laws[int(i)].data.measured for i in counted]
    names = sorted(reduce(set.intersection, [set(e.run) for e in ends if e]))
    places = [{name: i for i, name in enumerate(e.run)} for e in ends if e]
    rows = [[place[name] for name in names] for place in places]
    if not names or ends[0] is None:
        return None
    n, d, h = (getattr(ends[0], a)[rows[0]] for a in ("n_params", "tokens", "weights"))
    here = _near(n, float(x["n_params"])) & _near(d, float(x["tokens"]))
    largest = n >= (1 - _ALIKE) * n.max()
    kept = here if only_here else largest & (d >= (1 - _ALIKE) * d[largest].max())
    if not kept.any():
        return None
    loss = np.zeros(len(names))
    for i, end, at in zip(counted, ends, rows, strict=True):
        assert end is not None
        loss += w[i] * (end.losses[at] + _moved(laws, int(i), x, n, d, h))
    return _by_mixture(np.array(names)[kept], n[kept], d[kept], h[kept], loss[kept])


def _near(values: np.ndarray, at: float) -> np.ndarray:
    return np.abs(values - at) <= _ALIKE * at


def _moved(
    laws: FittedLaws, i: int, x: Mapping[str, np.ndarray], n: np.ndarray, d: np.ndarray,
    h: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """What a law predicts to change from the runs' budgets to another one, [r]."""
    there = laws[i].predict({**x, "weights": h})
    return there - laws[i].predict({**x, "n_params": n, "tokens": d, "weights": h})


def _by_mixture(
    run: np.ndarray, n: np.ndarray, d: np.ndarray, h: np.ndarray, loss: np.ndarray
) -> MeasuredMixtures:
    labels = mixture_labels(h)
    count = np.bincount(labels)
    mean = np.bincount(labels, loss) / count
    freedom = int((count - 1).sum())
    spread = np.sqrt(np.sum((loss - mean[labels]) ** 2) / freedom) if freedom else 0.0
    lowest = [
        int(r[np.argmin(loss[r])]) for r in (np.flatnonzero(labels == q) for q in set(labels))
    ]
    return MeasuredMixtures(
        run=tuple(run[lowest].tolist()),
        n_params=n[lowest],
        tokens=d[lowest],
        weights=h[lowest],
        objective=mean[labels[lowest]],
        count=count[labels[lowest]],
        noise=float(spread) or _SEED,
    )
