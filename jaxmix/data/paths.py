"""The folders of downloads and corpora, a lock between processes, and names of domains."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from .errors import DataError

_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*")


def _cache() -> Path:
    """The folder for downloads and corpora: ``JAXMIX_CACHE``, or ``~/.cache/jaxmix``."""
    named = os.environ.get("JAXMIX_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "jaxmix"


def downloads() -> Path:
    """The folder of pinned archives."""
    return _cache() / "downloads"


def corpora() -> Path:
    """The folder of prepared corpora."""
    return _cache() / "corpora"


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Holds a lock file, waiting for other processes; does nothing if the system has no flock."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def checked_name(name: str) -> str:
    """The name of a domain or a corpus, if it can be part of file and column names.

    Raises:
        DataError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise DataError(f"'{name}' is not a usable name; use letters, digits, '_', '-' and '.'")
    return name
