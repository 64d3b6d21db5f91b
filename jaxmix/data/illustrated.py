"""Domains with pictures, from documents as they are found to files of prepared ones.

Reading and shrinking happens once, into a spool; the sides are decided over all such domains
together; then text becomes tokens.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .documents import Document
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
_CHUNK = 512  # documents tokenized at a time


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
            parts = _parts(document, size)
        except UnreadablePicture as error:
            skips.add(document.name, str(error))
            continue
        except UnicodeEncodeError:
            skips.add(document.name, "has text with half a surrogate pair")
            continue
        if not document.text.strip():
            skips.add(document.name, "has no text")
            continue
        pictures = [part.data for part in parts if part.is_picture]
        found.append(identity(pictures, document.text, document.keys))
        yield pack(parts)


def _parts(document: Document, size: int) -> list[Part]:
    """Text in UTF-8 and shrunk pictures."""
    return [
        Part(part.encode(), False) if isinstance(part, str) else Part(shrunk(part.data, size), True)
        for part in document.parts
    ]


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
    for record in read_records(partial / f"{name}.spool", side):
        yield "\n".join(_texts(unpack(record)))


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
        counts: dict[str, Any] = {"repeats": side["repeats"], "skipped": note["skipped"]}
        for name in ("train", "heldout"):
            capped = name == "train" or source.target_only
            records = read_records(partial / f"{source.name}.spool", side[name])
            chosen = _capped(records, max_bytes if capped else None)
            out = partial / f"{source.name}.{name}.arrayrecord"
            counts[name] = _write(chosen, tokenizer, out, flip=bool(source.facts["flip"]))
        write_whole(path, json.dumps(counts).encode())
    return json.loads(path.read_text())


def _capped(records: Iterable[bytes], most: int | None) -> Iterator[bytes]:
    """The first records of up to so many bytes, at least one."""
    size = 0
    for i, record in enumerate(records):
        size += len(record)
        if most is not None and size > most and i:
            return
        yield record


def _write(
    records: Iterable[bytes], tokenizer: Tokenizer, out: Path, *, flip: bool
) -> dict[str, Any]:
    """One side as an ArrayRecord file of tokens and pictures with its index; returns its counts."""
    lengths: list[list[int]] = []
    may_flip: list[bool] = []
    counts = Counter(pictures=0, bytes=0, tokens=0)
    width = token_dtype(tokenizer.vocab_size).itemsize

    def tokenized() -> Iterator[bytes]:
        for texts, parts in _tokenized(records, tokenizer):
            sizes = [PICTURE if p.is_picture else len(p.data) // width for p in parts]
            lengths.append(sizes)
            may_flip.append(flip and not any(map(_HANDED.search, texts)))
            counts["pictures"] += sizes.count(PICTURE)
            counts["bytes"] += sum(len(text.encode()) for text in texts)
            counts["tokens"] += sum(n for n in sizes if n != PICTURE)
            yield pack(parts)

    write_records(out, tokenized())
    Index.of(lengths, may_flip).save(out.with_suffix(".index"))
    return {"documents": len(lengths), **counts, "sha256": content_hash(out)}


def _tokenized(
    records: Iterable[bytes], tokenizer: Tokenizer
) -> Iterator[tuple[list[str], list[Part]]]:
    """Documents by their texts and by their parts, whose texts are tokens."""
    kind, waiting = token_dtype(tokenizer.vocab_size), iter(records)
    while chunk := [unpack(record) for record in itertools.islice(waiting, _CHUNK)]:
        texts = [_texts(parts) for parts in chunk]
        ids = iter(tokenizer.encode_many([text for held in texts for text in held]))
        for held, parts in zip(texts, chunk, strict=True):
            yield (
                held,
                [
                    part if part.is_picture else Part(next(ids).astype(kind).tobytes(), False)
                    for part in parts
                ],
            )


def _texts(parts: Sequence[Part]) -> list[str]:
    return [part.data.decode() for part in parts if not part.is_picture]


def content_hash(path: Path) -> str:
    """Of the documents in a file: the file itself may differ with the library that wrote it."""
    content = hashlib.sha256(digest(path.with_suffix(".index")).encode())
    for record in read_records(path):
        content.update(hashlib.sha256(record).digest())
    return content.hexdigest()
