"""Where a law file's fits come from: the rows of a run table that they were fitted on."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxmix.runs import RunTable, read_runs


def read_provenance(law: str | os.PathLike[str]) -> dict[str, Any]:
    """What a law file says of its origin; empty where it says nothing.

    The file is one that ``load_laws`` has read.
    """
    found = json.loads(Path(law).read_bytes()).get("provenance")
    return found if isinstance(found, dict) else {}


def read_fitted_rows(
    law: str | os.PathLike[str],
    runs: str | os.PathLike[str],
    where: str | None = None,
    pool: Sequence[str] = (),
) -> tuple[RunTable, str]:
    """The rows of a table that the laws in a file were fitted on, and how they were weighed.

    Args:
        law: the law file; its provenance says ``where``, ``pool`` and ``weighting``.
        runs: the run table.
        where: the rows, where the file does not say.
        pool: as in ``read_runs``, where the file does not say.
    """
    origin = read_provenance(law)
    chosen = where or origin.get("where") or None
    table = read_runs(runs, where=chosen, pool=tuple(pool or origin.get("pool") or ()))
    return table, str(origin.get("weighting") or "equal")


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
