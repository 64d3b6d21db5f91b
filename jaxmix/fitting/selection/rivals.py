"""Laws against the baselines, on the very same held-out rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxmix.fitting.baselines import BASELINES, baseline_parameters, predict_baselines
from jaxmix.fitting.selection.choice import Difference, Verdict, near_lowest, paired
from jaxmix.fitting.selection.evidence import Evidence, gather
from jaxmix.fitting.selection.trials import Trials


@dataclass(frozen=True)
class BaselineRow:
    """One baseline.

    Attributes:
        name: one of ``jaxmix.fitting.baselines.BASELINES``.
        n_parameters: free parameters per target.
        error: mean relative error on held-out rows by kind of split, percent.
        score: mean of these over kinds.
        regret: of its picks among the mixtures of a split, by kind, nats.
        mean_regret: mean of these over kinds.
        difference: its score less that of the picked law, percentage points.
        high_regret: whether its picks of mixtures cost clearly more than the picked law's; it does
            not count against the law then, whatever its error.
    """

    name: str
    n_parameters: int
    error: dict[str, float]
    score: float
    regret: dict[str, float]
    mean_regret: float
    difference: Difference
    high_regret: bool

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        names = ("name", "n_parameters", "error", "regret", "mean_regret", "high_regret")
        return {
            **{name: getattr(self, name) for name in names},
            "mean_error": self.score,
            "difference": self.difference.mean,
            "standard_error": self.difference.standard_error,
        }

    @property
    def beats(self) -> bool:
        """Whether its error is lower than the law's by more than a standard error, if known."""
        gap, known = self.difference, np.isfinite(self.difference.standard_error)
        return not self.high_regret and gap.mean < (-gap.standard_error if known else 0.0)


@dataclass(frozen=True, eq=False)
class Rivals:
    """Baselines on the splits of some trials.

    Attributes:
        names: [b] those that predict every held-out row.
        evidence: of the candidates, then of the baselines.
        kinds: indices of the splits by their kind.
        n_domains: number of training domains.
    """

    names: tuple[str, ...]
    evidence: Evidence
    kinds: dict[str, list[int]]
    n_domains: int

    def against(self, candidate: int) -> tuple[BaselineRow, ...]:
        """The baselines beside one candidate, lowest error first."""
        first = len(self.evidence.error.values) - len(self.names)
        rows = [self._row(name, first + b, candidate) for b, name in enumerate(self.names)]
        return tuple(sorted(rows, key=lambda row: row.score))

    def _row(self, name: str, at: int, candidate: int) -> BaselineRow:
        error, regret = self.evidence.error, self.evidence.regret
        missing = dict.fromkeys(self.kinds, np.nan)
        by_kind = {k: float(error.of_splits(s)[at]) for k, s in self.kinds.items()}
        return BaselineRow(
            name=name,
            n_parameters=baseline_parameters(name, self.n_domains),
            error=by_kind,
            score=float(error.score()[at]),
            regret=missing
            if regret is None
            else {k: float(regret.of_splits(s)[at]) for k, s in self.kinds.items()},
            mean_regret=np.nan if regret is None else float(regret.score()[at]),
            difference=paired(error, at, candidate),
            high_regret=regret is not None and at not in near_lowest(regret, [at, candidate]),
        )


def find_rivals(trials: Trials) -> Rivals:
    """Fits the baselines on the training rows of every split."""
    runs, targets = trials.runs, trials.targets
    each = [predict_baselines(runs, runs, targets, split.train) for split in trials.splits]
    predicted = {name: np.stack([found[name] for found in each]) for name in BASELINES}  # [S, m, p]
    held = np.stack([split.test for split in trials.splits])
    names = tuple(name for name, losses in predicted.items() if np.isfinite(losses[held]).all())
    joined = np.concatenate([trials.predicted, *(predicted[name][None] for name in names)])
    kinds = {
        kind: [s for s, split in enumerate(trials.splits) if split.kind == kind]
        for kind in dict.fromkeys(split.kind for split in trials.splits)
    }
    evidence = gather(replace(trials, predicted=joined))
    return Rivals(names, evidence, kinds, len(runs.domains))


def prefer_unbeaten(rivals: Rivals, verdict: Verdict, n_parameters: Sequence[int]) -> Verdict:
    """The pick, or the first of those tied with it that no baseline beats, if one beats it."""
    score = rivals.evidence.error.score()
    ordered = sorted(verdict.tied, key=lambda i: (n_parameters[i], score[i], i))
    unbeaten = [i for i in ordered if not any(row.beats for row in rivals.against(i))]
    return replace(verdict, picked=(*unbeaten, verdict.picked)[0])
