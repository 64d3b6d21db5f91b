"""Train and held-out splits of a corpus, decided by hashes of what the documents contain.

Texts are split one by one. Documents with pictures are split by group, over all domains of a corpus
at once: documents with a picture, a text or a key in common form a group, as do documents that are
linked through others, and a group is held out as a whole or not at all.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import AnyStr, Generic, TypeVar

from .errors import DataError

TEXT_SHARE = 0.03  # of a domain's bytes are held out
TEXT_BYTES = 400_000  # but at least so many,
TEXT_MOST = 0.12  # unless that is more than this share
GROUP_SHARE = 0.06  # of the groups are held out, whatever their domains, so that splits are alike
# A picture or text that more documents share is a label and does not link them: more than 50
# documents, or 5 in a small corpus, if a hundredth of its documents is less than that.
LABEL, LEAST_LABEL = 50, 5

T = TypeVar("T")


def byte_size(document: str | bytes) -> int:
    """Bytes of a document, of a text in UTF-8."""
    return len(document if isinstance(document, bytes) else document.encode())


Group = list[tuple[str, int]]  # domains and indices of documents


@dataclass(frozen=True)
class Splits(Generic[T]):
    """The documents of a domain, shuffled, or their indices.

    Attributes:
        train: documents to train on.
        heldout: documents to evaluate on; none of them is in `train`.
        repeats: number of exact copies that were dropped.
        blank: number of texts without any that were dropped.
    """

    train: list[T]
    heldout: list[T]
    repeats: int = 0
    blank: int = 0


def split_texts(
    name: str,
    texts: Iterable[AnyStr],
    *,
    target_only: bool = False,
    max_bytes: int | None = None,
    size: Callable[[AnyStr], int] = byte_size,
) -> Splits[AnyStr]:
    """Shuffles texts by the hash of their content and holds the first ones out.

    The held-out split depends on the texts alone: not on their order, and not on `max_bytes`.

    Args:
        name: the domain, for messages.
        texts: the documents, or their token ids as bytes. Exact copies and blank ones are dropped.
        target_only: hold everything out.
        max_bytes: most bytes of the train split, or of the held-out split if all is held out.
        size: bytes of text of a document.

    Raises:
        DataError: there are too few texts for two splits.
    """
    count, blank, unique = _shuffled(texts)
    repeats = count - blank - len(unique)
    if target_only and unique:
        return Splits([], list(capped(unique, max_bytes, size)), repeats, blank)
    if len(unique) < 2:
        raise DataError(
            f"domain '{name}': has {len(unique)} different documents, and two splits need two; add "
            "text, or make it a target-only domain"
        )
    held = _heldout_count([size(text) for text in unique])
    return Splits(list(capped(unique[held:], max_bytes, size)), unique[:held], repeats, blank)


def enough_bytes(max_bytes: int) -> float:
    """Bytes of text to read so that `max_bytes` are left to train on behind the held-out split.

    >>> enough_bytes(880_000), enough_bytes(97_000_000)
    (1000000.0, 100000000.0)
    """
    share = max(max_bytes + TEXT_BYTES, max_bytes / (1 - TEXT_SHARE))
    return min(max_bytes / (1 - TEXT_MOST), share)


def _shuffled(texts: Iterable[AnyStr]) -> tuple[int, int, list[AnyStr]]:
    """The number of texts, that of blank ones, and the distinct others by their hashes."""
    count = blank = 0
    by_hash: dict[bytes, AnyStr] = {}
    for count, text in enumerate(texts, 1):  # noqa: B007
        if text.strip() if isinstance(text, str) else text:
            data = text.encode() if isinstance(text, str) else text
            by_hash[hashlib.sha256(data).digest()] = text
        else:
            blank += 1
    return count, blank, [by_hash[key] for key in sorted(by_hash)]


def _heldout_count(sizes: list[int]) -> int:
    """How many documents to hold out: at least one, and never all."""
    total = sum(sizes)
    quota = min(max(TEXT_SHARE * total, TEXT_BYTES), TEXT_MOST * total)
    count, held = 0, 0
    while held < quota and count < len(sizes) - 1:
        held += sizes[count]
        count += 1
    return count


def capped(
    documents: Iterable[AnyStr],
    most: float | None,
    size: Callable[[AnyStr], int] = byte_size,
    least: int = 1,
) -> Iterator[AnyStr]:
    """The first documents of up to `most` bytes in all, at least `least`; all if it is None."""
    total = 0
    for i, document in enumerate(documents):
        if most is not None:
            total += size(document)
            if i >= least and total > most:
                return
        yield document


@dataclass(frozen=True)
class Fingerprint:
    """Hashes that tell which documents are the same, and which belong together.

    Attributes:
        content: hash of everything in the document, in hexadecimal.
        keys: keys that its domain gave it; documents that share one are always in one group.
        shared: its pictures and its text, which link documents unless they are labels.
    """

    content: str
    keys: tuple[str, ...]
    shared: tuple[str, ...]


def fingerprint(pictures: Sequence[bytes], text: str, keys: Iterable[str]) -> Fingerprint:
    """The fingerprint of a document, from its prepared pictures, its text and its own keys."""
    hashes = [hashlib.sha256(picture).hexdigest()[:16] for picture in pictures]
    words = hashlib.sha256(" ".join(text.lower().split()).encode()).hexdigest()[:16]
    content = hashlib.sha256(" ".join([*hashes, words]).encode()).hexdigest()
    shared = (*(f"picture:{one}" for one in hashes), f"text:{words}")
    return Fingerprint(content, tuple(sorted(keys)), shared)


def split_documents(
    domains: Mapping[str, Sequence[Fingerprint]], target_only: Iterable[str] = ()
) -> dict[str, Splits[int]]:
    """Splits the documents of all domains by group.

    A group is held out if a hash of its smallest content says so. If a domain would have no
    held-out document otherwise, its first group that leaves something to train on is held out too.
    Target-only domains are held out as a whole, with every document of a group that they are in.
    The splits depend on the documents alone, not on their order.

    Args:
        domains: fingerprints of the documents, by domain.
        target_only: domains to hold out as a whole.

    Returns:
        Indices of the documents of both splits, by domain.

    Raises:
        DataError: a domain would have no document in a split that it needs.
    """
    targets = set(target_only)
    unique = {name: _unique(found) for name, found in domains.items()}
    held: set[tuple[str, int]] = set()
    groups = _groups(domains, unique)
    for least, group in groups:
        # Hashed again: the smallest of many contents is small, and a large group must not be held
        # out more often.
        share = int(hashlib.sha256(least.encode()).hexdigest()[:12], 16) / 16**12
        if share < GROUP_SHARE or targets & {name for name, _ in group}:
            held.update(group)
    for name in domains:
        if not any(held_name == name for held_name, _ in held):
            held.update(_first_group(name, groups, len(unique[name])))
    return {
        name: _splits(name, unique[name], held, name in targets, len(found) - len(unique[name]))
        for name, found in domains.items()
    }


def _first_group(name: str, groups: Sequence[tuple[str, Group]], count: int) -> Group:
    """The first group of a domain that leaves something of it to train on."""
    for _, group in groups:
        if 0 < sum(one == name for one, _ in group) < count:
            return group
    return []


def _unique(found: Sequence[Fingerprint]) -> list[int]:
    """The first document of each content, in the order of the contents."""
    first = {one.content: i for i, one in reversed(list(enumerate(found)))}
    return [first[content] for content in sorted(first)]


def _groups(
    domains: Mapping[str, Sequence[Fingerprint]], unique: Mapping[str, Sequence[int]]
) -> list[tuple[str, Group]]:
    """The groups with their smallest contents, in the order of these: union-find over keys."""
    members = [(name, i) for name, indices in unique.items() for i in indices]
    uses = Counter(key for name, i in members for key in domains[name][i].shared)
    label = min(LABEL, max(LEAST_LABEL, len(members) // 100))
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for name, i in members:
        one = domains[name][i]
        for key in (*one.keys, *(key for key in one.shared if uses[key] <= label)):
            parent[root(key)] = root(one.content)
    groups: dict[str, Group] = defaultdict(list)
    for name, i in members:
        groups[root(domains[name][i].content)].append((name, i))
    least = (min(domains[name][i].content for name, i in group) for group in groups.values())
    return sorted(zip(least, groups.values(), strict=True), key=lambda pair: pair[0])


def _splits(
    name: str, unique: Sequence[int], held: set[tuple[str, int]], is_target: bool, repeats: int
) -> Splits[int]:
    heldout = [i for i in unique if (name, i) in held]
    train = [i for i in unique if (name, i) not in held]
    if not heldout or (not train and not is_target):
        raise DataError(
            f"domain '{name}': {len(unique)} different documents are too alike to have a train and "
            "a held-out split; add others, or make it a target-only domain"
        )
    return Splits(train, heldout, repeats)
