"""WebDataset shards: tar files of pictures with their captions beside them."""

import functools
import itertools
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from .documents import Document, Picture
from .errors import DataError
from .pictures import Skips

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
NO_CAPTION = "has no caption"

Read = Callable[[], bytes]


def read_shards(paths: tuple[Path, ...], skips: Skips) -> Iterator[Document]:
    """Pairs of WebDataset shards: neighbors in a tar that share their names up to the first dot.

    A sample is a picture, and its caption in `.txt` or in the field `caption` of `.json`.

    Args:
        paths: the tar files, in order.
        skips: counts samples without a picture or a caption.

    Raises:
        DataError: a file is not a tar file.
    """
    for path in paths:
        try:
            with tarfile.open(path, "r:") as tar:
                for key, members in itertools.groupby(filter(_is_file, tar), _key):
                    files = {_extension(m): functools.partial(_read, tar, m) for m in members}
                    document = _sample(f"{path}:{key}", files, skips)
                    if document:
                        yield document
        except (tarfile.TarError, EOFError) as error:
            raise DataError(
                f"{path}: is not a tar file or is cut short ({error}); replace it by an "
                "uncompressed tar file"
            ) from None


def _is_file(member: tarfile.TarInfo) -> bool:
    return member.isfile() and not PurePosixPath(member.name).name.startswith(".")


def _key(member: tarfile.TarInfo) -> str:
    path = PurePosixPath(member.name)
    return str(path.parent / path.name.partition(".")[0])


def _extension(member: tarfile.TarInfo) -> str:
    return "." + PurePosixPath(member.name).name.partition(".")[2].lower()


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""


def _sample(where: str, files: Mapping[str, Read], skips: Skips) -> Document | None:
    """The pair of a sample, from its files by extension, or None if it is skipped."""
    picture = next((files[suffix] for suffix in SUFFIXES if suffix in files), None)
    caption = _caption(files)
    if picture and caption:
        return Document((Picture(picture(), where), caption), frozenset(), where)
    skips.add(where, NO_CAPTION if picture else "has no picture")
    return None


def _caption(files: Mapping[str, Read]) -> str:
    """The caption beside a picture: a text, or the field of a JSON object; "" if there is none."""
    try:
        if ".txt" in files:
            return files[".txt"]().decode("utf-8-sig").strip()
        record = json.loads(files[".json"]()) if ".json" in files else {}
    except (ValueError, RecursionError):
        return ""
    caption = record.get("caption") if isinstance(record, dict) else None
    return caption.strip() if isinstance(caption, str) else ""
