"""One's own pictures: folders with captions, JSONL files of pages, and WebDataset shards."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .documents import Document, Picture
from .errors import DataError, clip
from .pictures import Skips
from .places import checked_name
from .shards import NO_CAPTION, SUFFIXES, read_shards

_CAPTIONS = ("captions.csv", "captions.jsonl")
_NOT_THERE = "names a file that is not there"
_OUTSIDE = "names a file outside its folder"


@dataclass(frozen=True)
class OwnPictures:
    """One domain with pictures.

    Attributes:
        name: of the domain.
        files: all that decides its content, in order.
        source: where to begin reading: a file with captions or pages, or a folder of shards.
    """

    name: str
    files: tuple[Path, ...]
    source: Path

    def documents(self, skips: Skips) -> Iterator[Document]:
        """Its documents, in the order of its files.

        Args:
            skips: to be told of documents without a caption or whose pictures are not there, by
                file and row; what is wrong inside a picture shows when it is decoded.

        Raises:
            DataError: a file is not built as it should be.
        """
        if self.source.is_dir():
            yield from read_shards(self.files, skips)
        elif self.source.name in _CAPTIONS:
            yield from _captioned(self.source, skips)
        else:
            yield from _pages(self.source, skips)


def find_picture_domain(entry: Path) -> OwnPictures | None:
    """The domain with pictures that an entry of a folder is, or None where it has no pictures.

    Args:
        entry: a subfolder with `captions.csv` (columns file, caption), `captions.jsonl` or
            WebDataset shards `*.tar`; or a `<domain>.jsonl` whose lines have `parts`, or `texts`
            and `images`, with paths from the folder of the file.

    Raises:
        DataError: a subfolder has pictures and no captions, or captions twice; a JSONL file of
            pages is not built as it should be.
    """
    if entry.is_dir():
        return _find_folder(entry)
    if entry.suffix == ".jsonl" and _begins_with_page(entry):
        return _named(entry.stem, (entry, *_page_files(entry)), entry)
    return None


def is_supply(entry: Path) -> bool:
    """Whether an entry of a folder only has pictures for a JSONL file of pages beside it."""
    if not entry.is_dir() or any((entry / name).is_file() for name in _CAPTIONS):
        return False
    beside = (path for path in sorted(entry.parent.glob("*.jsonl")) if _begins_with_page(path))
    return any(entry in file.parents for path in beside for file in _page_files(path))


def _find_folder(entry: Path) -> OwnPictures | None:
    captions = [entry / name for name in _CAPTIONS if (entry / name).is_file()]
    if len(captions) > 1:
        raise DataError(f"{entry}: has {' and '.join(_CAPTIONS)}; keep one")
    below = (path for path in sorted(entry.rglob("*")) if path.is_file())
    files = tuple(path for path in below if not _hidden(path.relative_to(entry)))
    if captions:
        return _named(entry.name, files, captions[0])
    shards = tuple(path for path in files if path.suffix == ".tar")
    if shards:
        return _named(entry.name, shards, entry)
    if any(path.suffix.lower() in SUFFIXES for path in files):
        raise DataError(
            f"{entry}: has pictures and no captions; add captions.csv with the columns file,caption"
        )
    return None


def _named(name: str, files: tuple[Path, ...], source: Path) -> OwnPictures:
    return OwnPictures(checked_name(name), files, source)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _picture(folder: Path, name: str) -> Picture | str:
    """A picture below a folder, or why there is none."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        return _OUTSIDE
    try:
        data = (folder / path).read_bytes()
    except (OSError, ValueError):  # a NUL in the name is a ValueError
        return _NOT_THERE
    return Picture(data, str(path))


def _captioned(source: Path, skips: Skips) -> Iterator[Document]:
    """Pairs of a file with captions."""
    rows = _csv_rows(source) if source.suffix == ".csv" else _jsonl_rows(source)
    for where, file, caption in rows:
        if not caption.strip():
            skips.add(where, NO_CAPTION)
            continue
        picture = _picture(source.parent, file)
        if isinstance(picture, str):
            skips.add(where, picture)
        else:
            yield Document((picture, caption.strip()), frozenset(), where)


