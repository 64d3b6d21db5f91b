"""From a recipe or a folder to token streams on disk; what is finished survives an interruption."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .corpus import SIDES, Corpus, open_corpus
from .errors import DataError
from .illustrated import assign_sides, spool, spooled_texts, write_sides
from .places import alone, corpora, digest, write_whole
from .planning import PICTURE_SIZE, Plan, Source, plan_corpus
from .split import split
from .tokenizer import Tokenizer, load_tokenizer, token_dtype, train_tokenizer

SAMPLE_BYTES = 1_500_000  # a domain, to train the tokenizer on
_CHUNK = 2_000_000  # characters tokenized at a time

Progress = Callable[[int, int], None]


def prepare(
    source: str | Path,
    *,
    tokenizer: str = "bpe-4096",
    max_bytes: int | None = None,
    name: str | None = None,
    text_field: str = "text",
    target_only: Sequence[str] = (),
    picture_size: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Makes a corpus of token streams and pictures, or opens it where it was made before.

    Args:
        source: a recipe's name, or a folder. There every domain of text is a subfolder of text
            files, a `<domain>.jsonl` or a `<domain>.txt`; a domain with pictures is a subfolder of
            images with a captions.csv or captions.jsonl, a subfolder of WebDataset shards
            (`*.tar`), or a `<domain>.jsonl` with texts and images in turn.
        tokenizer: `bytes`, or `bpe-N`, trained on equal bytes of every training domain.
        max_bytes: cap of every domain's training side, texts and pictures, for a quick try.
        name: of a corpus made from a folder; the default is the folder's name.
        text_field: where the text of a JSONL line is.
        target_only: domains of a folder to evaluate on and never train on.
        picture_size: shorter side of every kept picture in pixels, a little more than a model's,
            which sees crops of it; None for 48.
        progress: called with (done, total) steps.

    Returns:
        The corpus, under `JAXMIX_CACHE` (default `~/.cache/jaxmix`), in `corpora/`.

    Raises:
        DataError: an argument is wrong, a download fails, or a file of the folder is bad.
    """
    plan = plan_corpus(
        source,
        tokenizer=tokenizer,
        max_bytes=max_bytes,
        name=name,
        text_field=text_field,
        target_only=target_only,
        picture_size=picture_size,
    )
    return prepare_plan(plan, progress)


def prepare_plan(plan: Plan, progress: Progress | None = None) -> Corpus:
    """Makes the corpus of a plan, or opens it where it was made before."""
    if not _is_complete(plan.path):
        with alone(corpora() / ".locks" / plan.path.name):
            if not _is_complete(plan.path):
                _make(plan, _Steps(3 * len(plan.sources) + 1, progress))
    return open_corpus(plan.path)


def _is_complete(path: Path) -> bool:
    return (path / "corpus.json").is_file()


