"""Where downloads and corpora lie, and files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from .errors import DataError

_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*")


def cache() -> Path:
    """The folder for downloads and corpora: ``JAXMIX_CACHE``, or ``~/.cache/jaxmix``."""
    named = os.environ.get("JAXMIX_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "jaxmix"


def downloads() -> Path:
    """The folder of pinned archives."""
    return cache() / "downloads"


def corpora() -> Path:
    """The folder of prepared corpora."""
    return cache() / "corpora"


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file beside its name and renames it."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Holds a lock file; another process that wants it waits. No lock where there is no flock."""
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
    """The name of a domain or a corpus, if files and columns can bear it.

    Raises:
        DataError: they cannot.
    """
    if not _NAME.fullmatch(name):
        raise DataError(f"'{name}' is no usable name; use letters, digits, '_', '-' and '.'")
    return name
