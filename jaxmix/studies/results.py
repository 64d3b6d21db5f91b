"""The results of a study: the state of every wave, and the run table, from the files alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxmix.errors import JaxmixError
from jaxmix.runs import RunTable, read_runs, write_runs
from jaxmix.studies.plan import Plan, Wave, wave_folder
from jaxmix.training import lost_rows, read_diverged, read_rows


@dataclass(frozen=True)
class WaveStatus:
    """The state of one wave.

    Attributes:
        wave: the wave.
        state: "done", "started", "waiting", or "incomplete" if training was done and rows of it
            are missing; the next run trains those waves again.
        rows: number of its rows.
        expected: number of rows of a wave in which nothing diverges.
        diverged: the steps from which runs that diverged have no rows, by run.
        lacks: which rows are missing from which file if the wave is incomplete, or an empty text.
    """

    wave: Wave
    state: str
    rows: int
    expected: int
    diverged: Mapping[str, int]
    lacks: str = ""


def status(plan: Plan, folder: Path) -> list[WaveStatus]:
    """The state of every wave of a plan.

    Raises:
        JaxmixError: a file is damaged.
    """
    return [wave_status(plan, wave, folder) for wave in plan.waves]


def wave_status(plan: Plan, wave: Wave, folder: Path) -> WaveStatus:
    """The state of one wave of a plan; see `status`."""
    here = wave_folder(folder, wave)
    rows, diverged = read_rows(here / "rows.jsonl"), read_diverged(here)
    expected = len(wave.runs) * plan.study.checkpoints
    if diverged is None:
        state = "started" if rows or (here / "fleet.json").exists() else "waiting"
        return WaveStatus(wave, state, len(rows), expected, {})
    names, steps = [run.run for run in wave.runs], plan.study.record_at(wave.tokens)
    lost = sorted(lost_rows(rows, names, steps, diverged))
    state, lacks = ("incomplete", _lacks(here, lost)) if lost else ("done", "")
    return WaveStatus(wave, state, len(rows), expected, diverged, lacks)


def _lacks(here: Path, lost: list[tuple[str, int]]) -> str:
    named = ", ".join(f"{run} at step {step}" for run, step in lost[:3])
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    return f"{here / 'rows.jsonl'} lacks rows ({named}{more}); give the command that trains again"


def merged(plan: Plan, folder: Path) -> RunTable:
    """The run table of all rows that a study has so far, with columns merged by name.

    Args:
        plan: the plan.
        folder: folder of the results.

    Raises:
        JaxmixError: there are no rows yet.
    """
    rows = [row for w in plan.waves for row in read_rows(wave_folder(folder, w) / "rows.jsonl")]
    if not rows:
        raise JaxmixError(f"{folder}: no rows yet; run the plan first")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name, _missing(name)) for row in rows] for name in names}
    # A study may have fixed and staged mixtures; readers of its file must choose or pool.
    pool = ("schedule",) if plan.study.stages else ()
    return read_runs(columns, source=str(folder), pool=pool)


def _missing(name: str) -> float:
    """A run has weight 0 on domains that it lacks, and fixed mixtures have 0 stages."""
    return 0.0 if name.startswith("w_") or name == "stages" else math.nan


def write_table(plan: Plan, folder: Path, out: Path) -> RunTable:
    """Writes the study's run table and returns it."""
    table = merged(plan, folder)
    write_runs(table, out)
    return table