class _Steps:
    """Counts finished steps for a progress bar."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def __call__(self) -> None:
        self._done += 1
        if self._progress:
            self._progress(self._done, self._total)


def _make(plan: Plan, step: _Steps) -> None:
    """Makes a corpus beside its folder; a try that was interrupted is taken up again."""
    partial = plan.path.with_name(plan.path.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    try:
        _fill(plan, partial, step)
    except DataError:  # the same plan cannot succeed later
        shutil.rmtree(partial)
        raise


def _fill(plan: Plan, partial: Path, step: _Steps) -> None:
    for source in plan.sources:
        source.fetch()
        step()
    for source in plan.sources:
        if source.pictures:
            spool(source.name, source.pictures, partial, plan.picture_size or PICTURE_SIZE)
        else:
            _extract(source, partial, plan.max_bytes)
        step()
    assign_sides([source for source in plan.sources if source.pictures], partial)
    tokenizer = _tokenizer(plan, partial)
    step()
    counts = {}
    for source in plan.sources:
        if source.pictures:
            counts[source.name] = write_sides(source, tokenizer, partial, plan.max_bytes)
        else:
            counts[source.name] = _tokenize(source.name, tokenizer, partial)
        step()
    _finish(plan, tokenizer, counts, partial)


def _spool(partial: Path, name: str, side: str) -> Path:
    return partial / f"{name}.{side}.jsonl"


def _extract(source: Source, partial: Path, max_bytes: int | None) -> None:
    """The two sides of a domain as lines of JSON, unless an earlier try left them."""
    if (partial / f"{source.name}.split.json").is_file():
        return
    documents = source.documents()
    sides = split(source.name, documents, target_only=source.target_only, max_bytes=max_bytes)
    for side in SIDES:
        lines = "".join(f"{json.dumps(text)}\n" for text in getattr(sides, side))
        write_whole(_spool(partial, source.name, side), lines.encode())
    _write_json(partial / f"{source.name}.split.json", {"repeats": sides.repeats})


def _documents(partial: Path, name: str, side: str) -> Iterator[str]:
    with _spool(partial, name, side).open("rb") as file:
        yield from map(json.loads, file)


def _tokenizer(plan: Plan, partial: Path) -> Tokenizer:
    path = partial / "tokenizer.json"
    if not path.is_file():
        samples = (_training(partial, one) for one in plan.sources if not one.target_only)
        texts = (text for sample in samples for text in _first(sample, SAMPLE_BYTES))
        write_whole(path, train_tokenizer(plan.tokenizer, texts).dumps().encode())
    return load_tokenizer(path.read_text(encoding="utf-8"))


def _training(partial: Path, source: Source) -> Iterator[str]:
    """The training texts of a domain."""
    if source.pictures:
        return spooled_texts(partial, source.name)
    return _documents(partial, source.name, "train")


def _first(texts: Iterable[str], size: int) -> Iterator[str]:
    """Texts until there are so many bytes; the last one is cut."""
    for text in texts:
        data = text.encode()
        yield text if len(data) <= size else data[:size].decode(errors="ignore")
        size -= len(data)
        if size <= 0:
            return


def _tokenize(name: str, tokenizer: Tokenizer, partial: Path) -> dict[str, Any]:
    """Writes the streams of a domain; returns documents, bytes, tokens and sha256 by side."""
    path = partial / f"{name}.counts.json"
    if not path.is_file():
        counts: dict[str, Any] = json.loads((partial / f"{name}.split.json").read_text())
        for side in SIDES:
            counts[side] = _stream(_documents(partial, name, side), tokenizer, partial, name, side)
        _write_json(path, counts)
    return json.loads(path.read_text())


def _stream(
    documents: Iterable[str], tokenizer: Tokenizer, partial: Path, name: str, side: str
) -> dict[str, Any]:
    """Documents to one flat file of tokens, each followed by end-of-text."""
    counts = {"documents": 0, "bytes": 0, "tokens": 0}
    path = partial / f"{name}.{side}.bin"
    with path.open("wb") as file:
        for texts in _chunks(documents):
            tokens = _tokens(tokenizer, texts)
            file.write(tokens.tobytes())
            counts["documents"] += len(texts)
            counts["bytes"] += sum(len(text.encode()) for text in texts)
            counts["tokens"] += tokens.size
    return {**counts, "sha256": digest(path)}


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


def _tokens(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """Ids of texts, each followed by end-of-text, [n]."""
    kind = token_dtype(tokenizer.vocab_size)
    end = np.array([tokenizer.end], kind)
    parts: list[np.ndarray] = []
    for ids in tokenizer.encode_many(texts):
        parts += [ids.astype(kind, copy=False), end]
    return np.concatenate(parts)


def _finish(plan: Plan, tokenizer: Tokenizer, counts: dict[str, Any], partial: Path) -> None:
    """Writes `corpus.json`, drops what was only in between, and gives the folder its name."""
    domains = {source.name: {**source.facts, **counts[source.name]} for source in plan.sources}
    for name, found in domains.items():
        if not found["target_only"] and not found["train"]["tokens"]:
            raise DataError(f"domain '{name}': has nothing to train on")
    facts = {"name": tokenizer.name, "sha256": tokenizer.hash, "vocab_size": tokenizer.vocab_size}
    about = {"about": plan.about, "config_hash": plan.config_hash}
    content = {**plan.config, **about, "tokenizer": facts, "domains": domains}
    del content["sources"]
    _write_json(partial / "corpus.json", content)
    between = ("*.jsonl", "*.split.json", "*.counts.json", "*.spool", "*.spool.json", "sides.json")
    for pattern in (*between, ".*.tmp"):
        for path in partial.glob(pattern):
            path.unlink()
    if plan.path.exists():
        shutil.rmtree(plan.path)
    os.replace(partial, plan.path)


def _write_json(path: Path, value: Any) -> None:
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())
