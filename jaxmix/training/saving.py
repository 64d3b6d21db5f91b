"""When a run is saved and when it stops, decided alike in all processes of a group."""

import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from jaxmix.training.sharding import Layout

FIRST = 15.0  # seconds until the first checkpoint of a call; the next ones double until the limit
GO_ON, SAVE, STOP = 0, 1, 2


Stopping = Callable[[], AbstractContextManager[Callable[[], bool]]]


def never() -> AbstractContextManager[Callable[[], bool]]:
    """The run is not asked to stop."""
    return contextlib.nullcontext(lambda: False)


@dataclass(frozen=True)
class Saving:
    """When a run is saved and when it stops.

    Attributes:
        seconds: most seconds between two checkpoints. The first ones come sooner: 15 seconds after
            the start of a call, and whenever its time has doubled. 0 saves after every step.
        stopping: opens a context for the time of training, with a function that is asked after
            every step; once it returns True, the run is saved and `Stopped` is raised.
    """

    seconds: float = 300.0
    stopping: Stopping = never


USUAL = Saving()


class Stopped(Exception):
    """A run was asked to stop and did, after it was saved; the same call goes on.

    Attributes:
        step: steps done.
        steps: steps in all.
    """

    def __init__(self, name: str, step: int, steps: int) -> None:
        super().__init__(f"{name} stopped at step {step} of {steps}; the same command goes on")
        self.step, self.steps = step, steps


class Watch:
    """Says after every step whether to save or stop.

    Processes of a group have different clocks and receive signals at different times. After every
    step they send what each of them wants, and all of them do what any wanted a step before.
    """

    def __init__(self, seconds: float, asked: Callable[[], bool], layout: Layout) -> None:
        self._seconds, self._asked, self._layout = seconds, asked, layout
        self._begun = self._saved = time.monotonic()
        self._sent: Any = None

    def ask(self) -> int:
        """GO_ON, SAVE or STOP; in a group, the same in all processes."""
        wanted = STOP if self._asked() else SAVE if self._due() else GO_ON
        if self._layout.host[1] == 1:
            return wanted
        before, self._sent = self._sent, self._layout.largest(wanted)
        return GO_ON if before is None else int(before)

    def _due(self) -> bool:
        limit = min(self._seconds, max(FIRST, self._saved - self._begun))
        return time.monotonic() - self._saved >= limit

    def saved(self) -> None:
        """Starts to count anew."""
        self._saved, self._sent = time.monotonic(), None
