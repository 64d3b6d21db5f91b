"""Running a plan: wave after wave, safe to stop, to run twice and to share among machines."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxmix.data import Corpus, MixtureSource, batches
from jaxmix.errors import JaxmixError
from jaxmix.runs import RunTable, read_runs, write_runs
from jaxmix.studies.columns import columns_of
from jaxmix.studies.domains import targets_of
from jaxmix.studies.origins import origin_params, read_before
from jaxmix.studies.plan import (
    Plan,
    PlannedRun,
    Study,
    Wave,
    build,
    wave_folder,
)
from jaxmix.training import (
    Feed,
    Fleet,
    Layout,
    Member,
    Outcome,
    Snapshot,
    default_parts,
    fleet_layout,
    read_rows,
    train,
)

WaveProgress = Callable[[Wave, Snapshot], None]


@dataclass(frozen=True)
class WaveStatus:
    """How far one wave is: "done", "started" or "waiting", and the rows that it has."""

    wave: Wave
    state: str
    rows: int
    expected: int
    diverged: Mapping[str, int]


def run_plan(
    plan: Plan,
    folder: Path,
    *,
    shard: tuple[int, int] = (1, 1),
    progress: WaveProgress | None = None,
    corpus: Corpus | None = None,
    keep_final: bool = False,
) -> list[Outcome]:
    """Trains the waves of a plan that are not done.

    Args:
        plan: what to train.
        folder: of the results; every wave has a folder of its own in it. Machines that share a
            file system may share it.
        shard: (i, n): of n machines this is the i-th, from 1, and takes every n-th wave.
        progress: called with the wave and where it stands.
        corpus: the plan's corpus, where it is open already.
        keep_final: leave the final parameters of every run, for `finished_run`.

    Returns:
        Outcomes of the waves of this shard that this call saw done.

    Raises:
        JaxmixError: other data than was planned, or a domain too small where repeats are forbidden.
    """
    corpus = corpus or plan.study.corpus.open()
    if corpus.hash != plan.corpus_hash:
        raise JaxmixError(
            f"{corpus.name} is not the data of this plan ({corpus.hash[:12]}, planned on "
            f"{plan.corpus_hash[:12]}); plan anew, or prepare the same data"
        )
    index, count = shard
    outcomes = []
    for wave in plan.waves[index - 1 :: count]:
        with _claimed(wave_folder(folder, wave)) as ours:
            if ours:
                tell = None if progress is None else _telling(progress, wave)
                run = run_wave(plan.study, wave, corpus, folder, tell, keep_final=keep_final)
                outcomes.append(run)
    return outcomes


def _telling(progress: WaveProgress, wave: Wave) -> Callable[[Snapshot], None]:
    return lambda snapshot: progress(wave, snapshot)


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """True where no other process trains in this folder; the system frees it if we die."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def run_wave(
    study: Study,
    wave: Wave,
    corpus: Corpus,
    folder: Path,
    progress: Callable[[Snapshot], None] | None = None,
    layout: Layout | None = None,
    keep_final: bool = False,
) -> Outcome:
    """Trains one wave to its end, from wherever it was stopped.

    Args:
        study: that the wave is of.
        wave: its runs.
        corpus: its data.
        folder: of the study's results.
        progress: called about twice a second.
        layout: where arrays lie; None for a fleet over this process's devices.
        keep_final: leave the final parameters in the wave's folder.
    """
    family = study.family
    built = build(study, wave.preset, corpus)
    sources = sources_of(study, wave, corpus, (0, 1) if layout is None else layout.host)
    steps = study.record_at(wave.tokens)
    for source in sources:
        source.check(steps[-1])
    columns = columns_of(study, wave, corpus, built)
    members = tuple(Member(run.run, run.seed, run.learning_rate, columns(run)) for run in wave.runs)
    layout = layout or fleet_layout(len(members))
    parts = study.accumulate or default_parts(layout, study.batch, study.length)
    optimizer = dataclasses.replace(study.optimizer(wave.tokens), accumulate=parts)
    fleet = Fleet(members, steps, study.tokens_per_step, optimizer)

    def consumed(member: int, step: int) -> dict[str, float]:
        source, found = sources[member], {}
        if wave.runs[member].stages:  # the weights of the tokens so far
            found = {f"w_{domain}": value for domain, value in source.nominal(step).items()}
        epochs = source.consumed(step).epochs
        return found | {f"epochs_{domain}": value for domain, value in epochs.items()}

    feed = Feed(
        lambda start: batches(sources, start=start),
        {
            target: family.held(built, corpus, target, study.length, study.held_windows)
            for target in targets_of(study, corpus)
        },
        consumed,
    )
    return train(
        built.model,
        fleet,
        feed,
        wave_folder(folder, wave),
        layout=layout,
        progress=progress,
        keep_final=keep_final,
        start=origin_params(study.start_from, built) if study.start_from else None,
    )


