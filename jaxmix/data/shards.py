"""WebDataset shards: tar files of pictures with their captions beside them."""

from __future__ import annotations

import itertools
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from .documents import Document, Picture
from .errors import DataError
from .pictures import Skips

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
NO_CAPTION = "has no caption"


def read_shards(paths: tuple[Path, ...], skips: Skips) -> Iterator[Document]:
    """Pairs of WebDataset shards: neighbors in a tar that share their names up to the first dot.

    A sample is a picture, and its caption in `.txt` or in the field `caption` of `.json`.

    Args:
        paths: the tar files, in order.
        skips: to be told of samples without one of both.

    Raises:
        DataError: a file is no tar.
    """
    for path in paths:
        try:
            with tarfile.open(path, "r:") as tar:
                for key, members in itertools.groupby(filter(_is_file, tar), _key):
                    held = {_extension(member): member for member in members}
                    document = _sample(f"{path}:{key}", held, _reader(tar), skips)
                    if document:
                        yield document
        except (tarfile.TarError, EOFError) as error:
            raise DataError(
                f"{path}: is no tar file or cut short ({error}); bring it again, uncompressed"
            ) from None


def _is_file(member: tarfile.TarInfo) -> bool:
    return member.isfile() and not PurePosixPath(member.name).name.startswith(".")


def _key(member: tarfile.TarInfo) -> str:
    path = PurePosixPath(member.name)
    return str(path.parent / path.name.partition(".")[0])


def _extension(member: tarfile.TarInfo) -> str:
    return "." + PurePosixPath(member.name).name.partition(".")[2].lower()


def _reader(tar: tarfile.TarFile) -> Callable[[tarfile.TarInfo], bytes]:
    def read(member: tarfile.TarInfo) -> bytes:
        file = tar.extractfile(member)
        return file.read() if file else b""

    return read


def _sample(
    where: str,
    held: dict[str, tarfile.TarInfo],
    read: Callable[[tarfile.TarInfo], bytes],
    skips: Skips,
) -> Document | None:
    """The pair of a sample, by extension, or None where it is skipped."""
    picture = next((held[suffix] for suffix in SUFFIXES if suffix in held), None)
    caption = _caption(held, read)
    if picture and caption:
        return Document((Picture(read(picture), where), caption), frozenset(), where)
    skips.add(where, NO_CAPTION if picture else "has no picture")
    return None


def _caption(held: dict[str, tarfile.TarInfo], read: Callable[[tarfile.TarInfo], bytes]) -> str:
    """The caption beside a picture: a text, or the field of a JSON object; "" for none."""
    try:
        if ".txt" in held:
            return read(held[".txt"]).decode("utf-8-sig").strip()
        record = json.loads(read(held[".json"])) if ".json" in held else {}
    except (ValueError, RecursionError):
        return ""
    caption = record.get("caption") if isinstance(record, dict) else None
    return caption.strip() if isinstance(caption, str) else ""
