"""Waves of a plan as tasks of a Ray cluster; the only file that knows Ray.

Every wave that is not done is a task. The study's folder, which all nodes share, holds claims,
checkpoints and rows as in any other run, so a wave whose node dies goes on at its last checkpoint
elsewhere, and job arrays may work in the same folder. An actor on the driver's node carries news
of the waves to the driver and the wish to stop back.
"""

import contextlib
import dataclasses
import errno
import importlib
import os
import signal
import socket
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxmix.claims import LEASE
from jaxmix.data import Corpus
from jaxmix.errors import JaxmixError, clip
from jaxmix.studies.plan import Plan, Wave
from jaxmix.studies.results import wave_status, write_table
from jaxmix.studies.run import corpus_of, run_plan
from jaxmix.training import NO_LOGS, USUAL, Logs, Saving, Stopped

RETRIES = 3  # times that a wave is given out again after its process or its node died
PATIENCE = 2 * LEASE  # seconds that a wave waits for a claim of its own that may have survived
SETTLES = 60.0  # seconds until files of one node are seen by all; clients of NFS keep listings
TURN = 0.5  # seconds from one look at the tasks to the next
# Settings that tasks take over.
FOLDERS = ("JAXMIX_CACHE", "JAX_COMPILATION_CACHE_DIR", "WANDB_DIR")
MODES = ("WANDB_MODE", "WANDB_BASE_URL")


@dataclass(frozen=True)
class WaveOnRay:
    """How far a wave is.

    Attributes:
        wave: the wave.
        steps: steps in all.
        state: "waiting", "training", "done", "stopped", "failed" or "left to others".
        step: steps done, as far as is known.
        node: host and node that train it, or did.
        lost: number of processes or nodes that died while they trained it.
        reason: why it failed, or who else trains it, in one line.
        trace: traceback of an error that is no fault of the input, or an empty text.
    """

    wave: Wave
    steps: int
    state: str = "waiting"
    step: int = 0
    node: str = ""
    lost: int = 0
    reason: str = ""
    trace: str = ""


def run_on_ray(
    plan: Plan,
    folder: Path,
    *,
    address: str | None = None,
    shard: tuple[int, int] = (1, 1),
    devices: tuple[str, int] | None = None,
    keep_final: bool = False,
    saving: Saving = USUAL,
    progress: Callable[[Sequence[WaveOnRay]], None] | None = None,
    corpus: Corpus | None = None,
    logs: Logs = NO_LOGS,
) -> list[WaveOnRay]:
    """Trains the waves of a plan that are not done as tasks of a Ray cluster.

    After every wave that ends, runs.csv in the folder is written anew.

    Args:
        plan: the plan; its data must be open to every node, or be a recipe.
        folder: folder of the results, on a file system that all nodes share.
        address: HOST:PORT of the cluster, "auto" or "local"; None for the one that RAY_ADDRESS
            names or that runs here, or else for a new one on this machine.
        shard: as in `run_plan`.
        devices: kind ("gpu", "tpu" or "cpu") and number of the devices that a wave takes; None for
            what `wave_devices` finds.
        keep_final: leave the final parameters of every run.
        saving: when checkpoints are saved, and when to stop.
        progress: called about twice a second with the state of every wave.
        corpus: the plan's corpus, if it is open already.
        logs: where metrics go besides the rows; nodes log in to Weights & Biases by themselves.

    Returns:
        The state of every wave of the shard at the end.

    Raises:
        Stopped: `saving` asked for it; waves in training are saved.
        JaxmixError: Ray is not installed, no cluster answers, or the data are not those of the
            plan.
    """
    corpus_of(plan, corpus)
    # Links stay: they may be what makes one path of all nodes' mounts.
    folder, (index, count) = Path(os.path.abspath(folder)), shard
    waves = [_begin(plan, wave, folder, keep_final) for wave in plan.waves[index - 1 :: count]]
    with (
        _cluster(address) as ray,
        tempfile.NamedTemporaryFile(dir=folder, prefix=".ray-") as mark,
        saving.stopping() as asked,
    ):
        nodes = [n["Resources"] for n in ray.nodes() if n["Alive"]]
        job = _Job(plan, folder, mark.name, keep_final, saving.seconds, logs)
        tasks = _Tasks(ray, job, devices, nodes, {one.wave.name: one for one in waves})
        while tasks.running:
            if tasks.turn(asked()) and any(one.state == "done" for one in tasks.waves.values()):
                write_table(plan, folder, folder / "runs.csv")
            if progress:
                progress(list(tasks.waves.values()))
        found = [_settled(plan, one, folder) for one in tasks.waves.values()]
        if asked() and any(one.state in ("stopped", "waiting") for one in found):
            left = sum(one.state in ("stopped", "waiting") for one in found)
            steps = sum(one.step for one in found), sum(one.steps for one in found)
            raise Stopped(f"{left} of {len(found)} waves", *steps)
    return found


