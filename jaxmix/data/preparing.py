"""From a recipe or a folder to token streams on disk; an interrupted try is taken up again."""

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxmix.claims import claimed
from jaxmix.errors import JaxmixError
from jaxmix.files import file_hash, whole, write_text

from .corpus import SPLITS, Corpus, open_corpus
from .errors import DataError
from .illustrated import assign_splits, spool, spooled_texts, write_splits
from .paths import corpora
from .planning import PICTURE_SIZE, CorpusPlan, Source, plan_corpus
from .skips import Skips
from .splits import byte_size, capped, enough_bytes, split_texts
from .tokenizer import ByteTokenizer, Tokenizer, load_tokenizer, train_tokenizer

SAMPLE_BYTES = 1_500_000  # of every domain, to train the tokenizer on
_CHUNK = 2_000_000  # characters tokenized at a time
_REMEDY = "make it writable, or set JAXMIX_CACHE to another folder"

Progress = Callable[[int, int], None]


def prepare(
    source: str | Path | None = None, *, progress: Progress | None = None, **options: Any
) -> Corpus:
    """Makes a corpus of token streams and pictures, or opens it if it was made before.

    Args:
        source: a recipe's name, or a folder, or None if `domains` name all; see `plan_corpus`.
        progress: called with (done, total) steps.
        **options: tokenizer, max_bytes, name, text_field, target_only, picture_size and domains of
            `plan_corpus`.

    Returns:
        The corpus, under `JAXMIX_CACHE` (default `~/.cache/jaxmix`), in `corpora/`.

    Raises:
        DataError: an argument is wrong, a download fails, or a file of the folder is bad.
    """
    return prepare_plan(plan_corpus(source, **options), progress)


def prepare_plan(plan: CorpusPlan, progress: Progress | None = None) -> Corpus:
    """Makes the corpus of a plan, or opens it if it was made before and no file is damaged."""
    if not _is_complete(plan.path) or damage(plan.path):
        with claimed(corpora() / ".locks" / plan.path.name, remedy=_REMEDY):
            if not _is_complete(plan.path) or damage(plan.path):
                _make(plan, progress)
    return open_corpus(plan.path)


def damage(path: Path, *, content: bool = False) -> str:
    """What is wrong with a prepared corpus; "" if nothing is, or if there is none.

    Args:
        path: its folder.
        content: compare the hashes of its files too.
    """
    if not _is_complete(path):
        return ""
    try:
        open_corpus(path).check(content=content)
    except DataError as error:
        return str(error).rpartition("; ")[0]  # the remedy is for others
    return ""


def _is_complete(path: Path) -> bool:
    return (path / "corpus.json").is_file()


def _step_counter(total: int, progress: Progress | None) -> Callable[[], None]:
    """Returns a function that reports one more finished step."""
    done = itertools.count(1)
    return lambda: progress(next(done), total) if progress else None


def _make(plan: CorpusPlan, progress: Progress | None) -> None:
    """Makes a corpus beside its folder, from where an interrupted try stopped."""
    partial = plan.path.with_name(plan.path.name + ".partial")
    is_new = not partial.exists()
    partial.mkdir(parents=True, exist_ok=True)
    try:
        _fill(plan, partial, _step_counter(3 * len(plan.sources) + 1, progress))
    except JaxmixError as error:
        if isinstance(error, DataError):  # the same plan cannot succeed later; a full disk can
            shutil.rmtree(partial)
        if is_new or not isinstance(error, DataError):
            raise
    except (ValueError, KeyError):
        if is_new:
            raise
        shutil.rmtree(partial)  # what the interrupted try left is damaged
    else:
        return
    _make(plan, progress)


def _fill(plan: CorpusPlan, partial: Path, step: Callable[[], None]) -> None:
    for source in plan.sources:
        source.fetch()
        step()
    for source in plan.sources:
        if source.pictures:
            spool(source, partial, plan.picture_size or PICTURE_SIZE)
        elif source.tokens:
            _take_tokens(source, plan, partial)
        else:
            _extract(source, partial, plan.max_bytes)
        step()
    assign_splits([source for source in plan.sources if source.pictures], partial)
    tokenizer = _tokenizer(plan, partial)
    step()
    counts = {}
    for source in plan.sources:
        if source.pictures:
            counts[source.name] = write_splits(source, tokenizer, partial, plan.max_bytes)
        else:
            counts[source.name] = _tokenize(source.name, tokenizer, partial)
        step()
    _finish(plan, tokenizer, counts, partial)


def _extract(source: Source, partial: Path, max_bytes: int | None) -> None:
    """The two splits of a domain as lines of JSON, unless an earlier try left them."""
    if (partial / f"{source.name}.split.json").is_file():
        return
    skips, only = Skips(), source.target_only
    texts = list(source.read(skips))
    skips.check(f"domain '{source.name}'", len(texts) + skips.count)
    try:
        found = split_texts(source.name, texts, target_only=only, max_bytes=max_bytes)
    except DataError as error:
        left_out = f"; {skips.count} left out, such as {skips.first}" if skips.count else ""
        raise DataError(f"{error}{left_out}") from None
    for split in SPLITS:
        lines = "".join(f"{json.dumps(text)}\n" for text in getattr(found, split))
        write_text(partial / f"{source.name}.{split}.jsonl", lines)
    facts = {"repeats": found.repeats, "blank": found.blank, "skipped": skips.facts}
    _write_json(partial / f"{source.name}.split.json", {"read": len(texts) + skips.count, **facts})


