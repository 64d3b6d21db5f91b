"""The held-out side of documents with pictures: by identity, over all domains of a corpus at once.

Two documents with a picture, a text or a key in common are twins; twins of twins are too. A whole
family of twins is held out or none of it, in whichever domains its documents are.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .errors import DataError

HELDOUT_SHARE = 0.03  # of a domain's documents,
HELDOUT_DOCUMENTS = 400  # but at least so many,
HELDOUT_MOST = 0.12  # unless that is more than this share
LABEL = 50  # a picture or text that more documents than this share is a label, not an identity


@dataclass(frozen=True)
class Identity:
    """What a document is known by.

    Attributes:
        content: of everything in it, in hexadecimal: equal documents, equal content.
        keys: identities that its domain gave it, which always make twins.
        shared: its pictures and its text, which make twins unless they are labels.
    """

    content: str
    keys: tuple[str, ...]
    shared: tuple[str, ...]


def identity(pictures: Sequence[bytes], text: str, keys: Iterable[str]) -> Identity:
    """The identity of a document, from its prepared pictures, its text and its own keys."""
    hashes = [hashlib.sha256(picture).hexdigest()[:16] for picture in pictures]
    words = hashlib.sha256(" ".join(text.lower().split()).encode()).hexdigest()[:16]
    content = hashlib.sha256(" ".join([*hashes, words]).encode()).hexdigest()
    shared = (*(f"picture:{one}" for one in hashes), f"text:{words}")
    return Identity(content, tuple(sorted(keys)), shared)


@dataclass(frozen=True)
class Split:
    """Documents of a domain, shuffled: indices of each side, and copies that were dropped."""

    train: list[int]
    heldout: list[int]
    repeats: int


def split_twins(
    domains: Mapping[str, Sequence[Identity]], target_only: Iterable[str] = ()
) -> dict[str, Split]:
    """Splits the documents of all domains, family by family.

    Families come in the order of a hash of their least content, and are held out until every domain
    has its share; a domain that is a target only is held out whole, with every twin of it in the
    others. The sides depend on the documents alone, not on their order.

    Args:
        domains: identities of the documents, by domain.
        target_only: domains to hold out whole.

    Raises:
        DataError: a domain would have no document on a side that it needs.
    """
    targets = set(target_only)
    fresh = {name: _unique(found) for name, found in domains.items()}
    families = _families(domains, fresh)
    quotas = {name: _quota(len(found)) for name, found in fresh.items()}
    held: set[tuple[str, int]] = set()
    counts: Counter[str] = Counter()
    for family in families:
        sizes = Counter(name for name, _ in family)
        open_to = all(counts[n] + s <= 1.5 * quotas[n] for n, s in sizes.items())
        wanted = any(counts[n] < quotas[n] for n in sizes)
        if targets & set(sizes) or (wanted and open_to):
            held.update(family)
            counts.update(sizes)
    return {name: _side(name, domains[name], fresh[name], held, targets) for name in domains}


def _unique(found: Sequence[Identity]) -> list[int]:
    """Documents by the hash of their content, each content once."""
    first = {one.content: i for i, one in reversed(list(enumerate(found)))}
    return [first[content] for content in sorted(first)]


def _quota(count: int) -> float:
    share = max(HELDOUT_SHARE * count, HELDOUT_DOCUMENTS)
    return max(1.0, min(share, HELDOUT_MOST * count))


def _families(
    domains: Mapping[str, Sequence[Identity]], fresh: Mapping[str, Sequence[int]]
) -> list[list[tuple[str, int]]]:
    """Families of twins, in the order of their least contents."""
    uses = Counter(key for name in fresh for i in fresh[name] for key in domains[name][i].shared)
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for name, indices in fresh.items():
        for i in indices:
            one = domains[name][i]
            for key in (*one.keys, *(key for key in one.shared if uses[key] <= LABEL)):
                parent[root(key)] = root(one.content)
    families: dict[str, list[tuple[str, int]]] = defaultdict(list)
    least: dict[str, str] = {}
    for name, indices in fresh.items():
        for i in indices:
            content = domains[name][i].content
            top = root(content)
            families[top].append((name, i))
            least[top] = min(least.get(top, content), content)
    return [families[top] for top in sorted(families, key=least.__getitem__)]


def _side(
    name: str,
    found: Sequence[Identity],
    fresh: Sequence[int],
    held: set[tuple[str, int]],
    targets: set[str],
) -> Split:
    heldout = [i for i in fresh if (name, i) in held]
    train = [i for i in fresh if (name, i) not in held]
    if not heldout or (not train and name not in targets):
        raise DataError(
            f"domain '{name}': {len(fresh)} different documents are too alike to have a training "
            "and a held-out side; add others, or make it a target-only domain"
        )
    return Split(train, heldout, len(found) - len(fresh))
