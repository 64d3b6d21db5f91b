"""Families: which data, model and loss go together; all that a study knows of any of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmix.data import (
    Captioned,
    Corpus,
    PackedRows,
    Records,
    TextRows,
    is_captioned,
    open_captioned,
    open_corpus,
    open_rows,
    prepare,
    spaced,
)
from jaxmix.errors import JaxmixError
from jaxmix.models import (
    PRESETS,
    Model,
    MultimodalConfig,
    PatchGrid,
    TextConfig,
    VisionConfig,
    family_of,
    get_preset,
    multimodal_model,
    text_model,
    vision_model,
)
from jaxmix.training import HeldOut


@dataclass(frozen=True)
class CorpusSpec:
    """Which prepared data.

    Attributes:
        name: a recipe, such as text-mini, or the name or folder of a prepared corpus.
        tokenizer: "bytes" or "bpe-N"; None for a corpus that is prepared already.
        max_bytes: cap of every domain's training side, in bytes; None for all of it.
        picture_size: shorter side of the kept pictures in pixels; None for the default.
    """

    name: str
    tokenizer: str | None = None
    max_bytes: int | None = None
    picture_size: int | None = None

    def open(self, progress: Callable[[int, int], None] | None = None) -> Corpus:
        """Opens the corpus, preparing it first where a recipe asks for that."""
        if self.tokenizer is None:
            return open_corpus(self.name)
        return prepare(
            self.name,
            tokenizer=self.tokenizer,
            max_bytes=self.max_bytes,
            picture_size=self.picture_size,
            progress=progress,
        )


@dataclass(frozen=True)
class Built:
    """A model for a corpus.

    Attributes:
        model: its two functions.
        config: everything that decides it.
        learning_rate: its preset's peak.
    """

    model: Model
    config: TextConfig | MultimodalConfig | VisionConfig
    learning_rate: float

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration by name, for hashes and records."""
        return dataclasses.asdict(self.config)


@dataclass(frozen=True)
class Family:
    """How a family's models and records are made of a corpus.

    Attributes:
        name: "text", "multimodal" or "vision".
        model: of a configuration.
        reads: whether the family can read a domain of a corpus.
        records: model, corpus, domain, length and unique tokens to training records.
        held: model, corpus, target, length and count to held-out records.
    """

    name: str
    model: Callable[[Any], Model]
    reads: Callable[[Corpus, str], bool]
    records: Callable[[Built, Corpus, str, int, int | None], Records]
    held: Callable[[Built, Corpus, str, int, int], HeldOut]

    def build(
        self, preset: str, corpus: Corpus, length: int, overrides: Mapping[str, Any]
    ) -> Built:
        """The model of a preset for a corpus; `length` and `overrides` as of a study."""
        config = get_preset(preset, corpus.tokenizer.vocab_size, length=length, **overrides)
        return Built(self.model(config), config, PRESETS[preset].learning_rate)


def _text_records(
    built: Built, corpus: Corpus, domain: str, length: int, unique: int | None
) -> Records:
    return corpus.train(domain, length, unique_tokens=unique)


def _held_text(built: Built, corpus: Corpus, target: str, length: int, count: int) -> HeldOut:
    batch = corpus.heldout(target, length, count)
    return HeldOut(batch, int(corpus.token_bytes[batch["tokens"][:, 1:]].sum()))


def _grid(built: Built) -> PatchGrid:
    assert not isinstance(built.config, TextConfig)
    return built.config.grid


def _rows(
    built: Built, corpus: Corpus, domain: str, length: int, unique: int | None
) -> PackedRows | TextRows:
    return open_rows(corpus, domain, "train", length, _grid(built), unique)


def _held_rows(built: Built, corpus: Corpus, target: str, length: int, count: int) -> HeldOut:
    batch = _spaced(open_rows(corpus, target, "heldout", length, _grid(built)), count)
    counted = batch["counted"].astype(bool)
    return HeldOut(batch, int(corpus.token_bytes[batch["targets"][counted]].sum()))


def _captioned(
    built: Built, corpus: Corpus, domain: str, length: int, unique: int | None
) -> Captioned:
    return open_captioned(corpus, domain, "train", length, _grid(built), unique)


def _held_captioned(built: Built, corpus: Corpus, target: str, length: int, count: int) -> HeldOut:
    return HeldOut(_spaced(open_captioned(corpus, target, "heldout", length, _grid(built)), count))


def _spaced(records: Records, count: int) -> dict[str, np.ndarray]:
    """Evenly spaced records, the same ones every time; all where there are fewer."""
    return records.take(spaced(count, len(records)), None)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "text",
            text_model,
            lambda corpus, name: name not in corpus.illustrated,
            _text_records,
            _held_text,
        ),
        Family("multimodal", multimodal_model, lambda *_: True, _rows, _held_rows),
        Family(
            "vision",
            vision_model,
            is_captioned,
            _captioned,
            _held_captioned,
        ),
    )
}


def default_length(preset: str) -> int:
    """Positions of a record of a preset's models where nobody says.

    Text: 128. Early fusion: at least 128, and four pictures, which is the paper's 1,024. Vision: a
    picture and 16 places for its caption.

    >>> [default_length(name) for name in ("tiny-64", "nmm-275m", "lvm-tiny-64")]
    [128, 1024, 32]
    """
    family = family_of(preset)
    if family == "text":
        return 128
    patches = get_preset(preset, 2).grid.patches
    return max(128, 4 * patches) if family == "multimodal" else patches + 16


def get_family(name: str) -> Family:
    """The family of that name.

    Raises:
        JaxmixError: there is none.
    """
    if name not in FAMILIES:
        raise JaxmixError(f"unknown family '{name}'; known: {', '.join(FAMILIES)}")
    return FAMILIES[name]
