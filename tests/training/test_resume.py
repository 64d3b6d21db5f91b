"""Stopped at any moment, in any way, a run goes on to the rows that it would have had."""

import dataclasses
import importlib
import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from jaxmix.training import Saving, append_rows, fleet_layout, read_rows, single_layout, train
from tests.training import toys

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Stop(Exception):
    pass


def stopping(feed, after: int, started: list[int]):
    """The same data, which fails once so many batches were taken; notes where it was begun."""

    def start(step: int):
        started.append(step)
        for taken, batch in enumerate(feed.batches(step)):
            if taken == after:
                raise Stop
            yield batch

    return dataclasses.replace(feed, batches=start)


AT = (3, 6, 9, 12)


def fleet(members: int = 3, **changes):
    return toys.fleet(members, AT, schedule="cosine", **changes)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return train(toys.Toy(), fleet(), toys.feed(3), folder, layout=fleet_layout(2)).rows


def test_a_run_that_averages_its_parameters_resumes(tmp_path, unbroken):
    work = toys.Toy(), fleet(average=0.5), toys.feed(3)
    options = {"layout": fleet_layout(2), "saving": Saving(0.0)}
    expected = train(*work, tmp_path / "unbroken", **options).rows
    assert expected != unbroken
    with pytest.raises(Stop):
        train(*work[:2], stopping(work[2], 8, []), tmp_path / "cut", **options)
    assert train(*work, tmp_path / "cut", **options).rows == expected


def go_on(folder, feed=None, **options):
    options = {"layout": fleet_layout(2), "saving": Saving(0.0)} | options
    return train(toys.Toy(), fleet(), feed or toys.feed(3), folder, **options)


@pytest.mark.parametrize(("after", "resumed"), [(0, 0), (1, 1), (8, 8)])
def test_stopped_by_its_data(tmp_path, unbroken, after, resumed):
    started: list[int] = []
    with pytest.raises(Stop):
        go_on(tmp_path, stopping(toys.feed(3), after, started))
    outcome = go_on(tmp_path, stopping(toys.feed(3), 100, started))
    assert started == [0, resumed]
    assert outcome.rows == unbroken
    assert read_rows(tmp_path / "rows.jsonl") == unbroken


def test_stopped_by_its_listener_again_and_again(tmp_path, unbroken):
    for stop_at in (6, 12):

        def tell(moment, stop_at=stop_at):
            if moment.step >= stop_at:
                raise Stop

        with pytest.raises(Stop):
            go_on(tmp_path, progress=tell)
    assert go_on(tmp_path).rows == unbroken


def test_a_single_run_over_many_devices_resumes(tmp_path):
    layout = single_layout(2)
    work = toys.Toy(vocabulary=64), toys.fleet(1, (2, 4))
    feed = toys.feed(1, vocabulary=64, length=8)
    expected = train(*work, feed, tmp_path / "unbroken", layout=layout).rows
    started: list[int] = []
    with pytest.raises(Stop):
        cut = stopping(feed, 3, started)
        train(*work, cut, tmp_path / "cut", layout=layout, saving=Saving(0.0))
    found = train(*work, stopping(feed, 9, started), tmp_path / "cut", layout=layout).rows
    assert started == [0, 3]
    assert found == expected


def stopped(folder, after: int = 8) -> pathlib.Path:
    """A run that was stopped after its checkpoints at steps 7 and 8; returns its rows' file."""
    with pytest.raises(Stop):
        go_on(folder, stopping(toys.feed(3), after, []))
    return folder / "rows.jsonl"


@pytest.mark.parametrize(("after", "cut"), [(6, 20), (6, 700), (7, 20), (7, 700)])
def test_rows_cut_off_at_their_end(tmp_path, unbroken, after, cut):
    rows = stopped(tmp_path, after)
    rows.write_bytes(rows.read_bytes()[:-cut])
    started: list[int] = []
    outcome = go_on(tmp_path, stopping(toys.feed(3), 100, started))
    assert started == [6]
    assert not outcome.diverged
    assert outcome.rows == unbroken


