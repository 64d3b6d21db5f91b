"""Files that appear complete or not at all, JSON that people can read, and hashes."""

import hashlib
import json
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxmix.errors import JaxmixError


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file so that it appears complete or not at all.

    Raises:
        JaxmixError: the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        _write_beside(beside, text)
        os.replace(beside, target)
    except OSError as error:
        reason = error.strerror or "failed"
        raise JaxmixError(f"{path}: cannot be written ({reason}); check the folder") from None
    finally:
        if beside.exists():
            beside.unlink()


def _write_beside(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def to_json(value: Any, indent: str = "") -> str:
    """Indented JSON with each list on one line and non-finite numbers as text.

    >>> print(to_json({"a": [1.0, float("inf")], "b": {}}))
    {
      "a": [1.0, "inf"],
      "b": {}
    }
    """
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(value, Mapping) and value:
        items = (f"{json.dumps(str(k))}: {to_json(v, indent + '  ')}" for k, v in value.items())
        return "{\n" + ",\n".join(f"{indent}  {item}" for item in items) + f"\n{indent}}}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(to_json(item, indent + "  ") for item in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(str(value))
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
