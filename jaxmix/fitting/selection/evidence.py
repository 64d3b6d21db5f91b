"""What trials say: the error of every candidate and what its picks of mixtures cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.scores import mean
from jaxmix.fitting.selection.splits import Split, mixture_ids
from jaxmix.fitting.selection.trials import Trials
from jaxmix.runs import RunTable

_INDISTINCT = 1e-9  # nats
_USELESS = 100.0  # percent: an error from which on a prediction is no better or worse than others
MEAN = "mean"  # of the targets: the objective where several are weighed equally


@dataclass(frozen=True, eq=False)
class Groups:
    """A figure of C candidates in U held-out groups, all of which saw the same rows.

    Attributes:
        values: [C, U]; infinite where a prediction is not finite.
        split: [U] index of the split.
        clusters: label arrays [U], each a way in which groups vary together.
        share: [U] what a group counts: kinds of split count equally, within a kind its splits,
            and within a split its groups. They sum to 1.
    """

    values: np.ndarray
    split: np.ndarray
    clusters: tuple[np.ndarray, ...]
    share: np.ndarray

    def score(self) -> np.ndarray:
        """The mean over groups by their shares, [C]."""
        return self.values @ self.share

    def of_splits(self, splits: Sequence[int]) -> np.ndarray:
        """The mean over some splits, [C]; NaN where those hold no group."""
        each = [self.values[:, self.split == s].mean(1) for s in splits if s in self.split]
        return np.mean(each, axis=0) if each else np.full(len(self.values), np.nan)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What candidates are chosen by.

    Attributes:
        error: mean relative errors, percent, see `held_out_errors`; a group is one mixture in one
            split, all targets.
        regret: observed loss of the picked mixture less the lowest observed, nats; a group is one
            size in one split. None where no split lets a law pick among mixtures.
    """

    error: Groups
    regret: Groups | None


def gather(trials: Trials) -> Evidence:
    """Errors and regrets of every candidate."""
    return Evidence(held_out_errors(trials), regrets(trials))


def held_out_errors(trials: Trials) -> Groups:
    """Relative errors on the test rows of every split, the same rows for every candidate.

    An error above 100% counts as 100%. A law that never saw a domain alone may predict any loss for
    that mixture, and one such row must not hide how the laws do on all others.
    """
    observed = trials.runs.losses(trials.targets)  # [m, p]
    relative = 100.0 * np.abs(trials.predicted - observed) / observed
    relative = np.where(np.isfinite(trials.predicted), np.minimum(relative, _USELESS), np.inf)
    mixtures = mixture_ids(trials.runs)
    values, split, mixture = [], [], []
    for s, held in enumerate(trials.splits):
        for g in np.unique(mixtures[held.test.any(0)]):
            rows = held.test & (mixtures == g)
            values.append(relative[:, s][:, rows].mean(1))
            split.append(s)
            mixture.append(g)
    at = np.array(split)
    clusters = (np.array(mixture), at)
    return Groups(np.stack(values, 1), at, clusters, group_shares(trials.splits, at))


def regrets(trials: Trials, objective: str | None = None) -> Groups | None:
    """What picking mixtures by each candidate costs.

    Args:
        trials: the trials.
        objective: a target or ``MEAN``; None for the mean of the targets where there are several.
    """
    objective = objective or default_objective(trials)
    found = [c for c in cells(trials) if c.objective == objective]
    if not found:
        return None
    values = np.stack([c.regret(c.predicted) for c in found], 1)
    at = np.array([c.split for c in found])
    return Groups(values, at, (at,), group_shares(trials.splits, at))


def group_shares(splits: Sequence[Split], at: np.ndarray) -> np.ndarray:
    """[U] shares of groups that lie in splits ``at`` [U], as in ``Groups.share``."""
    held = np.unique(at)
    kinds = {s: splits[s].kind for s in held}
    number = list(kinds.values())
    weight = {s: 1.0 / (len(set(number)) * number.count(kinds[s])) for s in held}
    return np.array([weight[s] / np.sum(at == s) for s in at])


