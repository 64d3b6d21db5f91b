"""What a training run is made of, for every family alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import jax
import numpy as np

from jaxmix.training.optimizer import OptimizerConfig

Params = Any
Batch = Mapping[str, Any]


class Losses(Protocol):
    """Losses by record: sums in nats and counts of tokens, [B] each, and parts of the sums."""

    @property
    def sums(self) -> jax.Array:
        """[B]."""
        ...

    @property
    def counts(self) -> jax.Array:
        """[B]."""
        ...

    @property
    def parts(self) -> Mapping[str, jax.Array]:
        """Sums of the parts of a loss that has several, [B] each, over the same counts."""
        ...


class Model(Protocol):
    """Two pure functions; `jaxmix.models.Model` is one."""

    @property
    def init(self) -> Callable[[jax.Array], Params]:
        """Key to parameters."""
        ...

    @property
    def losses(self) -> Callable[[Params, Batch], Losses]:
        """Parameters and a batch to the losses of its records."""
        ...


@dataclass(frozen=True)
class Member:
    """One run of a fleet.

    Attributes:
        run: its name in the run table.
        seed: of the initial parameters; runs that share it start alike.
        learning_rate: the peak.
        columns: what each of its rows carries besides: weights, preset, schedule, ...
    """

    run: str
    seed: int
    learning_rate: float
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fleet:
    """Runs of one size that train as one program; a single run is a fleet of one.

    Attributes:
        members: the runs.
        record_at: steps after which losses are recorded, ascending; the last ends the fleet.
        tokens_per_step: of one member.
        optimizer: the same for all; peaks are the members' own.
    """

    members: tuple[Member, ...]
    record_at: tuple[int, ...]
    tokens_per_step: int
    optimizer: OptimizerConfig

    @property
    def steps(self) -> int:
        """Steps of every member."""
        return self.record_at[-1]


@dataclass(frozen=True)
class Held:
    """Fixed held-out records of one target.

    Attributes:
        batch: arrays that lead with the records, [n, ...].
        bytes: of text that the predicted tokens stand for, to give bits per byte; 0 for none.
    """

    batch: Mapping[str, np.ndarray]
    bytes: int = 0


@dataclass(frozen=True)
class Feed:
    """The data of a fleet.

    Attributes:
        batches: from a step on, batches of all members, arrays [M, B, ...]; in a group of
            processes, this process's share of B.
        held: held-out records by target.
        consumed: columns of a member's row after a step, such as epochs of every domain.
    """

    batches: Callable[[int], Iterator[Mapping[str, np.ndarray]]]
    held: Mapping[str, Held]
    consumed: Callable[[int, int], Mapping[str, float]] = lambda member, step: {}
