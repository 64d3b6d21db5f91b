"""Files that appear complete or not at all, JSON that people can read, and hashes."""

import contextlib
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxmix.errors import JaxmixError


@contextlib.contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary name beside ``path``, renamed to ``path`` if the block ends well.

    The file appears complete or not at all: it is flushed to disk before it is renamed, and removed
    if the block raises.

    Raises:
        JaxmixError: the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, target)
    except OSError as error:
        reason = error.strerror or "failed"
        raise JaxmixError(f"{path}: cannot be written ({reason}); check the folder") from None
    finally:
        if beside.exists():  # unlink raises if a part of the path is no folder
            beside.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file so that it appears complete or not at all.

    Raises:
        JaxmixError: the file cannot be written.
    """
    with whole(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")


def json_fault(error: Exception) -> str:
    """What is wrong with text that `json.loads` refused, and where.

    >>> try:
    ...     json.loads('{"a": 1')
    ... except ValueError as error:
    ...     json_fault(error)
    'it is cut short'
    """
    if not isinstance(error, json.JSONDecodeError):
        return "it is nested too deeply" if isinstance(error, RecursionError) else "it is not UTF-8"
    if not error.doc.strip():
        return "it is empty"
    if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated"):
        return "it is cut short"
    line = f"line {error.lineno}, " if "\n" in error.doc.strip() else ""
    return f"{line}character {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"


def read_json(path: str | os.PathLike[str], remedy: str, *names: str) -> dict[str, Any]:
    """Returns the JSON object in a file that jaxmix wrote.

    Args:
        path: the file.
        remedy: what a user can do if it is damaged.
        names: names that the object must have.

    Raises:
        JaxmixError: the file is damaged: empty, cut short, not JSON, or without one of the names.
    """
    try:
        found = json.loads(Path(path).read_bytes())
        damage = "" if isinstance(found, dict) else "holds no JSON object"
    except (ValueError, RecursionError) as error:
        found, fault = {}, json_fault(error)
        known = fault.startswith("it ")
        damage = fault.removeprefix("it ") if known else f"is not JSON ({fault})"
    missing = [] if damage else [name for name in names if name not in found]
    if damage or missing:
        raise JaxmixError(f"{path}: {damage or f'lacks {missing[0]!r}'}; {remedy}")
    return found


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