def wave_devices(nodes: Sequence[Mapping[str, float]], runs: int) -> tuple[str, int]:
    """The devices that a wave of so many runs takes: kind and number.

    TPUs if there are any, or else GPUs, or else CPUs. A wave was planned for a machine: it takes
    the CPUs of the smallest node that has a quarter of the largest one's, and of accelerators, on
    which each run has a device of its own, no more than it has runs.

    Args:
        nodes: resources of every node, as Ray names them.
        runs: number of runs of the wave.
    """
    for kind in ("tpu", "gpu", "cpu"):
        held = [int(node.get(kind.upper(), 0)) for node in nodes]
        if max(held, default=0) < 1:
            continue
        least = min(n for n in held if n >= max(1, max(held) / 4))
        if kind == "cpu":
            return kind, least
        # Chips of a TPU host are shared out by powers of two.
        most = min(least, runs)
        return kind, 1 << most.bit_length() - 1 if kind == "tpu" else most
    return "cpu", 1


def _begin(plan: Plan, wave: Wave, folder: Path, keep_final: bool) -> WaveOnRay:
    """The state of a wave by its files; whether final parameters are there its task finds out."""
    steps = plan.study.record_at(wave.tokens)[-1]
    done = not keep_final and wave_status(plan, wave, folder).state == "done"
    return WaveOnRay(wave, steps, "done", steps) if done else WaveOnRay(wave, steps)


