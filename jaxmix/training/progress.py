"""The progress of a fleet: snapshots, the clock behind them, and files for TensorBoard."""

import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from jaxmix.errors import JaxmixError


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


def tensorboard(folder: Path | str, runs: Sequence[str]) -> Progress:
    """Returns a progress callback that writes event files, in one subfolder per run.

    Scalars are ``loss``, ``gradient_norm`` and ``tokens_per_second`` (the run's share) by step. In
    a group of processes, only the first one writes.

    Args:
        folder: the log folder of TensorBoard.
        runs: names of the members, in the fleet's order.

    Raises:
        JaxmixError: tensorboardX is not installed.
    """
    try:
        package = importlib.import_module("tensorboardX")
    except ImportError:
        raise JaxmixError(
            "event files need the package tensorboardX: pip install tensorboardx"
        ) from None
    if jax.process_index():
        return lambda snapshot: None
    writers = [package.SummaryWriter(str(Path(folder) / run)) for run in runs]

    def tell(snapshot: Snapshot) -> None:
        share = snapshot.tokens_per_second / len(writers)
        for i, writer in enumerate(writers):
            writer.add_scalar("loss", float(snapshot.losses[i]), snapshot.step)
            writer.add_scalar("gradient_norm", float(snapshot.gradient_norms[i]), snapshot.step)
            writer.add_scalar("tokens_per_second", share, snapshot.step)
            # A closed writer opens a new file if it is called once more.
            writer.close() if snapshot.step == snapshot.steps else writer.flush()

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
