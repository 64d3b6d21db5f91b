"""The user's own pictures: folders with captions, JSONL files of pages, and WebDataset shards."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from jaxmix.files import json_fault

from .documents import Document, Picture
from .errors import DataError, clip
from .paths import checked_name
from .shards import NO_CAPTION, SUFFIXES, is_shard, read_shards
from .skips import Skips, Unusable

_CAPTIONS = ("captions.csv", "captions.jsonl")
_NOT_THERE = "names a file that is not there"
_OUTSIDE = "names a file outside its folder"

T = TypeVar("T")


@dataclass(frozen=True)
class PictureDomain:
    """The files of one domain with pictures.

    Attributes:
        name: name of the domain.
        files: all files that decide its content, in order.
        source: a file of captions or pages, or a folder of shards.
    """

    name: str
    files: tuple[Path, ...]
    source: Path

    def documents(self, skips: Skips) -> Iterator[Document]:
        """Its documents, in the order of its files.

        Args:
            skips: counts lines that are not documents, and documents that have no caption or whose
                pictures are not there, by file and row; what is wrong inside a picture is found
                when it is decoded.

        Raises:
            DataError: a file does not have the form that it should have.
        """
        if self.source.is_dir():
            yield from read_shards(self.files, skips)
        elif self.source.name in _CAPTIONS:
            yield from _captioned(self.source, skips)
        else:
            yield from _pages(self.source, skips)


def find_picture_domain(entry: Path) -> PictureDomain | None:
    """The domain with pictures that an entry of a folder is, or None if it has no pictures.

    Args:
        entry: a subfolder with `captions.csv` (columns file, caption), `captions.jsonl` or
            WebDataset shards `*.tar`; or a `<domain>.jsonl` whose lines have `parts`, or `texts`
            and `images`, with paths relative to the folder of the file.

    Raises:
        DataError: a subfolder has pictures and no captions, or captions twice; a JSONL file of
            pages does not have the form that it should have.
    """
    if entry.is_dir():
        return _find_folder(entry)
    if entry.suffix == ".jsonl" and _begins_with_page(entry):
        return PictureDomain(checked_name(entry.stem), (entry, *_page_files(entry)), entry)
    return None


def has_only_page_pictures(entry: Path) -> bool:
    """Whether a subfolder only holds pictures for a JSONL file of pages beside it."""
    if not entry.is_dir() or any((entry / name).is_file() for name in _CAPTIONS):
        return False
    beside = (path for path in sorted(entry.parent.glob("*.jsonl")) if _begins_with_page(path))
    return any(entry in file.parents for path in beside for file in _page_files(path))


def _find_folder(entry: Path) -> PictureDomain | None:
    captions = [entry / name for name in _CAPTIONS if (entry / name).is_file()]
    if len(captions) > 1:
        raise DataError(f"{entry}: has {' and '.join(_CAPTIONS)}; keep one")
    files = visible_files(entry)
    if captions:
        return PictureDomain(checked_name(entry.name), files, captions[0])
    shards = tuple(path for path in files if is_shard(path))
    if shards:
        return PictureDomain(checked_name(entry.name), shards, entry)
    if any(path.suffix.lower() in SUFFIXES for path in files):
        raise DataError(
            f"{entry}: has pictures and no captions; add captions.csv with the columns file,caption"
        )
    return None


def visible_files(folder: Path) -> tuple[Path, ...]:
    """All files below a folder, sorted, without hidden ones."""
    below = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return tuple(
        path
        for path in below
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


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
    rows = _csv_rows(source, skips) if source.suffix == ".csv" else _jsonl_rows(source, skips)
    for where, file, caption in rows:
        picture = _picture(source.parent, file) if caption.strip() else NO_CAPTION
        if isinstance(picture, str):
            skips.add(where, picture)
        else:
            yield Document((picture, caption.strip()), frozenset(), where)


def _csv_rows(source: Path, skips: Skips) -> Iterator[tuple[str, str, str]]:
    """File and line, picture and caption of every row."""
    good = bad = 0
    try:
        with source.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            _check_columns(source, rows.fieldnames or ())
            for row in rows:
                where, pair = f"{source}:{rows.line_num}", (row["file"] or "", row["caption"] or "")
                if all(_is_unicode(text) for text in pair):
                    good += 1
                    yield where, *pair
                else:
                    bad += 1
                    skips.add(where, Unusable("is not UTF-8", remedy="convert the file"))
    except csv.Error as error:
        raise DataError(f"{source}: is not a CSV file ({error}); fix the file") from None
    if bad and bad >= good:
        raise DataError(f"{source}: is not UTF-8; convert the file")


def _check_columns(source: Path, there: Sequence[str]) -> None:
    for column in ("file", "caption"):
        if column not in there:
            raise DataError(
                f"{source}:1: has no column '{column}' (there: {clip(', '.join(there))}); "
                "name the columns file,caption in the first row"
            )


def _is_unicode(text: str) -> bool:
    try:
        return bool(text.encode()) or not text
    except UnicodeEncodeError:
        return False


def _jsonl_rows(source: Path, skips: Skips) -> Iterator[tuple[str, str, str]]:
    yield from ((where, *pair) for where, pair in json_lines(source, _file_and_caption, skips))


def _file_and_caption(record: dict[str, Any]) -> tuple[str, str]:
    file, caption = record.get("file"), record.get("caption")
    if not isinstance(file, str) or not isinstance(caption, str | None):
        reason = "has no file and caption"
        remedy = 'write lines like {"file": "a.png", "caption": "a cat"}'
        raise Unusable(reason, f"{reason} (there: {clip(', '.join(record))})", remedy)
    return file, caption or ""


def json_lines(
    source: Path, read: Callable[[dict[str, Any]], T], skips: Skips
) -> Iterator[tuple[str, T]]:
    """File and line, and what `read` makes of the object there, of every line that is not empty.

    Args:
        source: a JSONL file.
        read: reads an object, or raises `Unusable`.
        skips: counts lines that are not JSON objects, and those that `read` refuses.

    Raises:
        DataError: half of the lines or more cannot be read, so that the file is of another kind;
            names the first of them.
    """
    good, bad = 0, Skips()
    with source.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                where = f"{source}:{number}"
                try:
                    found = read(_json_object(line))
                except Unusable as error:
                    bad.add(where, error)
                    skips.add(where, error)
                else:
                    good += 1
                    yield where, found
    if bad.count and bad.count >= good:
        raise DataError(bad.first)


def _json_object(line: bytes) -> dict[str, Any]:
    remedy = "fix or remove the line"
    try:
        record = json.loads(line)
    except UnicodeDecodeError:
        raise Unusable("is not UTF-8", remedy="convert the file") from None
    except (ValueError, RecursionError) as error:
        raise Unusable("is not JSON", f"is not JSON ({json_fault(error)})", remedy) from None
    if not isinstance(record, dict):
        raise Unusable("is not a JSON object", remedy=remedy)
    return record


def _begins_with_page(source: Path) -> bool:
    """Whether the first object of a JSONL file has parts; bad lines are reported later."""
    try:
        record = next(json_lines(source, dict, Skips()), ("", {}))[1]
    except (DataError, OSError):
        return False
    return "parts" in record or {"texts", "images"} <= record.keys()


def _page_files(source: Path) -> list[Path]:
    """The pictures of a JSONL file of pages that are there, sorted."""
    pages = (items for _, items in json_lines(source, _items, Skips()))
    names = {PurePosixPath(held) for items in pages for kind, held in items if kind == "image"}
    inside = (name for name in names if not name.is_absolute() and ".." not in name.parts)
    return sorted(path for path in (source.parent / name for name in inside) if _is_file(path))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or with a NUL
        return False


def _pages(source: Path, skips: Skips) -> Iterator[Document]:
    for where, items in json_lines(source, _items, skips):
        pictures = {
            i: _picture(source.parent, held) for i, (k, held) in enumerate(items) if k == "image"
        }
        missing = [picture for picture in pictures.values() if isinstance(picture, str)]
        parts = tuple(pictures.get(i, held) for i, (_, held) in enumerate(items))
        if missing:
            skips.add(where, missing[0])
        elif len(pictures) == len(items):
            skips.add(where, "has no text")
        else:
            yield Document(parts, frozenset(), where)


def _items(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Kind (text, image) and text or path of every part of a page; empty texts are dropped."""
    if "parts" in record:
        remedy = 'give "parts" as a list of {"text": "..."} and {"image": "path"}'
        parts = _list_of(record["parts"], dict, remedy)
        pairs = [tuple(part.items()) for part in parts]
    else:
        remedy = 'give "texts" and "images" as lists of one length, null where the other is not'
        texts, images = (_list_of(record.get(key), object, remedy) for key in ("texts", "images"))
        if len(texts) != len(images):
            said = f"{len(texts)} texts beside {len(images)} images"
            raise Unusable("has lists of two lengths", said, remedy)
        given = (
            zip(("text", "image"), one, strict=True) for one in zip(texts, images, strict=True)
        )
        pairs = [tuple(pair for pair in one if pair[1] is not None) for one in given]
    for number, pair in enumerate(pairs):
        _check_part(number, pair, remedy)
    return [pair[0] for pair in pairs if pair[0][0] == "image" or pair[0][1].strip()]


def _check_part(number: int, pair: tuple[tuple[str, Any], ...], remedy: str) -> None:
    if len(pair) != 1 or pair[0][0] not in ("text", "image") or not isinstance(pair[0][1], str):
        one = "not one text or one image"
        raise Unusable(f"has a part that is {one}", f"part {number} is {one}", remedy)
    if pair[0][0] == "image" and ("://" in pair[0][1] or pair[0][1].startswith("data:")):
        raise Unusable(
            "has an address in place of a file",
            f"part {number} is an address, not a file",
            "save the picture and give its path from the folder of this file",
        )


def _list_of(found: Any, kind: type, remedy: str) -> list[Any]:
    if not isinstance(found, list) or not all(isinstance(one, kind) for one in found):
        raise Unusable("is not a page of texts and images", remedy=remedy)
    return found
