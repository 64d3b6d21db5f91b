"""What a corpus will be made of, before any of it is read or downloaded."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .corpus import FORMAT
from .documents import Document
from .download import fetch
from .errors import DataError, hint
from .own import OwnDomain, find_domains, read_documents
from .own_pictures import OwnPictures
from .pictures import Skips
from .places import checked_name, corpora, digest
from .recipes import RECIPES, Domain, recipe
from .tokenizer import vocab_of

_IDENTITY = ("source", "sha256", "target_only", "text_field", "pictures", "flip")
PICTURE_SIZE = 48  # pixels, for models of 32; those of 224 want 256
_SIZES = range(16, 1025)


@dataclass(frozen=True)
class Source:
    """One domain to be prepared.

    Attributes:
        name: of the domain.
        fetch: brings what has to be downloaded.
        documents: reads the documents of a text domain.
        facts: what it is made of, for `corpus.json`.
        target_only: evaluated and never trained on.
        pictures: reads the documents of a domain with pictures, counting those that it skips; None
            for a text domain.
    """

    name: str
    fetch: Callable[[], object]
    documents: Callable[[], Iterable[str]]
    facts: dict[str, Any]
    target_only: bool
    pictures: Callable[[Skips], Iterable[Document]] | None = None


@dataclass(frozen=True)
class Plan:
    """A corpus to prepare: name, sources, tokenizer, cap, and the folder where it will be.

    `picture_size` is the shorter side of every kept picture in pixels, None without pictures.
    """

    name: str
    about: str
    sources: tuple[Source, ...]
    tokenizer: str
    max_bytes: int | None
    picture_size: int | None = None

    @property
    def config(self) -> dict[str, Any]:
        """All that decides the content of the corpus: not how it is described."""
        decisive = [
            [source.name, {key: source.facts.get(key) for key in _IDENTITY}]
            for source in self.sources
        ]
        return {
            "format": FORMAT,
            "name": self.name,
            "tokenizer": self.tokenizer,
            "max_bytes": self.max_bytes,
            "picture_size": self.picture_size,
            "sources": decisive,
        }

    @property
    def config_hash(self) -> str:
        """12 hexadecimal digits."""
        text = json.dumps(self.config, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def path(self) -> Path:
        """The folder of the prepared corpus."""
        return corpora() / f"{self.name}-{self.tokenizer}-{self.config_hash}"


def plan_corpus(
    source: str | Path,
    *,
    tokenizer: str = "bpe-4096",
    max_bytes: int | None = None,
    name: str | None = None,
    text_field: str = "text",
    target_only: Sequence[str] = (),
    picture_size: int | None = None,
) -> Plan:
    """What `prepare` with these arguments would make, and where.

    Raises:
        DataError: see `prepare`.
    """
    vocab_of(tokenizer)
    if max_bytes is not None and max_bytes < 1:
        raise DataError(f"max_bytes is {max_bytes}; give at least 1, or none for everything")
    picture_size = PICTURE_SIZE if picture_size is None else picture_size
    if picture_size not in _SIZES:
        raise DataError(
            f"picture_size is {picture_size}; give {_SIZES.start} to {_SIZES.stop - 1} pixels"
        )
    if str(source) in RECIPES:
        if name not in (None, str(source)) or target_only or text_field != "text":
            raise DataError(
                f"recipe '{source}' is fixed; a name, a text field and target-only domains are for "
                "folders of one's own"
            )
        found = recipe(str(source))
        sources = tuple(_from_archives(domain, picture_size) for domain in found.domains)
        label, about = found.name, found.about
    else:
        folder = _folder(source)
        sources = tuple(_from_folder(folder, text_field, tuple(target_only)))
        label, about = _own_name(name, folder), f"from {folder}"
    size = picture_size if any(one.pictures for one in sources) else None
    return Plan(label, about, sources, tokenizer, max_bytes, size)


def _from_archives(domain: Domain, size: int) -> Source:
    def documents() -> Iterator[Any]:
        yield from domain.documents(map(fetch, domain.archives), size)

    def bring() -> None:
        for archive in domain.archives:
            fetch(archive)

    facts = {
        "about": domain.about,
        "source": domain.source,
        "sha256": " ".join(archive.sha256 for archive in domain.archives),
        "license": domain.license,
        "target_only": domain.target_only,
        "scarce": domain.scarce,
        "pictures": domain.pictures,
        "flip": domain.flip,
    }
    pictures = (lambda _: documents()) if domain.pictures else None
    return Source(domain.name, bring, documents, facts, domain.target_only, pictures)


def _folder(source: str | Path) -> Path:
    """The folder that is meant, or an error that says what else is possible."""
    if str(source).startswith("hf:"):
        raise DataError(
            f"'{source}': data sets of a hub are read by their own package; write them to a folder "
            "with jaxmix.data.write_texts(folder, pairs of domain and text) and prepare that"
        )
    folder = Path(source)
    if not folder.is_dir():
        what = "a file; name the folder it is in" if folder.exists() else "not there"
        recipe_hint = hint(str(source), RECIPES)
        raise DataError(f"'{source}': is no recipe ({recipe_hint}), and as a folder it is {what}")
    return folder


def _own_name(name: str | None, folder: Path) -> str:
    name = checked_name(folder.resolve().name if name is None else name)
    if name in RECIPES:
        raise DataError(f"'{name}' is the name of a recipe; give the corpus another with --name")
    return name


def _from_folder(folder: Path, text_field: str, target_only: tuple[str, ...]) -> Iterator[Source]:
    domains = find_domains(folder)
    for unknown in (name for name in target_only if name not in domains):
        raise DataError(f"{folder}: no domain '{unknown}' to evaluate on; {hint(unknown, domains)}")
    if set(domains) <= set(target_only):
        raise DataError(f"{folder}: every domain is target-only; leave one to train on")
    for name, domain in domains.items():
        yield _from_files(folder, domain, text_field, name in target_only)


def _from_files(
    folder: Path, domain: OwnDomain | OwnPictures, text_field: str, target_only: bool
) -> Source:
    files = domain.files
    content = hashlib.sha256()
    for path in files:
        content.update(f"{path.relative_to(folder).as_posix()} {digest(path)}\n".encode())
    illustrated = isinstance(domain, OwnPictures)
    facts = {
        "about": "",
        "source": f"{len(files)} file{'s' * (len(files) != 1)}",
        "sha256": content.hexdigest(),
        "text_field": text_field,
        "license": "",
        "target_only": target_only,
        "scarce": False,
        "pictures": illustrated,
        "flip": False,
    }
    if isinstance(domain, OwnPictures):
        return Source(domain.name, lambda: None, tuple, facts, target_only, domain.documents)
    documents = functools.partial(read_documents, domain, text_field)
    return Source(domain.name, lambda: None, documents, facts, target_only)