def test_rows_lost_from_before_the_checkpoint_are_an_error(tmp_path):
    rows = stopped(tmp_path)
    rows.write_bytes(b"".join(rows.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match="lacks rows from before its checkpoint"):
        go_on(tmp_path)


def test_a_member_that_diverged_stays_so(tmp_path):
    wild = fleet(3, rates=(0.02, 1e38, 0.06))
    work = {"layout": fleet_layout(2), "saving": Saving(0.0)}
    expected = train(toys.Toy(), wild, toys.feed(3), tmp_path / "whole", **work)
    with pytest.raises(Stop):
        train(toys.Toy(), wild, stopping(toys.feed(3), 8, []), tmp_path / "cut", **work)
    found = train(toys.Toy(), wild, toys.feed(3), tmp_path / "cut", **work)
    assert found.diverged == expected.diverged == {"r1": 3}
    assert found.rows == expected.rows


def test_a_finished_run_is_only_read(tmp_path, unbroken):
    outcome = go_on(tmp_path)
    assert not (tmp_path / "checkpoints").exists()

    def never(step: int):
        raise AssertionError("no batch is needed")

    again = go_on(tmp_path, dataclasses.replace(toys.feed(3), batches=never))
    assert again.rows == outcome.rows == unbroken
    assert again.tokens_per_second == 0.0


@pytest.mark.parametrize(
    ("changes", "names"),
    [({"rates": (0.1, 0.2, 0.3)}, "members"), ({"b1": 0.5}, "optimizer")],
)
def test_a_folder_of_another_fleet_is_refused(tmp_path, changes, names):
    stopped(tmp_path, 1)
    with pytest.raises(ValueError, match=f"holds a run with other {names}; name another") as error:
        train(toys.Toy(), fleet(**changes), toys.feed(3), tmp_path)
    assert "\n" not in str(error.value)


def test_an_unknown_number_among_the_columns_is_no_other_fleet(tmp_path):
    given = fleet()
    members = tuple(dataclasses.replace(m, columns={"x": float("nan")}) for m in given.members)
    given = dataclasses.replace(given, members=members)
    with pytest.raises(Stop):
        train(toys.Toy(), given, stopping(toys.feed(3), 1, []), tmp_path)
    assert len(train(toys.Toy(), given, toys.feed(3), tmp_path).rows) == 12


def test_a_folder_of_another_model_is_refused(tmp_path):
    stopped(tmp_path, 1)
    with pytest.raises(ValueError, match="holds a run with other parameters; name another"):
        train(toys.Toy(vocabulary=20), fleet(), toys.feed(3), tmp_path)


def test_rows_are_read_once_each_and_the_last_counts(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert read_rows(path) == []
    append_rows(path, [{"run": "a", "tokens": 1, "x": 1}, {"run": "b", "tokens": 1, "x": 1}])
    with path.open("a") as file:
        file.write('{"run": "a", "tokens": 2, "x"')
    append_rows(path, [{"run": "a", "tokens": 1, "x": 2}, {"run": "a", "tokens": 2, "x": 3}])
    assert read_rows(path) == [
        {"run": "b", "tokens": 1, "x": 1},
        {"run": "a", "tokens": 1, "x": 2},
        {"run": "a", "tokens": 2, "x": 3},
    ]


def interrupted(folder: pathlib.Path, number: int, wait: float, *options: str) -> tuple[int, str]:
    """Runs the script and sends it a signal, if any, so long after its first batch was asked for.

    Returns its status and what it noted.
    """
    command = [sys.executable, "-m", "tests.training.toys", str(folder), "--slow", "0.02", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
    if number:
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(number)
    return process.wait(timeout=60), process.communicate()[1]


def expected(folder: pathlib.Path):
    """Rows of the script's fleet, trained here: on as many devices, since that rounds alike."""
    work = toys.fleet(3, tuple(range(5, 45, 5)))
    return train(toys.Toy(), work, toys.feed(3), folder, layout=fleet_layout(2)).rows


def test_stopped_and_killed_at_random_times(tmp_path):
    folder, seed = tmp_path / "run", random.randrange(10**6)
    draw = random.Random(print("seed", seed) or seed)
    status, err = interrupted(folder, signal.SIGTERM, draw.uniform(0, 1))
    assert status == 75
    at = re.fullmatch(r"run stopped at step (\d+) of 40; the same command goes on\n", err)
    assert at and 0 < int(at[1]) < 40
    status, err = interrupted(folder, signal.SIGKILL, draw.uniform(0, 1))
    assert status == -signal.SIGKILL and f"run goes on at step {at[1]} of 40" in err
    status, err = interrupted(folder, 0, 0, "--minutes", "5")
    assert status == 0 and "run goes on at step" in err
    assert json.loads((folder / "done.json").read_text())["diverged"] == {}
    assert read_rows(folder / "rows.jsonl") == expected(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["fleet", "single"])
def test_killed_again_and_again(tmp_path, what):
    folder, seed = tmp_path / "run", random.randrange(10**6)
    draw = random.Random(print("seed", seed) or seed)
    seen = []
    for number in draw.choices([signal.SIGKILL, signal.SIGTERM, signal.SIGINT], k=8):
        minutes = draw.choice(["0", "0", "0.01", "5"])
        options = ("--what", what, "--minutes", minutes)
        seen.append(interrupted(folder, number, draw.uniform(0, 1.5), *options)[0])
    assert set(seen) <= {0, 75, 130, -9, -2} and len(set(seen)) > 1, seen
    assert interrupted(folder, 0, 0, "--what", what)[0] == 0
    assert interrupted(tmp_path / "whole", 0, 0, "--what", what)[0] == 0
    rows = read_rows(folder / "rows.jsonl")
    assert rows == read_rows(tmp_path / "whole" / "rows.jsonl")
    assert np.isfinite([row["loss_a"] for row in rows]).all()


def test_a_second_signal_ends_it_at_once(tmp_path):
    """While the first one waits for a step that never ends."""
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "tests.training.toys", str(folder), "--slow", "100"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "begun\n"
        process.terminate()
        time.sleep(0.3)
        assert process.poll() is None
        process.terminate()
        assert process.wait(timeout=5) == -signal.SIGTERM


def test_a_finished_folder_of_another_fleet_is_refused(tmp_path):
    train(toys.Toy(), toys.fleet(1, (2, 4)), toys.feed(1), tmp_path)
    assert len(train(toys.Toy(), toys.fleet(1, (2, 4)), toys.feed(1), tmp_path).rows) == 2
    with pytest.raises(ValueError, match="holds a run with other optimizer, record_at; name"):
        train(toys.Toy(), toys.fleet(1, (2, 6)), toys.feed(1), tmp_path)


def test_batches_are_sent_while_the_step_before_runs(tmp_path, monkeypatch):
    loop = importlib.import_module("jaxmix.training.loop")
    seen: list[str] = []

    def noted(name, f):
        return lambda *args: (seen.append(name), f(*args))[1]

    for name in ("place", "step"):
        monkeypatch.setattr(loop.Program, name, noted(name, getattr(loop.Program, name)))
    monkeypatch.setattr(loop.jax, "block_until_ready", noted("wait", jax.block_until_ready))
    train(toys.Toy(), toys.fleet(3, (4,)), toys.feed(3), tmp_path, layout=fleet_layout(2))
    one = ["place", "step", "wait"]  # the wait is for the step before
    assert seen[:12] == ["place", "step", *one, *one, *one, "wait"]
