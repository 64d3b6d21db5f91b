"""Two processes on one machine: the same losses as one, rows written once, checkpoints shared."""

import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxmix.training import initialize, read_rows, single_layout, train
from tests.training import toys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def pair(folder: pathlib.Path, *options: str, code: int = 0, stop: float = 0.0) -> list[str]:
    """Runs the script in a group of two processes; returns what they said on standard error.

    With `stop`, the second one gets SIGTERM so many seconds after its first batch was asked for.
    """
    address = f"127.0.0.1:{free_port()}"
    start = [sys.executable, "-m", "tests.training.toys", str(folder), *options]
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    both = [
        subprocess.Popen(
            [*start, "--group", address, "2", str(i)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    try:
        if stop:
            while both[1].stdout.readline() != "begun\n":
                pass
            time.sleep(stop)
            both[1].terminate()
        errors = [one.communicate(timeout=120)[1] for one in both]
    finally:
        for one in both:
            one.kill()
    assert [one.returncode for one in both] == [code, code], "\n".join(errors)
    return errors


def losses(rows) -> np.ndarray:
    names = ("train_loss", "loss_a", "loss_b", "sem_a")
    return np.array([[row[n] for n in names] for row in rows])


@pytest.mark.parametrize(
    ("what", "fsdp"),
    [
        ("single", "4"),
        pytest.param("transformer", "4", marks=pytest.mark.slow),
        pytest.param("transformer", "1", marks=pytest.mark.slow),
    ],
)
def test_two_processes_train_as_one(tmp_path, what, fsdp):
    pair(tmp_path / "two", "--what", what, "--fsdp", fsdp)
    model = toys.transformer() if what == "transformer" else toys.Toy(64)
    work = model, toys.fleet(1, (2, 4, 6)), toys.feed(1, vocabulary=64, length=8)
    whole = train(*work, tmp_path / "one", layout=single_layout(devices=1)).rows
    found = read_rows(tmp_path / "two" / "rows.jsonl")
    np.testing.assert_allclose(losses(found), losses(whole), rtol=2e-4)
    lines = (tmp_path / "two" / "rows.jsonl").read_text().splitlines()
    assert len(lines) == 3  # written once
    assert (tmp_path / "two" / "done.json").exists()


@pytest.mark.slow
def test_two_processes_resume(tmp_path):
    options = ("--what", "single", "--fsdp", "4")
    for error in pair(tmp_path / "cut", *options, "--stop", "5", code=1):
        assert "stopped here" in error
    assert len(read_rows(tmp_path / "cut" / "rows.jsonl")) == 2
    saved = (path.name for path in (tmp_path / "cut" / "checkpoints").iterdir())
    assert sorted(saved) == ["2", "4"]
    pair(tmp_path / "cut", *options)
    lines = (tmp_path / "cut" / "rows.jsonl").read_text().splitlines()
    assert len(lines) == 3  # none was trained again
    pair(tmp_path / "whole", *options)
    assert read_rows(tmp_path / "cut" / "rows.jsonl") == read_rows(
        tmp_path / "whole" / "rows.jsonl"
    )


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_stops_both_at_one_step(tmp_path):
    options = ("--what", "single", "--fsdp", "4", "--minutes", "5")
    first, second = pair(tmp_path / "cut", *options, "--slow", "0.6", code=75, stop=1.0)
    (line,) = (line for line in first.splitlines() if "stopped at" in line)
    assert 0 < int(line.split()[4]) < 6 and "stopped at" not in second
    assert f"goes on at step {line.split()[4]} of 6" in pair(tmp_path / "cut", *options)[0]
    pair(tmp_path / "whole", *options)
    cut, whole = (read_rows(tmp_path / name / "rows.jsonl") for name in ("cut", "whole"))
    assert cut == whole


@pytest.mark.slow
def test_a_group_refuses_to_train_fleets(tmp_path):
    for error in pair(tmp_path, "--what", "fleet", code=1):
        assert "a group of processes trains one run over all of its devices" in error


def test_no_group_is_asked_for(monkeypatch):
    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS", raising=False)
    assert initialize() is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, 2, 0), "needs a coordinator"),
        (("here:1", None, 0), "give the number"),
        (("here:1", 2, None), "give the number"),
        (("here:1", 2, 2), "process 2 of 2"),
    ],
)
def test_half_a_group_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        initialize(*arguments)


def test_a_number_in_the_environment_has_to_be_one(monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(ValueError, match="JAX_NUM_PROCESSES=two is not a number"):
        initialize()
