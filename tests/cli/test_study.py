"""``jaxmix study`` and ``jaxmix train``: the way from a folder of text to a run table."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

from jaxmix.cli import common
from jaxmix.runs import read_runs

SMALL = ("--checkpoints", "2", "--batch", "8", "--length", "32", "--held-windows", "8")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Name of a prepared corpus of two domains; JAXMIX_CACHE points at it while this file runs."""
    root = tmp_path_factory.mktemp("text")
    rng = np.random.default_rng(0)
    for name, letters in {"low": "abcde ", "high": "vwxyz "}.items():
        (root / "mine" / name).mkdir(parents=True)
        for i in range(200):
            text = "".join(rng.choice(list(letters), 200))
            (root / "mine" / name / f"{i}.txt").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXMIX_CACHE", str(root / "cache"))
        from jaxmix.data import prepare

        prepare(root / "mine", tokenizer="bytes")
        yield "mine"


def plan(run, corpus, folder, *more):
    designs = ("--design", "uniform", "--mixture", "most:low=0.8,high=0.2")
    size = ("--size", "tiny-16=1024")
    return run("study", "plan", folder, "--corpus", corpus, *size, *designs, *SMALL, *more)


def test_a_study_from_plan_to_table(run, corpus, tmp_path):
    folder = tmp_path / "study"
    planned = plan(run, corpus, folder, "--json")
    assert planned.status == 0 and planned.json["runs"] == 2
    (size,) = planned.json["sizes"]
    assert size["preset"] == "tiny-16" and size["flops"] > 0 and size["seconds"] > 0
    (wave,) = run("study", "status", folder, "--json").json["waves"]
    assert (wave["state"], wave["rows"], wave["expected"]) == ("waiting", 0, 4)
    done = run("study", "run", folder)
    assert done.status == 0 and "4 rows written" in done.out
    table = read_runs(folder / "runs.csv")
    assert table.domains == ("high", "low") and len(table) == 4
    (wave,) = run("study", "status", folder / "plan.json", "--json").json["waves"]
    assert (wave["state"], wave["rows"]) == ("done", 4)
    assert "4 rows" in run("study", "table", folder, "--out", tmp_path / "again.csv").out
    assert (tmp_path / "again.csv").read_text() == (folder / "runs.csv").read_text()
    assert "tiny-16-0" in run("study", "status", folder).out
    script = run("study", "script", folder / "plan.json", "--slurm").out
    assert f"srun jaxmix study run {folder} --shard" in script and "--array=1-1\n" in script
    written = run("study", "script", folder, "--slurm", "--jobs", 9, "--out", tmp_path / "job.sh")
    assert written.status == 0 and (tmp_path / "job.sh").read_text() == script  # one wave, one job


def test_one_run_by_the_same_code(run, corpus, tmp_path):
    options = ("--corpus", corpus, "--weights", "low=0.8,high=0.2", "--tokens", "1024")
    done = run("train", "tiny-16", *options, *SMALL, "--out", tmp_path / "one")
    assert done.status == 0, done.err
    table = read_runs(tmp_path / "one" / "runs.csv")
    assert table.tokens.tolist() == [512, 1024]
    assert dict(zip(table.domains, table.weights[0], strict=True)) == {"low": 0.8, "high": 0.2}
    assert json.loads((tmp_path / "one" / "waves" / "tiny-16-0" / "done.json").read_text())


