"""Documents with pictures on disk: an ArrayRecord file, and an index that says what is in it.

A record is one document: the number of its parts, the length of each in bytes (negative for a
picture), all as int32, and then the parts one after the other. The index is small enough to stay in
memory, so that documents can be packed into rows without reading them.
"""

import contextlib
import hashlib
import io
import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grain
import numpy as np
from array_record.python import array_record_module  # type: ignore[attr-defined]
from PIL import Image

from jaxmix.errors import JaxmixError
from jaxmix.files import file_hash, whole

from .errors import DataError, clip

PICTURE = -1  # stands for a picture among the lengths of a document's parts
_DECODED = 512_000_000  # most bytes of decoded documents that are kept, per split of a domain


@dataclass(frozen=True)
class Part:
    """Encoded text, as UTF-8 or tokens, or an encoded picture."""

    data: bytes
    is_picture: bool


def pack(parts: Sequence[Part]) -> bytes:
    """One document as one record."""
    lengths = [-len(part.data) if part.is_picture else len(part.data) for part in parts]
    head = np.array([len(parts), *lengths], np.int32).tobytes()
    return head + b"".join(part.data for part in parts)


def unpack(record: bytes) -> tuple[Part, ...]:
    """The document of a record.

    >>> unpack(pack([Part(b"a cat", False), Part(b"PNG", True)]))[1]
    Part(data=b'PNG', is_picture=True)
    """
    count = int(np.frombuffer(record, np.int32, 1)[0])
    lengths = np.frombuffer(record, np.int32, count, 4).tolist()
    ends = itertools.accumulate((abs(n) for n in lengths), initial=4 * (count + 1))
    return tuple(
        Part(record[end : end + abs(n)], n < 0) for n, end in zip(lengths, ends, strict=False)
    )


def write_records(path: Path, records: Iterable[bytes]) -> None:
    """Writes an ArrayRecord file that appears complete or not at all.

    Raises:
        JaxmixError: the file cannot be written.
    """
    with whole(path) as beside:
        # Groups of one record, because documents are read one by one in random order.
        writer = array_record_module.ArrayRecordWriter(str(beside), "group_size:1")
        for record in records:
            with _written(path):
                writer.write(record)
        with _written(path):
            writer.close()


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    """Names a file that cannot be written, on a full disk; the library raises RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        reason = clip(str(error).partition(";")[0])
        raise JaxmixError(f"{path}: cannot be written ({reason}); check the folder") from None


def _source(path: Path) -> Any:  # it has more methods than it declares
    with _whole(path):
        return grain.sources.ArrayRecordDataSource([str(path)])


@contextlib.contextmanager
def _whole(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """Names a damaged file; the library raises RuntimeError whatever is wrong with it."""
    try:
        yield
    except (RuntimeError, *errors) as error:
        raise DataError(
            f"{path}: is damaged ({clip(error)}); delete {path.parent} and prepare it again"
        ) from None


def content_hash(path: Path) -> str:
    """Hash of the documents in a file: the file itself may differ with the library version."""
    content = hashlib.sha256(file_hash(path.with_suffix(".index")).encode())
    for record in read_records(path):
        content.update(hashlib.sha256(record).digest())
    return content.hexdigest()


def read_records(path: Path, indices: Sequence[int] | None = None) -> Iterator[bytes]:
    """Records of a file, all or those of the indices, with a few hundred in memory at a time."""
    source = _source(path)
    wanted = range(len(source)) if indices is None else indices
    for start in range(0, len(wanted), 256):
        with _whole(path):
            records = source.__getitems__(wanted[start : start + 256])
        yield from records


@dataclass(frozen=True)
class Index:
    """The structure of the documents in a file.

    Attributes:
        parts: tokens of every text part and PICTURE for every picture, over all documents, int32.
        ends: end of every document in `parts`, int64 [documents].
        flip: whether a document's pictures may be mirrored, bool [documents].
    """

    parts: np.ndarray
    ends: np.ndarray
    flip: np.ndarray

    @classmethod
    def of(cls, documents: Sequence[Sequence[int]], flip: Sequence[bool]) -> "Index":
        """Makes the index of documents from the lengths of their parts."""
        ends = np.cumsum([len(parts) for parts in documents], dtype=np.int64)
        flat = np.array([n for parts in documents for n in parts], np.int32)
        return cls(flat, ends, np.array(flip, bool))

    def save(self, path: Path) -> None:
        """Writes the index; equal indices give equal bytes."""
        buffer = io.BytesIO()
        for array in (self.parts, self.ends, self.flip):
            np.save(buffer, array)
        path.write_bytes(buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Index":
        """Reads an index."""
        with _whole(path, ValueError, EOFError), path.open("rb") as file:
            found = cls(*(np.load(file) for _ in range(3)))
            last = found.ends[-1] if found.ends.size else 0
            if found.flip.size != found.ends.size or last != found.parts.size:
                raise ValueError("its parts do not fit together")
            return found


class Documents:
    """The documents of one split of a domain, in any order; decoded ones are kept.

    Args:
        path: the ArrayRecord file; its index is beside it, as `.index`.
        tokens: dtype of the tokens in it.

    Raises:
        DataError: one of the two is damaged, now or when a document is read.
    """

    def __init__(self, path: Path, tokens: np.dtype) -> None:
        self._tokens, self._path = tokens, path
        self._source = _source(path)
        self.index = Index.load(path.with_suffix(".index"))
        self._kept: dict[tuple[int, int], Any] = {}
        self._left = _DECODED
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.index.ends.size

    @property
    def are_pairs(self) -> bool:
        """Whether every document is one picture followed by its caption."""
        parts, ends = self.index.parts, self.index.ends
        even = parts.size == 2 * len(self) and bool((np.diff(ends, prepend=0) == 2).all())
        return even and bool((parts[::2] == PICTURE).all() and (parts[1::2] != PICTURE).all())

    def parts(self, i: int) -> list[int]:
        """Number of tokens of every part of document i, PICTURE for a picture."""
        start = int(self.index.ends[i - 1]) if i else 0
        return self.index.parts[start : self.index.ends[i]].tolist()

    def __getitem__(self, i: int) -> tuple[Any, ...]:
        """The parts of document i: token ids [n], or an image in RGB."""
        if not 0 <= i < len(self):
            raise IndexError(f"document {i} of {len(self)}")
        return self.take(i, range(len(self.parts(i))))

    def take(self, i: int, which: Sequence[int]) -> tuple[Any, ...]:
        """Some parts of document i; the others are not decoded."""
        keys = [(i, part) for part in which]
        found = {key: self._kept[key] for key in keys if key in self._kept}
        if len(found) < len(keys):
            with _whole(self._path):
                parts = unpack(self._source[i])
            new = {key: self._decoded(parts[key[1]]) for key in keys if key not in found}
            self._keep(new)
            found |= new
        return tuple(found[key] for key in keys)

    def _keep(self, decoded: dict[tuple[int, int], Any]) -> None:
        with self._lock:
            for key, part in decoded.items():
                if _bytes(part) <= self._left and key not in self._kept:
                    self._kept[key] = part
                    self._left -= _bytes(part)

    def _decoded(self, part: Part) -> np.ndarray | Image.Image:
        if not part.is_picture:
            return np.frombuffer(part.data, self._tokens)
        with Image.open(io.BytesIO(part.data)) as image:
            return image.convert("RGB")


def _bytes(part: np.ndarray | Image.Image) -> int:
    """Memory of a part in bytes; Pillow stores every pixel in four."""
    return 4 * part.width * part.height if isinstance(part, Image.Image) else part.nbytes
