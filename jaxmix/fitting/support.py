"""What the mixtures that were run can tell: ranges, unused domains, directions never varied.

A law is fitted on the mixtures of a table. Along a direction in which these do not vary, its
prediction follows from the law's form alone. ``mixture_support`` finds such directions, says them
in words, and gives the equations that hold a proposal at the observed proportions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from jaxmix.notes import GUESS, UNSAFE, Note

VARIES = 2e-3  # standard deviation of a weight below which it counts as not varied
_HARDLY = 0.01  # a domain whose weight never exceeds this was hardly used
_MOST_PAIRS = 6  # sentences on pairs of domains; more would hide the others


@dataclass(frozen=True, eq=False)
class Support:
    """What u distinct mixtures over k domains can tell.

    Attributes:
        domains: bare names.
        mixtures: [u, k].
        fixed: [k] whether a domain's weight does not vary.
        flat: [r, k] orthonormal directions of sum 0 over the other domains along which the
            mixtures do not vary.
        notes: what cannot be told, one sentence each.
    """

    domains: tuple[str, ...]
    mixtures: np.ndarray
    fixed: np.ndarray
    flat: np.ndarray
    notes: tuple[str, ...]

    @property
    def low(self) -> np.ndarray:
        """Smallest weight of each domain that was run, [k]."""
        return self.mixtures.min(0)

    @property
    def high(self) -> np.ndarray:
        """Largest weight of each domain that was run, [k]."""
        return self.mixtures.max(0)

    @property
    def center(self) -> np.ndarray:
        """Mean of the mixtures, [k]; exactly 0 for domains that were never used."""
        return self.mixtures.mean(0)

    def beyond(self, h: np.ndarray, slack: float = 0.005) -> dict[str, tuple[float, float]]:
        """Least and largest weight by domain, for those whose weight in h [k] lies outside."""
        outside = (h < self.low - slack) | (h > self.high + slack)
        ends = zip(self.low.tolist(), self.high.tolist(), strict=True)
        return {d: e for d, e, out in zip(self.domains, ends, outside, strict=True) if out}


def mixture_support(mixtures: np.ndarray, domains: Sequence[str]) -> Support:
    """What mixtures [p, k] can tell about the weights of their domains.

    Args:
        mixtures: rows of sum 1; repeats count once.
        domains: bare names, the order of the columns.

    Example:
        >>> runs = np.array([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0], [0.9, 0.1, 0.0]])
        >>> mixture_support(runs, ["a", "b", "new"]).notes
        ('new was never trained on: the runs say nothing about it',)
        >>> runs = np.array([[0.2, 0.4, 0.4], [0.1, 0.2, 0.7], [0.3, 0.6, 0.1]])
        >>> mixture_support(runs, ["a", "b", "c"]).notes
        ('a and b move together in all runs: b = 2 a',)
    """
    given, names = np.asarray(mixtures, float), tuple(domains)
    seen = given[np.sort(np.unique(np.round(given, 5), axis=0, return_index=True)[1])]
    fixed = np.ptp(seen, axis=0) < 2 * VARIES if len(seen) > 1 else np.ones(len(names), bool)
    flat = _flat(seen, ~fixed)
    return Support(names, seen, fixed, flat, tuple(_words(seen, fixed, flat, names)))


def _flat(seen: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Directions [r, k] over the moving domains without variation, the sum left out."""
    count = int(moving.sum())
    found = np.zeros((0, len(moving)))
    if count < 2:
        return found
    centered = (seen - seen.mean(0))[:, moving]
    # The direction of the sum is no freedom of a mixture: a large eigenvalue keeps it out.
    values, vectors = np.linalg.eigh(centered.T @ centered / len(seen) + 1.0 / count)
    flat = vectors[:, values < VARIES**2].T
    found = np.zeros((len(flat), len(moving)))
    found[:, moving] = flat
    return found


def _words(
    seen: np.ndarray, fixed: np.ndarray, flat: np.ndarray, domains: tuple[str, ...]
) -> list[str]:
    """Sentences on unused domains, fixed weights, proportions, sums, and what else is flat."""
    if len(seen) == 1:
        at = ", ".join(f"{d} {w:.3g}" for d, w in zip(domains, seen[0], strict=True))
        alone = f"all rows have one mixture ({at}): the runs say nothing about any other"
        return [Note(f"{alone}; run several (jaxmix study plan designs them)", UNSAFE)]
    said = [_of_domain(name, seen[:, i], fixed[i]) for i, name in enumerate(domains)]
    pairs = _pairs(seen, np.flatnonzero(~fixed), domains) if len(flat) else []
    rest = pairs[:_MOST_PAIRS]
    if len(flat) > len(pairs) or len(pairs) > _MOST_PAIRS:
        freedom = int((~fixed).sum()) - 1
        rest.append(
            f"the {len(seen)} mixtures vary in {freedom - len(flat)} of {freedom} directions: the "
            "runs say nothing about the others, and proposals keep their proportions"
        )
    return [Note(text, GUESS) for text in (*filter(None, said), *rest)]


def _of_domain(name: str, weights: np.ndarray, fixed: bool) -> str:
    most = weights.max()
    if most == 0:
        return f"{name} was never trained on: the runs say nothing about it"
    if most < _HARDLY:
        return f"{name} was hardly used: its weight is at most {most:.2g} in all runs"
    return f"{name} has the weight {weights.mean():.3g} in all runs" if fixed else ""


def _pairs(seen: np.ndarray, moving: np.ndarray, domains: tuple[str, ...]) -> list[str]:
    """Pairs of domains whose ratio or sum is the same in all mixtures."""
    said = []
    for i, j in combinations(moving.tolist(), 2):
        a, b, (one, other) = seen[:, i], seen[:, j], (domains[i], domains[j])
        ratio = float(a @ b / (a @ a))
        if np.std(b - ratio * a) < VARIES:
            equal = f"{other} = {ratio:.3g} {one}" if abs(ratio - 1) > 0.005 else f"{other} = {one}"
            said.append(f"{one} and {other} move together in all runs: {equal}")
        elif np.std(a + b) < VARIES and len(moving) > 2:
            said.append(f"{one} + {other} is {np.mean(a + b):.3g} in all runs")
    return said
