"""A mixture of domains as a stream of batches, each a pure function of its step."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .draws import keyed
from .errors import DataError, hint
from .interleave import Staged
from .order import Order, OrderAfter

Batch = dict[str, np.ndarray]
Stages = Sequence[tuple[int, Mapping[str, float]]]


class Records(Protocol):
    """The records of a domain, any of which can be read at any time."""

    def __len__(self) -> int:
        """Number of records."""
        ...

    def take(self, indices: np.ndarray, draws: np.ndarray | None = None) -> Batch:
        """The records of indices [n], as arrays [n, ...] by name.

        `draws` are random numbers, uint64 [n], one for each visit of a record. Augmentations depend
        on nothing else that is random; without draws, records are not augmented.
        """
        ...


@dataclass(frozen=True)
class Consumed:
    """The data that a run has read.

    Attributes:
        records: number of records by domain.
        weights: realized shares of the records; the nominal weights if there are none yet.
        epochs: number of passes over each domain, with fractions.
    """

    records: dict[str, int]
    weights: dict[str, float]
    epochs: dict[str, float]


def checked_weights(weights: Mapping[str, float], domains: Mapping[str, object]) -> np.ndarray:
    """Weights in the alphabetical order of the domains, [k], with sum 1.

    Raises:
        DataError: a name is unknown, a weight is negative or not finite, or the sum is not 1 within
            0.005.
    """
    for name in weights:
        if name not in domains:
            raise DataError(f"weights name '{name}', which is not a domain; {hint(name, domains)}")
        if not (math.isfinite(weights[name]) and weights[name] >= 0):
            raise DataError(f"weight of '{name}' is {weights[name]}; give a number of at least 0")
    total = math.fsum(weights.values())
    if abs(total - 1) > 0.005:
        raise DataError(f"weights sum to {total:.6g}; make them sum to 1")
    return np.array([weights.get(name, 0.0) for name in sorted(domains)]) / total


def _stages(
    weights: Mapping[str, float] | Stages, domains: Mapping[str, object]
) -> tuple[list[int], np.ndarray]:
    """First step of every stage and weights [stages, k]; constant weights are one stage."""
    stages: Stages = [(0, weights)] if isinstance(weights, Mapping) else weights
    starts = [start for start, _ in stages]
    if starts[:1] != [0] or any(b <= a for a, b in itertools.pairwise(starts)):
        raise DataError(f"stages begin at steps {starts}; begin at 0 and ascend")
    return starts, np.array([checked_weights(h, domains) for _, h in stages])


class MixtureSource:
    """Batches of a mixture, by step.

    `Interleave` assigns every record of the stream to a domain. Inside a domain, the order of the
    records and their augmentation depend only on `seed` and the domain's name. So two mixtures with
    the same seed read every domain in the same order, at different speeds.

    Args:
        domains: records by name; all have arrays of the same names, shapes and dtypes.
        weights: shares of the records by name, with sum 1; omitted names have weight 0. Or stages:
            pairs of a first step and weights, the first from step 0. Every domain continues from
            stage to stage, so that a change of weights repeats nothing.
        seed: seed of the orders.
        batch: records per step, over all hosts.
        forbid_repeat: refuse, with DataError, any step that would read a record twice.
        host: index of this host; it gets rows `host::hosts` of every batch.
        hosts: number of hosts.
        after: a mixture of the same records, and the number of its steps that are done: records
            that it has not read come first, in an order that depends on this mixture's seed.

    Raises:
        DataError: weights, stages, batch or hosts are invalid, or a weighted domain is empty.

    >>> class Numbers:
    ...     def __init__(self, start): self.start = start
    ...     def __len__(self): return 4
    ...     def take(self, indices, draws): return {"x": self.start + indices}
    >>> domains = {"a": Numbers(0), "b": Numbers(10)}
    >>> source = MixtureSource(domains, {"a": 0.75, "b": 0.25}, seed=0, batch=4)
    >>> sorted(int(x) // 10 for x in source[5]["x"])
    [0, 0, 0, 1]
    >>> source.consumed(2).epochs
    {'a': 1.5, 'b': 0.5}
    """

    def __init__(
        self,
        domains: Mapping[str, Records],
        weights: Mapping[str, float] | Stages,
        seed: int,
        batch: int,
        *,
        forbid_repeat: bool = False,
        host: int = 0,
        hosts: int = 1,
        after: "tuple[MixtureSource, int] | None" = None,
    ) -> None:
        if batch < 1 or hosts < 1 or batch % hosts or not 0 <= host < hosts:
            raise DataError(
                f"batch of {batch} for host {host} of {hosts}: the batch must be divisible by the "
                "number of hosts, and hosts count from 0"
            )
        starts, shares = _stages(weights, domains)
        self._starts, self._shares = starts, shares
        self.names = tuple(sorted(domains))
        self.weights = dict(zip(self.names, shares[0].tolist(), strict=True))
        self.batch, self.seed, self.forbid_repeat = batch, seed, forbid_repeat
        self._host, self._hosts = host, hosts
        self.records = {name: domains[name] for name in self.names}
        self._sizes = np.array([len(found) for found in self.records.values()], np.int64)
        for d in np.flatnonzero((shares.max(0) > 0) & (self._sizes == 0)):
            raise DataError(f"domain '{self.names[d]}' has no records; give it weight 0 or data")
        positions = [start * batch for start in starts]
        self._interleave = Staged(positions, [*shares])
        pairs = zip(self.names, self._sizes.tolist(), strict=True)
        self._orders = [self._order(name, size, after) for name, size in pairs]
        self._unread = np.array([order.unread for order in self._orders], np.int64)

    def _order(self, name: str, size: int, after: "tuple[MixtureSource, int] | None") -> Order:
        before = None if after is None else after[0]
        if before is None or after is None or name not in before.names:
            return Order(self.seed, name, size)
        d = before.names.index(name)
        if before._sizes[d] != size:
            raise DataError(
                f"domain '{name}' has {size} records and had {before._sizes[d]} before; continue "
                "with the same data"
            )
        read = before.consumed(after[1]).records[name]
        return OrderAfter(self.seed, name, size, before._orders[d], read)

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step: arrays [batch / hosts, ...]."""
        first = step * self.batch
        before, domains = self._interleave.domains(first, first + self.batch)
        counts = np.bincount(domains, minlength=before.size)
        rows = np.argsort(domains, kind="stable")  # grouped by domain, in order within each
        out: Batch = {}
        stop = 0
        for d in np.flatnonzero(counts).tolist():
            start, stop = stop, stop + int(counts[d])
            self._fill(out, d, int(before[d]), rows[start:stop])
        return out

    def _fill(self, out: Batch, d: int, first: int, rows: np.ndarray) -> None:
        """Reads records of one domain, from its record `first`, into rows of the batch."""
        last = first + rows.size
        if self.forbid_repeat and last > self._unread[d]:
            self._refuse(d, last, "this step")
        name = self.names[d]
        indices = self._orders[d](first, last)
        draws = keyed(f"{self.seed}\0{name}\0visits", first, last)
        if self._hosts > 1:
            here = rows % self._hosts == self._host
            indices, draws, rows = indices[here], draws[here], rows[here] // self._hosts
        if rows.size:
            self._scatter(out, name, self.records[name].take(indices, draws), rows)

    def _scatter(self, out: Batch, name: str, taken: Batch, rows: np.ndarray) -> None:
        if not out:
            size = self.batch // self._hosts
            out.update({k: np.empty((size, *v.shape[1:]), v.dtype) for k, v in taken.items()})
        for key, values in out.items():
            found = taken.get(key)
            if found is None or found.shape[1:] != values.shape[1:] or found.dtype != values.dtype:
                raise DataError(
                    f"domain '{name}': its records differ in '{key}' from those of the others; all "
                    "domains need the same arrays, shapes and dtypes"
                )
            values[rows] = found

    def consumed(self, steps: int) -> Consumed:
        """The data that the first `steps` steps read, over all hosts."""
        counts = self._interleave.before(steps * self.batch)
        total = steps * self.batch
        shares = (counts / total).tolist() if total else list(self.weights.values())
        epochs = (counts / np.maximum(self._sizes, 1)).tolist()
        return Consumed(*(self._named(values) for values in (counts.tolist(), shares, epochs)))

    def nominal(self, steps: int) -> dict[str, float]:
        """Average weights of the first `steps` steps; those of the first stage if it is 0."""
        ends = [*self._starts[1:], max(steps, self._starts[-1])]
        done = np.diff(np.minimum([0, *ends], steps))  # [stages]
        average = done @ self._shares / steps if steps else self._shares[0]
        return self._named(average.tolist())

    def check(self, steps: int) -> None:
        """Refuses to read a record twice in so many steps if that is forbidden.

        Raises:
            DataError: a domain has too few records, and `forbid_repeat` is set.
        """
        if self.forbid_repeat:
            needs = self._interleave.before(steps * self.batch)
            for d in np.flatnonzero(needs > self._unread):
                self._refuse(int(d), int(needs[d]), f"{steps} steps")

    def _named(self, values: list) -> dict:
        return dict(zip(self.names, values, strict=True))

    def _refuse(self, d: int, needs: int, what: str) -> None:
        has = f"{self._unread[d]}{' unread' if self._unread[d] < self._sizes[d] else ''}"
        raise DataError(
            f"domain '{self.names[d]}' has {has} records and {what} would need {needs}: "
            "it would repeat; train for fewer steps, lower its weight, or allow repetition"
        )
