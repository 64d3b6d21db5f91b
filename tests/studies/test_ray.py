"""Waves as tasks of a Ray cluster: with a stand-in for Ray, and with two nodes of the real one."""

import contextlib
import dataclasses
import os
import pathlib
import secrets
import subprocess
import sys
import time
import types
from collections.abc import Callable

import pytest

from jaxmix.claims import take
from jaxmix.errors import JaxmixError
from jaxmix.runs import read_runs
from jaxmix.studies import Size, make_plan, ray_cluster, run_on_ray, run_plan, write_table
from jaxmix.studies.plan import wave_folder
from jaxmix.training import Saving, Stopped

ROOT = pathlib.Path(__file__).resolve().parents[2]


class StandIn(types.ModuleType):
    """Ray as far as `run_on_ray` knows it; a task runs when it is waited for."""

    def __init__(self):
        super().__init__("ray")
        self.dies, self.begun, self.takes, self.cancelled = [], [], [], set()
        base = type("RayError", (Exception,), {})
        names = "TaskCancelled RayActor RayTask RuntimeEnvSetup TaskUnschedulable"
        made = {f"{name}Error": type(name, (base,), {}) for name in names.split()}
        self.exceptions = types.SimpleNamespace(RayError=base, **made)
        strategies = types.SimpleNamespace(NodeAffinitySchedulingStrategy=lambda *_, **__: None)
        self.util = types.SimpleNamespace(scheduling_strategies=strategies)

    def is_initialized(self):
        return True

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": 4.0}}]

    def get_runtime_context(self):
        return types.SimpleNamespace(get_node_id=lambda: "0123456789")

    def remote(self, *actor, **options):
        if actor:
            started = types.SimpleNamespace(remote=lambda: Actor(actor[0]()))
            return types.SimpleNamespace(options=lambda **_: started)
        self.takes.append(options)
        return lambda call: types.SimpleNamespace(remote=lambda *given: Task(call, given))

    def wait(self, tasks, timeout=None):
        return tasks[:1], tasks[1:]

    def cancel(self, task):
        self.cancelled.add(task)

    def get(self, held):
        if not isinstance(held, Task):
            return held.value
        (wave,) = held.given[0].plan.waves
        self.begun.append(wave.name)
        if held in self.cancelled:
            raise self.exceptions.TaskCancelledError()
        if wave.name in self.dies:
            self.dies.remove(wave.name)
            raise self.exceptions.RayError()
        return held.call(*held.given)


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A task that is given out."""

    call: Callable
    given: tuple


class Actor:
    """An actor whose calls are answered at once."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        call = getattr(self.inner, name)
        wrapped = lambda *given: types.SimpleNamespace(value=call(*given))  # noqa: E731
        return types.SimpleNamespace(remote=wrapped)


@pytest.fixture
def plan(study, corpus):
    """Two waves of two runs each."""
    return make_plan(dataclasses.replace(study, fleet=2), corpus)


@pytest.fixture
def engine(monkeypatch):
    """The stand-in in Ray's place."""
    made = StandIn()
    monkeypatch.setitem(sys.modules, "ray", made)
    return made


def test_waves_on_nodes_that_die_give_the_table_of_one_process(plan, corpus, engine, tmp_path):
    one, many = tmp_path / "one", tmp_path / "many"
    many.mkdir()
    run_plan(plan, one, corpus=corpus)
    write_table(plan, one, one / "runs.csv")
    engine.dies, said = ["tiny-16-0", *["tiny-16-1"] * 4], []
    found = run_on_ray(plan, many, corpus=corpus, progress=said.append)
    assert [(w.state, w.lost) for w in found] == [("done", 1), ("failed", 4)]
    assert "died 4 times" in found[1].reason and said[0][0].state == "waiting"
    assert engine.takes[0]["num_cpus"] == 4 and engine.takes[0]["max_calls"] == 1
    assert len(read_runs(many / "runs.csv")) == 4  # those of the wave that is done
    engine.begun.clear()
    assert {w.state for w in run_on_ray(plan, many, corpus=corpus)} == {"done"}
    assert engine.begun == ["tiny-16-1"]
    assert (many / "runs.csv").read_text() == (one / "runs.csv").read_text()


def test_what_others_train_and_what_fails_is_said(plan, corpus, engine, tmp_path):
    (tmp_path / "waves" / "tiny-16-1" / "rows.jsonl").parent.mkdir(parents=True)
    (tmp_path / "waves" / "tiny-16-1" / "rows.jsonl").write_text("{damaged\n\n")
    with pytest.raises(JaxmixError, match="line 1 is damaged"):
        run_on_ray(plan, tmp_path, corpus=corpus)
    (tmp_path / "waves" / "tiny-16-1" / "rows.jsonl").unlink()
    (tmp_path / "waves" / "tiny-16-1" / "checkpoints").touch()
    with take(wave_folder(tmp_path, plan.waves[0]) / ".lock"):
        found = run_on_ray(plan, tmp_path, corpus=corpus)
    assert [w.state for w in found] == ["left to others", "failed"]
    assert f"process {os.getpid()}" in found[0].reason and "Not a directory" in found[1].reason
    assert not list(tmp_path.glob(".ray-*"))


