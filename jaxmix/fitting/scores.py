"""How well fitted laws predict: mean relative error, R² and rank correlation on any rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.inputs import read_inputs
from jaxmix.quantities import count
from jaxmix.runs import RunTable, RunTableError


@dataclass(frozen=True)
class Score:
    """The error of one target's law on some rows.

    Attributes:
        mre: mean of |predicted - observed| / observed, in percent (section 2.3).
        r2: share of the variance of the losses that is explained; NaN where they do not vary.
        spearman: rank correlation of predicted and observed losses, ties at their average rank;
            NaN where either does not vary.
        rows: rows scored: those that have the target's loss and a finite prediction.
        diverged: rows left out because the law diverges there.
    """

    mre: float
    r2: float
    spearman: float
    rows: int
    diverged: int = 0


class Scores(Shown, dict[str, Score]):
    """Scores by target: a dictionary that shows itself."""

    def __repr__(self) -> str:
        return dict.__repr__(self)

    @property
    def headline(self) -> str:
        """The mean error and the worst target in one sentence."""
        if not any(np.isfinite(s.mre) for s in self.values()):
            return "no row could be scored"
        worst = max(self, key=lambda name: np.nan_to_num(self[name].mre, nan=-1.0))
        rows = max(s.rows for s in self.values())
        said = f"{count(rows, 'row')} predicted to {mean_mre(self):.3g}% on average"
        return said + (f" ({worst} the worst, {self[worst].mre:.3g}%)" if len(self) > 1 else "")

    def _shown(self) -> Parts:
        frame = self.to_frame().rename(columns={"mre": "error %", "spearman": "rank correlation"})
        return Parts(
            self.headline,
            {"": frame if any(s.diverged for s in self.values()) else frame.iloc[:, :-1]},
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per target."""
        index = pd.Index(self, name="target")
        return pd.DataFrame([vars(s) for s in self.values()], index=index)


def score(laws: Sequence[FittedLaw], runs: RunTable) -> Scores:
    """Scores each law on the rows of ``runs`` that have a loss of its target.

    Args:
        laws: fits of any laws, one per target.
        runs: the rows; filter them with ``runs.where(...)``.

    Returns:
        Scores by bare target name, in the order of ``laws``.

    Raises:
        RunTableError: a target or an input is missing from the table, or a domain that a law does
            not know has weight.
    """
    read: dict[Any, dict[str, np.ndarray]] = {}
    scores = Scores()
    for law in laws:
        observed = runs.losses([law.target])[0]  # [p]
        key = law.law.inputs, law.domains
        if key not in read:
            read[key] = read_inputs(runs, law.law, law.domains)
        predicted = np.broadcast_to(law.predict(read[key]), observed.shape)
        scores[law.target] = score_arrays(predicted, observed)
    return scores


def score_arrays(predicted: np.ndarray, observed: np.ndarray) -> Score:
    """Scores predictions [p] against losses [p]; NaN losses are missing.

    >>> score_arrays(np.array([2.02, 3.0, 1.0]), np.array([2.0, 3.0, np.nan]))
    Score(mre=0.5, r2=0.9992, spearman=1.0, rows=2, diverged=0)
    """
    present = np.isfinite(observed)
    finite = present & np.isfinite(predicted)
    predicted, observed = predicted[finite], observed[finite]
    diverged = int(present.sum() - finite.sum())
    if not len(observed):
        return Score(np.nan, np.nan, np.nan, 0, diverged)
    mre = 100.0 * float(np.mean(np.abs(predicted - observed) / observed))
    return Score(
        mre, _r2(predicted, observed), spearman(predicted, observed), len(observed), diverged
    )


def _r2(predicted: np.ndarray, observed: np.ndarray) -> float:
    spread = float(np.sum((observed - observed.mean()) ** 2))
    return 1.0 - float(np.sum((observed - predicted) ** 2)) / spread if spread > 0 else np.nan


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation of two arrays [p]; NaN where either does not vary.

    >>> spearman(np.array([1.0, 2.0, 2.0, 9.0]), np.array([10.0, 20.0, 20.0, 30.0]))
    1.0
    """
    a, b = (average_ranks(x) for x in (first, second))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / scale if scale > 0 else np.nan


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks [p] from 1, equal values at the mean of their ranks.

    >>> average_ranks(np.array([0.3, 0.1, 0.3])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[index]


def mean_mre(scores: Mapping[str, Score] | Iterable[Score]) -> float:
    """Mean over targets of the mean relative error, percent; targets without rows do not count."""
    held = scores.values() if isinstance(scores, Mapping) else scores
    return mean([s.mre for s in held])


def mean(values: Iterable[float]) -> float:
    """Mean of those that are finite; NaN where none is."""
    finite = [v for v in values if np.isfinite(v)]
    return float(np.mean(finite)) if finite else np.nan


def unscored(laws: Sequence[FittedLaw], runs: RunTable) -> tuple[str, ...]:
    """Targets of ``laws`` that have no loss in ``runs``.

    Raises:
        RunTableError: none has one.
    """
    absent = tuple(law.target for law in laws if not runs.measured(law.target))
    if len(absent) == len(laws):
        known = ", ".join(runs.targets)
        raise RunTableError(
            f"{runs.source}: no loss of the law's targets ({', '.join(absent)}); it has {known}"
        )
    return absent
