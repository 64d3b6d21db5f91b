"""Names of targets and domains: bare, whatever spelling was given."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import RunTableError, clip, hint


def bare(name: str, prefix: str) -> str:
    """Returns `name` without `prefix`.

    Args:
        name: a column or bare name, as `loss_github` or `github`.
        prefix: `loss_` or `w_`.

    >>> bare("loss_github", "loss_"), bare("github", "loss_"), bare("loss", "loss_")
    ('github', 'github', 'loss')
    """
    return name[len(prefix) :] if name.startswith(prefix) and name != prefix else name


def resolve_names(
    asked: Sequence[str] | str | None, known: Sequence[str], prefix: str, what: str
) -> tuple[str, ...]:
    """Returns the bare names that `asked` means, each once, in the order asked.

    Args:
        asked: names in either spelling (a single string is split at commas); None or "all" for
            every known name.
        known: the bare names that exist.
        prefix: the prefix of the long spelling, `loss_` or `w_`.
        what: what a name stands for, for messages: "target" or "domain".

    Raises:
        RunTableError: a name is unknown (the message lists the nearest), or none is asked for.

    >>> resolve_names(["loss_arxiv", "github"], ["github", "arxiv"], "loss_", "target")
    ('arxiv', 'github')
    >>> resolve_names(["gihub"], ["github", "arxiv"], "loss_", "target")
    Traceback (most recent call last):
    jaxmix.runs.errors.RunTableError: unknown target 'gihub'; nearest: github
    """
    if isinstance(asked, str):
        asked = [name.strip() for name in asked.split(",")]
    if asked is None or (list(asked) == ["all"] and "all" not in known):
        return tuple(known)
    if not asked:
        raise RunTableError(f"no {what} is named; name at least one, or pass all")
    return tuple(dict.fromkeys(_resolve(name, known, prefix, what) for name in asked))


def _resolve(name: str, known: Sequence[str], prefix: str, what: str) -> str:
    for spelling in (name, bare(name, prefix)):
        if spelling in known:
            return spelling
    near = hint(bare(name, prefix), known)
    raise RunTableError(f"unknown {what} {clip(name)!r}; {near}")
