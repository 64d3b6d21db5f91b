"""Families: the data, models and losses that go together, behind one interface for studies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxmix.data import (
    Corpus,
    Records,
    is_captioned,
    open_captioned,
    open_corpus,
    open_rows,
    prepare,
    spaced,
)
from jaxmix.errors import JaxmixError, hint
from jaxmix.models import (
    PRESETS,
    Model,
    MultimodalConfig,
    TextConfig,
    VisionConfig,
    family_of,
    get_preset,
    multimodal_model,
    text_model,
    vision_model,
)
from jaxmix.placement import current
from jaxmix.training import HeldOut


@dataclass(frozen=True)
class CorpusSpec:
    """The corpus of a study.

    Attributes:
        name: a recipe, such as text-mini, or the name or folder of a prepared corpus; or the name
            of a new one if `domains` are given.
        tokenizer: "bytes", "bpe-N" or a tokenizer.json file; None if the corpus is already
            prepared.
        max_bytes: most bytes of every domain's train split; None for all.
        picture_size: shorter side of the kept pictures in pixels; None for the default.
        domains: sources of the domains by name, such as ``{"web": "hf:allenai/c4/en"}``, as in
            `jaxmix.data.plan_corpus`.
        target_only: those of `domains` to evaluate on and never train on.
    """

    name: str
    tokenizer: str | None = None
    max_bytes: int | None = None
    picture_size: int | None = None
    domains: Mapping[str, str] = field(default_factory=dict)
    target_only: tuple[str, ...] = ()

    def open(self, progress: Callable[[int, int], None] | None = None) -> Corpus:
        """Opens the corpus; a recipe, and a corpus of `domains`, is prepared first."""
        if self.domains:
            options = {name: value for name, value in vars(self).items() if value is not None}
            return prepare(None, progress=progress, **options)
        if self.tokenizer is None:
            return open_corpus(self.name)
        names = ("tokenizer", "max_bytes", "picture_size")
        return prepare(self.name, progress=progress, **{n: getattr(self, n) for n in names})


@dataclass(frozen=True)
class Built:
    """A model for a corpus.

    Attributes:
        model: the model.
        config: its configuration.
        learning_rate: peak learning rate of its preset.
    """

    model: Model
    config: TextConfig | MultimodalConfig | VisionConfig
    learning_rate: float


@dataclass(frozen=True)
class Family:
    """The models and records of a family.

    Attributes:
        name: "text", "multimodal" or "vision".
        model: makes a model from its configuration.
        reads: whether the family can read a domain of a corpus.
        open: opens records: takes model, corpus, domain, split and length.
        text_bytes: counts the bytes of text behind the predicted tokens of a batch; 0 if unknown.
    """

    name: str
    model: Callable[[Any], Model]
    reads: Callable[[Corpus, str], bool]
    open: Callable[[Built, Corpus, str, str, int], Records]
    text_bytes: Callable[[Corpus, Mapping[str, np.ndarray]], int]

    def build(
        self, preset: str, corpus: Corpus, length: int, overrides: Mapping[str, Any]
    ) -> Built:
        """The model of a preset for a corpus; see `Study` for `length` and `overrides`.

        Accelerators multiply in bfloat16, tiny models too, unless the overrides say otherwise.
        """
        narrow = {} if current().platform == "cpu" else {"compute": "bfloat16"}
        settings = {**narrow, **overrides}
        config = get_preset(preset, corpus.tokenizer.vocab_size, length=length, **settings)
        return Built(self.model(config), config, PRESETS[preset].learning_rate)

    def records(self, built: Built, corpus: Corpus, domain: str, length: int) -> Records:
        """All training records of a domain."""
        return self.open(built, corpus, domain, "train", length)

    def heldout(
        self, built: Built, corpus: Corpus, target: str, length: int, count: int
    ) -> HeldOut:
        """Held-out records of a target, evenly spaced; all if there are fewer than `count`."""
        records = self.open(built, corpus, target, "heldout", length)
        batch = records.take(spaced(count, len(records)), None)
        return HeldOut(batch, self.text_bytes(corpus, batch))


def _open_windows(built: Built, corpus: Corpus, name: str, split: str, length: int) -> Records:
    return corpus.windows(name, split, length)


def _with_pictures(opener: Callable[..., Records]) -> Callable[..., Records]:
    """An opener of records with pictures, which also need to know how the model cuts them."""

    def open_records(built: Built, corpus: Corpus, name: str, split: str, length: int) -> Records:
        assert not isinstance(built.config, TextConfig)
        return opener(corpus, name, split, length, built.config.grid)

    return open_records


def _window_bytes(corpus: Corpus, batch: Mapping[str, np.ndarray]) -> int:
    return int(corpus.token_bytes[batch["tokens"][:, 1:]].sum())


def _row_bytes(corpus: Corpus, batch: Mapping[str, np.ndarray]) -> int:
    return int(corpus.token_bytes[batch["targets"][batch["counted"].astype(bool)]].sum())


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "text",
            text_model,
            lambda corpus, name: name not in corpus.illustrated,
            _open_windows,
            _window_bytes,
        ),
        Family(
            "multimodal", multimodal_model, lambda *_: True, _with_pictures(open_rows), _row_bytes
        ),
        Family("vision", vision_model, is_captioned, _with_pictures(open_captioned), lambda *_: 0),
    )
}


def default_length(preset: str) -> int:
    """Default number of positions in a record of a preset's models.

    Text: 128. Early fusion: four pictures, which gives the paper's 1,024, but at least 128. Vision:
    one picture and 16 positions for its caption.

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
        raise JaxmixError(f"unknown family '{name}'; {hint(name, FAMILIES)}")
    return FAMILIES[name]
