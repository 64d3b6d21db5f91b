"""In which order a domain's records come: a permutation an epoch, from seed and name alone."""

from __future__ import annotations

import threading
import weakref

import numpy as np

from .draws import keyed

_SHARED: weakref.WeakValueDictionary[tuple[int, str, int, int], np.ndarray] = (
    weakref.WeakValueDictionary()
)


def permutation(seed: int, name: str, count: int, epoch: int) -> np.ndarray:
    """The order of `count` records in one epoch, uint32 or int64 [count].

    A pure function of its arguments on every machine and NumPy: records are sorted by a
    64-bit mix (splitmix64) of their index and a key hashed from the rest. Equal arguments share
    one array while it is in use.
    """
    key = (seed, name, count, epoch)
    found = _SHARED.get(key)
    if found is None:
        draws = keyed(f"{seed}\0{name}\0{epoch}", 0, count)
        found = np.argsort(draws, kind="stable")
        if count <= 1 << 32:
            found = found.astype(np.uint32)
        found.flags.writeable = False
        _SHARED[key] = found
    return found


def spaced(count: int, total: int) -> np.ndarray:
    """Indices of `count` of `total` records, evenly spaced, or of all where there are fewer.

    >>> spaced(3, 10).tolist()
    [0, 3, 6]
    """
    count = min(count, total)
    return np.arange(count) * total // max(count, 1)


class Order:
    """Where record j of a domain's endless walk lies: epoch j // n, permuted within it.

    Permutations of the two epochs used last are kept: four bytes a record each.
    """

    def __init__(self, seed: int, name: str, count: int) -> None:
        self._key, self._count = (seed, name, count), count
        self.unread = count  # records before any comes again
        self._kept: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Indices of records `first` up to but not including `last` of the walk, [n]."""
        parts = []
        while first < last:
            epoch, start = divmod(first, self._count)
            stop = min(self._count, start + last - first)
            parts.append(self._epoch(epoch)[start:stop])
            first += stop - start
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _epoch(self, epoch: int) -> np.ndarray:
        found = self._kept.get(epoch)
        if found is None:
            with self._lock:
                found = self._kept.get(epoch)
                if found is None:
                    found = permutation(*self._key, epoch)
                    kept = [*self._kept.items()][-1:]
                    self._kept = {**dict(kept), epoch: found}
        return found


class OrderAfter(Order):
    """The walk of a domain of which an earlier one has read some.

    First come the records of the earlier walk's current pass that it has not read, permuted by this
    one's seed; then all records, epoch after epoch. Nothing is unread after a whole pass.

    Args:
        seed: of this walk.
        name: of the domain.
        count: its records.
        before: the earlier walk.
        read: records that it has read.
    """

    def __init__(self, seed: int, name: str, count: int, before: Order, read: int) -> None:
        super().__init__(seed, name, count)
        self.unread = max(before.unread - read, 0)
        self._rest = before(read, before.unread) if self.unread else np.zeros(0, np.int64)
        if self.unread:
            self._rest = self._rest[permutation(seed, f"{name}\0after", self.unread, 0)]

    def __call__(self, first: int, last: int) -> np.ndarray:
        """As of `Order`."""
        fresh = self._rest[first:last]
        first, last = max(first - self.unread, 0), max(last - self.unread, 0)
        if first == last:
            return fresh
        again = super().__call__(first, last)
        return np.concatenate([fresh, again]) if fresh.size else again
