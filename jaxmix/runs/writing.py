"""Run tables to files, whole or not at all."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pandas as pd

from jaxmix.files import whole
from jaxmix.runs.table import RunTable


def write_runs(table: RunTable, path: str | os.PathLike[str]) -> None:
    """Writes a run table; float64 values read back bit for bit.

    The file appears under its name only when it is complete: it is written beside it, flushed to
    disk and renamed.

    Args:
        table: the rows to write.
        path: .csv (the default), .tsv, .parquet (.pq) or .jsonl (.ndjson, .json).

    Raises:
        JaxmixError: the file cannot be written.

    >>> import tempfile
    >>> from jaxmix.runs import read_runs
    >>> path = Path(tempfile.mkdtemp()) / "runs.jsonl"
    >>> frame = pd.DataFrame({"n_params": [1e6], "tokens": [1e8], "loss": [0.1]})
    >>> write_runs(read_runs(frame), path)
    >>> float(read_runs(path).losses()[0, 0])
    0.1
    """
    write_frame(table.frame, path)


def write_frame(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Writes any rows as ``write_runs`` does; the same arguments and errors."""
    suffix = Path(path).suffix.lower()
    with whole(path) as beside:
        _write(frame, beside, suffix)


def _write(frame: pd.DataFrame, path: Path, suffix: str) -> None:
    if suffix in (".parquet", ".pq"):
        frame.to_parquet(path, engine="pyarrow", index=False)
    elif suffix in (".jsonl", ".ndjson", ".json"):
        records = frame.to_dict(orient="records")
        lines = [json.dumps({str(k): _cell(v) for k, v in row.items()}) for row in records]
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    else:
        separator = "\t" if suffix == ".tsv" else ","
        frame.to_csv(path, index=False, sep=separator, encoding="utf-8", lineterminator="\n")


def _cell(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value
