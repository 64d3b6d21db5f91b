"""Which domain every record of a mixture comes from: evenly, by arithmetic, from any position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MARGIN = 2.0  # records; keeps the rounding of times away from the records that are asked for


class Interleave:
    """Stride scheduling: record j of domain d has the time (j + 1/2) / h_d.

    Records follow one another by time, and at equal times by the order of the domains. After i
    records every domain has had i h_d of them to within 1 + k h_d / 2.

    Args:
        weights: h [k], non-negative, sum 1. A domain of weight zero never comes.
    """

    def __init__(self, weights: np.ndarray) -> None:
        self._size = weights.size
        self._active = np.flatnonzero(weights)
        self._h = np.asarray(weights, np.float64)[self._active]
        self._slack = self._active.size / 2 + _MARGIN

    def _until(self, time: float) -> np.ndarray:
        """Records of every active domain up to a time, int64 [active]."""
        return np.maximum(np.floor(time * self._h + 0.5), 0).astype(np.int64)

    def _around(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Records that come before all in question, [active], and the domains that follow, [n]."""
        # Up to time t come t records, give or take k / 2.
        before = self._until(first - self._slack)
        counts = self._until(last + self._slack) - before
        domains = np.repeat(np.arange(self._h.size), counts)
        behind = np.cumsum(counts) - counts
        index = np.arange(domains.size) - (behind - before)[domains]
        order = np.argsort((index + 0.5) / self._h[domains], kind="stable")
        return before, domains[order]

    def before(self, position: int) -> np.ndarray:
        """Records of every domain among the first `position`, int64 [k]."""
        return self.domains(position, position)[0]

    def domains(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Domains of the records `first` up to but not including `last`.

        Returns:
            Records of every domain before `first`, int64 [k], and domain indices [last - first].
        """
        before, following = self._around(first, last)
        skip = first - int(before.sum())
        before = before + np.bincount(following[:skip], minlength=before.size)
        counts = np.zeros(self._size, np.int64)
        counts[self._active] = before
        return counts, self._active[following[skip : skip + last - first]]


class Staged:
    """Interleaves one after the other; every domain goes on where the stage before left it.

    Args:
        starts: position at which each stage begins; ascending from 0.
        weights: h [k] of each stage.
    """

    def __init__(self, starts: Sequence[int], weights: Sequence[np.ndarray]) -> None:
        self._starts = np.array(starts, np.int64)
        self._parts = [Interleave(h) for h in weights]
        used = [np.zeros(weights[0].size, np.int64)]  # records of every domain before each stage
        for part, length in zip(self._parts[:-1], np.diff(self._starts).tolist(), strict=True):
            used.append(used[-1] + part.before(length))
        self._used = used

    def before(self, position: int) -> np.ndarray:
        """Records of every domain among the first `position`, int64 [k]."""
        return self.domains(position, position)[0]

    def domains(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """As of `Interleave`; the records may be of several stages."""
        stage = int(np.searchsorted(self._starts, first, "right")) - 1
        begun = int(self._starts[stage])
        end = int(self._starts[stage + 1]) if stage + 1 < len(self._parts) else last
        within, domains = self._parts[stage].domains(first - begun, min(last, end) - begun)
        if last > end:
            domains = np.concatenate([domains, self.domains(end, last)[1]])
        return self._used[stage] + within, domains
