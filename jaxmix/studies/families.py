"""Families: which data, model and loss go together; all that a study knows of any of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from jaxmix.data import Corpus, open_corpus, prepare
from jaxmix.models import Model, get_preset, text_model
from jaxmix.training import Held


class Records(Protocol):
    """Training records of one domain, by index."""

    def __len__(self) -> int:
        """Records in an epoch."""
        ...

    def take(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays of the records at `indices`, [n, ...]."""
        ...


@dataclass(frozen=True)
class CorpusSpec:
    """Which prepared data.

    Attributes:
        name: a recipe, such as text-mini, or the name or folder of a prepared corpus.
        tokenizer: "bytes" or "bpe-N"; None for a corpus that is prepared already.
        max_bytes: cap of every domain's text, in bytes; None for all of it.
    """

    name: str
    tokenizer: str | None = None
    max_bytes: int | None = None

    def open(self, progress: Callable[[int, int], None] | None = None) -> Corpus:
        """Opens the corpus, preparing it first where a recipe asks for that."""
        if self.tokenizer is None:
            return open_corpus(self.name)
        return prepare(
            self.name, tokenizer=self.tokenizer, max_bytes=self.max_bytes, progress=progress
        )


@dataclass(frozen=True)
class Built:
    """A model for a corpus.

    Attributes:
        model: its two functions.
        config: everything that decides it, for hashes and records.
        width: latent dimension.
    """

    model: Model
    config: Mapping[str, Any]
    width: int


@dataclass(frozen=True)
class Family:
    """How a family's models and records are made of a corpus.

    Attributes:
        name: "text".
        build: preset, corpus, window length and overrides of the preset to a model.
        records: corpus, domain, window length and unique tokens to training records.
        held: corpus, target, window length and count to held-out records.
    """

    name: str
    build: Callable[[str, Corpus, int, Mapping[str, Any]], Built]
    records: Callable[[Corpus, str, int, int | None], Records]
    held: Callable[[Corpus, str, int, int], Held]


def _build_text(preset: str, corpus: Corpus, length: int, overrides: Mapping[str, Any]) -> Built:
    config = get_preset(preset, corpus.tokenizer.vocab_size, length=length, **overrides)
    return Built(text_model(config), dataclasses.asdict(config), config.width)


def _text_records(corpus: Corpus, domain: str, length: int, unique: int | None) -> Records:
    return corpus.train(domain, length, unique_tokens=unique)


def _held_text(corpus: Corpus, target: str, length: int, count: int) -> Held:
    batch = corpus.heldout(target, length, count)
    return Held(batch, int(corpus.token_bytes[batch["tokens"][:, 1:]].sum()))


TEXT = Family("text", _build_text, _text_records, _held_text)
FAMILIES: dict[str, Family] = {TEXT.name: TEXT}


def get_family(name: str) -> Family:
    """The family of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in FAMILIES:
        raise ValueError(f"unknown family '{name}'; known: {', '.join(FAMILIES)}")
    return FAMILIES[name]
