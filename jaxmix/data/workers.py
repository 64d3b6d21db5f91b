"""Work on pictures in as many threads as there are cores."""

import functools
import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Smaller pictures are done sooner than threads, which wait for one another's Python, could help.
LEAST_SIDE = 64  # pixels


def spread(work: Callable[[Any], Any], items: Sequence[Any], side: int) -> list[Any]:
    """The results of `work` for every item, in the order of the items.

    Threads suffice, because Pillow frees Python's lock while it decodes and resizes. Every item has
    a result of its own, so that nothing depends on the number of threads.

    Args:
        work: what is to be done; it must not call this function.
        items: its arguments.
        side: side of the pictures in pixels; the calling thread does small ones alone.
    """
    count = _cores()
    if side < LEAST_SIDE or count == 1 or len(items) == 1:
        return [work(item) for item in items]
    size = max(1, len(items) // (4 * count))
    parts = [items[at : at + size] for at in range(0, len(items), size)]
    done = _pool().map(lambda part: [work(item) for item in part], parts)
    return list(itertools.chain.from_iterable(done))


def _cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_cores(), "pictures")
