"""What the tests of the image families' training share: a corpus, tiny models, fleets, a script.

As a script it trains a fleet in a process of its own, which a test kills.
"""

import argparse
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxmix.data import (
    Corpus,
    MixtureSource,
    Records,
    batches,
    open_captioned,
    open_corpus,
    open_rows,
    prepare_plan,
)
from jaxmix.models import Model, get_preset, multimodal_model, vision_model
from jaxmix.training import (
    Feed,
    Fleet,
    HeldOut,
    Member,
    OptimizerConfig,
    Saving,
    fleet_layout,
    train,
)
from tests.data import pictures
from tests.training.toys import slowly

BATCH = 16
ALPHA = 0.4


@dataclass(frozen=True)
class Family:
    """A family, tiny.

    Attributes:
        preset: cut to one layer.
        length: positions of a record.
        cut: overrides of the preset.
        model: of its configuration.
        open: corpus, domain, side, length and grid to records.
        mixtures: of the members of a fleet.
    """

    preset: str
    length: int
    cut: Mapping[str, Any]
    model: Callable[[Any], Model]
    open: Callable[..., Records]
    mixtures: tuple[dict[str, float], ...]

    def config(self, **overrides: Any) -> Any:
        return get_preset(self.preset, 257, **{**self.cut, **overrides})

    def records(self, corpus: Corpus, side: str = "train") -> dict[str, Records]:
        grid, domains = self.config().grid, self.mixtures[0]
        return {name: self.open(corpus, name, side, self.length, grid) for name in domains}


# Of width 32, so that some matrices are large enough to be cut over devices.
FAMILIES = {
    "multimodal": Family(
        "nmm-tiny-32",
        64,
        {"depth": 1},
        multimodal_model,
        open_rows,
        (
            {"text": 0.25, "captions": 0.25, "pages": 0.5},
            {"text": 0.5, "captions": 0.25, "pages": 0.25},
        ),
    ),
    "vision": Family(
        "lvm-tiny-32",
        28,
        {"depth": 1, "decoder_depth": 1, "alpha": ALPHA},
        vision_model,
        open_captioned,
        ({"captions": 0.75, "more": 0.25}, {"captions": 0.25, "more": 0.75}),
    ),
}


def corpus_of_pictures() -> Corpus:
    """Text, pages, and two domains of captioned pictures."""
    return prepare_plan(
        pictures.plan(
            pictures.source("text", pictures.texts(1, 60)),
            pictures.source("captions", [pictures.pair(i) for i in range(80)], flip=True),
            pictures.source("more", [pictures.pair(1000 + i) for i in range(80)]),
            pictures.source("pages", [pictures.page(i) for i in range(30)]),
        )
    )


def sources(
    family: Family, records: Mapping[str, Records], members: Sequence[int] = (0, 1)
) -> list[MixtureSource]:
    """The mixtures of members, all of one seed."""
    return [MixtureSource(records, family.mixtures[i], 3, BATCH) for i in members]


def feed(
    family: Family,
    corpus: Corpus,
    members: Sequence[int] = (0, 1),
    records: Mapping[str, Records] | None = None,
) -> Feed:
    mixed = sources(family, records or family.records(corpus), members)
    held = {
        name: HeldOut(found.take(np.arange(min(len(found), 6))))
        for name, found in family.records(corpus, "heldout").items()
    }
    return Feed(lambda start: batches(mixed, start=start), held)


def fleet(
    family: Family, members: Sequence[int] = (0, 1), at: tuple[int, ...] = (2, 4), **optimizer: Any
) -> Fleet:
    """Members of one seed that differ by their mixtures."""
    runs = tuple(Member(f"r{i}", 7, 0.01) for i in members)
    config = OptimizerConfig(at[-1], 1, **optimizer)
    return Fleet(runs, at, BATCH * family.length, config)


def compile_quickly(quickly: bool) -> None:
    """Half the time for programs that run a few steps only."""
    jax.config.update("jax_disable_most_optimizations", quickly)


SCRIPT_AT = tuple(range(2, 22, 2))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("corpus")
    parser.add_argument("family", choices=FAMILIES)
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", 2)
    compile_quickly(True)

    family, corpus = FAMILIES[options.family], open_corpus(options.corpus)
    train(
        family.model(family.config()),
        fleet(family, at=SCRIPT_AT),
        slowly(feed(family, corpus), 0.05),
        options.folder,
        layout=fleet_layout(2),
        saving=Saving(0.0),
    )


if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    main()
