"""What a corpus will be made of, before any of it is read or downloaded."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxmix.files import file_hash
from jaxmix.quantities import count

from .corpus import FORMAT
from .download import fetch
from .errors import DataError, hint
from .folders import TextDomain, find_domain, find_domains, read_texts
from .hub import PREFIX as HUB
from .hub import find_dataset
from .paths import checked_name, corpora
from .picture_folders import PictureDomain, visible_files
from .pretokenized import PREFIX as TOKENS
from .pretokenized import find_tokens
from .recipes import RECIPES, Domain
from .skips import Skips
from .splits import capped, enough_bytes
from .tokenizer import ByteTokenizer, Tokenizer, is_own, read_own, vocab_of

_FACTS = ("about", "source", "sha256", "license", "target_only", "scarce", "pictures", "flip")
_IDENTITY = ("source", "sha256", "target_only", "text_field", "pictures", "flip")
PICTURE_SIZE = 48  # pixels, for models of 32; those of 224 want 256
_SIZES = range(16, 1025)


@dataclass(frozen=True)
class Source:
    """One domain to be prepared.

    Attributes:
        name: name of the domain.
        facts: what it is made of, for `corpus.json`.
        read: yields its documents: texts, `Document` if ``facts["pictures"]``, or token ids as
            bytes if ``facts["tokens"]``; and counts those that it skips.
        fetch: downloads what is not there yet.
    """

    name: str
    facts: dict[str, Any]
    read: Callable[[Skips], Iterable[Any]]
    fetch: Callable[[], object] = lambda: None

    @property
    def target_only(self) -> bool:
        """Whether the domain is evaluated and never trained on."""
        return self.facts["target_only"]

    @property
    def pictures(self) -> bool:
        """Whether its documents have pictures."""
        return self.facts["pictures"]

    @property
    def tokens(self) -> bool:
        """Whether its documents are token ids."""
        return self.facts.get("tokens", False)


@dataclass(frozen=True)
class CorpusPlan:
    """A corpus to prepare.

    Attributes:
        name: name of the corpus.
        about: a short description.
        sources: its domains.
        tokenizer: `bytes`, `bpe-N`, or the name of `own`.
        max_bytes: most bytes of every domain's train split.
        picture_size: shorter side of every kept picture in pixels; None if there are none.
        own: the user's own tokenizer; None for one of jaxmix.
    """

    name: str
    about: str
    sources: tuple[Source, ...]
    tokenizer: str
    max_bytes: int | None
    picture_size: int | None = None
    own: Tokenizer | None = None

    @property
    def config(self) -> dict[str, Any]:
        """Everything that decides the content of the corpus; descriptions do not."""
        sources = [[one.name, {k: one.facts.get(k) for k in _IDENTITY}] for one in self.sources]
        return {
            "format": FORMAT,
            "name": self.name,
            "tokenizer": [self.own.hash, self.own.end] if self.own else self.tokenizer,
            "max_bytes": self.max_bytes,
            "picture_size": self.picture_size,
            "sources": sources,
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
    source: str | Path | None = None,
    *,
    tokenizer: str = "bpe-4096",
    max_bytes: int | None = None,
    name: str | None = None,
    text_field: str = "text",
    target_only: Sequence[str] = (),
    picture_size: int | None = None,
    domains: Mapping[str, str] | None = None,
) -> CorpusPlan:
    """Plans a corpus; no documents are downloaded.

    Args:
        source: a recipe's name, or a folder. In a folder, a domain of text is a subfolder of text
            files, a `<domain>.jsonl` or a `<domain>.txt`; a domain with pictures is a subfolder of
            images with a captions.csv or captions.jsonl, a subfolder of WebDataset shards
            (`*.tar`), or a `<domain>.jsonl` with texts and images in turn. None if `domains` name
            all.
        tokenizer: `bytes`; or `bpe-N`, which is trained on equal bytes of every training domain; or
            a tokenizer.json file of the `tokenizers` package. FILE.json:TOKEN names its end-of-text
            token.
        max_bytes: most bytes of every domain's train split, texts and pictures, for a quick try.
        name: name of a corpus made from a folder or from `domains`; the default is the folder's.
        text_field: the field of a JSONL line, or the column of a data set, that holds the text.
        target_only: domains to evaluate on and never train on.
        picture_size: shorter side of every kept picture in pixels, a little more than a model's,
            which sees crops of it; None for 48.
        domains: further domains by name. ``hf:NAME[:SPLIT][:COLUMN]`` is a data set that the
            `datasets` package reads: NAME is a file or folder of Parquet, JSONL, CSV or Arrow, or
            OWNER/DATASET[/CONFIG][@REVISION] of the hub; it is read up to `max_bytes`.
            ``tokens:PATH[:COLUMN]`` are ids of the tokenizer: .npy, .bin (with Megatron's .idx, if
            it is beside it) or Parquet. Anything else is a path, as in a folder.

    Raises:
        DataError: an argument is wrong, or there are no usable domains.
        JaxmixError: the hub does not answer.
    """
    own = read_own(tokenizer) if is_own(tokenizer) else None
    if own is None:
        vocab_of(tokenizer)
    if max_bytes is not None and max_bytes < 1:
        raise DataError(f"max_bytes is {max_bytes}; give at least 1, or none for everything")
    picture_size = PICTURE_SIZE if picture_size is None else picture_size
    if picture_size not in _SIZES:
        raise DataError(
            f"picture_size is {picture_size}; give {_SIZES.start} to {_SIZES.stop - 1} pixels"
        )
    if str(source) in RECIPES:
        if name not in (None, str(source)) or target_only or text_field != "text" or domains:
            raise DataError(
                f"recipe '{source}' is fixed; a name, a text field, target-only domains and "
                "domains by name are for your own data"
            )
        recipe = RECIPES[str(source)]
        sources = tuple(_from_archives(domain, picture_size) for domain in recipe.domains)
        label, about = recipe.name, recipe.about
    else:
        reader = _Reader(text_field, frozenset(target_only), max_bytes, tokenizer, own)
        folder = None if source is None and domains else _folder(source)
        sources = _own_sources(folder, domains or {}, reader)
        label, about = _label(name, folder), f"from {folder or ', '.join((domains or {}).values())}"
    size = picture_size if any(one.pictures for one in sources) else None
    label_of = tokenizer if own is None else own.name
    return CorpusPlan(label, about, sources, label_of, max_bytes, size, own)


def _from_archives(domain: Domain, size: int) -> Source:
    return Source(
        domain.name,
        {name: getattr(domain, name) for name in _FACTS},
        lambda _: domain.documents(map(fetch, domain.archives), size),
        lambda: [fetch(archive) for archive in domain.archives],
    )


def _folder(source: str | Path | None) -> Path:
    """The folder of this name, or an error that says what else could be given."""
    if source is None:
        raise DataError("name a recipe or a folder, or domains with --domain NAME=SOURCE")
    if str(source).startswith((HUB, TOKENS)):
        raise DataError(
            f"'{source}': is one domain, which needs a name: --domain web={source} --name mine"
        )
    folder = Path(source)
    if not folder.is_dir():
        file = f"is a file; name the folder it is in, or --domain web={folder}"
        what = file if folder.exists() else "there is no folder"
        nearest = hint(str(source), RECIPES)
        raise DataError(f"'{source}' is not a recipe ({nearest}), and {what}")
    return folder


def _label(name: str | None, folder: Path | None) -> str:
    """The name of a corpus of the user's own."""
    if name is None and folder is None:
        raise DataError("name the corpus with --name")
    name = checked_name(folder.resolve().name if name is None and folder else str(name))
    if name in RECIPES:
        raise DataError(f"'{name}' is the name of a recipe; choose another one with --name")
    return name


