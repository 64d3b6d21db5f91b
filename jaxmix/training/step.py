"""The training step, a pure function of one member's arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxmix.errors import JaxmixError
from jaxmix.training.optimizer import OptimizerConfig, adam, move
from jaxmix.training.types import Batch, Model, Params


@dataclass(frozen=True)
class TrainState:
    """Parameters and the optimizer's moments; arrays of a fleet lead with members."""

    params: Params
    moments: Any


jax.tree_util.register_dataclass(TrainState, ["params", "moments"], [])


@dataclass(frozen=True)
class StepMetrics:
    """Metrics of a step: mean loss in nats per token, and the norm of the unclipped gradient."""

    loss: jax.Array
    gradient_norm: jax.Array


jax.tree_util.register_dataclass(StepMetrics, ["loss", "gradient_norm"], [])


def initial_state(params: Params, config: OptimizerConfig) -> TrainState:
    """The state of parameters before the first step, with a new optimizer."""
    return TrainState(params, adam(config).init(params))


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
        return TrainState(params, moments), StepMetrics(loss, optax.tree.norm(gradient))

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
