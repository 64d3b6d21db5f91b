"""What a corpus will be made of, before any of it is read or downloaded."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxmix.files import file_hash

from .corpus import FORMAT
from .download import fetch
from .errors import DataError, hint
from .folders import TextDomain, find_domains, read_texts
from .paths import checked_name, corpora
from .picture_folders import PictureDomain
from .recipes import RECIPES, Domain
from .skips import Skips
from .tokenizer import vocab_of

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
        read: yields its documents: texts, or `Document` if ``facts["pictures"]``, and counts those
            that it skips.
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


@dataclass(frozen=True)
class CorpusPlan:
    """A corpus to prepare.

    Attributes:
        name: name of the corpus.
        about: a short description.
        sources: its domains.
        tokenizer: `bytes` or `bpe-N`.
        max_bytes: most bytes of every domain's train split.
        picture_size: shorter side of every kept picture in pixels; None if there are none.
    """

    name: str
    about: str
    sources: tuple[Source, ...]
    tokenizer: str
    max_bytes: int | None
    picture_size: int | None = None

    @property
    def config(self) -> dict[str, Any]:
        """Everything that decides the content of the corpus; descriptions do not."""
        sources = [[one.name, {k: one.facts.get(k) for k in _IDENTITY}] for one in self.sources]
        return {
            "format": FORMAT,
            "name": self.name,
            "tokenizer": self.tokenizer,
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
    source: str | Path,
    *,
    tokenizer: str = "bpe-4096",
    max_bytes: int | None = None,
    name: str | None = None,
    text_field: str = "text",
    target_only: Sequence[str] = (),
    picture_size: int | None = None,
) -> CorpusPlan:
    """Plans a corpus; nothing is downloaded.

    Args:
        source: a recipe's name, or a folder. In a folder, a domain of text is a subfolder of text
            files, a `<domain>.jsonl` or a `<domain>.txt`; a domain with pictures is a subfolder of
            images with a captions.csv or captions.jsonl, a subfolder of WebDataset shards
            (`*.tar`), or a `<domain>.jsonl` with texts and images in turn.
        tokenizer: `bytes`, or `bpe-N`, which is trained on equal bytes of every training domain.
        max_bytes: most bytes of every domain's train split, texts and pictures, for a quick try.
        name: name of a corpus made from a folder; the default is the folder's name.
        text_field: the field of a JSONL line that holds the text.
        target_only: domains of a folder to evaluate on and never train on.
        picture_size: shorter side of every kept picture in pixels, a little more than a model's,
            which sees crops of it; None for 48.

    Raises:
        DataError: an argument is wrong, or the folder holds no usable domains.
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
                "your own folders"
            )
        recipe = RECIPES[str(source)]
        sources = tuple(_from_archives(domain, picture_size) for domain in recipe.domains)
        label, about = recipe.name, recipe.about
    else:
        folder = _folder(source)
        sources = tuple(_from_folder(folder, text_field, target_only))
        label, about = _folder_name(name, folder), f"from {folder}"
    size = picture_size if any(one.pictures for one in sources) else None
    return CorpusPlan(label, about, sources, tokenizer, max_bytes, size)


def _from_archives(domain: Domain, size: int) -> Source:
    return Source(
        domain.name,
        {name: getattr(domain, name) for name in _FACTS},
        lambda _: domain.documents(map(fetch, domain.archives), size),
        lambda: [fetch(archive) for archive in domain.archives],
    )


def _folder(source: str | Path) -> Path:
    """The folder of this name, or an error that says what else could be given."""
    if str(source).startswith("hf:"):
        raise DataError(
            f"'{source}': data sets of a hub are read by their own package; write them to a folder "
            "with jaxmix.data.write_texts(folder, pairs of domain and text) and prepare that"
        )
    folder = Path(source)
    if not folder.is_dir():
        what = "is a file; name the folder it is in" if folder.exists() else "there is no folder"
        nearest = hint(str(source), RECIPES)
        raise DataError(f"'{source}' is not a recipe ({nearest}), and {what}")
    return folder


def _folder_name(name: str | None, folder: Path) -> str:
    name = checked_name(folder.resolve().name if name is None else name)
    if name in RECIPES:
        raise DataError(f"'{name}' is the name of a recipe; choose another one with --name")
    return name


def _from_folder(folder: Path, text_field: str, target_only: Sequence[str]) -> Iterator[Source]:
    domains = find_domains(folder)
    for unknown in (name for name in target_only if name not in domains):
        raise DataError(f"{folder}: no domain '{unknown}' to evaluate on; {hint(unknown, domains)}")
    if set(domains) <= set(target_only):
        raise DataError(f"{folder}: every domain is target-only; leave one to train on")
    for name, domain in domains.items():
        yield _from_files(folder, domain, text_field, name in target_only)


def _from_files(
    folder: Path, domain: TextDomain | PictureDomain, text_field: str, target_only: bool
) -> Source:
    files = domain.files
    content = hashlib.sha256()
    for path in files:
        content.update(f"{path.relative_to(folder).as_posix()} {file_hash(path)}\n".encode())
    facts = {
        "about": "",
        "source": f"{len(files)} file{'s' * (len(files) != 1)}",
        "sha256": content.hexdigest(),
        "text_field": text_field,
        "license": "",
        "target_only": target_only,
        "scarce": False,
        "pictures": isinstance(domain, PictureDomain),
        "flip": False,
    }
    if isinstance(domain, PictureDomain):
        return Source(domain.name, facts, domain.documents)
    return Source(domain.name, facts, lambda skips: read_texts(domain, text_field, skips))
