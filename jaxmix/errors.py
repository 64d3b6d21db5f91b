"""The one base of all errors for bad input, and the hints that messages carry."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class JaxmixError(ValueError):
    """Bad input, explained in one line: what is wrong, where, and the remedy.

    The command line ends such an error with exit status 2. Any other exception is a bug of jaxmix
    and keeps its traceback.
    """

    def __init__(self, message: str) -> None:
        printable = message.encode(errors="backslashreplace").decode()  # half surrogate pairs
        super().__init__(" ".join(printable.split()))


def clip(text: object, limit: int = 80) -> str:
    """Returns ``text`` on one line, shortened to ``limit`` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Returns up to ``count`` of ``known`` that look like ``name``, the likeliest first.

    >>> nearest("gihub", ["arxiv", "github"])
    ['github']
    """
    known = list(known)
    by_lower = {other.lower(): other for other in reversed(known)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.6)
    tails = [other for other in known if other.lower().endswith("_" + name.lower())]
    return list(dict.fromkeys([*(by_lower[found] for found in close), *tails]))[:count]


def hint(name: str, known: Iterable[str]) -> str:
    """Returns ``"nearest: a, b"`` for a message, or what exists if nothing is near.

    >>> hint("txet", ["text", "code"])
    'nearest: text'
    """
    known = list(known)
    close = nearest(name, known)
    if close:
        return f"nearest: {', '.join(close)}"
    if not known:
        return "there are none"
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"known: {shown}"
