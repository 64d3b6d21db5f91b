"""Training side and held-out side of a domain, decided by a hash of every document's content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import DataError

HELDOUT_SHARE = 0.03  # of a domain's bytes
HELDOUT_BYTES = 400_000  # but at least so many,
HELDOUT_MOST = 0.12  # unless that is more than this share


@dataclass(frozen=True)
class Sides:
    """The documents of a domain, shuffled.

    Attributes:
        train: documents to train on.
        heldout: documents to evaluate on; none of them is in `train`.
        repeats: exact copies that were dropped.
    """

    train: list[str]
    heldout: list[str]
    repeats: int = 0


def split(
    name: str, documents: Iterable[str], *, target_only: bool = False, max_bytes: int | None = None
) -> Sides:
    """Shuffles documents by the hash of their content and holds the first ones out.

    The held-out side depends on the documents alone: not on their order, and not on `max_bytes`.

    Args:
        name: of the domain, for messages.
        documents: of text. Exact copies are dropped.
        target_only: hold everything out.
        max_bytes: cap of the training side, and of the held-out side where all is held out.

    Raises:
        DataError: there are too few documents to have both sides.
    """
    count, texts = _shuffled(documents)
    repeats = count - len(texts)
    if target_only and texts:
        return Sides([], _capped(texts, max_bytes), repeats)
    if len(texts) < 2:
        raise DataError(
            f"domain '{name}': {len(texts)} different documents, and two sides need two; add text, "
            "or make it a target-only domain"
        )
    held = _heldout_count([len(text.encode()) for text in texts])
    return Sides(_capped(texts[held:], max_bytes), texts[:held], repeats)


def _shuffled(documents: Iterable[str]) -> tuple[int, list[str]]:
    """How many there were, and the different ones in the order of their hashes."""
    count = 0
    by_hash: dict[bytes, str] = {}
    for text in documents:
        if text.strip():
            count += 1
            by_hash[hashlib.sha256(text.encode()).digest()] = text
    return count, [by_hash[key] for key in sorted(by_hash)]


def _heldout_count(sizes: list[int]) -> int:
    """How many documents to hold out: at least one, and never all."""
    total = sum(sizes)
    quota = min(max(HELDOUT_SHARE * total, HELDOUT_BYTES), HELDOUT_MOST * total)
    count, held = 0, 0
    while held < quota and count < len(sizes) - 1:
        held += sizes[count]
        count += 1
    return count


def _capped(texts: list[str], max_bytes: int | None) -> list[str]:
    """The first texts of up to so many bytes, at least one."""
    if max_bytes is None:
        return texts
    kept, size = [], 0
    for text in texts:
        size += len(text.encode())
        if kept and size > max_bytes:
            break
        kept.append(text)
    return kept
