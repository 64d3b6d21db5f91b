"""The training step: a pure function of one member's arrays, and compiled for a fleet."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxmix.errors import JaxmixError
from jaxmix.training.optimizer import OptimizerConfig, adam, averaged, move
from jaxmix.training.sharding import Layout, put
from jaxmix.training.types import Batch, Fleet, Model, Params


@dataclass(frozen=True)
class TrainState:
    """Parameters and the optimizer's moments; arrays of a fleet lead with members.

    Attributes:
        params: the parameters that are trained.
        moments: the optimizer's.
        average: the averaged parameters; None if the optimizer averages none.
    """

    params: Params
    moments: Any
    average: Params | None = None

    @property
    def kept(self) -> Params:
        """The parameters that are evaluated and kept: averaged ones if there are any."""
        return self.params if self.average is None else self.average


jax.tree_util.register_dataclass(TrainState, ["params", "moments", "average"], [])


@dataclass(frozen=True)
class StepMetrics:
    """Metrics of a step: mean loss in nats per token, and the norm of the unclipped gradient."""

    loss: jax.Array
    gradient_norm: jax.Array


jax.tree_util.register_dataclass(StepMetrics, ["loss", "gradient_norm"], [])


def initial_state(params: Params, config: OptimizerConfig) -> TrainState:
    """The state of parameters before the first step, with a new optimizer."""
    moments = adam(config).init(params)
    return TrainState(params, moments, params if config.average else None)


def train_step(
    model: Model, config: OptimizerConfig
) -> Callable[..., tuple[TrainState, StepMetrics]]:
    """Returns ``step(state, batch, peak, number)``, which returns the next state and metrics.

    `peak` is the member's peak learning rate and `number` the number of steps done, both scalars.
    """

    def step(
        state: TrainState, batch: Batch, peak: jax.Array, number: jax.Array
    ) -> tuple[TrainState, StepMetrics]:
        loss, gradient = _gradient(model, state.params, batch, config.accumulate)
        scaled, moments = adam(config).update(gradient, state.moments)
        params = move(config, state.params, scaled, peak, number)
        average = state.average
        if average is not None:
            average = averaged(config, average, params, number)
        return TrainState(params, moments, average), StepMetrics(loss, optax.tree.norm(gradient))

    return step


def _gradient(model: Model, params: Params, batch: Batch, parts: int) -> tuple[jax.Array, Params]:
    """Mean loss per token of a batch and its gradient, computed in so many parts."""

    def total(params: Params, part: Batch) -> tuple[jax.Array, jax.Array]:
        losses = model.losses(params, part)
        return losses.sums.sum(), losses.counts.sum()

    of_part = jax.value_and_grad(total, has_aux=True)
    if parts == 1:
        (nats, count), gradient = of_part(params, batch)
    else:
        cut = jax.tree.map(lambda x: _cut(x, parts), batch)

        def add(so_far: Any, part: Batch) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, so_far, of_part(params, part)), None

        zero = ((jnp.zeros(()), jnp.zeros(())), jax.tree.map(jnp.zeros_like, params))
        ((nats, count), gradient), _ = jax.lax.scan(add, zero, cut)
    return nats / count, jax.tree.map(lambda g: g / count, gradient)


def _cut(records: jax.Array, parts: int) -> jax.Array:
    """[B, ...] to [parts, B / parts, ...], strided: each device has records of each part."""
    if len(records) % parts:
        raise JaxmixError(f"a batch of {len(records)} records does not divide into {parts} parts")
    return records.reshape(-1, parts, *records.shape[1:]).swapaxes(0, 1)


class Program:
    """Initialization and step of all members at once.

    Args:
        model: model of all members.
        fleet: the fleet.
        layout: how arrays lie on devices.

    Raises:
        JaxmixError: the layout is for one member, and the fleet has several.
    """

    def __init__(self, model: Model, fleet: Fleet, layout: Layout) -> None:
        self.layout, self.count = layout, len(fleet.members)
        if self.count > 1 and not layout.is_fleet:
            raise JaxmixError(
                f"the layout holds one run and the fleet has {self.count}; use fleet_layout"
            )
        # Devices that would be idle train the last member once more.
        self._padding = np.minimum(np.arange(layout.padded(self.count)), self.count - 1)
        members = [fleet.members[i] for i in self._padding]
        self._rates = np.array([member.learning_rate for member in members], np.float32)
        self._seeds = np.stack([_key(member.seed) for member in members])

        def fresh(key: jax.Array) -> TrainState:
            return initial_state(model.init(jax.random.wrap_key_data(key)), fleet.optimizer)

        make = jax.vmap(fresh)
        shapes = jax.eval_shape(make, self._seeds)
        self.shardings = layout.state(shapes)
        lead: Any = jax.ShapeDtypeStruct(self._rates.shape, np.float32, sharding=layout.results)
        abstract = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, self.shardings
        )
        # The content of a checkpoint: the state, and the metrics of the last step.
        self.like = abstract, StepMetrics(lead, lead)
        self._init = jax.jit(make, out_shardings=self.shardings)

        def begun(params: Params) -> TrainState:
            of_one = initial_state(params, fleet.optimizer)
            return jax.tree.map(lambda x: jnp.broadcast_to(x, (len(members), *x.shape)), of_one)

        self._begin = jax.jit(begun, out_shardings=self.shardings)
        over = layout.over_members(train_step(model, fleet.optimizer), shared=(3,))
        shardings = (self.shardings, layout.results)
        self._step = jax.jit(over, donate_argnums=0, out_shardings=shardings)

    @functools.cached_property
    def _peaks(self) -> jax.Array:
        return put(self._rates, self.layout.results)

    def lower(self, batch: Mapping[str, Any], platforms: tuple[str, ...] | None = None) -> Any:
        """The step, traced and lowered for the devices of the layout; no array is made.

        Args:
            batch: arrays or shapes [M, B, ...] of all processes.
            platforms: lower for these instead ("cuda", "tpu"), which need not be here.
        """
        placed = {
            name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.layout.batch)
            for name, x in batch.items()
        }
        state, metrics = self.like
        number = jax.ShapeDtypeStruct((), np.int32)
        traced = self._step.trace(state, placed, metrics.loss, number)
        return traced.lower(lowering_platforms=platforms) if platforms else traced.lower()

    def init(self, params: Params | None = None) -> TrainState:
        """The state of all members before the first step.

        Args:
            params: parameters of one model that all members start from; None for new ones from
                their seeds.
        """
        if params is None:
            return self._init(put(self._seeds, self.layout.replicated))
        return self._begin(jax.tree.map(lambda x: put(x, self.layout.replicated), params))

    def place(self, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        """This process's part of a batch, on the devices."""
        if len(self._padding) > self.count:
            batch = {name: value[self._padding] for name, value in batch.items()}
        return self.layout.put_batch(batch)

    def step(
        self, state: TrainState, batch: Mapping[str, jax.Array], number: int
    ) -> tuple[TrainState, StepMetrics]:
        """One step of all members after `number` steps; deletes the old state."""
        return self._step(state, batch, self._peaks, np.int32(number))


def _key(seed: int) -> np.ndarray:
    return np.asarray(jax.random.key_data(jax.random.key(seed)))