def test_tasks_are_recorded_and_fitted_by_their_pattern(run, refused, corpus, tmp_path):
    tasks, other, folder = tmp_path / "tasks.jsonl", tmp_path / "other.jsonl", tmp_path / "study"
    question = {"task": "a b", "context": "ab", "choices": ["cd", "wx"], "answer": 0}
    tasks.write_text(json.dumps(question) + "\n")
    other.write_text(json.dumps(question | {"answer": 1}) + "\n")
    plan(run, corpus, folder)
    done = run("study", "run", folder, "--tasks", tasks)
    assert done.status == 0 and "without loss_task_" not in done.err, done.err
    table = read_runs(folder / "runs.csv")
    assert table.targets == ("high", "low", "task_a_b") and set(table.frame["chance_a_b"]) == {0.5}
    assert set(table.frame["metric_a_b"]) <= {0.0, 1.0} and table.losses(["task_*"]).shape == (1, 4)
    told = refused("study", "run", folder, "--tasks", other)
    assert f"--tasks {tasks}" in told and "name another folder" in told
    assert run("study", "run", folder).status == 0  # the plan keeps them
    wrong = ("train", "nmm-tiny-24", "--corpus", corpus, "--weights", "low=1", "--tokens", "4096")
    told = refused(*wrong, *SMALL, "--out", tmp_path / "one", "--tasks", tasks)
    assert "nmm-tiny-24: is a multimodal model; tasks are for text models" in told
    law = ("--law", "simple", "--out", tmp_path / "law.json")
    assert "no target matches 'tusk_*'" in refused(
        "fit", folder / "runs.csv", "--targets", "tusk_*", *law
    )


def test_proxies_may_repeat_as_a_large_run_will(run, refused, corpus, tmp_path):
    folder, stock = tmp_path / "study", ("--available", "low=8k", "--match-epochs", "16k")
    (size,) = plan(run, corpus, folder, *stock, "--json").json["sizes"]
    assert size["epochs"]["low"] == pytest.approx(0.8 * 1024 / 512)  # 1024 of 16k tokens
    assert "low 1.6" in plan(run, corpus, folder, *stock).out
    assert "low 1.6" in run("study", "status", folder).out
    (wave,) = run("study", "status", folder, "--json").json["waves"]
    assert wave["epochs"] == size["epochs"]
    assert run("study", "run", folder).status == 0
    one = ("--corpus", corpus, "--weights", "low=0.8,high=0.2", "--tokens", "1024", *SMALL)
    assert run("train", "tiny-16", *one, *stock, "--out", tmp_path / "one").status == 0
    for table in (folder, tmp_path / "one"):
        frame = read_runs(table / "runs.csv").frame
        assert set(frame["unique_low"]) == {512} and frame["unique_high"].max() < 4096
        last = frame[(frame["tokens"] == 1024) & (frame["w_low"] == 0.8)]
        assert last["epochs_low"].tolist() == pytest.approx([1.6], abs=0.05)
    endless = ("--corpus", corpus, "--size", "tiny-16=1M", "--available", "low=inf")
    assert "is finite; leave low out" in refused("study", "plan", folder, *endless)


@pytest.mark.parametrize(
    ("name", "number", "status"),
    [("train", signal.SIGTERM, 75), ("study run", signal.SIGINT, 130)],
)
def test_a_signal_saves_first(run, corpus, tmp_path, monkeypatch, request, name, number, status):
    usual = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    inherited = signal.signal(number, usual[number])  # a shell's background job ignores SIGINT
    request.addfinalizer(lambda: signal.signal(number, inherited))
    if name == "train":
        options = ("--corpus", corpus, "--weights", "low=0.8,high=0.2", "--tokens", "1024")
        command = ("train", "tiny-16", *options, *SMALL, "--out", tmp_path)
    else:
        plan(run, corpus, tmp_path)
        command = ("study", "run", tmp_path)
    from jaxmix.training import loop

    def interrupted(*given):
        monkeypatch.undo()
        loop.append_rows(*given)
        signal.raise_signal(number)

    monkeypatch.setattr(loop, "append_rows", interrupted)  # at step 2
    before = signal.getsignal(number)
    stopped = run(*command)
    assert stopped.status == status and stopped.out == ""
    assert "tiny-16-0 stopped at step 3 of 4; the same command goes on\n" in stopped.err
    assert signal.getsignal(number) is before
    done = run(*command, "--checkpoint-minutes", "0")
    assert done.status == 0 and "note: tiny-16-0 goes on at step 3 of 4\n" in done.err


