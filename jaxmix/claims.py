"""Claims of work by one process among many that share a folder, with and without file locks.

A claim is a lock of the system (flock) and a lease: a file ``<name>.lease.<n>`` beside the lock
file that names the process and whose time of change a thread renews. Both are needed: some file
systems have no locks, on some they do not reach other machines, and machines that share a folder
may differ in that. A lock that another process holds is always believed. A lease is believed as
long as its process lives, or, of another machine, as long as it is renewed.

Leases are numbered, and the highest one counts. Whoever follows an ended lease n must create the
file n + 1, which succeeds only once, also on network file systems. Times are compared by the clock
of the file system, and another machine's claim is watched before it is declared void, because some
file systems take times from the clocks of their machines.
"""

import contextlib
import errno
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from jaxmix.errors import JaxmixError

BEAT = 15.0  # seconds from one renewal of a lease to the next
LEASE = 120.0  # a lease that was not renewed for so many seconds is void
WATCH = 1.5 * BEAT  # least seconds to watch another machine's lease before it is void
_ENDED = b"ended\n"  # the content of a lease that was given up
REMEDY = "make it writable, or use another folder"


@dataclass(frozen=True)
class Taken:
    """A claim of another process.

    Attributes:
        holder: the process, as in "node7, process 4242".
        certain: whether the holder is known to be alive; if not, `take` may succeed later.
        mark: number and time of change of its lease.
        since: seconds by this process's clock at which this mark was first seen.
    """

    holder: str
    certain: bool
    mark: tuple[int, int]
    since: float


@dataclass(frozen=True)
class _Lease:
    """The newest lease of a lock file: its number, its time of change in ns, who wrote it."""

    number: int
    changed: int
    held: bool
    about: dict[str, Any]

    @property
    def holder(self) -> str:
        if "host" not in self.about:
            return "another process"
        return f"{self.about['host']}, process {self.about.get('pid')}"

    @property
    def is_here(self) -> bool:
        """Whether its process runs, or ran, where this one can see it."""
        return os.name == "posix" and self.about.get("machine") == _machine()


class Claim:
    """A claim that this process holds until the end of a ``with`` block; `take` makes it."""

    def __init__(self, path: Path, number: int, lock: IO[bytes]) -> None:
        self._path, self._number, self._lock = path, number, lock
        self._lease = _lease_path(path, number)
        self._beaten = time.monotonic()
        self._lost = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="jaxmix-claim")
        self._thread.start()

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()
        if not self._lost:
            with contextlib.suppress(OSError):
                self._mark_as_ended()
        self._lock.close()

    def _mark_as_ended(self) -> None:
        """By its time, for which a full disk has room, and its content, which copies keep."""
        try:
            with self._lease.open("r+b") as file:
                file.write(_ENDED)
                file.truncate()
        finally:
            os.utime(self._lease, (0, 0))

    def check(self) -> None:
        """Asks whether the claim still holds; it may be lost by a process that was suspended.

        Raises:
            JaxmixError: another process has taken it over.
        """
        if time.monotonic() - self._beaten > 2 * BEAT:
            self._beat()
        if self._lost:
            raise JaxmixError(
                f"{self._path.parent}: was deleted, or taken over by another process while this "
                "one was suspended or out of reach; nothing more is written here"
            )

    def _keep(self) -> None:
        while not self._lost and not self._end.wait(BEAT):
            self._beat()

    def _beat(self) -> None:
        try:
            newest = _newest(self._path)
            self._lost = newest is None or newest.number != self._number
            if not self._lost:
                os.utime(self._lease)
        except FileNotFoundError:
            self._lost = True
        except OSError:  # out of reach, perhaps for a moment
            return
        self._beaten = time.monotonic()