@dataclass(frozen=True)
class _Reader:
    """How sources of the user's own are read; see `plan_corpus`."""

    text_field: str
    target_only: frozenset[str]
    max_bytes: int | None
    tokenizer: str
    own: Tokenizer | None

    def facts(self, name: str, source: str, **others: Any) -> dict[str, Any]:
        """The facts of a domain for `corpus.json`."""
        usual = {"about": "", "text_field": self.text_field, "license": ""}
        flags = {"scarce": False, "pictures": False, "flip": False}
        target_only = {"target_only": name in self.target_only}
        return {"source": source, **usual, **target_only, **flags, **others}

    def from_files(self, folder: Path, domain: TextDomain | PictureDomain) -> Source:
        """A domain of text or pictures, from its files below a folder."""
        files, pictures = domain.files, isinstance(domain, PictureDomain)
        told = {"sha256": _content_hash(folder, files), "pictures": pictures}
        facts = self.facts(domain.name, _counted(files), **told)
        if isinstance(domain, PictureDomain):
            return Source(domain.name, facts, domain.documents)
        return Source(domain.name, facts, lambda skips: read_texts(domain, self.text_field, skips))

    def from_dataset(self, name: str, given: str) -> Source:
        """A domain of text that the `datasets` package reads."""
        dataset = find_dataset(given, self.text_field)
        most = None if self.max_bytes is None else enough_bytes(self.max_bytes)
        shown, content = dataset, dataset.revision
        if dataset.local:
            path = Path(dataset.name)
            files = visible_files(path) if path.is_dir() else (path,)
            shown, content = replace(dataset, name=path.name), _content_hash(path.parent, files)
        told = {"sha256": content, "license": dataset.license, "dataset": dataset.provenance}
        facts = self.facts(name, str(shown), **told)
        return Source(
            name, facts, lambda skips: capped(dataset.texts(skips, most is not None), most)
        )

    def from_tokens(self, name: str, given: str) -> Source:
        """A domain of token ids."""
        if self.own is None and self.tokenizer != "bytes":
            raise DataError(
                f"domain '{name}': {self.tokenizer} is trained on text; name the tokenizer.json "
                "that made these tokens with --tokenizer"
            )
        found, tokenizer = find_tokens(given), self.own or ByteTokenizer()
        content = _content_hash(found.folder, found.all_files)
        told = {"sha256": content, "text_field": found.column, "tokens": True}
        facts = self.facts(name, _counted(found.files), **told)
        return Source(name, facts, lambda _: found.documents(tokenizer))