def test_a_folder_that_a_node_does_not_share_is_refused(plan, engine, tmp_path, monkeypatch):
    job = ray_cluster._Job(plan, tmp_path, str(tmp_path / "absent"), False, 300.0)
    one = dataclasses.replace(job, plan=dataclasses.replace(plan, waves=plan.waves[:1]))
    ended = ray_cluster._train(one, 0.0, Actor(ray_cluster._Board()))
    assert ended["state"] == "failed" and "is not shared with" in ended["reason"]


def test_waves_are_saved_if_the_driver_is_stopped(plan, corpus, engine, tmp_path):
    stop = Saving(stopping=lambda: contextlib.nullcontext(lambda: bool(engine.begun)))
    with pytest.raises(Stopped, match="1 of 2 waves stopped at step 4 of 8"):
        run_on_ray(plan, tmp_path, corpus=corpus, saving=stop)
    assert engine.begun[0] == "tiny-16-0" and (tmp_path / "runs.csv").exists()


@pytest.mark.parametrize(
    ("nodes", "runs", "expected"),
    [
        ([{"CPU": 8}, {"CPU": 64}, {"CPU": 32}], 3, ("cpu", 32)),  # the first is a head node
        ([{"CPU": 8.0}, {"CPU": 4.0, "GPU": 4.0}, {"GPU": 8.0}], 64, ("gpu", 4)),
        ([{"GPU": 8.0}], 3, ("gpu", 3)),
        ([{"TPU": 4.0, "GPU": 1.0}], 3, ("tpu", 2)),
        ([{"CPU": 0.0}], 3, ("cpu", 1)),
    ],
)
def test_a_wave_takes_what_a_node_has(nodes, runs, expected):
    assert ray_cluster.wave_devices(nodes, runs) == expected


def test_no_cluster_is_refused_in_one_line(plan, corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(JaxmixError, match=r"pip install '.\[ray\]'"):
        run_on_ray(plan, tmp_path, corpus=corpus)
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(is_initialized=lambda: False))
    with pytest.raises(JaxmixError, match="no cluster can be used at localhost:1 "):
        run_on_ray(plan, tmp_path, corpus=corpus, address="localhost:1")


CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
print(cluster.address, second.node_id, flush=True)
sys.stdin.readline()
cluster.remove_node(second, allow_graceful=False)
print("killed", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_node_of_a_real_cluster_is_killed_while_it_trains(study, corpus, tmp_path):
    pytest.importorskip("ray")
    sizes = (Size("tiny-16", 600 * 8 * 32),)
    plan = make_plan(dataclasses.replace(study, sizes=sizes, fleet=1), corpus)
    one, many = tmp_path / "one", tmp_path / "many"
    run_plan(plan, one, corpus=corpus)
    write_table(plan, one, one / "runs.csv")
    many.mkdir()
    plan.save(many / "plan.json")
    settings = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    settings |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex()}
    run = {"env": os.environ | settings, "cwd": ROOT, "text": True, "stdout": subprocess.PIPE}
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, **run)
        )
        stack.callback(cluster.kill)
        address, second = cluster.stdout.readline().split()
        command = [sys.executable, "-m", "jaxmix", "study", "run", str(many), "--ray", address]
        driver = stack.enter_context(
            subprocess.Popen(
                [*command, "--checkpoint-minutes", "0.02"], stderr=subprocess.PIPE, **run
            )
        )
        stack.callback(driver.kill)
        begun = next(line for line in driver.stderr if second[:6] in line and "training" in line)
        wave = begun.split()[0]
        rows = many / "waves" / wave / "rows.jsonl"
        until = time.monotonic() + 100
        saved = rows.parent / "checkpoints"
        while not (saved.exists() and [p for p in saved.iterdir() if p.name.isdecimal()]):
            assert time.monotonic() < until
            time.sleep(0.05)
        cluster.stdin.write("kill\n")
        cluster.stdin.flush()
        assert cluster.stdout.readline() == "killed\n"
        out, err = driver.communicate(timeout=200)
        cluster.communicate("end\n", timeout=60)
    assert driver.returncode == 0, err
    assert f"{wave}  waiting" in err and "lost once" in err
    assert "8 rows written" in out
    assert (many / "runs.csv").read_text() == (one / "runs.csv").read_text()
