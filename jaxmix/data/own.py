"""One's own text: a folder with one subfolder, JSONL file or text file a domain."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import DataError, clip
from .own_pictures import OwnPictures, find_picture_domain, is_supply
from .places import checked_name
from .text import pieces

DOCUMENT = 4_000  # characters of a document cut from one text file of a whole domain
LONGEST = 64_000  # characters; longer files of a subfolder are cut


@dataclass(frozen=True)
class OwnDomain:
    """The files of one domain.

    Attributes:
        name: of the domain.
        files: in order.
        is_one_file: the domain is one file, not a subfolder.
    """

    name: str
    files: tuple[Path, ...]
    is_one_file: bool


def find_domains(folder: Path) -> dict[str, OwnDomain | OwnPictures]:
    """The domains of a folder by name; hidden files are passed over.

    Args:
        folder: with `<domain>/` subfolders of text files, `<domain>.jsonl` and `<domain>.txt`, and
            what `find_picture_domain` knows.

    Raises:
        DataError: there is no domain, one is named twice or has no file, or a name is not usable.
    """
    found: dict[str, OwnDomain | OwnPictures] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or is_supply(entry):
            continue
        domain = find_picture_domain(entry) or _domain(entry)
        if domain is None:
            continue
        if domain.name in found:
            raise DataError(f"{folder}: domain '{domain.name}' is there twice; keep one")
        found[domain.name] = domain
    if not found:
        raise DataError(
            f"{folder}: holds no domain; make one subfolder of text files, one <domain>.jsonl or "
            "one <domain>.txt for each"
        )
    return found


def _domain(entry: Path) -> OwnDomain | None:
    """The domain that an entry of the folder is, or None."""
    if entry.is_dir():
        below = (path for path in sorted(entry.rglob("*")) if path.is_file())
        files = tuple(path for path in below if not _hidden(path.relative_to(entry)))
        found = OwnDomain(checked_name(entry.name), files, False)
    elif entry.suffix in (".jsonl", ".txt"):
        found = OwnDomain(checked_name(entry.stem), (entry,), True)
    else:
        return None
    if not found.files:
        raise DataError(f"{entry}: domain '{found.name}' has no files; add text or remove it")
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def read_documents(domain: OwnDomain, text_field: str = "text") -> Iterator[str]:
    """The documents of a domain.

    A line of a JSONL file is a document, and so is a file of a subfolder unless it is very long;
    a text file that is a whole domain is cut at blank lines into documents of about 4,000
    characters.

    Args:
        domain: its files.
        text_field: where the text of a JSONL line is.

    Raises:
        DataError: a line or a file cannot be read, or there is no text at all.
    """
    size = DOCUMENT if domain.is_one_file else LONGEST
    empty = True
    for path in domain.files:
        jsonl = path.suffix == ".jsonl"
        for text in _jsonl(path, text_field) if jsonl else pieces(_read(path), size):
            empty = empty and not text.strip()
            yield text
    if empty:
        raise DataError(
            f"{domain.files[0]}: domain '{domain.name}' holds no text; add some or remove it"
        )


def _read(path: Path) -> str:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: byte {error.start} is not UTF-8; convert the file or take it out"
        ) from None
    return text.replace("\r\n", "\n")


def _jsonl(path: Path, field: str) -> Iterator[str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _record(line, field, f"{path}:{number}")


def _record(line: bytes, field: str, where: str) -> str:
    """The text of one JSON line."""
    try:
        record = json.loads(line)
    except UnicodeDecodeError:
        raise DataError(f"{where}: is not UTF-8; convert the file") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is not JSON ({error}); mend or remove the line") from None
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
        there = ", ".join(record) if isinstance(record, dict) else type(record).__name__
        raise DataError(
            f"{where}: has no text in field '{field}' (there: {clip(there)}); name it with "
            "--text-field"
        )
    try:
        record[field].encode()
    except UnicodeEncodeError:
        raise DataError(f"{where}: holds half a surrogate pair; mend or remove it") from None
    return record[field]


def write_texts(folder: str | Path, texts: Iterable[tuple[str, str]]) -> Path:
    """Writes (domain, text) pairs from anywhere as a folder that `prepare` reads.

    The way in for data sets that other packages read: with the `datasets` package,
    `write_texts("mine", (("web", row["text"]) for row in load_dataset(...)))`.

    Args:
        folder: to write; it must not be there or be empty.
        texts: pairs of a domain's name and a document, in any order.

    Returns:
        The folder.

    Raises:
        DataError: the folder holds something, or a name cannot name a domain.
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
