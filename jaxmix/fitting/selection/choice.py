"""The choice: paired differences with their standard errors, ties, and the nested score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.scores import mean
from jaxmix.fitting.selection.evidence import Evidence, Groups

_CLUSTERS = 3  # fewer groups than this say nothing about their spread
_REGRET_ERRORS = 2.0  # standard errors of regret, which is a matter of a few picks
_ROUNDING = 1.0 + 1e-9


@dataclass(frozen=True)
class Difference:
    """How much worse one candidate is than another.

    Attributes:
        mean: difference of their scores.
        standard_error: of it, the largest over mixtures and over splits; infinite where there are
            too few of either to tell.
    """

    mean: float
    standard_error: float

    def within(self, standard_errors: float) -> bool:
        """Whether it is worse by no more than so many standard errors."""
        return bool(self.mean <= standard_errors * self.standard_error * _ROUNDING)


def clustered(difference: np.ndarray, share: np.ndarray, cluster: np.ndarray) -> float:
    """Standard error of ``sum(share * difference)``, groups of one cluster varying together.

    Args:
        difference: [U].
        share: [U], their sum is 1.
        cluster: [U] labels.

    Returns:
        The cluster-robust standard error of a weighted mean; NaN with fewer than three clusters.

    >>> values, equal = np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, 0.25)
    >>> bool(np.isclose(clustered(values, equal, np.arange(4)), values.std(ddof=1) / 2))
    True
    """
    _, at = np.unique(cluster, return_inverse=True)
    count = at.max() + 1
    if count < _CLUSTERS:
        return np.nan
    centered = share * (difference - np.sum(share * difference))
    sums = np.bincount(at.reshape(-1), centered, count)
    return float(np.sqrt(count / (count - 1) * np.sum(sums**2)))


def paired(groups: Groups, first: int, second: int) -> Difference:
    """By how much the score of ``first`` exceeds that of ``second``, on the same groups."""
    a, b = groups.values[first], groups.values[second]
    if first == second or np.array_equal(a, b):
        return Difference(0.0, 0.0)
    if not np.all(np.isfinite(a)):
        return Difference(np.inf, 0.0)
    difference = a - b
    spread = [clustered(difference, groups.share, c) for c in groups.clusters]
    known = [s for s in spread if np.isfinite(s)]
    return Difference(float(groups.share @ difference), max(known, default=np.inf))


@dataclass(frozen=True)
class Verdict:
    """What was picked, as indices of candidates.

    Attributes:
        picked: the pick.
        lowest: the lowest error among those that pick mixtures well enough.
        tied: those within one standard error of ``lowest`` in error.
        high_regret: those whose picks of mixtures cost more than two standard errors above the
            cheapest; they are not eligible, whatever their error.
    """

    picked: int
    lowest: int
    tied: tuple[int, ...]
    high_regret: tuple[int, ...]


def choose(evidence: Evidence, n_parameters: Sequence[int]) -> Verdict | None:
    """Regret first, then error, then simplicity.

    Candidates whose regret is within two standard errors of the lowest are eligible: a law that
    ignores the mixture may err little and still be no use. Of those within one standard error of
    the lowest error the one with the fewest parameters is picked, then the lower error, then the
    one named first. None where no candidate has a finite error.
    """
    scores = evidence.error.score()
    finite = [i for i in range(len(scores)) if np.isfinite(scores[i])]
    if not finite:
        return None
    eligible = finite if evidence.regret is None else near_lowest(evidence.regret, finite)
    lowest = min(eligible, key=lambda i: scores[i])
    tied = [i for i in eligible if paired(evidence.error, i, lowest).within(1.0)]
    picked = min(tied, key=lambda i: (n_parameters[i], scores[i], i))
    high_regret = tuple(i for i in finite if i not in eligible)
    return Verdict(picked, lowest, tuple(tied), high_regret)


def near_lowest(regret: Groups, among: Sequence[int]) -> list[int]:
    """Those whose regret is within two standard errors of the lowest."""
    scores = regret.score()
    lowest = min(among, key=lambda i: scores[i])
    return [i for i in among if paired(regret, i, lowest).within(_REGRET_ERRORS)]


@dataclass(frozen=True)
class OuterPick:
    """What the procedure does when it has not seen an outer split.

    Attributes:
        split: name of the outer split.
        picked: name of the candidate that the inner splits chose.
        error: its mean relative error on the outer test rows, percent.
        regret: of its picks among the outer mixtures, nats; NaN where there is nothing to pick.
    """

    split: str
    picked: str
    error: float
    regret: float


@dataclass(frozen=True)
class NestedScore:
    """The procedure as a whole, beside the figures of the pick that it chose.

    Attributes:
        error: mean over outer splits of the error of what inner splits chose, percent.
        naive_error: that of the final pick on the same rows, which took part in choosing it.
        regret: likewise, nats.
        naive_regret: likewise.
        picks: one per outer split.
        skipped: outer splits too small to be split again, by name, and why.
    """

    error: float
    naive_error: float
    regret: float
    naive_regret: float
    picks: tuple[OuterPick, ...]
    skipped: dict[str, str]


def nested_score(
    outer: Evidence,
    splits: Mapping[int, str],
    inner: Sequence[Evidence | str],
    picked: int,
    names: Sequence[str],
    n_parameters: Sequence[int],
) -> NestedScore:
    """Lets inner splits choose and outer rows score.

    Args:
        outer: all candidates on all splits.
        splits: names of the O outer ones by their index in ``outer``.
        inner: [O] evidence on splits of each outer split's training rows, or why there is none.
        picked: the candidate that all splits together chose.
        names: [C] of the candidates.
        n_parameters: [C], for ties.
    """
    picks: list[OuterPick] = []
    used: list[int] = []
    skipped: dict[str, str] = {}
    for (split, name), found in zip(splits.items(), inner, strict=True):
        verdict = None if isinstance(found, str) else choose(found, n_parameters)
        if verdict is None:
            skipped[name] = found if isinstance(found, str) else "no candidate could be fitted"
            continue
        error, regret = (
            _at(groups, split, verdict.picked) for groups in (outer.error, outer.regret)
        )
        picks.append(OuterPick(name, names[verdict.picked], error, regret))
        used.append(split)
    return NestedScore(
        mean(p.error for p in picks),
        mean(_at(outer.error, s, picked) for s in used),
        mean(p.regret for p in picks),
        mean(_at(outer.regret, s, picked) for s in used),
        tuple(picks),
        skipped,
    )


def _at(groups: Groups | None, split: int, candidate: int) -> float:
    return np.nan if groups is None else float(groups.of_splits([split])[candidate])