@dataclass(frozen=True, eq=False)
class Cell:
    """Mixtures observed at one size at the end of training, for one objective in one split.

    Attributes:
        split: index of the split.
        objective: a target, or ``MEAN``.
        observed: [q] loss of each mixture, nats, the mean over its runs.
        predicted: [C, q] what each candidate predicts there.
        weights: [q, k] the mixtures.
    """

    split: int
    objective: str
    observed: np.ndarray
    predicted: np.ndarray
    weights: np.ndarray

    def regret(self, scores: np.ndarray) -> np.ndarray:
        """Observed loss of the mixture with the lowest score [..., q] less the lowest observed.

        Mixtures that a law cannot tell apart are picked with equal chance. Scores that are not
        finite are not picked unless all are; then the regret is infinite.
        """
        scores = np.where(np.isnan(scores), np.inf, scores)
        lowest = scores.min(-1, keepdims=True)
        picked = scores <= lowest + _INDISTINCT
        cost = (picked * self.observed).sum(-1) / picked.sum(-1) - self.observed.min()
        return np.where(np.isfinite(scores).any(-1), cost, np.inf)


def cells(trials: Trials) -> list[Cell]:
    """Where the law of each split picks among mixtures: at each size that the split offers.

    A size is looked at where its runs end; runs that stopped before that take no part.
    """
    return [
        cell
        for s, split in enumerate(trials.splits)
        for size in np.unique(trials.runs.n_params[split.choices])
        for cell in _cells_at(trials, s, _ends(trials.runs, split, size))
    ]


def _ends(runs: RunTable, split: Split, size: float) -> np.ndarray:
    """[p] rows at the last tokens of a size."""
    rows = split.choices & (runs.n_params == size)
    return rows & (runs.tokens >= 0.99 * runs.tokens[rows].max())


def _cells_at(trials: Trials, s: int, rows: np.ndarray) -> list[Cell]:
    """One cell for each target and one for their mean, where two mixtures can be told apart."""
    names = [*trials.targets, MEAN][: 1 if len(trials.targets) == 1 else None]
    observed = _with_mean(trials.runs.losses(trials.targets)[:, rows])  # [m, r]
    predicted = _with_mean(trials.predicted[:, s][:, :, rows])  # [C, m, r]
    mixture, weights = mixture_ids(trials.runs)[rows], trials.runs.weights[rows]
    made = []
    for t, name in enumerate(names):
        known: np.ndarray = np.isfinite(observed[t])
        ids, first, at = np.unique(mixture[known], return_index=True, return_inverse=True)
        if len(ids) > 1:
            losses = np.concatenate([observed[t : t + 1], predicted[:, t]])[:, known]
            means = np.stack([losses[:, at == i].mean(-1) for i in range(len(ids))], -1)
            here = weights[known][first]
            made.append(Cell(s, name, means[0], means[1:], here))
    return made


def _with_mean(losses: np.ndarray) -> np.ndarray:
    """[..., m, r] losses with their mean over m appended, where there are several targets."""
    if losses.shape[-2] == 1:
        return losses
    return np.concatenate([losses, losses.mean(-2, keepdims=True)], -2)


def default_objective(trials: Trials) -> str:
    """The mean of the targets, or the only target."""
    return trials.targets[0] if len(trials.targets) == 1 else MEAN


def baselines(trials: Trials) -> dict[str, dict[str, float]]:
    """Regret by kind of picks that need no law: the median mixture and, where run, the uniform."""
    found = [c for c in cells(trials) if c.objective == default_objective(trials)]
    out: dict[str, dict[str, float]] = {"median": {}, "uniform": {}}
    for kind in dict.fromkeys(s.kind for s in trials.splits):
        own = [c for c in found if trials.splits[c.split].kind == kind]
        out["median"][kind] = mean(float(np.median(c.observed) - c.observed.min()) for c in own)
        out["uniform"][kind] = mean(_uniform(c) for c in own)
    return out


def _uniform(cell: Cell) -> float:
    off = np.abs(cell.weights - 1.0 / cell.weights.shape[1]).max(1)
    at = int(np.argmin(off))
    return float(cell.observed[at] - cell.observed.min()) if off[at] < 1e-3 else np.nan
