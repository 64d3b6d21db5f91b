"""What is trained in the benchmarks: a model of each family and batches for it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pictures import origin, pictured

from jaxmix.data import MixtureSource, batches
from jaxmix.models import Model
from jaxmix.studies import get_family

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Workload:
    """The batches of a family's tiny models, as the studies have them.

    Attributes:
        family: "text", "multimodal" or "vision".
        prefix: of the names of its tiny presets.
        batch: records of a step.
        length: positions of a record.
    """

    family: str
    prefix: str
    batch: int
    length: int

    def model(self, config: Any) -> Model:
        """Of a configuration."""
        return get_family(self.family).model(config)

    @property
    def origin(self) -> str:
        """Where its batches are from."""
        return "random tokens" if self.family == "text" else origin(self.family)

    def make(self, config: Any, members: int, batch: int = 0, length: int = 0) -> Batch:
        """One batch of a fleet, arrays [M, B, ...]: of images, an even mixture of all domains."""
        batch, length = batch or self.batch, length or self.length
        if self.family == "text":
            return random_tokens(members, batch, length, config.vocab_size)
        domains = pictured(self.family, config.grid, length)
        even = dict.fromkeys(domains, 1 / len(domains))
        sources = [MixtureSource(domains, even, seed, batch) for seed in range(members)]
        return next(batches(sources, threads=0))


WORKLOADS = {
    one.family: one
    for one in (
        Workload("text", "tiny-", 16, 128),
        Workload("multimodal", "nmm-tiny-", 8, 128),
        Workload("vision", "lvm-tiny-", 32, 32),
    )
}


def random_tokens(members: int, batch: int, length: int, vocabulary: int) -> Batch:
    """A fleet's batch of random tokens, [M, B, T + 1]."""
    shape = (members, batch, length + 1)
    return {"tokens": np.random.default_rng(0).integers(0, vocabulary, shape).astype(np.uint16)}
