"""The domain of every record of a mixture: evenly spread, and computed from any position."""

from collections.abc import Sequence

import numpy as np

_MARGIN = 2.0  # records; rounding of times does not reach the requested records


class Interleave:
    """Stride scheduling: record j of domain d has the time (j + 1/2) / h_d.

    Records are ordered by time, and at equal times by the order of the domains. Of the first i
    records, i h_d are from domain d to within 1 + k h_d / 2.

    Args:
        weights: h [k], non-negative, with sum 1. A domain of weight zero never occurs.
    """

    def __init__(self, weights: np.ndarray) -> None:
        self._size = weights.size
        self._active = np.flatnonzero(weights)
        self._h = np.asarray(weights, np.float64)[self._active]
        self._slack = self._active.size / 2 + _MARGIN

    def _until(self, time: float) -> np.ndarray:
        """Number of records of every active domain up to a time, int64 [active]."""
        return np.maximum(np.floor(time * self._h + 0.5), 0).astype(np.int64)

    def _around(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts of records before a range around first to last, and the domains in it, [n]."""
        # Up to time t there are t records, give or take k / 2.
        before = self._until(first - self._slack)
        counts = self._until(last + self._slack) - before
        domains = np.repeat(np.arange(self._h.size), counts)
        behind = np.cumsum(counts) - counts
        index = np.arange(domains.size) - (behind - before)[domains]
        order = np.argsort((index + 0.5) / self._h[domains], kind="stable")
        return before, domains[order]

    def before(self, position: int) -> np.ndarray:
        """Number of records of every domain among the first `position`, int64 [k]."""
        return self.domains(position, position)[0]

    def domains(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Domains of the records `first` to `last` - 1.

        Returns:
            Counts of records before `first` by domain, int64 [k]; domain indices [last - first].
        """
        before, following = self._around(first, last)
        skip = first - int(before.sum())
        before = before + np.bincount(following[:skip], minlength=before.size)
        counts = np.zeros(self._size, np.int64)
        counts[self._active] = before
        return counts, self._active[following[skip : skip + last - first]]


class Staged:
    """Stages with weights of their own; every domain continues from stage to stage.

    Args:
        starts: position of the first record of each stage; ascending from 0.
        weights: h [k] of each stage.
    """

    def __init__(self, starts: Sequence[int], weights: Sequence[np.ndarray]) -> None:
        self._starts = np.array(starts, np.int64)
        self._parts = [Interleave(h) for h in weights]
        used = [np.zeros(weights[0].size, np.int64)]  # counts of records before each stage
        for part, length in zip(self._parts[:-1], np.diff(self._starts).tolist(), strict=True):
            used.append(used[-1] + part.before(length))
        self._used = used

    def before(self, position: int) -> np.ndarray:
        """Number of records of every domain among the first `position`, int64 [k]."""
        return self.domains(position, position)[0]

    def domains(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Interleave`; the records may be from several stages."""
        stage = int(np.searchsorted(self._starts, first, "right")) - 1
        begun = int(self._starts[stage])
        end = int(self._starts[stage + 1]) if stage + 1 < len(self._parts) else last
        within, domains = self._parts[stage].domains(first - begun, min(last, end) - begun)
        if last > end:
            domains = np.concatenate([domains, self.domains(end, last)[1]])
        return self._used[stage] + within, domains
