"""The files in a fleet's folder: a mark of what the fleet is, and rows of the run table."""

import dataclasses
import errno
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax

from jaxmix.errors import JaxmixError, clip
from jaxmix.files import read_json, write_text
from jaxmix.training.checkpoints import params_hash
from jaxmix.training.seals import steps_in
from jaxmix.training.types import Fleet, Model, Params


def mark(
    folder: Path,
    fleet: Fleet,
    model: Model,
    start: Params | None,
    writes: bool,
    tasks: str | None = None,
) -> bool:
    """Marks a folder as this fleet's, so that the same call resumes and others are refused.

    Args:
        folder: folder of the fleet.
        fleet: the fleet.
        model: model of all members.
        start: parameters that all members start from, or None.
        writes: whether this process writes the mark.
        tasks: hash of the tasks that it is scored on; a run that was begun without may add them.

    Returns:
        Whether the folder was marked before.

    Raises:
        JaxmixError: the folder holds another fleet, its mark is damaged, or `start` does not fit
            the model.
    """
    file = folder / "fleet.json"
    parameters = _shapes(jax.eval_shape(model.init, jax.random.key(0)))
    if start is not None and _shapes(start) != parameters:
        raise JaxmixError(f"{folder}: the parameters to start from are of another model")
    begun = None if start is None else params_hash(start)
    made = {"start": begun, "parameters": parameters, "tasks": tasks}
    ours = json.loads(json.dumps(dataclasses.asdict(fleet) | made))
    marked = file.exists()
    if not marked or not has_begun(folder):  # a run that was refused later left only its mark
        if writes:
            write_json(file, ours)
        return marked
    same = "if the command is the one that began this run, delete the file; otherwise the folder"
    theirs = {"start": None, "tasks": None, **read_json(file, same, "members", "optimizer")}
    if tasks and theirs["tasks"] is None and not (folder / "done.json").exists():
        theirs["tasks"] = tasks
        if writes:
            write_json(file, theirs)
    if theirs["tasks"] not in (None, tasks):
        raise JaxmixError(
            f"{folder}: holds rows of other tasks ({theirs['tasks']}, now {tasks or 'none'}); give "
            "--tasks with the same questions, or name another folder"
        )
    theirs["tasks"] = tasks
    for held in (ours, theirs):  # another machine may cut batches into other parts
        if isinstance(held["optimizer"], dict):
            held["optimizer"].pop("accumulate", None)
    # Compared as text, because NaN does not equal itself.
    changed = [n for n in ours if json.dumps(ours[n]) != json.dumps(theirs.get(n, ours[n]))]
    if changed:
        raise JaxmixError(
            f"{folder}: holds a run with other {', '.join(sorted(changed))}; name another folder "
            "or delete this one"
        )
    return True


def has_begun(folder: Path) -> bool:
    """Whether a fleet left rows or a checkpoint in its folder, rather than its mark alone."""
    rows = folder / "rows.jsonl"
    recorded = rows.exists() and rows.stat().st_size > 0
    return recorded or (folder / "done.json").exists() or bool(steps_in(folder / "checkpoints"))


def _shapes(params: Params) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path): tuple(leaf.shape) for path, leaf in leaves}


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Appends rows as lines of JSON and waits until they are on disk.

    Raises:
        JaxmixError: they cannot be written; the file is left as it was.
    """
    text = "".join(json.dumps(dict(row)) + "\n" for row in rows).encode()
    end = None
    try:
        with path.open("a+b", buffering=0) as file:
            file.seek(0)
            *lines, last = file.read().split(b"\n")
            if last and _parsed(last):
                text = b"\n" + text
            elif last:  # which a crash cut short
                file.truncate(sum(map(len, lines)) + len(lines))
            end = file.seek(0, os.SEEK_END)
            if file.write(text) < len(text):  # as much as the disk still held
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
    except OSError as error:
        if end is not None:
            os.truncate(path, end)
        raise JaxmixError(
            f"{path}: cannot be written ({error.strerror}); what it holds is kept, and the same "
            "command goes on from there"
        ) from None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Returns the rows, one per (run, tokens): the last one written, in that order.

    A last line that a crash cut short is left out; its run records it again.

    Raises:
        JaxmixError: a line before it is damaged.
    """
    rows: dict[tuple[Any, Any], dict[str, Any]] = {}
    *lines, last = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, line in enumerate([*lines, last], start=1):
        row = _parsed(line)
        if row:
            rows.pop((row["run"], row["tokens"]), None)
            rows[row["run"], row["tokens"]] = row
        elif number <= len(lines):
            raise JaxmixError(
                f"{path}: line {number} is damaged ({clip(ascii(line)[1:], 40)}); restore the "
                f"file, or delete the folder {path.parent} to train its runs again"
            )
    return list(rows.values())


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The row in a line, or None if it holds none."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    named = isinstance(row, dict) and isinstance(row.get("run"), str) and "tokens" in row
    return row if named else None


@dataclasses.dataclass(frozen=True)
class Finished:
    """A finished fleet: its rows, and the steps from which members that diverged have none."""

    rows: list[dict[str, Any]]
    diverged: dict[str, int]


def read_finished(folder: Path, runs: Iterable[str], record_at: Iterable[int]) -> Finished | None:
    """The rows of a fleet that is done; None if it is not, or if rows of it are missing.

    Args:
        folder: folder of the fleet.
        runs: names of its members.
        record_at: the steps at which each of them records.

    Raises:
        JaxmixError: a file of the folder is damaged.
    """
    diverged = read_diverged(folder)
    if diverged is None:
        return None
    rows = read_rows(folder / "rows.jsonl")
    return None if lost_rows(rows, runs, record_at, diverged) else Finished(rows, diverged)


def read_diverged(folder: Path) -> dict[str, int] | None:
    """The steps from which members of a finished fleet have no rows, by run; None if not done.

    Raises:
        JaxmixError: the file that says so is damaged.
    """
    done, remedy = folder / "done.json", "delete it, and the command that trains writes it again"
    if not done.exists():
        return None
    diverged = read_json(done, remedy, "diverged")["diverged"]
    if isinstance(diverged, dict) and all(type(step) is int for step in diverged.values()):
        return diverged
    raise JaxmixError(f"{done}: 'diverged' does not hold steps by run; {remedy}")


def lost_rows(
    rows: Iterable[Mapping[str, Any]],
    runs: Iterable[str],
    steps: Iterable[int],
    diverged: Mapping[str, int],
) -> set[tuple[str, int]]:
    """The (run, step) of all rows that are missing; members that diverged have none from there."""
    steps = tuple(steps)
    due = {(run, s) for run in runs for s in steps if s < diverged.get(run, math.inf)}
    return due - {(row["run"], row.get("step")) for row in rows}


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file so that it appears complete or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")
