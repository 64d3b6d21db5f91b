"""Names of domains and targets in either spelling, with a hint if one is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from jaxmix.errors import clip, hint
from jaxmix.runs.errors import RunTableError

UNITS = ("nats per token", "bits per byte", "-log accuracy")  # of losses, tasks and accuracies
_PREFIXES = {"domain": "w_", "target": "loss_", "metric": "loss_"}


def bare(name: str, prefix: str) -> str:
    """Returns `name` without `prefix`.

    Args:
        name: a column or bare name, as `loss_github` or `github`.
        prefix: `loss_` or `w_`.

    >>> bare("loss_github", "loss_"), bare("github", "loss_"), bare("loss", "loss_")
    ('github', 'github', 'loss')
    """
    return name[len(prefix) :] if name.startswith(prefix) and name != prefix else name


def unknown(name: str, known: Sequence[str], what: str) -> str:
    """Returns what a message says about an unknown name.

    >>> unknown("w_boks", ["web", "books"], "domain")
    "unknown domain 'w_boks'; nearest: books"
    """
    return f"unknown {what} {clip(name)!r}; {hint(bare(name, _PREFIXES[what]), known)}"


def resolve_name(name: str, known: Sequence[str], what: str) -> str:
    """Returns the bare name that `name` means; arguments and errors as of `resolve_names`."""
    for spelling in (name, bare(name, _PREFIXES[what])):
        if spelling in known:
            return spelling
    raise RunTableError(unknown(name, known, what))


def is_task(target: str) -> bool:
    """Whether a target's loss is the bits per byte of a task, by its bare name ``task_<name>``."""
    return target.startswith("task_")


def unit_of(target: str) -> str:
    """Returns the unit of a target's loss, which its bare name tells.

    >>> unit_of("web"), unit_of("task_sums"), unit_of("accuracy_sums")
    ('nats per token', 'bits per byte', '-log accuracy')
    """
    if is_task(target):
        return UNITS[1]
    return UNITS[2] if target.startswith("accuracy_") else UNITS[0]


def _is_pattern(name: str, known: Sequence[str], what: str) -> bool:
    """Whether a name that is asked for stands for several targets, as ``task_*`` does."""
    return what != "domain" and any(c in name for c in "*?[") and name not in known


def _matching(pattern: str, what: str, *pools: Sequence[str]) -> tuple[str, ...]:
    """Returns the bare names that match a pattern, of the first pool that has any."""
    wanted = bare(pattern, _PREFIXES[what])
    for pool in pools:
        if found := tuple(name for name in pool if fnmatchcase(name, wanted)):
            return found
    known = dict.fromkeys(name for pool in pools for name in pool)
    raise RunTableError(f"no {what} matches {clip(pattern)!r}; {hint(wanted, known)}")


def resolve_names(
    asked: Sequence[str] | str | None,
    known: Sequence[str],
    what: str,
    present: Sequence[str] | None = None,
    *derived: Sequence[str],
) -> tuple[str, ...]:
    """Returns the bare names that `asked` means, each once, in the order asked.

    Args:
        asked: names in either spelling (a single string is split at commas), or, of targets,
            patterns such as `task_*`; None or "all" for every known name.
        known: the bare names that exist.
        what: what a name stands for: "domain" (`w_<name>`), "target" or "metric" (`loss_<name>`).
        present: those that a pattern may mean; None for all.
        *derived: further names, which a pattern means only if it means none before them.

    Raises:
        RunTableError: a name is unknown (the message lists the nearest), nothing matches a
            pattern, or none is asked for.

    >>> resolve_names(["loss_arxiv", "github"], ["github", "arxiv"], "target")
    ('arxiv', 'github')
    >>> resolve_names("task_*,web", ["web", "task_a", "task_b"], "target")
    ('task_a', 'task_b', 'web')
    >>> resolve_names(["gihub"], ["github", "arxiv"], "target")
    Traceback (most recent call last):
    jaxmix.runs.errors.RunTableError: unknown target 'gihub'; nearest: github
    """
    if isinstance(asked, str):
        asked = [name.strip() for name in asked.split(",")]
    if asked is None or (list(asked) == ["all"] and "all" not in known):
        return tuple(known)
    if not asked:
        raise RunTableError(f"no {what} is named; name at least one, or pass all")
    found: list[str] = []
    everything = [*known, *(name for pool in derived for name in pool)]
    for name in asked:
        if _is_pattern(name, everything, what):
            found += _matching(name, what, known if present is None else present, *derived)
        else:
            found.append(resolve_name(name, everything, what))
    return tuple(dict.fromkeys(found))


def resolve(by_name: Mapping[str, float], known: Sequence[str], what: str) -> dict[str, float]:
    """Returns values by bare name.

    Args:
        by_name: the values by name, in either spelling; a pattern of targets gives each its value.
        known: the bare names that exist.
        what: as of `resolve_names`.

    Raises:
        RunTableError: a name is unknown, or is given twice.

    >>> resolve({"w_books": 0.1}, ["web", "books"], "domain")
    {'books': 0.1}
    """
    out: dict[str, float] = {}
    for name, value in by_name.items():
        several = _is_pattern(name, known, what)
        for found in (
            _matching(name, what, known) if several else (resolve_name(name, known, what),)
        ):
            if found in out:
                raise RunTableError(f"{what} {found!r} is given twice")
            out[found] = float(value)
    return out
