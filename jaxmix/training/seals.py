"""Seals of checkpoints: sizes and hashes of their files, which show damage before anything is read.

A library that reads a damaged checkpoint fails in many ways, or returns other numbers.
"""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jaxmix.errors import JaxmixError
from jaxmix.files import file_hash, read_json, write_text

SEAL = "files.json"
UNFINISHED = ".orbax-checkpoint-tmp"  # in the names of folders that were never completed
_CONTENT = "default"


def seal(folder: Path) -> None:
    """Writes the sizes and hashes of a checkpoint's files into its folder."""
    files = [p for p in sorted((folder / _CONTENT).rglob("*")) if p.is_file()]
    with ThreadPoolExecutor(8) as threads:
        hashes = threads.map(file_hash, files)
        held = {
            str(path.relative_to(folder)): [path.stat().st_size, found]
            for path, found in zip(files, hashes, strict=True)
        }
    write_text(folder / SEAL, json.dumps({"files": held}))


def find_damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint, or None if nothing is, or if it was never sealed."""
    if not (folder / _CONTENT).is_dir():
        return "is empty" if not any(folder.iterdir()) else f"lacks its folder '{_CONTENT}'"
    if not (folder / SEAL).exists():
        return None
    try:
        held = read_json(folder / SEAL, "", "files")["files"]
    except JaxmixError:
        return f"{SEAL} cannot be read"
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda one: _file_damage(folder / one[0], *one[1]), held.items())
        return next(
            (f"{name} {what}" for name, what in zip(held, found, strict=True) if what), None
        )


def _file_damage(path: Path, size: int, expected: str) -> str | None:
    if not path.is_file():
        return "is missing"
    if (found := path.stat().st_size) != size:
        return f"has {found} of {size} bytes"
    return None if file_hash(path) == expected else "has other bytes than were written"


def steps_in(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, damaged ones too, ascending."""
    if not folder.exists():
        return []
    names = (path.name for path in folder.iterdir() if path.is_dir())
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def tidy(folder: Path, note: Callable[[str], None]) -> None:
    """Removes damaged and unfinished checkpoints, so that the newest one is good.

    Args:
        folder: folder of the checkpoints.
        note: called with one line about each that was damaged. An older one than the newest good
            one does not count: a process was killed while it removed it.
    """
    remove_unfinished(folder)
    found = {step: find_damage(folder / str(step)) for step in steps_in(folder)}
    newest = max((step for step, damage in found.items() if not damage), default=-1)
    for step, damage in found.items():
        if damage and step > newest:
            note(f"{folder / str(step)}: is damaged ({damage}) and is left out")
        if damage:
            shutil.rmtree(folder / str(step))


def remove_unfinished(folder: Path) -> None:
    """Removes what a process that was killed, or a full disk, left of a checkpoint."""
    for path in folder.glob(f"*{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)
