"""Claims between processes: on file systems with locks, without them, and on both at once."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from jaxmix import claims
from jaxmix.claims import Claim, Taken, claimed, take

NO_LOCKS = """
import errno, fcntl
def flock(*_): raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""
RACE = """
import os, random, sys, time
from pathlib import Path
from jaxmix.claims import Claim, take
path, won = Path(sys.argv[1]), 0
while won < 12:
    found = take(path)
    if isinstance(found, Claim):
        with found:
            os.close(os.open(path.parent / "inside", os.O_CREAT | os.O_EXCL))
            time.sleep(random.random() * 0.002)
            os.unlink(path.parent / "inside")
            won += 1
    time.sleep(random.random() * 0.002)
"""
HOLD = """
import sys, time
from pathlib import Path
from jaxmix.claims import take
claim = take(Path(sys.argv[1]))
print(type(claim).__name__, flush=True)
time.sleep(60)
"""


def start(code, path):
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def no_locks(monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.fixture
def quick(monkeypatch):
    """Leases of a tenth of a second; seconds here are those of the tests."""
    for name, seconds in {"BEAT": 0.02, "LEASE": 0.1, "WATCH": 0.03}.items():
        monkeypatch.setattr(claims, name, seconds)


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def leave_lease(path, age=0.0, **about):
    """The lease of a process on another machine, last renewed `age` seconds ago."""
    lease = path.with_name(f"{path.name}.lease.7")
    lease.write_text(json.dumps({"host": "node7", "pid": 42, "machine": "other", **about}))
    os.utime(lease, (time.time() - age,) * 2)
    return lease


@pytest.mark.parametrize("without", [(), (0, 1), (0,)], ids=["flock", "no-flock", "mixed"])
def test_one_of_racing_processes_has_a_claim(tmp_path, without):
    codes = [(NO_LOCKS if i in without else "") + RACE for i in range(2)]
    both = [start(code, tmp_path / "lock") for code in codes]
    said = [one.communicate(timeout=60)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], said


@pytest.mark.parametrize("code", [HOLD, NO_LOCKS + HOLD], ids=["flock", "no-flock"])
def test_a_claim_ends_with_its_process(tmp_path, capsys, code):
    path = tmp_path / "lock"
    holder = start(code, path)
    assert holder.stdout.readline() == "Claim\n"
    found = take(path)
    assert isinstance(found, Taken) and found.certain
    assert found.holder.endswith(f", process {holder.pid}")
    named = rf"process {holder.pid} is at work here; stop it"
    with pytest.raises(ValueError, match=named), claimed(path, "stop it"):
        pytest.fail("claimed twice")
    holder.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # a zombie is left
    with take(path):
        assert "has ended" in capsys.readouterr().err
    holder.communicate()


def test_a_copy_of_a_folder_in_use_is_free(tmp_path):
    path = tmp_path / "used" / "lock"
    with take(path):
        shutil.copytree(path.parent, tmp_path / "copy")
        assert isinstance(take(path), Taken)
        copied = take(tmp_path / "copy" / "lock")
        assert isinstance(copied, Claim)
        with copied:
            copied.check()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("age", [0.0, 1e4, -1e4], ids=["now", "long ago", "a clock ahead"])
def test_another_machines_claim_is_void_if_it_is_not_renewed(tmp_path, capsys, age):
    path = tmp_path / "lock"
    leave_lease(path, age)
    found, begun = take(path), time.monotonic()
    assert isinstance(found, Taken) and not found.certain and found.holder == "node7, process 42"
    while isinstance(found, Taken):
        assert not found.certain
        found = take(path, found)
    with found:
        assert time.monotonic() - begun > (0.03 if age > 0 else 0.09)
    assert "taken over from node7, process 42" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_another_machines_claim_is_certain_if_it_is_renewed(tmp_path):
    path = tmp_path / "lock"
    lease = leave_lease(path, 1e4)
    found = take(path)
    time.sleep(0.15)
    os.utime(lease)
    found = take(path, found)
    assert isinstance(found, Taken) and found.certain


@pytest.mark.usefixtures("quick", "no_locks")
def test_of_many_takers_one_wins(tmp_path):
    path, found = tmp_path / "lock", []
    leave_lease(path, 1e4)
    barrier = threading.Barrier(8)

    def taker():
        before = take(path)
        time.sleep(0.05)
        barrier.wait()
        found.append(take(path, before))

    threads = [threading.Thread(target=taker) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    (winner,) = [one for one in found if isinstance(one, Claim)]
    with winner:
        winner.check()
    with take(path):
        pass


@pytest.mark.usefixtures("quick", "no_locks")
def test_a_claim_is_renewed_and_a_lost_one_is_noticed(tmp_path):
    path = tmp_path / "lock"
    with take(path) as claim:
        before = take(path)
        wait_for(lambda: take(path).mark > before.mark)
        path.with_name("lock.lease.2").touch()  # another one followed while this was suspended
        wait_for(lambda: not claim._thread.is_alive())
        with pytest.raises(ValueError, match="taken over by another process"):
            claim.check()
    assert isinstance(take(path), Taken)  # the end of a lost claim does not end its follower's


def test_waiting_names_the_holder(tmp_path, capsys):
    path = tmp_path / "lock"
    holder = take(path)
    threading.Timer(0.3, holder.__exit__).start()
    with claimed(path):
        said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"process {os.getpid()}, which holds {path}" in said


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file: cannot be claimed .*; make it writable, or"):
        take(tmp_path / "file" / "lock")
