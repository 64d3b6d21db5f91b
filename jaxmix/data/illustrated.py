"""Domains with pictures, from documents as they are found to files of prepared ones.

Reading and shrinking happens once, into a spool; the sides are decided over all such domains
together; then text becomes tokens.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .documents import Document, Picture
from .pictures import Skips, UnreadablePicture, shrunk
from .places import digest, write_whole
from .planning import Source
from .sides import Identity, identity, split_twins
from .store import PICTURE, Index, Part, pack, read_records, unpack, write_records
from .tokenizer import Tokenizer, token_dtype

# A mirrored picture contradicts such words, or shows another sign.
_HANDED = re.compile(
    r"\b(left|right|\w*clockwise|east|west|mirror(ed)?|flip\w*"
    r"|alpha\w*|numeric|numbers?|letters?)\b",
    re.IGNORECASE,
)
_TOKENIZED = 4096  # texts tokenized at a time


def spool(name: str, read: Callable[[Skips], Iterable[Document]], partial: Path, size: int) -> None:
    """Reads the documents of a domain and keeps them with their pictures shrunk.

    Args:
        name: of the domain.
        read: its documents; those that it skips are counted.
        partial: folder of the corpus that is being made.
        size: shorter side of every kept picture in pixels.

    Raises:
        DataError: too many documents are unusable, or none is there.
    """
    note = partial / f"{name}.spool.json"
    if note.is_file():
        return
    skips, found = Skips(), []
    write_records(partial / f"{name}.spool", _records(read(skips), size, skips, found))
    skips.check(f"domain '{name}'", len(found) + skips.count)
    content = {"documents": [vars(one) for one in found], "skipped": skips.facts}
    write_whole(note, json.dumps(content).encode())


def _records(
    documents: Iterable[Document], size: int, skips: Skips, found: list[Identity]
) -> Iterator[bytes]:
    """Usable documents as records of text in UTF-8 and shrunk pictures."""
    for document in documents:
        try:
            parts = [_part(part, size) for part in document.parts]
        except UnreadablePicture as error:
            skips.add(document.name, str(error))
            continue
        if not document.text.strip():
            skips.add(document.name, "has no text")
            continue
        pictures = [part.data for part in parts if part.is_picture]
        found.append(identity(pictures, document.text, document.keys))
        yield pack(parts)


def _part(part: str | Picture, size: int) -> Part:
    if isinstance(part, str):
        return Part(part.encode(errors="replace"), False)
    return Part(shrunk(part.data, size), True)


def assign_sides(sources: Sequence[Source], partial: Path) -> None:
    """Decides the sides of all domains with pictures and writes them down."""
    if (partial / "sides.json").is_file() or not sources:
        return
    found = {source.name: _identities(partial, source.name) for source in sources}
    targets = [source.name for source in sources if source.target_only]
    sides = split_twins(found, targets)
    content = {name: vars(split) for name, split in sides.items()}
    write_whole(partial / "sides.json", json.dumps(content).encode())


def _identities(partial: Path, name: str) -> list[Identity]:
    content = json.loads((partial / f"{name}.spool.json").read_text())
    return [
        Identity(one["content"], tuple(one["keys"]), tuple(one["shared"]))
        for one in content["documents"]
    ]


def spooled_texts(partial: Path, name: str) -> Iterator[str]:
    """The texts of a domain's training documents."""
    side = json.loads((partial / "sides.json").read_text())[name]["train"]
    records = list(read_records(partial / f"{name}.spool"))
    for i in side:
        texts = [part.data.decode() for part in unpack(records[i]) if not part.is_picture]
        yield "\n".join(texts)


def write_sides(
    source: Source, tokenizer: Tokenizer, partial: Path, max_bytes: int | None
) -> dict[str, Any]:
    """Writes both sides of a domain; returns what they hold, for `corpus.json`.

    Args:
        source: of the domain.
        tokenizer: of the corpus.
        partial: folder of the corpus that is being made.
        max_bytes: cap of the training side, texts and pictures.
    """
    path = partial / f"{source.name}.counts.json"
    if not path.is_file():
        side = json.loads((partial / "sides.json").read_text())[source.name]
        note = json.loads((partial / f"{source.name}.spool.json").read_text())
        records = list(read_records(partial / f"{source.name}.spool"))
        counts: dict[str, Any] = {"repeats": side["repeats"], "skipped": note["skipped"]}
        for name in ("train", "heldout"):
            capped = name == "train" or source.target_only
            chosen = _capped([records[i] for i in side[name]], max_bytes if capped else None)
            out = partial / f"{source.name}.{name}.arrayrecord"
            counts[name] = _write(chosen, tokenizer, out, flip=bool(source.facts["flip"]))
        write_whole(path, json.dumps(counts).encode())
    return json.loads(path.read_text())


def _capped(records: list[bytes], most: int | None) -> list[bytes]:
    if most is None:
        return records
    fits = int(np.searchsorted(np.cumsum([len(record) for record in records]), most, "right"))
    return records[: max(fits, 1)]


def _write(records: list[bytes], tokenizer: Tokenizer, out: Path, *, flip: bool) -> dict[str, Any]:
    """One side as an ArrayRecord file of tokens and pictures with its index."""
    documents = [unpack(record) for record in records]
    texts = [part.data.decode() for parts in documents for part in parts if not part.is_picture]
    ids = iter(_encoded(tokenizer, texts))
    made = [
        tuple(part if part.is_picture else Part(next(ids), False) for part in parts)
        for parts in documents
    ]
    write_records(out, map(pack, made))
    width = token_dtype(tokenizer.vocab_size).itemsize
    lengths = [
        [PICTURE if part.is_picture else len(part.data) // width for part in parts]
        for parts in made
    ]
    Index.of(lengths, [flip and not _handed(parts) for parts in documents]).save(
        out.with_suffix(".index")
    )
    return _counts(documents, lengths, out)


def _encoded(tokenizer: Tokenizer, texts: list[str]) -> Iterator[bytes]:
    kind = token_dtype(tokenizer.vocab_size)
    for start in range(0, len(texts), _TOKENIZED):
        for ids in tokenizer.encode_many(texts[start : start + _TOKENIZED]):
            yield ids.astype(kind, copy=False).tobytes()


def _handed(parts: Sequence[Part]) -> bool:
    """Whether the words of a document say which side is which."""
    return any(_HANDED.search(part.data.decode()) for part in parts if not part.is_picture)


def _counts(
    documents: Sequence[Sequence[Part]], lengths: Sequence[Sequence[int]], out: Path
) -> dict[str, Any]:
    texts = [part for parts in documents for part in parts if not part.is_picture]
    return {
        "documents": len(documents),
        "pictures": sum(part.is_picture for parts in documents for part in parts),
        "bytes": sum(len(part.data) for part in texts),
        "tokens": sum(n for parts in lengths for n in parts if n != PICTURE),
        "sha256": content_hash(out),
    }


def content_hash(path: Path) -> str:
    """Of the documents in a file: the file itself may differ with the library that wrote it."""
    content = hashlib.sha256(digest(path.with_suffix(".index")).encode())
    for record in read_records(path):
        content.update(hashlib.sha256(record).digest())
    return content.hexdigest()