def _counted(files: Sequence[Path]) -> str:
    return count(len(files), "file")


def _content_hash(folder: Path, files: Sequence[Path]) -> str:
    """Hash of files with their paths in a folder."""
    content = hashlib.sha256()
    for path in files:
        content.update(f"{path.relative_to(folder).as_posix()} {file_hash(path)}\n".encode())
    return content.hexdigest()


def _own_sources(
    folder: Path | None, given: Mapping[str, str], reader: _Reader
) -> tuple[Source, ...]:
    """The domains of a folder, if there is one, and then those that were given by name."""
    found = {} if folder is None else find_domains(folder)
    twice = next((name for name in given if name in found), None)
    if twice:
        raise DataError(f"{folder}: domain '{twice}' is in the folder and given by --domain too")
    names = [*found, *map(checked_name, given)]
    for unknown in sorted(reader.target_only - set(names)):
        where = f"{folder}: " if folder else ""
        raise DataError(f"{where}no domain '{unknown}' to evaluate on; {hint(unknown, names)}")
    if set(names) <= reader.target_only:
        raise DataError(f"{folder or 'corpus'}: every domain is target-only; leave one to train on")
    held = [reader.from_files(folder, domain) for domain in found.values() if folder]
    return (*held, *(_given(name, text, reader) for name, text in given.items()))


def _given(name: str, given: str, reader: _Reader) -> Source:
    """A domain that was given by name."""
    if given.startswith(HUB):
        return reader.from_dataset(name, given)
    if given.startswith(TOKENS):
        return reader.from_tokens(name, given)
    path = Path(given).expanduser()
    return reader.from_files(path.parent, replace(find_domain(path), name=name))
