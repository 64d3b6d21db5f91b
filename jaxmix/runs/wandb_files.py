"""The file that Weights & Biases keeps of a run, offline or not: ``run-<id>.wandb`` in a folder.

Such a file is a LevelDB log behind a header of seven bytes: blocks of 32 KiB with fragments of
records, each behind a checksum (4 bytes), a length (2) and a kind (1). Records are messages of the
client's protocol.
"""

from __future__ import annotations

import importlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from jaxmix.errors import clip
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.foreign import flattened

_MAGIC = b":W&B"
_BLOCK, _HEAD, _FRAGMENT = 32_768, 7, 7
_WHOLE, _LAST = 1, 4  # kinds of fragments that end a record
_PROTOCOL = "wandb.proto.wandb_internal_pb2"  # by name: an optional package


@dataclass
class LoggedRun:
    """A run as it was logged.

    Attributes:
        name: its display name.
        id: its id.
        config: its configuration.
        history: what was logged, by step.
    """

    name: str
    id: str
    config: dict[str, Any] = field(default_factory=dict)
    history: dict[int, dict[str, Any]] = field(default_factory=dict)


def read_logged(place: Path) -> list[LoggedRun]:
    """The runs in a .wandb file, or in all files below a folder, in the order of their names.

    Files of one id are of one run, which was interrupted; the later ones go on with it.

    Raises:
        RunTableError: there is no such file, one is damaged, or the package wandb is missing.
    """
    files = sorted(place.rglob("run-*.wandb")) if place.is_dir() else [place]
    if not files:
        raise RunTableError(f"{place}: holds no run-*.wandb; name a folder that wandb wrote")
    try:
        protocol = importlib.import_module(_PROTOCOL)
    except ImportError:
        raise RunTableError(
            f"{place}: its files are read with the package wandb: pip install wandb"
        ) from None
    found: dict[str, LoggedRun] = {}
    for path in files:
        try:
            _read(path, protocol, found)
        except Exception as error:  # the protocol raises classes of its own
            raise RunTableError(f"{path}: is no file of wandb ({clip(error)}); remove it") from None
    return list(found.values())


def _read(path: Path, protocol: Any, found: dict[str, LoggedRun]) -> None:
    """Adds what a file holds to the runs by id."""
    run: LoggedRun | None = None
    for data in _records(path.read_bytes()):
        record = protocol.Record.FromString(data)
        if record.HasField("run"):
            name, id = record.run.display_name or record.run.run_id, record.run.run_id
            run = found.setdefault(id, LoggedRun(name, id))
            run.config |= _items(record.run.config.update)
        elif run is not None and record.HasField("config"):
            run.config |= _items(record.config.update)
        elif run is not None and record.HasField("history"):
            row = _items(record.history.item)
            step = int(row.get("_step", record.history.step.num))
            run.history.setdefault(step, {}).update(row)


def _items(items: Any) -> dict[str, Any]:
    """Values by key; keys that are nested are joined with dots."""
    return {".".join(one.nested_key) or one.key: json.loads(one.value_json) for one in items}


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a file; one that was cut short by a crash ends them."""
    if not data.startswith(_MAGIC):
        raise ValueError("it does not begin with :W&B")
    at, parts = _HEAD, b""
    while at + _FRAGMENT <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _FRAGMENT:
            at += left  # padding
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        at += _FRAGMENT
        parts += data[at : at + length]
        at += length
        if at > len(data) or (length == 0 and kind == 0):
            return
        if kind in (_WHOLE, _LAST):
            yield parts
            parts = b""


def logged_rows(run: LoggedRun) -> Iterator[Mapping[str, Any]]:
    """Rows of a run; see `row_of`."""
    for row in run.history.values():
        yield row_of(run.name, run.id, run.config, row)


MARK = "jaxmix"  # in the configuration of runs that jaxmix logged
_WEIGHTS_OF_NONE = ("w_", "stages")  # columns that are 0 where a run lacks them


def row_of(
    name: str, id: str, config: Mapping[str, Any], row: Mapping[str, Any]
) -> Mapping[str, Any]:
    """A row of the history with the configuration: as ``config.*``, or as it is if jaxmix wrote it.

    jaxmix logs a run table: the configuration has the columns that stay the same.
    """
    if MARK in config:
        return {"run": name, **{k: v for k, v in config.items() if k != "_wandb"}, **row}
    configured = {f"config.{n}": v for n, v in flattened(config)}
    return {"run": name, "run_id": id, **configured, **dict(flattened(row))}


def is_run_table(frame: pd.DataFrame) -> bool:
    """Whether jaxmix logged all rows of a table."""
    return MARK in frame.columns and bool((frame[MARK].notna() & (frame[MARK] != "")).all())


def only_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of a run table that jaxmix logged, without what it logged beside them."""
    ours = [c for c in frame.columns if c != MARK and not c.startswith(("_", "train/"))]
    zero = {c: frame[c].fillna(0) for c in ours if c.startswith(_WEIGHTS_OF_NONE)}
    return frame[ours].assign(**zero)
