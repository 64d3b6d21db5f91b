"""Where a fleet stands while it trains, and the clock that says how fast."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moment:
    """Where a fleet stands; what a progress bar or a metrics file shows.

    Attributes:
        step: steps done.
        steps: steps in all.
        losses: training loss of every member at a step shortly before.
        gradient_norms: before clipping, likewise.
        tokens_per_second: of all members, without compilation and evaluation.
        data_wait: share of that time spent waiting for data.
        seconds_left: at this rate.
    """

    step: int
    steps: int
    losses: np.ndarray
    gradient_norms: np.ndarray
    tokens_per_second: float
    data_wait: float
    seconds_left: float


Progress = Callable[[Moment], None]


def all_of(*listeners: Progress) -> Progress:
    """One progress callback that calls all of these in turn."""

    def tell(moment: Moment) -> None:
        for listener in listeners:
            listener(moment)

    return tell


class Clock:
    """Training time alone: the first step, which compiles, and evaluations do not count."""

    def __init__(self, tokens_per_step: int) -> None:
        self.tokens_per_step = tokens_per_step
        self._seconds = self._waited = self._begun = self._shown = 0.0
        self._steps = 0
        self._warm = False

    def resume(self) -> None:
        """Time counts from here on."""
        self._begun = time.monotonic()

    def waiting(self, batches: Iterator[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
        """The next batch, and how long it took."""
        begun = time.monotonic()
        batch = next(batches)
        self._waited += time.monotonic() - begun if self._warm else 0.0
        return batch

    def step_done(self) -> bool:
        """Counts a step; True twice a second."""
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
        """Over all steps that counted; 0 before there was one."""
        return self._steps * self.tokens_per_step / self._seconds if self._seconds else 0.0

    @property
    def data_wait(self) -> float:
        """Share of the time spent waiting for data."""
        return self._waited / self._seconds if self._seconds else 0.0
