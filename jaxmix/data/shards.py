"""WebDataset shards: tar files of pictures with their captions beside them."""

import bz2
import contextlib
import functools
import gzip
import json
import lzma
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from .documents import Document, Picture
from .errors import DataError
from .skips import Skips, Unusable

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
NO_CAPTION = "has no caption"

_NAMES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_ZSTD = b"\x28\xb5\x2f\xfd"
_BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)

Read = Callable[[], bytes]
Files = dict[str, Read]  # of a sample, by what follows the first dot of their names


def is_shard(path: Path) -> bool:
    """Whether a file is called as a shard is, compressed or not."""
    return path.name.lower().endswith(_NAMES)


def read_shards(paths: tuple[Path, ...], skips: Skips) -> Iterator[Document]:
    """Pairs of WebDataset shards: members of a tar that share their names up to the first dot.

    A sample is a picture, and its caption in `.txt` or in the field `caption` of `.json`. Its
    members need not be neighbors; if a name occurs again, it begins another sample.

    Args:
        paths: the tar files, in order; they may be compressed.
        skips: counts samples without a picture or a caption.

    Raises:
        DataError: a file is not a tar file, or is cut short.
    """
    for path in paths:
        try:
            with _unpacked(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
                for key, files in _samples(path, tar):
                    yield from _pair(f"{path}:{key}", files, skips)
        except _BROKEN as error:
            raise DataError(
                f"{path}: is not a tar file or is cut short ({error}); replace it by a whole one"
            ) from None


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A file that can be read in any order; one that is compressed is unpacked for a while."""
    with path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        if start.startswith(_ZSTD):
            raise DataError(f"{path}: is compressed with zstd, which is not read; unpack it")
        opener = next((one for magic, one in _OPENERS.items() if start.startswith(magic)), None)
        if opener is None:
            yield file
            return
        with opener(file) as packed, tempfile.TemporaryFile() as whole:
            shutil.copyfileobj(packed, whole)
            whole.seek(0)
            yield whole


def _samples(path: Path, tar: tarfile.TarFile) -> list[tuple[str, Files]]:
    """Keys and files of all samples, in the order of their first members."""
    found: list[tuple[str, Files]] = []
    latest: dict[str, Files] = {}
    for member in tar:
        name = PurePosixPath(member.name)
        if not member.isfile() or name.name.startswith("."):
            continue
        stem, _, extension = name.name.partition(".")
        key, extension = str(name.parent / stem), f".{extension.lower()}"
        if extension in latest.get(key, {extension: None}):
            latest[key] = {}
            found.append((key, latest[key]))
        latest[key][extension] = functools.partial(_read, tar, member)
    _check_end(path, tar)
    return found


def _check_end(path: Path, tar: tarfile.TarFile) -> None:
    """Refuses a tar without the mark of its end, and one that goes on behind it."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    mark = tar.fileobj.read(tarfile.BLOCKSIZE)
    if mark.strip(b"\0"):
        raise tarfile.ReadError("a damaged header")
    if len(mark) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("no end")
    parts = iter(functools.partial(tar.fileobj.read, 1 << 20), b"")
    if any(part.strip(b"\0") for part in parts):
        raise DataError(f"{path}: goes on behind its end; join tar files with tar -A, not with cat")


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""


def _pair(where: str, files: Mapping[str, Read], skips: Skips) -> Iterator[Document]:
    """The pair of a sample, from its files by extension, unless it is skipped."""
    picture = next((files[suffix] for suffix in SUFFIXES if suffix in files), None)
    caption = _caption(files)
    if picture and caption:
        yield Document((Picture(picture(), where), caption), frozenset(), where)
    elif picture:
        skips.add(where, NO_CAPTION)
    else:
        dotted = [extension for extension in files if extension.endswith(SUFFIXES)]
        for extension in dotted:
            skips.add(where + extension, _DOTTED)
        if not dotted:
            skips.add(where, "has no picture")


_DOTTED = Unusable(
    "has a dot in its name, and a sample of WebDataset is named up to the first dot",
    remedy="rename the members: no dot but that of .jpg, .txt and so on",
)


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