def group_command(processes, *options):
    """`jaxmix train` of a group, up to the number of the process, and its environment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{one.getsockname()[1]}"
    command = [sys.executable, "-m", "jaxmix", "train", "tiny-16", *map(str, options)]
    command += ["--weights", "low=0.8,high=0.2", "--tokens", "1024"]
    command += ["--coordinator", address, "--processes", str(processes), "--process"]
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    return command, environment | {"JAX_NUM_CPU_DEVICES": "1"}


def test_a_process_joins_its_group_before_anything_uses_a_device(tmp_path):
    command, environment = group_command(1, "--corpus", "absent", *SMALL, "--out", tmp_path)
    done = subprocess.run([*command, "0"], env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "absent" in done.stderr, done.stderr


@pytest.mark.slow
def test_two_processes_join_a_group_and_train_one_run(corpus, tmp_path):
    out = tmp_path / "one"
    command, environment = group_command(2, "--corpus", corpus, *SMALL, "--out", out)
    both = [
        subprocess.Popen(
            [*command, str(i)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    try:
        said = [one.communicate(timeout=120) for one in both]
    finally:
        for one in both:
            one.kill()
    assert [one.returncode for one in both] == [0, 0], said
    assert "2 rows written" in said[0][0] and "written" not in said[1][0]
    assert read_runs(out / "runs.csv").tokens.tolist() == [512, 1024]


def test_a_run_goes_on_with_weights_by_stage(run, refused, corpus, tmp_path):
    options = ("--corpus", corpus, "--tokens", "1024", *SMALL)
    base, out = tmp_path / "base", tmp_path / "on"
    assert run("train", "tiny-16", *options, "--weights", "low=1", "--out", base).status == 0
    turn = "low=1@0.5;low=0.25,high=0.75"
    begun = (*options, "--weights", turn, "--out", out)
    done = run("train", "tiny-16", *begun, "--from", f"{base}:tiny-16-given-s0")
    assert done.status == 0, done.err
    frame = read_runs(out / "runs.csv").frame
    assert frame["w_low"].tolist() == [1.0, 0.625] and frame["tokens_before"].tolist() == [1024] * 2
    assert frame["base_loss_low"][0] < frame["base_loss_high"][0]
    file = tmp_path / "turn.json"
    file.write_text('{"turn": [{"share": 1, "weights": {"low": 0.5, "high": 0.5}}]}')
    staged = ("--from", base, "--schedule-file", file, "--stages", f"again:{turn}")
    assert plan(run, corpus, tmp_path / "plan", *staged, "--json").json["runs"] == 4
    held = json.loads((tmp_path / "plan" / "plan.json").read_text())["study"]
    shares = [stage["share"] for stage in held["stages"]["again"]]
    assert held["start_from"]["tokens"] == 1024 and shares == [0.5, 0.5]
    file.write_text('{"turn": [{"share": 1}]}')
    study = ("study", "plan", tmp_path / "x", "--corpus", corpus, "--size", "tiny-16=1024")
    assert "holds no schedules (KeyError: 'weights')" in refused(*study, "--schedule-file", file)
    assert "no run 'absent'" in refused("train", "tiny-16", *begun, "--from", f"{base}:absent")
    wrong = ("train", "tiny-16", *options, "--out", out, "--weights")
    assert "'low=1' has no share of the tokens" in refused(*wrong, "low=1;high=1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", "tiny-16"), "is not a pair PRESET=TOKENS; write"),
        (("--size", "tiny-15=1M"), "unknown preset 'tiny-15'; nearest: tiny-16"),
        (("--size", "tiny-16=1M", "--seeds", "a"), "'a' is not a seed; write 0,1,2"),
        (("--size", "tiny-16=1M", "--mixture", "low=1"), "has no name"),
        (("--size", "tiny-16=1M", "--domains", "lo"), "no training domain 'lo'"),
        (("--size", "tiny-16=1M", "--tokenizer", "bytes"), "is no recipe"),
        (("--size", "tiny-16=10"), "are fewer than 8 checkpoints"),
        (("--size", "tiny-16=9M", "--forbid-repeat"), "it would repeat"),
    ],
)
def test_bad_plans_are_refused_and_leave_nothing(refused, corpus, tmp_path, options, message):
    folder = tmp_path / "study"
    said = refused("study", "plan", folder, "--corpus", corpus, "--design", "uniform", *options)
    assert message in said and not folder.exists()


def test_other_mistakes(refused, corpus, tmp_path):
    assert "no such plan" in refused("study", "run", tmp_path / "absent.json")
    assert "is not I/N" in refused("study", "run", tmp_path, "--shard", "3/2")
    options = ("--corpus", corpus, "--tokens", "1024", *SMALL, "--out", tmp_path / "one")
    assert "sum to" in refused("train", "tiny-16", "--weights", "low=0.8", *options)
    assert "known: high, low" in refused("train", "tiny-16", "--weights", "lw=1", *options)
    assert not (tmp_path / "one").exists()


def test_a_folder_with_other_results_is_refused(run, refused, corpus, tmp_path):
    folder = tmp_path / "study"
    options = ("--corpus", corpus, "--weights", "low=1", *SMALL)
    assert plan(run, corpus, folder).status == 0
    here = folder / "waves" / "tiny-16-0"
    here.mkdir(parents=True)
    names = ["tiny-16-uniform-s0", "tiny-16-most-s0"]
    (here / "fleet.json").write_text(json.dumps({"members": [{"run": name} for name in names]}))
    (here / "rows.jsonl").write_text(json.dumps({"run": names[0], "tokens": 512}) + "\n")
    before = (folder / "plan.json").read_bytes()
    assert "with length 32" in plan(refused, corpus, folder, "--length", "16")
    train = ("train", "tiny-24", *options, "--tokens", "1024", "--out", folder)
    assert "'tiny-16-uniform-s0' is not asked for" in refused(*train)
    assert (folder / "plan.json").read_bytes() == before
    assert plan(run, corpus, folder, "--seeds", "0,1").status == 0
    waves = run("study", "status", folder, "--json").json["waves"]
    states = [(w["wave"], w["state"], w["rows"], w["expected"]) for w in waves]
    assert states == [("tiny-16-0", "started", 1, 4), ("tiny-16-1", "waiting", 0, 4)]


def test_the_log_of_a_job_tells_how_it_goes(run, corpus, tmp_path):
    options = (
        "--corpus",
        corpus,
        "--weights",
        "low=0.9,high=0.1",
        *SMALL,
        "--out",
        tmp_path / "one",
    )
    done = run("train", "tiny-16", *options, "--tokens", "90k")
    lines = done.err.splitlines()
    assert re.fullmatch(
        r"note: low: 2\.\d+ epochs of its [\d.]+k tokens \(81k are read\)", lines[0]
    )
    assert re.match(r"tiny-16-0  step \d+/352  loss \d\.\d{3}", lines[1])
    assert re.match(r"tiny-16-0  step 352/352  loss .* tokens/s  0:00 left", lines[-1])
    assert run("train", "tiny-16", *options, "--tokens", "90k").err == ""  # nothing was trained


def test_a_job_that_takes_long_says_so_every_minute(monkeypatch, capsys):
    told = threading.Event()

    class TwoMinutes:  # both have passed as soon as the job has told how far it is
        passed = 0

        def wait(self, seconds):
            told.wait()
            self.passed += 1
            return self.passed > 2

        def set(self):
            """The job has ended."""

    named = types.SimpleNamespace(Event=TwoMinutes, Thread=threading.Thread)
    monkeypatch.setattr(common, "threading", named)
    with common.progress("preparing text") as tell:
        tell("domain web", 1, 4)
        told.set()
    lines = ["domain web  25%  (1 min, 3 min left)", "domain web  25%  (2 min, 6 min left)"]
    assert capsys.readouterr().err.splitlines() == lines
