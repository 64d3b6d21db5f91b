"""Values by domain or target name, in either spelling, with a hint where a name is unknown."""

import difflib
from collections.abc import Mapping, Sequence

from jaxmix.errors import JaxmixError

_PREFIX = {"domain": "w_", "target": "loss_"}


def resolve(values: Mapping[str, float], known: Sequence[str], what: str) -> dict[str, float]:
    """The values by bare name.

    Args:
        values: by name, with or without the prefix that the run table gives it.
        known: bare names that exist.
        what: ``"domain"`` or ``"target"``.

    Raises:
        JaxmixError: an unknown name, with the nearest known ones, or one given twice.

    Example:
        >>> resolve({"w_books": 0.1}, ["web", "books"], "domain")
        {'books': 0.1}
        >>> resolve({"boks": 0.1}, ["web", "books"], "domain")
        Traceback (most recent call last):
        JaxmixError: unknown domain 'boks'; nearest: books
    """
    out: dict[str, float] = {}
    for name, value in values.items():
        bare = _bare(name, known, what)
        if bare in out:
            raise JaxmixError(f"{what} '{bare}' is given twice")
        out[bare] = float(value)
    return out


def _bare(name: str, known: Sequence[str], what: str) -> str:
    for spelling in (name, name.removeprefix(_PREFIX[what])):
        if spelling in known:
            return spelling
    near = difflib.get_close_matches(name.removeprefix(_PREFIX[what]), known, 3, 0.5)
    hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(known)}"
    raise JaxmixError(f"unknown {what} '{name}'; {hint}")
