"""A part of a domain's records, so that runs repeat a domain as often as they should."""

from dataclasses import dataclass

import numpy as np

from .mixture import Batch, Records
from .order import permutation


@dataclass(frozen=True)
class Pool:
    """Some records of a domain, to be read instead of all of them.

    Attributes:
        records: all records of the domain.
        chosen: indices of those in the pool, [n].
    """

    records: Records
    chosen: np.ndarray

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, indices: np.ndarray, draws: np.ndarray | None = None) -> Batch:
        """The records of these indices of the pool; see `Records`."""
        return self.records.take(self.chosen[indices], draws)


def pool(records: Records, name: str, count: int, seed: int) -> Records:
    """A random pool of records of a domain; a smaller one is a part of every larger one.

    Args:
        records: all records of the domain.
        name: name of the domain.
        count: number of records in the pool, at most all.
        seed: seed of the choice; another one chooses other records.
    """
    if count == len(records):
        return records
    return Pool(records, permutation(seed, f"{name}\0pool", len(records), 0)[:count])
