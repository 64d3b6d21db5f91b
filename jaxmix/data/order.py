"""The order of a domain's records: one permutation per epoch, from seed and name alone."""

import functools
import threading
import weakref

import numpy as np

from .draws import keyed

_SHARED: weakref.WeakValueDictionary[tuple[int, str, int, int], np.ndarray] = (
    weakref.WeakValueDictionary()
)


def permutation(seed: int, name: str, count: int, epoch: int) -> np.ndarray:
    """The order of `count` records in one epoch, uint32 or int64 [count].

    It is the same on every machine and with every version of NumPy: records are sorted by a 64-bit
    mix (splitmix64) of their index and a key hashed from the rest. Calls with equal arguments share
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
    """Indices of `count` of `total` records, evenly spaced, or of all if there are fewer.

    >>> spaced(3, 10).tolist()
    [0, 3, 6]
    """
    count = min(count, total)
    return np.arange(count) * total // max(count, 1)


class Order:
    """The endless sequence of a domain's records: epoch after epoch, each permuted.

    The permutations of the last two epochs are kept, at four bytes per record.
    """

    def __init__(self, seed: int, name: str, count: int) -> None:
        self._count = count
        self.unread = count  # number of records before the first repetition
        self._permutation = functools.lru_cache(2)(
            functools.partial(permutation, seed, name, count)
        )
        self._lock = threading.Lock()

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Indices of records `first` to `last` - 1 of the sequence, [last - first]."""
        parts = []
        while first < last:
            epoch, start = divmod(first, self._count)
            stop = min(self._count, start + last - first)
            parts.append(self._epoch(epoch)[start:stop])
            first += stop - start
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _epoch(self, epoch: int) -> np.ndarray:
        with self._lock:  # threads that start an epoch together wait for one of them to sort
            return self._permutation(epoch)


class OrderAfter(Order):
    """The sequence of a domain that continues an earlier one.

    The records that the earlier one has not read in its first epoch come first, permuted by this
    one's seed; then come all records, epoch after epoch.

    Args:
        seed: seed of this sequence.
        name: name of the domain.
        count: number of its records.
        before: the earlier sequence.
        read: number of records read from it.
    """

    def __init__(self, seed: int, name: str, count: int, before: Order, read: int) -> None:
        super().__init__(seed, name, count)
        self.unread = max(before.unread - read, 0)
        self._rest = before(read, before.unread) if self.unread else np.zeros(0, np.int64)
        if self.unread:
            self._rest = self._rest[permutation(seed, f"{name}\0after", self.unread, 0)]

    def __call__(self, first: int, last: int) -> np.ndarray:
        """See `Order`."""
        fresh = self._rest[first:last]
        first, last = max(first - self.unread, 0), max(last - self.unread, 0)
        if first == last:
            return fresh
        again = super().__call__(first, last)
        return np.concatenate([fresh, again]) if fresh.size else again
