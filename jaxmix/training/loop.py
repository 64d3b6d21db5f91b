"""The one loop: every run of every family, alone or in a fleet, trains here."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.training.checkpoints import Checkpoints, abstract
from jaxmix.training.evaluation import Evaluator, Measured
from jaxmix.training.recording import append_rows, read_rows, write_json
from jaxmix.training.sharding import Layout, fleet_layout, put, single_layout
from jaxmix.training.step import StepMetrics, TrainState, init_state, train_step
from jaxmix.training.types import Feed, Fleet, Model

Progress = Callable[["Moment"], None]


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


@dataclass(frozen=True)
class Outcome:
    """A finished fleet.

    Attributes:
        rows: of the run table, one per member and recorded step.
        diverged: the first recorded step at which a member's loss was not finite, by run; it has
            no rows from there on.
        tokens_per_second: of all members; 0 where nothing was left to train.
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
) -> Outcome:
    """Trains a fleet to its end, from wherever an earlier call was stopped.

    Args:
        model: the two functions of the model, the same for all members.
        fleet: members, recorded steps, optimizer.
        feed: batches and held-out records.
        folder: keeps ``rows.jsonl``, ``done.json`` and, until the end, checkpoints. The same call
            with the same folder resumes; when done, it reads the rows back.
        layout: where arrays lie; the default spreads members over this process's devices, or a
            single run's records over all devices.
        progress: called about twice a second.
        checkpoint_seconds: least time between two checkpoints, which lie at recorded steps; a group
            of processes saves at every recorded step.

    Raises:
        ValueError: the folder holds another fleet.
    """
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "done.json"
    if done.exists():
        return _finished(folder, done)
    _claim(folder, fleet)
    layout = layout or (fleet_layout() if len(fleet.members) > 1 else single_layout())
    run = _Run(model, fleet, feed, folder, layout)
    outcome = run.to_the_end(progress, checkpoint_seconds)
    if jax.process_index() == 0:
        summary = {"diverged": outcome.diverged, "tokens_per_second": outcome.tokens_per_second}
        write_json(done, {**summary, "data_wait": outcome.data_wait})
    return outcome


def _claim(folder: Path, fleet: Fleet) -> None:
    """Marks a folder as this fleet's; refuses one that holds another."""
    mark = folder / "fleet.json"
    ours = json.loads(json.dumps(dataclasses.asdict(fleet)))
    if not mark.exists():
        if jax.process_index() == 0:
            write_json(mark, ours)
        return
    theirs = json.loads(mark.read_text(encoding="utf-8"))
    if theirs != ours:
        changed = sorted(name for name in ours if ours[name] != theirs.get(name))
        raise ValueError(
            f"{folder}: holds a run with other {', '.join(changed)}; name another folder or "
            "delete this one"
        )


def _finished(folder: Path, done: Path) -> Outcome:
    summary = json.loads(done.read_text(encoding="utf-8"))
    return Outcome(read_rows(folder / "rows.jsonl"), summary["diverged"], 0.0, 0.0)


