"""Domains that are token ids already: .npy, raw .bin, Megatron's .bin with .idx, and Parquet.

A stream without documents (.npy, raw .bin) is cut behind its end-of-text tokens. If it has none, it
is cut into documents of `PIECE` tokens. Documents come without their end-of-text, as little-endian
bytes of the tokenizer's dtype.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError, clip, hint
from .picture_folders import visible_files
from .tokenizer import Tokenizer

PREFIX = "tokens:"
PIECE = 1_024
_BLOCK = 1 << 22  # tokens of a stream that are read at a time
_PARQUET = (".parquet", ".pq")
_SUFFIXES = (".npy", ".bin", *_PARQUET)
_MAGIC = b"MMIDIDX\x00\x00"
_DTYPES = {1: "<u1", 2: "<i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}  # codes of Megatron

Numbered = tuple[int, np.ndarray]  # a row, document or first token, from 1, and its ids


@dataclass(frozen=True)
class TokenFiles:
    """The files of one domain of token ids.

    Attributes:
        folder: the folder that holds them, at any depth.
        files: .npy, .bin and Parquet files, in order.
        column: column of ids in Parquet files; None for their only column of integers.
    """

    folder: Path
    files: tuple[Path, ...]
    column: str | None = None

    @property
    def all_files(self) -> tuple[Path, ...]:
        """All files that decide the content, indexes of Megatron too."""
        beside = (path.with_suffix(".idx") for path in self.files if path.suffix == ".bin")
        return (*self.files, *(path for path in beside if path.is_file()))

    def documents(self, tokenizer: Tokenizer) -> Iterator[bytes]:
        """Its documents.

        Raises:
            DataError: a file is damaged, has no integers, or an id is beyond the vocabulary.
        """
        for path in self.files:
            what, found = self._found(path, tokenizer)
            for at, ids in found:
                yield _checked(path, what, at, ids, tokenizer).tobytes()

    def _found(self, path: Path, tokenizer: Tokenizer) -> tuple[str, Iterable[Numbered]]:
        """What a file numbers, and its documents by number."""
        if path.suffix in _PARQUET:
            return "row", _parquet(path, self.column, tokenizer.end)
        if path.suffix == ".bin" and path.with_suffix(".idx").is_file():
            return "document", _megatron(path, tokenizer.end)
        raw = _npy(path) if path.suffix == ".npy" else _raw(path, tokenizer)
        return "token", _cut(raw, tokenizer.end)


def find_tokens(given: str) -> TokenFiles:
    """The files of ``tokens:PATH[:COLUMN]``; PATH is a file or a folder.

    Raises:
        DataError: there is no such path, or no file of tokens.
    """
    text = given.removeprefix(PREFIX)
    before, colon, column = text.rpartition(":")
    if Path(text).expanduser().exists() or not colon:
        before, column = text, ""
    path = Path(before).expanduser()
    if not path.exists():
        raise DataError(f"{path}: no such file or folder of tokens; write tokens:PATH[:COLUMN]")
    files = visible_files(path) if path.is_dir() else (path,)
    usable = tuple(one for one in files if one.suffix in _SUFFIXES)
    if not usable:
        raise DataError(f"{path}: holds no tokens ({', '.join(_SUFFIXES)}); name another path")
    return TokenFiles(path if path.is_dir() else path.parent, usable, column or None)


def _checked(path: Path, what: str, at: int, ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """Ids of a document as the tokenizer's dtype."""
    wrong = (ids < 0) | (ids >= tokenizer.vocab_size)
    if wrong.any():
        first = int(np.argmax(wrong))
        at += first if what == "token" else 0
        raise DataError(
            f"{path}: {what} {at:,} has id {int(ids[first])}, beyond the vocabulary of "
            f"{tokenizer.name} (0 to {tokenizer.vocab_size - 1}); name the tokenizer of these "
            "tokens with --tokenizer"
        )
    return np.ascontiguousarray(ids, tokenizer.dtype)


def _without_end(ids: np.ndarray, end: int) -> np.ndarray:
    """Ids of a document without the end-of-text tokens behind it."""
    kept = ids.size
    while kept and ids[kept - 1] == end:
        kept -= 1
    return ids[:kept]