def _take_tokens(source: Source, plan: CorpusPlan, partial: Path) -> None:
    """The streams and counts of a domain of token ids, unless an earlier try left them."""
    path = partial / f"{source.name}.counts.json"
    if path.is_file():
        return
    tokenizer = plan.own or ByteTokenizer()

    def size(ids: bytes) -> int:
        return int(tokenizer.token_bytes[np.frombuffer(ids, tokenizer.dtype)].sum())

    most = plan.max_bytes
    documents = list(capped(source.read(Skips()), most and enough_bytes(most), size, least=2))
    found = split_texts(
        source.name, documents, target_only=source.target_only, max_bytes=most, size=size
    )
    facts = {"repeats": found.repeats, "blank": found.blank, "skipped": {}}
    counts: dict[str, Any] = {"read": len(documents), **facts}
    for split in SPLITS:
        kept = [np.frombuffer(ids, tokenizer.dtype) for ids in getattr(found, split)]
        chunks = ((1, len(ids) and size(ids.tobytes()), _ended(tokenizer, [ids])) for ids in kept)
        counts[split] = _write_chunks(chunks, partial / f"{source.name}.{split}.bin")
    _write_json(path, counts)


def _documents(partial: Path, name: str, split: str) -> Iterator[str]:
    with (partial / f"{name}.{split}.jsonl").open("rb") as file:
        yield from map(json.loads, file)


def _tokenizer(plan: CorpusPlan, partial: Path) -> Tokenizer:
    path = partial / "tokenizer.json"
    if plan.own:
        write_text(path, plan.own.dumps())
        return plan.own
    if not path.is_file():
        trained = [source for source in plan.sources if not source.target_only]
        texts = itertools.chain.from_iterable(_sample(source, partial) for source in trained)
        write_text(path, train_tokenizer(plan.tokenizer, texts).dumps())
    return load_tokenizer(path.read_text(encoding="utf-8"))


def _sample(source: Source, partial: Path) -> Iterator[str]:
    """Training texts of a domain up to SAMPLE_BYTES; the last one is cut."""
    left = SAMPLE_BYTES
    for text in _train_texts(source, partial):
        data = text.encode()
        yield text if len(data) <= left else data[:left].decode(errors="ignore")
        left -= len(data)
        if left <= 0:
            return


def _train_texts(source: Source, partial: Path) -> Iterator[str]:
    if source.pictures:
        return spooled_texts(partial, source.name)
    return _documents(partial, source.name, "train")


def _tokenize(name: str, tokenizer: Tokenizer, partial: Path) -> dict[str, Any]:
    """Writes the streams of a domain; returns documents, bytes, tokens and sha256 by split."""
    path = partial / f"{name}.counts.json"
    if not path.is_file():
        counts: dict[str, Any] = json.loads((partial / f"{name}.split.json").read_text())
        for split in SPLITS:
            stream = partial / f"{name}.{split}.bin"
            counts[split] = _write_stream(_documents(partial, name, split), tokenizer, stream)
        _write_json(path, counts)
    return json.loads(path.read_text())


def _write_stream(documents: Iterable[str], tokenizer: Tokenizer, path: Path) -> dict[str, Any]:
    """Writes documents as one flat file of tokens, each followed by end-of-text."""
    chunks = (
        (len(texts), sum(map(byte_size, texts)), _ended(tokenizer, tokenizer.encode_many(texts)))
        for texts in _chunks(documents)
    )
    return _write_chunks(chunks, path)


def _write_chunks(chunks: Iterable[tuple[int, int, np.ndarray]], path: Path) -> dict[str, Any]:
    """Writes tokens of chunks, each with its numbers of documents and of bytes of text."""
    counts = {"documents": 0, "bytes": 0, "tokens": 0}
    with whole(path) as beside, beside.open("wb") as file:
        for documents, size, tokens in chunks:
            file.write(tokens.tobytes())
            counts["documents"] += documents
            counts["bytes"] += size
            counts["tokens"] += tokens.size
    return {**counts, "sha256": file_hash(path)}


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= _CHUNK:
            yield held
            held, size = [], 0
    if held:
        yield held


def _ended(tokenizer: Tokenizer, documents: Iterable[np.ndarray]) -> np.ndarray:
    """Ids of documents, each followed by end-of-text, [n]."""
    end = np.array([tokenizer.end], tokenizer.dtype)
    ids = (part.astype(tokenizer.dtype, copy=False) for part in documents)
    return np.concatenate([part for one in ids for part in (one, end)])


def _finish(plan: CorpusPlan, tokenizer: Tokenizer, counts: dict[str, Any], partial: Path) -> None:
    """Writes `corpus.json`, deletes intermediate files, and gives the folder its name."""
    domains = {source.name: {**source.facts, **counts[source.name]} for source in plan.sources}
    for name, found in domains.items():
        if not found["target_only"] and not found["train"]["tokens"]:
            raise DataError(f"domain '{name}': has nothing to train on")
    facts = {"name": tokenizer.name, "sha256": tokenizer.hash, "vocab_size": tokenizer.vocab_size}
    facts["end"] = tokenizer.end
    about = {"about": plan.about, "config_hash": plan.config_hash}
    content = {**plan.config, **about, "tokenizer": facts, "domains": domains}
    del content["sources"]
    _write_json(partial / "corpus.json", content)
    between = ("*.jsonl", "*.split.json", "*.counts.json", "*.spool", "*.spool.json", "splits.json")
    for path in itertools.chain.from_iterable(map(partial.glob, (*between, ".*.tmp"))):
        path.unlink()
    if plan.path.exists():
        shutil.rmtree(plan.path)
    os.replace(partial, plan.path)


def _write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1) + "\n")
