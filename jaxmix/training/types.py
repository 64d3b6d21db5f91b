"""The parts of a training run, for all families."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import jax
import numpy as np

from jaxmix.training.optimizer import OptimizerConfig

Params = Any
Batch = Mapping[str, Any]


class Losses(Protocol):
    """Losses of records, [B] each; `jaxmix.models.Losses` is one."""

    @property
    def sums(self) -> jax.Array:
        """Sum of the loss over each record, in nats."""
        ...

    @property
    def counts(self) -> jax.Array:
        """Number of tokens of each record."""
        ...

    @property
    def parts(self) -> Mapping[str, jax.Array]:
        """Sums of the components of the loss by name, over the same counts."""
        ...


class Model(Protocol):
    """Two pure functions; `jaxmix.models.Model` is one."""

    @property
    def init(self) -> Callable[[jax.Array], Params]:
        """Takes a key and returns parameters."""
        ...

    @property
    def losses(self) -> Callable[[Params, Batch], Losses]:
        """Takes parameters and a batch and returns the losses of its records."""
        ...


@dataclass(frozen=True)
class Member:
    """One run of a fleet.

    Attributes:
        run: its name in the run table.
        seed: seed of the initial parameters; runs with equal seeds start from the same ones.
        learning_rate: its peak learning rate.
        columns: further columns of each of its rows: weights, preset, schedule, ...
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
        record_at: steps after which losses are recorded, ascending; training ends at the last one.
        tokens_per_step: tokens that one member reads per step.
        optimizer: the same for all members, except for the peak learning rate.
    """

    members: tuple[Member, ...]
    record_at: tuple[int, ...]
    tokens_per_step: int
    optimizer: OptimizerConfig

    @property
    def steps(self) -> int:
        """Number of steps of every member."""
        return self.record_at[-1]


@dataclass(frozen=True)
class HeldOut:
    """Fixed held-out records of one target.

    Attributes:
        batch: arrays of the records, [n, ...].
        bytes: bytes of text behind the predicted tokens, for bits per byte; 0 if unknown.
    """

    batch: Mapping[str, np.ndarray]
    bytes: int = 0


@dataclass(frozen=True)
class Scored:
    """Fixed records that a model is scored on besides held-out ones, such as questions.

    Attributes:
        hash: hash of the records; a run that was begun with others is refused.
        batch: arrays of the records, [n, ...].
        judge: takes parameters and a batch and returns arrays [B] of its records.
        columns: takes these arrays of all records, [n], and returns columns of a row.
    """

    hash: str
    batch: Mapping[str, np.ndarray]
    judge: Callable[[Params, Batch], Any]
    columns: Callable[[Any], Mapping[str, float]]


@dataclass(frozen=True)
class Feed:
    """The data of a fleet.

    Attributes:
        batches: takes a step and returns the batches of all members from there, arrays
            [M, B, ...]; in a group of processes, this process's share of B.
        heldout: held-out records by target.
        consumed: takes the index of a member and a number of steps and returns columns of its row,
            such as the epochs of every domain.
        scored: further records that every member is scored on; None for none.
    """

    batches: Callable[[int], Iterator[Mapping[str, np.ndarray]]]
    heldout: Mapping[str, HeldOut]
    consumed: Callable[[int, int], Mapping[str, float]] = lambda member, step: {}
    scored: Scored | None = None
