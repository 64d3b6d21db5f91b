"""The training loop of all runs, of every family, alone or in a fleet."""

import math
import shutil
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmix.claims import say
from jaxmix.errors import JaxmixError
from jaxmix.training.checkpoints import Checkpoints, save_final
from jaxmix.training.evaluation import Evaluator, Judge, Measured, OverRecords
from jaxmix.training.folder import (
    append_rows,
    lost_rows,
    mark,
    read_finished,
    read_rows,
    write_json,
)
from jaxmix.training.logs import NO_LOGS, Log, Logs
from jaxmix.training.program import Program, StepMetrics, TrainState
from jaxmix.training.progress import Clock, Progress, Snapshot, all_of
from jaxmix.training.saving import GO_ON, STOP, USUAL, Saving, Stopped, Watch
from jaxmix.training.seals import steps_in, tidy
from jaxmix.training.sharding import Layout, fleet_layout, put, single_layout
from jaxmix.training.types import Feed, Fleet, Model, Params


@dataclass(frozen=True)
class Outcome:
    """A finished fleet.

    Attributes:
        rows: rows of the run table, one per member and recorded step.
        diverged: the first recorded step at which a member's loss was not finite, by run; it has
            no rows from there on.
        tokens_per_second: rate of all members; 0 if nothing was left to train.
        data_wait: share of the training time spent waiting for data.
    """

    rows: list[dict[str, Any]]
    diverged: dict[str, int]
    tokens_per_second: float
    data_wait: float


def train(
    model: Model,
    fleet: Fleet,
    feed: Feed,
    folder: Path,
    *,
    layout: Layout | None = None,
    progress: Progress | None = None,
    saving: Saving = USUAL,
    keep_final: bool = False,
    start: Params | None = None,
    logs: Logs = NO_LOGS,
) -> Outcome:
    """Trains a fleet to its end, from where an earlier call was stopped.

    Args:
        model: the model of all members.
        fleet: members, recorded steps, optimizer.
        feed: batches and held-out records.
        folder: keeps ``rows.jsonl``, ``done.json`` and, until the end, checkpoints. The same call
            with the same folder resumes; if training is done, it reads the rows back.
        layout: how arrays lie on devices; the default spreads members over this process's devices,
            or a single run's records over all devices. If it spans several processes, all of them
            must make this call alike, with a folder that they share.
        progress: called about twice a second.
        saving: when checkpoints are saved, and when to stop. Two checkpoints are kept; if the
            newest one is damaged, the run goes on from the other, with a note on standard error.
        keep_final: leave the final parameters in the folder, for `load_final`.
        start: parameters of one model, from `load_final`, that all members start from; their
            losses are in every row as ``base_loss_<target>``. None for new ones from the seeds.
        logs: where metrics go besides the rows; of several processes, the first one writes them.

    Raises:
        Stopped: `saving.stopping` asked for it; the state is saved.
        JaxmixError: the folder holds another fleet, is damaged or cannot be written; the layout
            leaves out some processes of a group; or `start` does not fit the model.
    """
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "done.json"
    several = len(fleet.members) > 1
    layout = layout or (fleet_layout(len(fleet.members)) if several else single_layout())
    writes = layout.host[0] == 0
    if layout.host[1] < jax.process_count() and not done.exists():
        raise JaxmixError(
            "a group of processes trains one run over all of its devices (single_layout); train "
            "fleets in processes without a group"
        )
    tasks = feed.scored.hash if feed.scored else None
    begun = mark(folder, fleet, model, start, writes, tasks)
    if layout.host[1] > 1:  # the others may see the mark that the first one has just written
        begun = bool(layout.largest(begun and writes))
    names = [member.run for member in fleet.members]
    if found := read_finished(folder, names, fleet.record_at):
        return Outcome(found.rows, found.diverged, 0.0, 0.0)
    if done.exists():
        layout.wait("read")  # by all processes, before the first one removes it
        if writes:
            say(f"{done}: rows of its runs are missing, so they are trained again")
            done.unlink()
    elif begun and not layout.largest(not _complete(folder, fleet, keep_final)):
        return _end(folder, layout, {}, Clock(0))
    logs = logs if writes else NO_LOGS
    with saving.stopping() as asked, logs.opened(fleet.members, folder) as log:
        run = _Run(model, fleet, feed, folder, layout, start, log)
        log.recorded(read_rows(run.rows))
        watch = Watch(saving.seconds, asked, layout)
        told = log.progress if progress is None else all_of(progress, log.progress)
        clock, diverged = run.finish(told, watch, keep_final, begun)
    return _end(folder, layout, diverged, clock)


