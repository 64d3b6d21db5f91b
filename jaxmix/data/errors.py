"""The one error of this room, and the hints its messages carry."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DataError(ValueError):
    """Bad data or a bad request for it, in one line: what, where and the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def clip(text: object, limit: int = 100) -> str:
    """Returns `text` on one line, shortened to `limit` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def hint(name: str, known: Iterable[str]) -> str:
    """Returns "nearest: a" for a message, or what exists where nothing is near.

    >>> hint("txet", ["text", "code"])
    'nearest: text'
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"nearest: {', '.join(close)}"
    return f"known: {', '.join(known[:12])}" if known else "there are none"
