"""Corpora from the user's own folder: one subfolder, JSONL file or text file per domain."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .errors import DataError, clip
from .paths import checked_name
from .picture_folders import (
    PictureDomain,
    find_picture_domain,
    has_only_page_pictures,
    json_lines,
    visible_files,
)
from .skips import Skips, Unusable, unicode_text
from .text import pieces

DOCUMENT = 4_000  # characters of a document cut from one text file of a whole domain
_TABLES = (".parquet", ".pq", ".arrow")
LONGEST = 64_000  # characters; longer files of a subfolder are cut


@dataclass(frozen=True)
class TextDomain:
    """The files of one domain of text.

    Attributes:
        name: name of the domain.
        files: its files, in order.
        is_one_file: whether the domain is one file, not a subfolder.
    """

    name: str
    files: tuple[Path, ...]
    is_one_file: bool


def find_domains(folder: Path) -> dict[str, TextDomain | PictureDomain]:
    """The domains of a folder by name; hidden files are ignored.

    Args:
        folder: a folder of `<domain>/` subfolders of text files, `<domain>.jsonl` and
            `<domain>.txt`, and of what `find_picture_domain` finds.

    Raises:
        DataError: there is no domain, one is named twice or has no file, or a name is not usable.
    """
    found: dict[str, TextDomain | PictureDomain] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or has_only_page_pictures(entry):
            continue
        domain = find_picture_domain(entry) or _text_domain(entry)
        if domain is None:
            continue
        if domain.name in found:
            raise DataError(f"{folder}: domain '{domain.name}' occurs twice; keep one")
        found[domain.name] = domain
    if not found:
        raise DataError(
            f"{folder}: holds no domain; make one subfolder of text files, one <domain>.jsonl or "
            "one <domain>.txt for each, or name Parquet and CSV with --domain web=hf:FILE"
        )
    return found


def find_domain(entry: Path) -> TextDomain | PictureDomain:
    """The domain in a subfolder or file of any name.

    Raises:
        DataError: it is not there, or is no domain.
    """
    if not entry.exists():
        raise DataError(f"{entry}: no such file or folder; name one, or a data set as hf:NAME")
    found = find_picture_domain(entry) or _text_domain(entry)
    if found is None:
        raise DataError(
            f"{entry}: is not .jsonl or .txt; write hf:{entry} for Parquet, CSV and Arrow, "
            f"tokens:{entry} for token ids"
        )
    return found


def _text_domain(entry: Path) -> TextDomain | None:
    """The domain of text that an entry of the folder is, or None."""
    if entry.is_dir():
        found = TextDomain(checked_name(entry.name), visible_files(entry), False)
    elif entry.suffix in (".jsonl", ".txt"):
        found = TextDomain(checked_name(entry.stem), (entry,), True)
    else:
        return None
    if not found.files:
        raise DataError(f"{entry}: domain '{found.name}' has no files; add text or remove it")
    if all(path.suffix in _TABLES for path in found.files):
        raise DataError(
            f"{entry}: holds {found.files[0].suffix} files, not text; leave it out of the folder "
            f"and name it with --domain {found.name}=hf:{entry}"
        )
    return found


def read_texts(
    domain: TextDomain, text_field: str = "text", skips: Skips | None = None
) -> Iterator[str]:
    """The documents of a domain of text.

    Each line of a JSONL file is a document, and so is each file of a subfolder unless it is very
    long. A text file that is a whole domain is cut at blank lines into documents of about 4,000
    characters.

    Args:
        domain: the domain.
        text_field: the field of a JSONL line that holds the text.
        skips: counts lines and files that cannot be read.

    Raises:
        DataError: there is no text at all, or half of the lines of a JSONL file cannot be read.
    """
    skips = skips or Skips()
    empty = True
    for path in domain.files:
        for text in _texts(path, text_field, domain, skips):
            empty = empty and not text.strip()
            yield text
    if empty and not skips.count:
        raise DataError(
            f"{domain.files[0]}: domain '{domain.name}' holds no text; add some or remove it"
        )


def _texts(path: Path, field: str, domain: TextDomain, skips: Skips) -> Iterator[str]:
    if path.suffix == ".jsonl":
        yield from (text for _, text in json_lines(path, partial(_field, field), skips))
        return
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        said = f"byte {error.start} is not UTF-8"
        remedy = "convert the file or remove it"
        skips.add(f"{path}:{line}", Unusable("is not UTF-8", said, remedy))
        return
    size = DOCUMENT if domain.is_one_file else LONGEST
    yield from pieces(text.replace("\r\n", "\n"), size)


def _field(field: str, record: dict[str, Any]) -> str:
    """The text in a field of a line."""
    text = record.get(field)
    if not isinstance(text, str):
        reason = f"has no text in field '{field}'"
        said = f"{reason} (there: {clip(', '.join(record))})"
        raise Unusable(reason, said, "name it with --text-field")
    return unicode_text(text)


def write_texts(folder: str | Path, texts: Iterable[tuple[str, str]]) -> Path:
    """Writes (domain, text) pairs from any source as a folder that `prepare` reads.

    Args:
        folder: the folder to write; it must be new or empty.
        texts: pairs of a domain's name and a document, in any order.

    Returns:
        The folder.

    Raises:
        DataError: the folder is not empty, or a name is not usable for a domain.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DataError(f"{folder}: is not empty; name a new folder")
    files = {}
    try:
        for name, text in texts:
            if name not in files:
                path = folder / f"{checked_name(name)}.jsonl"
                files[name] = path.open("w", encoding="utf-8")
            files[name].write(json.dumps({"text": text}) + "\n")
    finally:
        for file in files.values():
            file.close()
    return folder
