"""The files in a fleet's folder: a mark of what the fleet is, and rows of the run table."""

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax

from jaxmix.errors import JaxmixError
from jaxmix.files import write_text
from jaxmix.training.checkpoints import params_hash
from jaxmix.training.types import Fleet, Model, Params


def claim(folder: Path, fleet: Fleet, model: Model, start: Params | None, writes: bool) -> None:
    """Marks a folder as this fleet's, so that the same call resumes and others are refused.

    Args:
        folder: folder of the fleet.
        fleet: the fleet.
        model: model of all members.
        start: parameters that all members start from, or None.
        writes: whether this process writes the mark.

    Raises:
        JaxmixError: the folder holds another fleet, or `start` does not fit the model.
    """
    mark = folder / "fleet.json"
    parameters = _shapes(jax.eval_shape(model.init, jax.random.key(0)))
    if start is not None and _shapes(start) != parameters:
        raise JaxmixError(f"{folder}: the parameters to start from are of another model")
    made = {"start": None if start is None else params_hash(start), "parameters": parameters}
    ours = json.loads(json.dumps(dataclasses.asdict(fleet) | made))
    if not mark.exists():
        if writes:
            write_json(mark, ours)
        return
    theirs = {"start": None, **json.loads(mark.read_text(encoding="utf-8"))}
    for held in (ours, theirs):  # another machine may cut batches into other parts
        held["optimizer"].pop("accumulate", None)
    # Compared as text, because NaN does not equal itself.
    changed = [n for n in ours if json.dumps(ours[n]) != json.dumps(theirs.get(n, ours[n]))]
    if changed:
        raise JaxmixError(
            f"{folder}: holds a run with other {', '.join(sorted(changed))}; name another folder "
            "or delete this one"
        )


def _shapes(params: Params) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path): tuple(leaf.shape) for path, leaf in leaves}


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Appends rows as lines of JSON and waits until they are on disk."""
    text = "".join(json.dumps(dict(row)) + "\n" for row in rows)
    with path.open("a+b") as file:
        # A line that a crash cut short must not absorb the next one.
        if file.seek(0, os.SEEK_END) and not _ends_line(file):
            file.write(b"\n")
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _ends_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Returns the rows, one per (run, tokens): the last one written, in the order of the first.

    A line that a crash cut short is left out; its run records it again.
    """
    rows: dict[tuple[Any, Any], dict[str, Any]] = {}
    if not path.exists():
        return []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows[row["run"], row["tokens"]] = row
    return list(rows.values())


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file so that it appears complete or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")