def sources_of(
    study: Study, wave: Wave, corpus: Corpus, host: tuple[int, int] = (0, 1)
) -> list[MixtureSource]:
    """The mixture of every run of a wave; `host` is (index, count) of the processes that share."""
    built = build(study, wave.preset, corpus)
    named = dict.fromkeys(domain for run in wave.runs for domain in run.weights)
    unique = study.unique_tokens
    records = {
        d: study.family.records(built, corpus, d, study.length, unique.get(d)) for d in named
    }
    index, count = host
    steps, after = study.record_at(wave.tokens)[-1], _after(study, corpus)
    return [
        MixtureSource(
            {d: records[d] for d in run.weights},
            _weights(run, steps),
            run.seed,
            study.batch,
            forbid_repeat=study.forbid_repeat,
            host=index,
            hosts=count,
            after=after,
        )
        for run in wave.runs
    ]


def _weights(run: PlannedRun, steps: int) -> Any:
    """Of a run's source: one mixture, or its stages by their first steps."""
    pairs = zip(run.stage_starts(steps), run.stages, strict=True) if run.stages else ()
    return [(start, stage.weights) for start, stage in pairs] or run.weights


def _after(study: Study, corpus: Corpus) -> tuple[MixtureSource, int] | None:
    """What the run that a study starts from has read, and how many steps it made."""
    before = read_before(study, corpus)
    if before is None:
        return None
    theirs, wave = before
    (source,) = sources_of(theirs, wave, corpus)
    return source, theirs.record_at(wave.tokens)[-1]


def status(plan: Plan, folder: Path) -> list[WaveStatus]:
    """How far every wave is, from the files alone."""
    found = []
    for wave in plan.waves:
        here = wave_folder(folder, wave)
        rows = len(read_rows(here / "rows.jsonl"))
        done = (here / "done.json").exists()
        state = "done" if done else "started" if (here / "fleet.json").exists() else "waiting"
        expected = len(wave.runs) * plan.study.checkpoints
        found.append(WaveStatus(wave, state, rows, expected, _diverged(here / "done.json")))
    return found


def _diverged(done: Path) -> dict[str, int]:
    return json.loads(done.read_text(encoding="utf-8"))["diverged"] if done.exists() else {}


def merged(plan: Plan, folder: Path) -> RunTable:
    """The run table of all rows that a study has so far, waves merged by run and by name.

    Args:
        plan: whose runs.
        folder: of the results.

    Raises:
        JaxmixError: there is no row yet.
    """
    rows = [row for w in plan.waves for row in read_rows(wave_folder(folder, w) / "rows.jsonl")]
    if not rows:
        raise JaxmixError(f"{folder}: no rows yet; run the plan first")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name, _missing(name)) for row in rows] for name in names}
    # A study may hold fixed and staged mixtures; who reads its file has to choose or pool.
    pool = ("schedule",) if plan.study.stages else ()
    return read_runs(columns, source=str(folder), pool=pool)


def _missing(name: str) -> float:
    """A domain that a run does not have weighs nothing, as fixed mixtures have no stages."""
    return 0.0 if name.startswith("w_") or name == "stages" else math.nan


def write_table(plan: Plan, folder: Path, out: Path) -> RunTable:
    """Writes the study's run table and returns it."""
    table = merged(plan, folder)
    write_runs(table, out)
    return table
