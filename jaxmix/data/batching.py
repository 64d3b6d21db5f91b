"""Batches of one or many mixtures, prefetched by grain."""

from collections.abc import Sequence
from typing import Any

import grain
import numpy as np

from .errors import DataError
from .mixture import Batch, MixtureSource

_ENDLESS = 1 << 62  # steps


class _Steps:
    """Steps as grain's random-access source: the members' batches, stacked."""

    def __init__(self, sources: Sequence[MixtureSource], stop: int) -> None:
        self._sources, self._stop = tuple(sources), stop

    def __len__(self) -> int:
        return self._stop

    def __getitem__(self, step: Any) -> Batch:
        parts = [source[int(step)] for source in self._sources]
        if len(parts) == 1:  # spares a copy, which takes as long as decoding on many cores
            return {name: value[None] for name, value in parts[0].items()}
        return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


def batches(
    sources: Sequence[MixtureSource],
    *,
    start: int = 0,
    stop: int | None = None,
    threads: int = 1,
    prefetch: int = 2,
) -> grain.DatasetIterator[Batch]:
    """Batches of every step, stacked over the members of a fleet.

    Args:
        sources: one mixture per member, with records and batches of one shape.
        start: first step.
        stop: the step behind the last one; None for no end.
        threads: number of threads that read ahead; 0 reads on demand.
        prefetch: number of steps to read ahead.

    Returns:
        An iterator over arrays [members, batch, ...] by name. Its `get_state()` and
        `set_state(state)` save and restore the position; the next batch is then the same one.

    Raises:
        DataError: there is no source, or `start` and `stop` are out of order; while iterating, a
            source refuses a step.
    """
    end = _ENDLESS if stop is None else stop
    if not sources or not 0 <= start <= end:
        raise DataError(
            f"batches of {len(sources)} mixtures from step {start} to {stop}: give one mixture or "
            "more, and steps in order"
        )
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=prefetch)
    steps = grain.MapDataset.source(_Steps(sources, end))  # type: ignore
    iterator = iter(steps.to_iter_dataset(options))
    if start:
        grain.experimental.set_next_index(iterator, start)
    return iterator