class _Run:
    """A fleet in motion."""

    def __init__(
        self, model: Model, fleet: Fleet, feed: Feed, folder: Path, layout: Layout
    ) -> None:
        self.fleet, self.feed, self.layout, self.folder = fleet, feed, layout, folder
        self.count = len(fleet.members)
        extra = layout.padded(self.count) - self.count
        self._padding = [*range(self.count), *[self.count - 1] * extra]
        members = [fleet.members[i] for i in self._padding]
        rates = np.array([m.learning_rate for m in members], np.float32)
        lead = layout.state({"x": rates})["x"]
        self._peaks = put(rates, lead)
        self._keys = jnp.stack([jax.random.key(m.seed) for m in members])
        over = layout.over_members(train_step(model, fleet.optimizer), shared=(3,))
        make = jax.vmap(lambda key: init_state(model, fleet.optimizer, key))
        shapes = jax.eval_shape(make, self._keys)
        self.shardings = layout.state(shapes)
        self.like = abstract(shapes, self.shardings)
        self._init = jax.jit(make, out_shardings=self.shardings)
        self._step = jax.jit(over, donate_argnums=0, out_shardings=(self.shardings, None))
        self.evaluate = Evaluator(model, layout, feed.held)
        self.diverged: dict[str, int] = {}

    def to_the_end(self, progress: Progress | None, checkpoint_seconds: float) -> Outcome:
        checkpoints = Checkpoints(self.folder / "checkpoints")
        clock = _Clock(self.fleet.tokens_per_step * self.count)
        try:
            start, state = self._begin(checkpoints)
            saved = time.monotonic()
            for goal in (s for s in self.fleet.record_at if s > start):
                state = self._advance(state, start, goal, clock, progress)
                self._record(goal, state)
                start = goal
                waited = time.monotonic() - saved > checkpoint_seconds
                if goal < self.fleet.steps and (waited or jax.process_count() > 1):
                    checkpoints.save(goal, state)
                    saved = time.monotonic()
        finally:
            checkpoints.close()
        rows = read_rows(self.folder / "rows.jsonl")
        return Outcome(rows, self.diverged, clock.tokens_per_second, clock.data_wait)

    def _begin(self, checkpoints: Checkpoints) -> tuple[int, TrainState]:
        """The newest checkpoint, or new parameters and their loss as the rows of step 0."""
        latest = checkpoints.latest()
        self._batches = iter(self.feed.batches(latest or 0))
        if latest is None:
            return 0, self._init(self._keys)
        held = {(row["run"], row["step"]) for row in read_rows(self.folder / "rows.jsonl")}
        for step in (s for s in self.fleet.record_at if s <= latest):
            for member in self.fleet.members:
                if (member.run, step) not in held:
                    self.diverged.setdefault(member.run, step)
        return latest, checkpoints.restore(latest, self.like)

    def _advance(
        self, state: TrainState, start: int, goal: int, clock: _Clock, progress: Progress | None
    ) -> TrainState:
        """Trains from `start` to `goal`; looks at metrics only after the next step has begun."""
        before: StepMetrics | None = None
        clock.resume()
        for number in range(start, goal):
            batch = clock.waiting(self._batches)
            placed = self._placed(batch)
            state, metrics = self._step(state, placed, self._peaks, jnp.int32(number))
            if before is not None:
                jax.block_until_ready(before)  # one step ahead and no further
                if clock.step_done() and progress is not None:
                    progress(self._moment(number, before, clock))
            before = metrics
        jax.block_until_ready(before)
        clock.pause()
        if before is not None:
            self._last = before
            if progress is not None:
                progress(self._moment(goal, before, clock))
        return state

    def _placed(self, batch: Mapping[str, np.ndarray]) -> Any:
        if len(self._padding) > self.count:
            batch = {name: value[self._padding] for name, value in batch.items()}
        return self.layout.put_batch(batch)

    def _moment(self, step: int, metrics: StepMetrics, clock: _Clock) -> Moment:
        losses, norms = (np.asarray(x)[: self.count] for x in (metrics.loss, metrics.gradient_norm))
        rate = clock.tokens_per_second
        left = (self.fleet.steps - step) * clock.tokens_per_step / rate if rate else math.nan
        return Moment(step, self.fleet.steps, losses, norms, rate, clock.data_wait, left)

    def _record(self, step: int, state: TrainState) -> None:
        """Evaluates all members and appends a row for each that is still sound."""
        measured = self.evaluate(state.params)
        trained = np.asarray(self._last.loss)
        rows = []
        for i, member in enumerate(self.fleet.members):
            sound = all(math.isfinite(m.loss) for m in measured[i].values())
            if not sound or member.run in self.diverged:
                self.diverged.setdefault(member.run, step)
                continue
            rows.append(self._row(i, step, float(trained[i]), measured[i]))
        if jax.process_index() == 0:
            append_rows(self.folder / "rows.jsonl", rows)

    def _row(
        self, i: int, step: int, trained: float, measured: Mapping[str, Measured]
    ) -> dict[str, Any]:
        member = self.fleet.members[i]
        tokens = step * self.fleet.tokens_per_step
        row: dict[str, Any] = {"run": member.run, "tokens": tokens, "step": step, **member.columns}
        row |= {"seed": member.seed, "learning_rate": member.learning_rate, "train_loss": trained}
        row |= {f"loss_{name}": m.loss for name, m in measured.items()}
        row |= {f"sem_{name}": m.sem for name, m in measured.items()}
        row |= {f"bpb_{n}": m.bits_per_byte for n, m in measured.items() if m.bits_per_byte > 0}
        return row | dict(self.feed.consumed(i, step))


class _Clock:
    """Training time alone: the first step, which compiles, and evaluations do not count."""

    def __init__(self, tokens_per_step: int) -> None:
        self.tokens_per_step = tokens_per_step
        self._seconds = self._waited = self._begun = self._shown = 0.0
        self._steps = 0
        self._warm = False

    def resume(self) -> None:
        self._begun = time.monotonic()

    def waiting(self, batches: Iterator[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
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

    def pause(self) -> None:
        self.step_done()

    @property
    def tokens_per_second(self) -> float:
        return self._steps * self.tokens_per_step / self._seconds if self._seconds else 0.0

    @property
    def data_wait(self) -> float:
        return self._waited / self._seconds if self._seconds else 0.0
