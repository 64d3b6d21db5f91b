"""Contestants that take turns, what to say of their rates, and who else used the machine."""

import os
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Rates = dict[str, list[float]]
# Compiles in half the time, for programs that nobody waits for.
UNOPTIMIZED = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def in_turn(contestants: Mapping[str, Callable[[], float]], rounds: int) -> Rates:
    """Rates of contestants that take turns, each round beginning with another one."""
    rates: Rates = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        for i in range(len(names)):
            name = names[(number + i) % len(names)]
            rates[name].append(contestants[name]())
    return rates


def ratio(rates: Rates, a: str, b: str) -> dict[str, Any]:
    """Of what was measured in the same round, and the median of that."""
    each = [x / y for x, y in zip(rates[a], rates[b], strict=True)]
    return {"median": statistics.median(each), "rounds": each}


def summary(rates: Rates) -> dict[str, Any]:
    """Medians, and ratios of jaxmix's contestants to the others."""
    ours = [name for name in rates if name.startswith("jaxmix")]
    theirs = [name for name in rates if name not in ours]
    if not theirs:
        theirs = ours[:1]
    pairs = [(a, b) for a in ours for b in theirs if a != b]
    ratios = {f"{a} / {b}": ratio(rates, a, b) for a, b in pairs}
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {"tokens_per_second": medians, "rounds": rates, "ratios": ratios}


class Neighbors:
    """How many cores were busy with something other than this benchmark."""

    def __init__(self) -> None:
        self._start = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Wall, the machine's busy and our own seconds; our children's once they have ended."""
        stat = pathlib.Path("/proc/stat")
        fields = stat.read_text().split()[1:9] if stat.is_file() else []
        idle = (3, 4)  # idle, and waiting for input and output
        ticks = sum(int(field) for i, field in enumerate(fields) if i not in idle)
        return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])

    def cores(self) -> float:
        """Since this object was made; meaningless where there is no /proc/stat."""
        wall, busy, own = np.subtract(self._now(), self._start)
        return round(max(0.0, float((busy - own) / wall)), 2)