def _complete(folder: Path, fleet: Fleet, keep_final: bool) -> bool:
    """Whether all is there but ``done.json``, because the process was killed or it was deleted."""
    rows, names = read_rows(folder / "rows.jsonl"), [member.run for member in fleet.members]
    kept = not keep_final or bool(steps_in(folder / "final"))
    return kept and not lost_rows(rows, names, fleet.record_at, {})


def _end(folder: Path, layout: Layout, diverged: dict[str, int], clock: Clock) -> Outcome:
    """Marks a fleet as done."""
    rate, wait = clock.tokens_per_second, clock.data_wait
    if layout.host[0] == 0:
        held = {"diverged": diverged, "tokens_per_second": rate, "data_wait": wait}
        write_json(folder / "done.json", held)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    layout.wait("done")
    return Outcome(read_rows(folder / "rows.jsonl"), diverged, rate, wait)


class _Run:
    """A fleet that is being trained."""

    def __init__(
        self,
        model: Model,
        fleet: Fleet,
        feed: Feed,
        folder: Path,
        layout: Layout,
        start: Params | None,
        log: Log,
    ) -> None:
        self.fleet, self.feed, self.layout, self.folder = fleet, feed, layout, folder
        self.log = log
        self.count = len(fleet.members)
        self.rows = folder / "rows.jsonl"
        self.program = Program(model, fleet, layout)
        members = layout.padded(self.count)
        self.evaluate = Evaluator(model, layout, feed.heldout, members=members)
        self.judge: OverRecords | None = None
        if scored := feed.scored:
            judge = Judge(model.init, scored.judge)
            self.judge = OverRecords(judge, layout, scored.batch, members=members)
        self.diverged: dict[str, int] = {}
        self.start = start
        self.base: dict[str, float] = {}  # losses of `start`, as columns
        if start is not None:
            params = self.program.init(start).params
            ((losses, *_), (scores, *_)) = self.evaluate(params), self._scores(params)
            self.base = {f"base_loss_{name}": m.loss for name, m in losses.items()}
            self.base |= {f"base_{n}": v for n, v in scores.items() if n.startswith("loss_")}

    def finish(
        self, progress: Progress, watch: Watch, keep_final: bool, begun: bool
    ) -> tuple[Clock, dict[str, int]]:
        """Trains to the end.

        Args:
            progress: called about twice a second.
            watch: says when to save and when to stop.
            keep_final: whether to leave the final parameters.
            begun: whether an earlier call trained in this folder.
        """
        clock, steps = Clock(self.fleet.tokens_per_step * self.count), self.fleet.steps
        if self.layout.host[0] == 0:
            tidy(self.folder / "checkpoints", self._note)
        self.layout.wait("tidied")
        with closing(Checkpoints(self.folder / "checkpoints")) as checkpoints:
            step, state = self._begin(checkpoints, begun)
            while step < steps:
                goal = next(at for at in self.fleet.record_at if at > step)
                step, state, last, wanted = self._advance(state, step, goal, clock, progress, watch)
                if step == goal:
                    self._record(goal, state, last)
                if wanted != GO_ON and step < steps:
                    checkpoints.save(step, (state, last, self._marks()))
                    watch.saved()
                    if wanted == STOP:
                        raise Stopped(self.folder.name, step, steps)
            if keep_final:
                params = jax.tree.map(lambda x: x[: self.count], state.kept)
                save_final(self.folder, steps, params, self.layout)
        return clock, self.diverged

    def _begin(self, checkpoints: Checkpoints, begun: bool) -> tuple[int, TrainState]:
        """The step and state of the newest checkpoint that no lost row is older than, or of 0."""
        steps, rows = checkpoints.steps(), read_rows(self.rows)
        for step in reversed(steps):
            state, last = self._restored(checkpoints, step)
            lost = self._lost(rows, step)
            if not self._any(at < step for _, at in lost):
                for newer in steps[steps.index(step) + 1 :]:
                    checkpoints.delete(newer)  # it would keep earlier steps from being saved
                self._note(f"{self.folder.name} goes on at step {step} of {self.fleet.steps}")
                if self._any(lost):
                    self._record(step, state, last)
                self._batches = iter(self.feed.batches(step))
                return step, state
            del state, last  # before the next one takes as much memory
        if steps:
            raise JaxmixError(
                f"{self.rows}: lacks rows from before its checkpoints; delete {self.folder} to "
                "start over"
            )
        if begun:
            self._note(f"{self.folder.name} starts anew: there is no checkpoint to go on from")
        self._batches = iter(self.feed.batches(0))
        return 0, self.program.init(self.start)

    def _any(self, found: Iterable[Any]) -> bool:
        """Whether any is true in any process; some may see an older state of shared files."""
        return bool(self.layout.largest(any(found)))

    def _lost(self, rows: list[dict[str, Any]], step: int) -> set[tuple[str, int]]:
        runs = [member.run for member in self.fleet.members]
        before = [at for at in self.fleet.record_at if at <= step]
        return lost_rows(rows, runs, before, self.diverged)

    def _restored(self, checkpoints: Checkpoints, step: int) -> tuple[TrainState, StepMetrics]:
        """The state and the last metrics of a checkpoint; takes over who had diverged."""
        marks = jax.ShapeDtypeStruct((self.count,), np.int32, sharding=self.layout.replicated)
        state, last, found = checkpoints.restore(step, (*self.program.like, marks))
        runs = (member.run for member in self.fleet.members)
        ends = zip(runs, np.asarray(found).tolist(), strict=True)
        self.diverged = {run: end for run, end in ends if end >= 0}
        return state, last

    def _note(self, line: str) -> None:
        if self.layout.host[0] == 0:
            say(line)

    def _marks(self) -> jax.Array:
        """The step at which each member diverged, or -1, as checkpoints keep it."""
        steps = [self.diverged.get(member.run, -1) for member in self.fleet.members]
        return put(np.array(steps, np.int32), self.layout.replicated)

    def _advance(
        self,
        state: TrainState,
        start: int,
        goal: int,
        clock: Clock,
        progress: Progress,
        watch: Watch,
    ) -> tuple[int, TrainState, StepMetrics, int]:
        """Trains from `start` to `goal`, or until it must be saved; says which of them.

        Metrics are read only after the next step was started, so a step runs while the batch of the
        next one is read and sent to the devices.
        """
        last: StepMetrics | None = None
        wanted, step = GO_ON, start
        clock.resume()
        while step < goal and wanted == GO_ON:
            batch = self.program.place(clock.next_batch(self._batches))
            state, metrics = self.program.step(state, batch, step)
            if last is not None:
                jax.block_until_ready(last)  # one step ahead and no further
                if clock.step_done():
                    progress(self._snapshot(step, last, clock))
            last, step = metrics, step + 1
            wanted = watch.ask()
        assert last is not None  # recorded steps ascend
        jax.block_until_ready(last)
        clock.step_done()
        progress(self._snapshot(step, last, clock))
        return step, state, last, wanted

    def _snapshot(self, step: int, metrics: StepMetrics, clock: Clock) -> Snapshot:
        losses, norms = (np.asarray(x)[: self.count] for x in (metrics.loss, metrics.gradient_norm))
        rate = clock.tokens_per_second
        left = (self.fleet.steps - step) * clock.tokens_per_step / rate if rate else math.nan
        return Snapshot(step, self.fleet.steps, losses, norms, rate, clock.data_wait, left)

    def _scores(self, params: Params) -> list[Mapping[str, float]]:
        """The columns of what every member is scored on besides held-out records."""
        if self.judge is None or self.feed.scored is None:
            return [{} for _ in range(self.layout.padded(self.count))]
        return [self.feed.scored.columns(found) for found in self.judge(params)]

    def _record(self, step: int, state: TrainState, last: StepMetrics) -> None:
        """Evaluates all members and appends a row for each whose losses are finite."""
        measured, scores = self.evaluate(state.kept), self._scores(state.kept)
        trained = np.asarray(last.loss)
        rows = []
        for i, member in enumerate(self.fleet.members):
            losses = [float(trained[i]), *(m.loss for m in measured[i].values())]
            if member.run in self.diverged or not all(map(math.isfinite, losses)):
                self.diverged.setdefault(member.run, step)
                continue
            rows.append(self._row(i, step, float(trained[i]), measured[i]) | dict(scores[i]))
        if self.layout.host[0] == 0:
            append_rows(self.rows, rows)
            self.log.recorded(rows)

    def _row(
        self, i: int, step: int, trained: float, measured: Mapping[str, Measured]
    ) -> dict[str, Any]:
        member = self.fleet.members[i]
        tokens = step * self.fleet.tokens_per_step
        row: dict[str, Any] = {"run": member.run, "tokens": tokens, "step": step, **member.columns}
        row |= {"seed": member.seed, "learning_rate": member.learning_rate, "train_loss": trained}
        row |= {f"loss_{name}": m.loss for name, m in measured.items()}
        row |= {f"sem_{name}": m.sem for name, m in measured.items()}
        row |= {f"{part}_{n}": v for n, m in measured.items() for part, v in m.parts.items()}
        row |= {f"bpb_{n}": m.bits_per_byte for n, m in measured.items() if m.bits_per_byte > 0}
        row |= self.base
        return row | dict(self.feed.consumed(i, step))
