"""The training loop of all runs, of every family, alone or in a fleet."""

import dataclasses
import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.training.checkpoints import Checkpoints, save_final
from jaxmix.training.evaluation import Evaluator, Measured
from jaxmix.training.folder import append_rows, claim, read_rows, write_json
from jaxmix.training.program import Program, StepMetrics, TrainState
from jaxmix.training.progress import Clock, Progress, Snapshot
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
    checkpoint_seconds: float = 20.0,
    keep_final: bool = False,
    start: Params | None = None,
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
        checkpoint_seconds: least time between two checkpoints, which are saved at recorded steps; a
            group of processes saves at every recorded step.
        keep_final: leave the final parameters in the folder, for `load_final`.
        start: parameters of one model, from `load_final`, that all members start from; their
            losses are in every row as ``base_loss_<target>``. None for new ones from the seeds.

    Raises:
        JaxmixError: the folder holds another fleet, or lost rows; the layout leaves out some
            processes of a group; or `start` does not fit the model.
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
    claim(folder, fleet, model, start, writes)
    if done.exists():
        return _finished(folder)
    clock, diverged = _Run(model, fleet, feed, folder, layout, start).finish(
        progress, checkpoint_seconds, keep_final
    )
    rate, wait = clock.tokens_per_second, clock.data_wait
    if writes:
        write_json(done, {"diverged": diverged, "tokens_per_second": rate, "data_wait": wait})
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    layout.wait("done")
    return dataclasses.replace(_finished(folder), tokens_per_second=rate, data_wait=wait)


def _finished(folder: Path) -> Outcome:
    summary = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    return Outcome(read_rows(folder / "rows.jsonl"), summary["diverged"], 0.0, 0.0)


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
    ) -> None:
        self.fleet, self.feed, self.layout, self.folder = fleet, feed, layout, folder
        self.count = len(fleet.members)
        self.rows = folder / "rows.jsonl"
        self.program = Program(model, fleet, layout)
        self.evaluate = Evaluator(model, layout, feed.heldout)
        self.diverged: dict[str, int] = {}
        self.start = start
        self.base: dict[str, float] = {}  # losses of `start`, as columns
        if start is not None:
            (losses, *_) = self.evaluate(self.program.init(start).params)
            self.base = {f"base_loss_{name}": m.loss for name, m in losses.items()}

    def finish(
        self, progress: Progress | None, checkpoint_seconds: float, keep_final: bool
    ) -> tuple[Clock, dict[str, int]]:
        clock = Clock(self.fleet.tokens_per_step * self.count)
        checkpoints = Checkpoints(self.folder / "checkpoints")
        try:
            start, state = self._begin(checkpoints)
            saved = time.monotonic()
            for goal in (s for s in self.fleet.record_at if s > start):
                state, last = self._advance(state, start, goal, clock, progress)
                self._record(goal, state, last)
                start = goal
                # Processes with different clocks must agree, so they save every time.
                due = time.monotonic() - saved > checkpoint_seconds or self.layout.host[1] > 1
                if due and goal < self.fleet.steps:
                    checkpoints.save(goal, (state, last, self._marks()))
                    saved = time.monotonic()
            if keep_final:
                params = jax.tree.map(lambda x: x[: self.count], state.params)
                save_final(self.folder, self.fleet.steps, params)
        finally:
            checkpoints.close()
        return clock, self.diverged

    def _begin(self, checkpoints: Checkpoints) -> tuple[int, TrainState]:
        """The step and state of the newest checkpoint, or of the start."""
        latest = checkpoints.latest()
        self._batches = iter(self.feed.batches(latest or 0))
        if latest is None:
            return 0, self.program.init(self.start)
        marks = jax.ShapeDtypeStruct((self.count,), np.int32, sharding=self.layout.replicated)
        state, last, found = checkpoints.restore(latest, (*self.program.like, marks))
        runs = (member.run for member in self.fleet.members)
        steps = np.asarray(found).tolist()
        self.diverged = {run: step for run, step in zip(runs, steps, strict=True) if step >= 0}
        self._restore_rows(latest, state, last)
        return latest, state

    def _marks(self) -> jax.Array:
        """The step at which each member diverged, or -1, as checkpoints keep it."""
        steps = [self.diverged.get(member.run, -1) for member in self.fleet.members]
        return put(np.array(steps, np.int32), self.layout.replicated)

    def _restore_rows(self, latest: int, state: TrainState, last: StepMetrics) -> None:
        """Records the checkpoint's step again if its rows were lost with the end of the file."""
        due = {
            (member.run, step)
            for member in self.fleet.members
            for step in self.fleet.record_at
            if step <= latest and step < self.diverged.get(member.run, math.inf)
        }
        lost = due - {(row["run"], row["step"]) for row in read_rows(self.rows)}
        if any(step < latest for _, step in lost):
            raise JaxmixError(
                f"{self.rows}: lacks rows from before its checkpoint; delete {self.folder} to "
                "start over"
            )
        if lost:
            self._record(latest, state, last)

    def _advance(
        self, state: TrainState, start: int, goal: int, clock: Clock, progress: Progress | None
    ) -> tuple[TrainState, StepMetrics]:
        """Trains from `start` to `goal`; reads metrics only after the next step was started."""
        last: StepMetrics | None = None
        clock.resume()
        for number in range(start, goal):
            batch = self.program.place(clock.next_batch(self._batches))
            state, metrics = self.program.step(state, batch, number)
            if last is not None:
                jax.block_until_ready(last)  # one step ahead and no further
                if clock.step_done() and progress is not None:
                    progress(self._snapshot(number, last, clock))
            last = metrics
        assert last is not None  # recorded steps ascend
        jax.block_until_ready(last)
        clock.step_done()
        if progress is not None:
            progress(self._snapshot(goal, last, clock))
        return state, last

    def _snapshot(self, step: int, metrics: StepMetrics, clock: Clock) -> Snapshot:
        losses, norms = (np.asarray(x)[: self.count] for x in (metrics.loss, metrics.gradient_norm))
        rate = clock.tokens_per_second
        left = (self.fleet.steps - step) * clock.tokens_per_step / rate if rate else math.nan
        return Snapshot(step, self.fleet.steps, losses, norms, rate, clock.data_wait, left)

    def _record(self, step: int, state: TrainState, last: StepMetrics) -> None:
        """Evaluates all members and appends a row for each whose losses are finite."""
        measured = self.evaluate(state.params)
        trained = np.asarray(last.loss)
        rows = []
        for i, member in enumerate(self.fleet.members):
            losses = [float(trained[i]), *(m.loss for m in measured[i].values())]
            if member.run in self.diverged or not all(map(math.isfinite, losses)):
                self.diverged.setdefault(member.run, step)
                continue
            rows.append(self._row(i, step, float(trained[i]), measured[i]))
        if self.layout.host[0] == 0:
            append_rows(self.rows, rows)

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