def _settled(plan: Plan, one: WaveOnRay, folder: Path) -> WaveOnRay:
    """Waits until the files of a wave that was reported as done are seen here."""
    until = time.monotonic() + SETTLES
    while one.state == "done" and wave_status(plan, one.wave, folder).state != "done":
        if time.monotonic() > until:
            lacks = f"{one.node} trained it, but its rows are not in {folder} here"
            return dataclasses.replace(one, state="failed", reason=lacks)
        time.sleep(TURN)
    return one


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Connects to a cluster, unless this process is connected, and yields the module."""
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        raise JaxmixError("--ray: Ray is not installed; pip install '.[ray]'") from None
    if ray.is_initialized():
        yield ray
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    handler, is_main = signal.getsignal(signal.SIGTERM), _is_main_thread()
    where = address or os.environ.get("RAY_ADDRESS") or "this machine"
    try:
        _knock(where)
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        raise JaxmixError(
            f"--ray: no cluster can be used at {where} ({clip(error, 160)}); start one with ray "
            "start --head, name the HOST:PORT of another, or set its token (RAY_AUTH_TOKEN)"
        ) from None
    try:
        if is_main:
            signal.signal(signal.SIGTERM, handler)  # Ray has put its own there
        yield ray
    finally:
        ray.shutdown()


def _knock(where: str) -> None:
    """Connects to HOST:PORT once, because Ray tries for minutes; other addresses are left to it."""
    host, _, port = where.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@dataclass(frozen=True)
class _Job:
    """What a task needs; `mark` is a file in the folder that shows whether a node shares it."""

    plan: Plan
    folder: Path
    mark: str
    keep_final: bool
    seconds: float
    logs: Logs = NO_LOGS


class _Board:
    """An actor with the news of all waves and the wish to stop."""

    def __init__(self) -> None:
        self._news: dict[str, tuple[str, int]] = {}
        self._stop = False

    def tell(self, wave: str, node: str, step: int) -> bool:
        """News of a wave; returns whether it shall stop."""
        self._news[wave] = node, step
        return self._stop

    def read(self, stop: bool) -> dict[str, tuple[str, int]]:
        """The news since the last call."""
        self._stop = self._stop or stop
        news, self._news = self._news, {}
        return news


class _Tasks:
    """The tasks of a plan: gives waves out, again if their node dies, and follows them."""

    def __init__(
        self,
        ray: Any,
        job: _Job,
        devices: tuple[str, int] | None,
        nodes: Sequence[Mapping[str, float]],
        waves: dict[str, WaveOnRay],
    ) -> None:
        self._ray, self._job, self._devices, self._nodes = ray, job, devices, nodes
        self.waves = waves
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        # Should its process die all the same, it starts elsewhere and is told everything anew.
        options = {"num_cpus": 0, "scheduling_strategy": here, "max_restarts": -1}
        self._board = ray.remote(_Board).options(**options).remote()
        self._stopping = False
        self.running: dict[Any, str] = {}
        for name, one in waves.items():
            if one.state != "done":
                self._give_out(name)

    def _give_out(self, name: str) -> None:
        one = self.waves[name]
        kind, number = self._devices or wave_devices(self._nodes, len(one.wave.runs))
        takes = {
            "cpu": {"num_cpus": number},
            "gpu": {"num_gpus": number},
            "tpu": {"resources": {"TPU": number}},
        }[kind]
        settings = {v: os.path.abspath(os.environ[v]) for v in FOLDERS if os.environ.get(v)}
        settings |= {v: os.environ[v] for v in MODES if v in os.environ}
        if kind == "cpu":
            settings |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(number)}
        # A process for each attempt: JAX leaves no devices to others while its process lives.
        options = {"max_retries": 0, "max_calls": 1, "name": name}
        task = self._ray.remote(**takes, **options, runtime_env={"env_vars": settings})(_train)
        plan = dataclasses.replace(self._job.plan, waves=(one.wave,))
        job = dataclasses.replace(self._job, plan=plan)
        self.running[task.remote(job, PATIENCE if one.lost else 0.0, self._board)] = name

    def turn(self, stop: bool) -> bool:
        """Waits a moment and takes in what happened; returns whether waves have ended."""
        ready, _ = self._ray.wait(list(self.running), timeout=TURN)
        news: dict[str, tuple[str, int]] = {}
        with contextlib.suppress(self._ray.exceptions.RayActorError):
            news = self._ray.get(self._board.read.remote(stop))
        for name in news.keys() & set(self.running.values()):  # others have ended since
            node, step = news[name]
            self._set(name, state="training", node=node, step=step)
        if stop and not self._stopping:
            self._stopping = True
            for task, name in self.running.items():
                if self.waves[name].state == "waiting":
                    self._ray.cancel(task)
        for task in ready:
            self._end(self.running.pop(task), task)
        return bool(ready)

    def _end(self, name: str, task: Any) -> None:
        """Takes in how a task ended; gives its wave out again if its process died."""
        errors = self._ray.exceptions
        try:
            self._set(name, **self._ray.get(task))
        except errors.TaskCancelledError:
            self._set(name, state="waiting")
        except errors.RayTaskError as error:
            cause = "".join(traceback.format_exception_only(error.cause)).strip()
            self._set(name, state="failed", reason=clip(cause, 200), trace=str(error))
        except (errors.RuntimeEnvSetupError, errors.TaskUnschedulableError) as error:
            self._set(name, state="failed", reason=clip(error, 200))
        except errors.RayError as error:
            lost = self.waves[name].lost + 1
            self._set(name, state="waiting", lost=lost)
            if lost > RETRIES:
                reason = f"its process or node died {lost} times, at last: {clip(error, 120)}"
                self._set(name, state="failed", reason=reason)
            elif not self._stopping:
                self._give_out(name)

    def _set(self, name: str, **changes: Any) -> None:
        self.waves[name] = dataclasses.replace(self.waves[name], **changes)


def _train(job: _Job, wait: float, board: Any) -> dict[str, Any]:
    """Trains one wave in a process of a node; returns what that changes of its `WaveOnRay`.

    Args:
        job: the job, whose plan has this wave only.
        wait: seconds to wait for a process that holds the claim before the wave is left to it.
        board: the actor that is told how it goes.
    """
    ray = importlib.import_module("ray")
    (wave,) = job.plan.waves
    node = f"{socket.gethostname()}/{ray.get_runtime_context().get_node_id()[:6]}"
    link = _Link(ray, board, wave.name, node)
    link.tell(0)
    try:
        if not Path(job.mark).exists():
            raise JaxmixError(
                f"{job.folder}: is not shared with {node}; put the study on a file system that "
                "all nodes mount at the same path"
            )
        saving = Saving(job.seconds, lambda: contextlib.nullcontext(link.shall_stop))
        holder = _run(job, saving, link, wait)
    except (JaxmixError, OSError) as error:
        if isinstance(error, OSError) and error.filename is None and error.errno != errno.ENOSPC:
            raise
        return {"state": "failed", "node": node, "reason": clip(error, 400)}
    except Stopped as stopped:
        return {"state": "stopped", "node": node, "step": stopped.step}
    if holder:
        return {"state": "left to others", "node": "", "reason": holder}
    return {"state": "done", "node": node, "step": job.plan.study.record_at(wave.tokens)[-1]}


def _run(job: _Job, saving: Saving, link: "_Link", wait: float) -> str:
    """Trains the wave of a job; returns who holds it if that is another process."""
    until, holders = time.monotonic() + wait, []
    while True:
        holders.clear()
        run_plan(
            job.plan,
            job.folder,
            progress=lambda _, snapshot: link.tell(snapshot.step),
            keep_final=job.keep_final,
            passed=lambda _, holder: holders.append(holder),
            saving=saving,
            logs=job.logs,
        )
        # An attempt on a node that seemed dead may be at work still, until it notices.
        if not holders or time.monotonic() >= until:
            return "".join(holders)
        time.sleep(1.0)


class _Link:
    """A task's end of the line to the board; never waits for it."""

    def __init__(self, ray: Any, board: Any, wave: str, node: str) -> None:
        self._ray, self._board, self._about = ray, board, (wave, node)
        self._answer: Any = None
        self._stop = False

    def tell(self, step: int) -> None:
        """Sends the step unless the last message is still on its way."""
        if self._answer is None or self._ray.wait([self._answer], timeout=0)[0]:
            with contextlib.suppress(self._ray.exceptions.RayActorError):
                self._stop = self._stop or bool(self._answer and self._ray.get(self._answer))
            self._answer = self._board.tell.remote(*self._about, step)

    def shall_stop(self) -> bool:
        """Whether the driver asked all waves to stop."""
        return self._stop