def _csv_rows(source: Path) -> Iterator[tuple[str, str, str]]:
    """Place, file and caption of every row."""
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            there = rows.fieldnames or ()
            for column in ("file", "caption"):
                if column not in there:
                    raise DataError(
                        f"{source}:1: has no column '{column}' (there: {clip(', '.join(there))}); "
                        "name the columns file,caption in the first row"
                    )
            for row in rows:
                yield f"{source}:{rows.line_num}", row["file"] or "", row["caption"] or ""
    except UnicodeDecodeError:
        raise DataError(f"{source}: is not UTF-8; convert the file") from None
    except csv.Error as error:
        raise DataError(f"{source}: is no CSV ({error}); mend the file") from None


def _jsonl_rows(source: Path) -> Iterator[tuple[str, str, str]]:
    for where, record in _records(source):
        file, caption = record.get("file"), record.get("caption")
        if not isinstance(file, str) or not isinstance(caption, str | None):
            raise DataError(
                f"{where}: has no file and caption (there: {clip(', '.join(record))}); write lines "
                'like {"file": "a.png", "caption": "a cat"}'
            )
        yield where, file, caption or ""


def _records(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and object of every line of a JSONL file that is not empty."""
    with source.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                where = f"{source}:{number}"
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:  # of its encoding, too
                    raise DataError(
                        f"{where}: is not JSON ({clip(error)}); mend or remove the line"
                    ) from None
                if not isinstance(record, dict):
                    raise DataError(f"{where}: is no JSON object; mend or remove the line")
                yield where, record


def _begins_with_page(source: Path) -> bool:
    """Whether the first line of a JSONL file has parts; text and its errors are not told here."""
    try:
        record = next(_records(source), ("", {}))[1]
    except (DataError, OSError):
        return False
    return "parts" in record or {"texts", "images"} <= record.keys()


def _page_files(source: Path) -> list[Path]:
    """The pictures of a JSONL file of pages that are there, sorted."""
    pages = (_items(where, record) for where, record in _records(source))
    names = {PurePosixPath(held) for items in pages for kind, held in items if kind == "image"}
    inside = (name for name in names if not name.is_absolute() and ".." not in name.parts)
    return sorted(path for path in (source.parent / name for name in inside) if path.is_file())


def _pages(source: Path, skips: Skips) -> Iterator[Document]:
    for where, record in _records(source):
        parts = [
            _picture(source.parent, held) if kind == "image" else (held,)
            for kind, held in _items(where, record)
        ]
        missing = [part for part in parts if isinstance(part, str)]
        flat = tuple(part[0] if isinstance(part, tuple) else part for part in parts)
        if missing:
            skips.add(where, missing[0])
        elif not any(isinstance(part, str) and part.strip() for part in flat):
            skips.add(where, "has no text")
        else:
            yield Document(flat, frozenset(), where)


def _items(where: str, record: dict[str, Any]) -> list[tuple[str, str]]:
    """Kind (text, image) and text or path of every part of a page; empty texts are dropped."""
    if "parts" in record:
        found = record["parts"]
        remedy = 'give "parts" as a list of {"text": "..."} and {"image": "path"}'
        pairs = [tuple(part.items()) for part in _list_of(found, dict, where, remedy)]
    else:
        remedy = 'give "texts" and "images" as lists of one length, null where the other is not'
        texts, images = (_list_of(record.get(key), object, where, remedy) for key in _OBELICS)
        if len(texts) != len(images):
            raise DataError(f"{where}: {len(texts)} texts beside {len(images)} images; {remedy}")
        both = zip(texts, images, strict=True)
        pairs = [tuple(p for p in (("text", t), ("image", i)) if p[1] is not None) for t, i in both]
    for number, pair in enumerate(pairs):
        if len(pair) != 1 or pair[0][0] not in ("text", "image") or not isinstance(pair[0][1], str):
            raise DataError(f"{where}: part {number} is not one text or one image; {remedy}")
        if pair[0][0] == "image" and ("://" in pair[0][1] or pair[0][1].startswith("data:")):
            raise DataError(
                f"{where}: part {number} is an address and no file; save the picture and give its "
                "path from the folder of this file"
            )
    return [pair[0] for pair in pairs if pair[0][0] == "image" or pair[0][1].strip()]


_OBELICS = ("texts", "images")


def _list_of(found: Any, kind: type, where: str, remedy: str) -> list[Any]:
    if not isinstance(found, list) or not all(isinstance(one, kind) for one in found):
        raise DataError(f"{where}: is no page of texts and images; {remedy}")
    return found
