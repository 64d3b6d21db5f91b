"""The progress of a fleet: snapshots, and the clock behind them."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Snapshot:
    """The progress of a fleet, for progress bars and files of metrics.

    Attributes:
        step: steps done.
        steps: steps in all.
        losses: training loss of every member at a recent step.
        gradient_norms: norm of every member's gradient at that step, before clipping.
        tokens_per_second: rate of all members, without compilation and evaluation.
        data_wait: share of that time spent waiting for data.
        seconds_left: remaining time at this rate.
    """

    step: int
    steps: int
    losses: np.ndarray
    gradient_norms: np.ndarray
    tokens_per_second: float
    data_wait: float
    seconds_left: float


Progress = Callable[[Snapshot], None]


def all_of(*listeners: Progress) -> Progress:
    """One progress callback that calls all of these in turn."""

    def tell(snapshot: Snapshot) -> None:
        for listener in listeners:
            listener(snapshot)

    return tell


class Clock:
    """Training time only: the first step, which compiles, and evaluations do not count."""

    def __init__(self, tokens_per_step: int) -> None:
        self.tokens_per_step = tokens_per_step
        self._seconds = self._waited = self._begun = self._shown = 0.0
        self._steps = 0
        self._warm = False

    def resume(self) -> None:
        """Starts to count time."""
        self._begun = time.monotonic()

    def next_batch(self, batches: Iterator[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
        """The next batch; the time until it is there counts as waiting."""
        begun = time.monotonic()
        batch = next(batches)
        self._waited += time.monotonic() - begun if self._warm else 0.0
        return batch

    def step_done(self) -> bool:
        """Counts a step; True about twice a second."""
        now = time.monotonic()
        if self._warm:
            self._steps += 1
            self._seconds += now - self._begun
        self._warm, self._begun = True, now
        due = now - self._shown > 0.5
        self._shown = now if due else self._shown
        return due

    @property
    def tokens_per_second(self) -> float:
        """The rate over all steps that counted; 0 if there are none yet."""
        return self._steps * self.tokens_per_step / self._seconds if self._seconds else 0.0

    @property
    def data_wait(self) -> float:
        """Share of the time spent waiting for data."""
        return self._waited / self._seconds if self._seconds else 0.0