def _cut(stream: np.ndarray, end: int) -> Iterator[Numbered]:
    """Documents of a stream, and the position of their first token, from 1."""
    blocks = range(0, stream.size, _BLOCK)
    if not any((stream[start : start + _BLOCK] == end).any() for start in blocks):
        for start in range(0, stream.size, PIECE):
            yield start + 1, stream[start : start + PIECE]
        return
    held, begun = stream[:0], 0
    for start in blocks:
        block, first = np.concatenate([held, stream[start : start + _BLOCK]]), 0
        for after in np.flatnonzero(block == end).tolist():
            yield begun + first + 1, block[first:after]
            first = after + 1
        held, begun = block[first:], begun + first
    if held.size:
        yield begun + 1, held


def _npy(path: Path) -> np.ndarray:
    """The ids of a .npy file, in the order of its rows."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: is not a .npy file ({clip(error)}); replace it") from None
    if not np.issubdtype(found.dtype, np.integer):
        raise DataError(f"{path}: holds {found.dtype}, not integers; save token ids")
    return found.reshape(-1)


def _raw(path: Path, tokenizer: Tokenizer) -> np.ndarray:
    """The ids of a .bin file without index: 2 bytes each, or 4 if the vocabulary is larger."""
    width = tokenizer.dtype.itemsize
    if path.stat().st_size % width:
        raise DataError(
            f"{path}: is not a whole number of ids of {width} bytes, as {tokenizer.name} has them; "
            "check --tokenizer, or put Megatron's .idx beside it"
        )
    return np.memmap(path, tokenizer.dtype, "r") if path.stat().st_size else np.zeros(0, np.uint16)


def _megatron(path: Path, end: int) -> Iterator[Numbered]:
    """The documents of Megatron's indexed data set."""
    index = path.with_suffix(".idx")
    try:
        dtype, lengths, pointers, documents = _index(index.read_bytes())
        stream = np.memmap(path, dtype, "r") if path.stat().st_size else np.zeros(0, dtype)
        starts = pointers // dtype.itemsize
        if lengths.size and int((starts + lengths).max()) > stream.size:
            raise ValueError("the .bin file is shorter than it says")
    except (ValueError, KeyError, struct.error) as error:
        raise DataError(f"{index}: is no index of Megatron ({clip(error)}); replace both") from None
    for i in range(documents.size - 1):
        parts = range(int(documents[i]), int(documents[i + 1]))
        ids = [stream[starts[j] : starts[j] + lengths[j]] for j in parts]
        if ids:
            yield i + 1, _without_end(np.concatenate(ids), end)


def _index(data: bytes) -> tuple[np.dtype, np.ndarray, np.ndarray, np.ndarray]:
    """Dtype, length and byte offset of every sequence, and first sequence of every document."""
    if not data.startswith(_MAGIC):
        raise ValueError("it does not begin with MMIDIDX")
    _, code, count, documents = struct.unpack_from("<QBQQ", data, len(_MAGIC))
    at = len(_MAGIC) + 25
    lengths = np.frombuffer(data, "<i4", count, at)
    pointers = np.frombuffer(data, "<i8", count, at + 4 * count)
    starts = np.frombuffer(data, "<i8", documents, at + 12 * count)
    return np.dtype(_DTYPES[code]), lengths, pointers, starts


def _parquet(path: Path, column: str | None, end: int) -> Iterator[Numbered]:
    """The rows of a column of lists of integers; integers themselves are one stream."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: is not Parquet ({clip(error)}); replace it") from None
    name = _column(path, file.schema_arrow, column)
    batches = (batch.column(0) for batch in file.iter_batches(columns=[name]))
    if pa.types.is_integer(file.schema_arrow.field(name).type):
        parts = [batch.drop_null().to_numpy(zero_copy_only=False) for batch in batches]
        yield from _cut(np.concatenate([np.zeros(0, np.int64), *parts]), end)
        return
    row = 0
    for batch in batches:
        for cell in batch:
            row += 1
            if cell.is_valid:
                ids = cell.values.drop_null().to_numpy(zero_copy_only=False)
                yield row, _without_end(ids, end)


def _column(path: Path, schema: Iterable[Any], column: str | None) -> str:
    """The column of ids of a Parquet file."""
    import pyarrow.types as types

    def holds_ids(kind: Any) -> bool:
        lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        return types.is_integer(kind.value_type if lists else kind)

    usable = [field.name for field in schema if holds_ids(field.type)]
    if column is None and len(usable) == 1:
        return usable[0]
    if column is None or column not in usable:
        what = "name one" if column is None else f"no column of ids '{column}'"
        raise DataError(f"{path}: {what}, as tokens:PATH:COLUMN; {hint(column or '', usable)}")
    return column
