"""Domains with pictures, from documents as they are found to files of prepared ones.

Documents are read, and their pictures are shrunk, once, into a spool; then all such domains are
split together; then text becomes tokens.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxmix.files import write_text

from .corpus import SPLITS
from .documents import Document
from .handed import is_handed
from .pictures import Skips, UnreadablePicture, quick, shrunk
from .planning import Source
from .splits import Fingerprint, capped, fingerprint, split_documents
from .store import (
    PICTURE,
    Index,
    Part,
    content_hash,
    pack,
    read_records,
    unpack,
    write_records,
)
from .tokenizer import Tokenizer

_CHUNK = 512  # documents tokenized at a time


def spool(source: Source, partial: Path, size: int) -> None:
    """Reads the documents of a domain and keeps them with their pictures shrunk.

    Args:
        source: the domain.
        partial: folder of the corpus that is being made.
        size: shorter side of every kept picture in pixels.

    Raises:
        DataError: too many documents are unusable, or there are none.
    """
    note = partial / f"{source.name}.spool.json"
    if note.is_file():
        return
    skips, found = Skips(), []
    records = _records(source.read(skips), size, skips, found)
    write_records(partial / f"{source.name}.spool", records)
    skips.check(f"domain '{source.name}'", len(found) + skips.count)
    content = {"documents": [vars(one) for one in found], "skipped": skips.facts}
    write_text(note, json.dumps(content))


def _records(
    documents: Iterable[Document], size: int, skips: Skips, found: list[Fingerprint]
) -> Iterator[bytes]:
    """Usable documents as records of text in UTF-8 and shrunk pictures; fills `found`."""
    for document in documents:
        try:
            parts = [
                Part(part.encode(), False)
                if isinstance(part, str)
                else Part(shrunk(part.data, size), True)
                for part in document.parts
            ]
        except UnreadablePicture as error:
            skips.add(document.name, error)
            continue
        except UnicodeEncodeError:
            skips.add(document.name, "has text with half a surrogate pair")
            continue
        if not document.text.strip():
            skips.add(document.name, "has no text")
            continue
        pictures = [part.data for part in parts if part.is_picture]
        found.append(fingerprint(pictures, document.text, document.keys))
        yield pack(parts)


def assign_splits(sources: Sequence[Source], partial: Path) -> None:
    """Splits all domains with pictures and writes the indices of their documents."""
    if (partial / "splits.json").is_file() or not sources:
        return
    found = {source.name: _fingerprints(partial, source.name) for source in sources}
    splits = split_documents(found, [source.name for source in sources if source.target_only])
    content = {name: vars(split) for name, split in splits.items()}
    write_text(partial / "splits.json", json.dumps(content))


def _fingerprints(partial: Path, name: str) -> list[Fingerprint]:
    content = json.loads((partial / f"{name}.spool.json").read_text())
    return [
        Fingerprint(one["content"], tuple(one["keys"]), tuple(one["shared"]))
        for one in content["documents"]
    ]


def _indices(partial: Path, name: str) -> dict[str, Any]:
    """Indices of a domain's documents by split, and the number of copies."""
    return json.loads((partial / "splits.json").read_text())[name]


def spooled_texts(partial: Path, name: str) -> Iterator[str]:
    """The texts of a domain's training documents."""
    for record in read_records(partial / f"{name}.spool", _indices(partial, name)["train"]):
        yield "\n".join(_texts(unpack(record)))


def write_splits(
    source: Source, tokenizer: Tokenizer, partial: Path, max_bytes: int | None
) -> dict[str, Any]:
    """Writes both splits of a domain; returns what they hold, for `corpus.json`.

    Args:
        source: the domain.
        tokenizer: tokenizer of the corpus.
        partial: folder of the corpus that is being made.
        max_bytes: most bytes of the train split, texts and pictures.
    """
    path = partial / f"{source.name}.counts.json"
    if not path.is_file():
        indices = _indices(partial, source.name)
        note = json.loads((partial / f"{source.name}.spool.json").read_text())
        skipped = note["skipped"]
        read = len(note["documents"]) + sum(found["count"] for found in skipped.values())
        counts: dict[str, Any] = {"read": read, "repeats": indices["repeats"], "skipped": skipped}
        for split in SPLITS:
            is_capped = split == "train" or source.target_only
            records = read_records(partial / f"{source.name}.spool", indices[split])
            chosen = capped(records, max_bytes if is_capped else None)
            out = partial / f"{source.name}.{split}.arrayrecord"
            counts[split] = _write(chosen, tokenizer, out, flip=bool(source.facts["flip"]))
        write_text(path, json.dumps(counts))
    return json.loads(path.read_text())


def _write(
    records: Iterable[bytes], tokenizer: Tokenizer, out: Path, *, flip: bool
) -> dict[str, Any]:
    """Writes a split as an ArrayRecord file of tokens and pictures; returns its counts."""
    lengths: list[list[int]] = []
    may_flip: list[bool] = []
    counts = Counter(pictures=0, bytes=0, tokens=0)
    width = tokenizer.dtype.itemsize

    def tokenized() -> Iterator[bytes]:
        for texts, parts in _tokenized(records, tokenizer):
            sizes = [PICTURE if p.is_picture else len(p.data) // width for p in parts]
            lengths.append(sizes)
            may_flip.append(flip and not any(map(is_handed, texts)))
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
    """The texts of each document, and its parts as training reads them, with tokens for text."""
    waiting = iter(records)
    while chunk := [unpack(record) for record in itertools.islice(waiting, _CHUNK)]:
        texts = [_texts(parts) for parts in chunk]
        ids = iter(tokenizer.encode_many([text for held in texts for text in held]))
        for held, parts in zip(texts, chunk, strict=True):
            yield (
                held,
                [
                    Part(
                        quick(p.data)
                        if p.is_picture
                        else next(ids).astype(tokenizer.dtype).tobytes(),
                        p.is_picture,
                    )
                    for p in parts
                ],
            )


def _texts(parts: Sequence[Part]) -> list[str]:
    return [part.data.decode() for part in parts if not part.is_picture]
