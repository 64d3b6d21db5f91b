"""The folders of downloads and corpora, and names of domains."""

import os
import re
from pathlib import Path

from .errors import DataError

_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*(:[\w.\-]+)?")


def _cache() -> Path:
    """The folder for downloads and corpora: ``JAXMIX_CACHE``, or ``~/.cache/jaxmix``."""
    named = os.environ.get("JAXMIX_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "jaxmix"


def downloads() -> Path:
    """The folder of pinned archives."""
    return _cache() / "downloads"


def corpora() -> Path:
    """The folder of prepared corpora."""
    return _cache() / "corpora"


def checked_name(name: str) -> str:
    """The name of a domain or a corpus, if it can be part of file and column names.

    Raises:
        DataError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise DataError(f"'{name}' is not a usable name; use letters, digits, '_', '-' and '.'")
    return name