def take(path: Path, before: Taken | None = None, remedy: str = REMEDY) -> Claim | Taken:
    """Claims what a lock file stands for, without waiting.

    Args:
        path: the lock file; created with its folder if it does not exist, and never deleted.
        before: the answer of the previous call, by which an unchanged lease becomes void.
        remedy: what to do if the folder cannot be written, for the error.

    Raises:
        JaxmixError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("ab")
        try:
            found = _take(path, lock, before)
        except BaseException:
            lock.close()
            raise
    except OSError as error:
        raise JaxmixError(
            f"{path.parent}: cannot be claimed for this process ({error.strerror or error}); "
            f"{remedy}"
        ) from None
    if isinstance(found, Taken):
        lock.close()
    return found


@contextlib.contextmanager
def claimed(path: Path, refusal: str | None = None, remedy: str = REMEDY) -> Iterator[Claim]:
    """Holds a claim while the block runs.

    Args:
        path: the lock file; see `take`.
        refusal: what to do if another process holds it, for an error; None to wait, with a line a
            minute on standard error.
        remedy: see `take`.

    Raises:
        JaxmixError: another process holds it and there is a `refusal`; or as `take`.
    """
    tell, found = _every_minute(), take(path, remedy=remedy)
    while isinstance(found, Taken):
        if refusal and found.certain:
            raise JaxmixError(f"{path.parent}: {found.holder} is at work here; {refusal}")
        doubt = "" if found.certain else ", unless it has ended"
        tell(f"waiting for {found.holder}, which holds {path}{doubt}")
        time.sleep(min(0.5, BEAT))
        found = take(path, found, remedy)
    with found:
        yield found


def _every_minute() -> Callable[[str], None]:
    """Returns a function that prints a line unless it did so within a minute."""
    due = 0.0

    def tell(line: str) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + 60
            say(line)

    return tell


def say(line: str) -> None:
    """Prints a note about claims on standard error."""
    print(f"note: {line}", file=sys.stderr, flush=True)


def _take(path: Path, lock: IO[bytes], before: Taken | None) -> Claim | Taken:
    locked = _flock(lock)
    while True:
        lease = _newest(path)
        if locked is False:
            mark = (lease.number, lease.changed) if lease else (0, 0)
            holder = lease.holder if lease and lease.held else "another process"
            return Taken(holder, True, mark, time.monotonic())
        void = "" if lease is None or not lease.held else _judge(path, lease, before)
        if isinstance(void, Taken):
            if not (locked and lease and lease.is_here and lease.about.get("locked")):
                return void
            void = ""  # its process holds the lock of another folder, of which this one is a copy
        number = lease.number + 1 if lease else 1
        if _create(path, number, bool(locked)):
            if void and lease:
                say(f"{path.parent}: taken over from {lease.holder}, which {void}")
            return Claim(path, number, lock)


def _flock(lock: IO[bytes]) -> bool | None:
    """Locks a file: True if that succeeds, False if another holds it, None if it has no locks."""
    try:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return None
    except OSError as error:  # ENOSYS, ENOLCK, EOPNOTSUPP, EINVAL, ... say that there are none
        taken = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
        return False if error.errno in taken else None
    return True


def _judge(path: Path, lease: _Lease, before: Taken | None) -> Taken | str:
    """The claim of a lease that was not given up, or why it is void."""
    now, mark = time.monotonic(), (lease.number, lease.changed)
    if lease.is_here:
        alive = _is_alive(lease.about)
        return Taken(lease.holder, True, mark, now) if alive else "has ended"
    same = before is not None and before.mark == mark
    since = before.since if before is not None and same else now
    os.utime(path)  # now, by the clock of the file system
    idle, watched = (path.stat().st_mtime_ns - lease.changed) / 1e9, now - since
    if watched > LEASE or (idle > LEASE and watched > WATCH):
        return f"gave no sign of life for {max(idle, watched):.0f} s"
    beats = before is not None and before.mark[0] == lease.number and not same
    return Taken(lease.holder, beats, mark, since)


def _newest(path: Path) -> _Lease | None:
    numbers = _numbers(path)
    while numbers:
        number = numbers.pop()
        try:
            with _lease_path(path, number).open("rb") as file:  # opening asks a server anew
                changed, text = os.fstat(file.fileno()).st_mtime_ns, file.read()
        except FileNotFoundError:  # its follower has deleted it
            numbers = [n for n in _numbers(path) if n >= number]
            continue
        try:
            about = json.loads(text)
        except ValueError:  # it is being written, or its writer was killed
            about = {}
        held = changed != 0 and text != _ENDED
        return _Lease(number, changed, held, about if isinstance(about, dict) else {})
    return None


def _numbers(path: Path) -> list[int]:
    """Numbers of all leases of a lock file, ascending."""
    pattern = re.compile(re.escape(path.name) + r"\.lease\.(\d+)")
    found = (pattern.fullmatch(name) for name in os.listdir(path.parent))
    return sorted(int(match[1]) for match in found if match)


def _create(path: Path, number: int, locked: bool) -> bool:
    """Creates a lease and deletes earlier ones; False if another process was faster."""
    mine = _lease_path(path, number)
    try:
        with mine.open("xb") as file:
            file.write(json.dumps(_about() | {"locked": locked}).encode())
    except FileExistsError:
        return False
    except OSError:  # a full disk
        mine.unlink(missing_ok=True)
        raise
    numbers = _numbers(path)
    if numbers[-1] != number:  # the list that it followed from was an old one
        mine.unlink()
        return False
    with contextlib.suppress(OSError):
        for earlier in numbers[:-1]:
            _lease_path(path, earlier).unlink(missing_ok=True)
    return True


def _lease_path(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.lease.{number}")


def _about() -> dict[str, Any]:
    pid = os.getpid()
    host = socket.gethostname()
    return {"host": host, "pid": pid, "machine": _machine(), "began": _process(pid)[1]}


def _machine() -> str:
    """What processes have in common that see each other: machine, boot and PID namespace."""
    found = [socket.gethostname()]
    with contextlib.suppress(OSError):
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        found.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(found)


def _is_alive(about: dict[str, Any]) -> bool:
    """Whether a process of this machine still runs; a later one with its number does not count."""
    pid = int(about["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is another user's
    state, began = _process(pid)
    return state not in ("Z", "X") and (began is None or began == about.get("began"))


def _process(pid: int) -> tuple[str, str | None]:
    """State of a process and the time at which it began, as far as the system tells."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", None
    return fields[0], fields[19]
