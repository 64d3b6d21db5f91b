"""Time to target: seconds until a method's best value is within 1% of a known minimum."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from peers import OURS, PEERS, Method, Unit
from problem import GOALS, TOLERANCE

from jaxmix.fitting.problem import Problem

HARDEST = min(GOALS.values()) * TOLERANCE


@dataclass(frozen=True)
class Trial:
    """A fresh search repeated until it reaches the hardest goal, and its processor time."""

    units: Sequence[Unit]
    cpu_seconds: float

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return sum(unit.seconds for unit in self.units)

    def arrival(self, threshold: float) -> float | None:
        """Seconds until the first value at most ``threshold``."""
        before = 0.0
        for unit in self.units:
            reached = unit.until(threshold)
            if reached is not None:
                return before + reached
            before += unit.seconds
        return None


def run_trials(method: Method, problem: Problem, count: int, budget: float) -> list[Trial]:
    """Trials one after another, each until the hardest goal, while the budget lasts."""
    began = float("inf")

    def enough(unit: Unit) -> bool:
        late = time.perf_counter() - began > budget
        return late or unit.until(HARDEST) is not None

    stream = method.stream(problem, enough)
    next(stream)  # compilation
    began, trials = time.perf_counter(), []
    while len(trials) < count and time.perf_counter() - began < budget:
        cpu, units = time.process_time(), []
        while time.perf_counter() - began < budget:
            units.append(next(stream))
            if units[-1].until(HARDEST) is not None:
                break
        trials.append(Trial(units, time.process_time() - cpu))
    return trials


def expected_seconds(units: Sequence[Unit], threshold: float) -> tuple[float, int]:
    """Mean seconds to the goal of repeating units until one reaches it, and how many did.

    The total time of all units, each cut where it reached the goal, over the number that did: the
    maximum-likelihood estimate for independent units. Without a hit, the total time: a lower bound
    that holds with a confidence of 63% (times 1/3: 95%).
    """
    reached = [unit.until(threshold) for unit in units]
    spent = sum(unit.seconds if at is None else at for unit, at in zip(units, reached, strict=True))
    hits = sum(at is not None for at in reached)
    return spent / max(hits, 1), hits


def interval(seconds: float, hits: int) -> tuple[float, float]:
    """95% interval of an expected time from ``hits`` Poisson arrivals (Garwood 1936)."""
    from scipy.stats import chi2

    spent = seconds * max(hits, 1)
    low = spent / (chi2.ppf(0.975, 2 * hits + 2) / 2)
    high = spent / (chi2.ppf(0.025, 2 * hits) / 2) if hits else float("inf")
    return float(low), float(high)


def summarize(name: str, trials: Sequence[Trial], ours: bool) -> dict[str, Any]:
    """One row of the table, as JSON."""
    units = [unit for trial in trials for unit in trial.units]
    total = sum(trial.seconds for trial in trials)
    row: dict[str, Any] = {
        "method": name,
        "ours": ours,
        "trials": len(trials),
        "seconds": total,
        "units": len(units),
        "cores": sum(trial.cpu_seconds for trial in trials) / total,
        "best": min(value for unit in units for _, value in unit.found),
        "goals": {},
    }
    for goal, value in GOALS.items():
        seconds, hits = expected_seconds(units, TOLERANCE * value)
        arrivals = [trial.arrival(TOLERANCE * value) for trial in trials]
        known = [np.inf if a is None else a for a in arrivals]
        row["goals"][goal] = {
            "expected": seconds if hits else None,
            "hits": hits,
            "interval": interval(seconds, hits),
            "first": arrivals,
            "quartiles": [float(q) for q in np.quantile(known, [0.25, 0.5, 0.75], method="higher")],
        }
    return row


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """How many times the default's expected time each method takes; a bound where it has no hit."""
    for goal in GOALS:
        base = rows[0]["goals"][goal]["expected"]
        for row in rows:
            entry = row["goals"][goal]
            numerator = entry["expected"] or row["seconds"]
            entry["ratio"] = numerator / base if base else None
            entry["ratio_is_bound"] = entry["expected"] is None


def time_to_target(
    problem: Problem, *, seeds: int, budget: float, methods: Sequence[str], log: Any
) -> list[dict[str, Any]]:
    """All methods, one after another in this process; the default is always the first."""
    rows = []
    for method in (*OURS, *PEERS):
        ours = method in OURS
        if methods and method is not OURS[0] and not any(m in method.name for m in methods):
            continue
        log(f"time to target: {method.name}")
        trials = run_trials(method, problem, seeds, budget)
        rows.append(summarize(method.name, trials, ours))
    add_ratios(rows)
    return rows
