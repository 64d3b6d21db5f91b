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

HELDOUT_SHARE = 0.06  # of the families, whatever their domains: both sides are alike
# A picture or text that more documents share is a label, not an identity: more than 50 do, or 5 in
# a small corpus, whose hundredth part is less.
LABEL, LEAST_LABEL = 50, 5


Family = list[tuple[str, int]]  # domains and indices of documents that are twins


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

    A family is held out where a hash of its least content says so, and wherever a domain would have
    no held-out document otherwise. A domain that is a target only is held out whole, with every
    twin of it in the others. The sides depend on the documents alone, not on their order.

    Args:
        domains: identities of the documents, by domain.
        target_only: domains to hold out whole.

    Raises:
        DataError: a domain would have no document on a side that it needs.
    """
    targets = set(target_only)
    fresh = {name: _unique(found) for name, found in domains.items()}
    held: set[tuple[str, int]] = set()
    families = _families(domains, fresh)
    for least, family in families:
        # Hashed again: the least of many contents is small, and large families are no likelier.
        share = int(hashlib.sha256(least.encode()).hexdigest()[:12], 16) / 16**12
        if share < HELDOUT_SHARE or targets & {name for name, _ in family}:
            held.update(family)
    for name in domains:
        if not any(held_name == name for held_name, _ in held):
            held.update(_first_of(name, families, len(fresh[name])))
    return {name: _side(name, domains[name], fresh[name], held, targets) for name in domains}


def _first_of(name: str, families: Sequence[tuple[str, Family]], count: int) -> Family:
    """The first family of a domain that leaves something of it to train on."""
    for _, family in families:
        if 0 < sum(one == name for one, _ in family) < count:
            return family
    return []


def _unique(found: Sequence[Identity]) -> list[int]:
    """Documents by the hash of their content, each content once."""
    first = {one.content: i for i, one in reversed(list(enumerate(found)))}
    return [first[content] for content in sorted(first)]


def _families(
    domains: Mapping[str, Sequence[Identity]], fresh: Mapping[str, Sequence[int]]
) -> list[tuple[str, Family]]:
    """Families of twins with their least contents, in the order of these."""
    uses = Counter(key for name in fresh for i in fresh[name] for key in domains[name][i].shared)
    label = min(LABEL, max(LEAST_LABEL, sum(map(len, fresh.values())) // 100))
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
            for key in (*one.keys, *(key for key in one.shared if uses[key] <= label)):
                parent[root(key)] = root(one.content)
    families: dict[str, Family] = defaultdict(list)
    least: dict[str, str] = {}
    for name, indices in fresh.items():
        for i in indices:
            content = domains[name][i].content
            top = root(content)
            families[top].append((name, i))
            least[top] = min(least.get(top, content), content)
    return [(least[top], families[top]) for top in sorted(families, key=least.__getitem__)]


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
