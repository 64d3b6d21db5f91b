"""The one training step and the one evaluation, pure functions of one member's arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxmix.errors import JaxmixError
from jaxmix.training.optimizer import OptimizerConfig, adam, move
from jaxmix.training.types import Batch, Losses, Model, Params


@dataclass(frozen=True)
class TrainState:
    """Parameters and moments; with a leading axis for members once a fleet holds it."""

    params: Params
    moments: Any


jax.tree_util.register_dataclass(TrainState, ["params", "moments"], [])


@dataclass(frozen=True)
class StepMetrics:
    """Of one step: mean loss in nats per token, and the gradient's norm before clipping."""

    loss: jax.Array
    gradient_norm: jax.Array


jax.tree_util.register_dataclass(StepMetrics, ["loss", "gradient_norm"], [])


def init_state(model: Model, config: OptimizerConfig, key: jax.Array) -> TrainState:
    """The state before the first step."""
    return started(model.init(key), config)


def started(params: Params, config: OptimizerConfig) -> TrainState:
    """The state of given parameters before the first step: the optimizer remembers nothing."""
    return TrainState(params, adam(config).init(params))


def train_step(
    model: Model, config: OptimizerConfig
) -> Callable[..., tuple[TrainState, StepMetrics]]:
    """Returns ``step(state, batch, peak, number)`` to the next state and what it saw.

    `peak` is the member's learning rate and `number` the steps done before, both scalars.
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
    """Mean loss per token of a batch and its gradient, computed in `parts` pieces."""

    def total(params: Params, part: Batch) -> tuple[jax.Array, jax.Array]:
        losses = model.losses(params, part)
        return losses.sums.sum(), losses.counts.sum()

    of_part = jax.value_and_grad(total, has_aux=True)
    if parts == 1:
        (nats, count), gradient = of_part(params, batch)
    else:
        split = jax.tree.map(lambda x: _dealt(x, parts), batch)

        def add(so_far: Any, part: Batch) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, so_far, of_part(params, part)), None

        zero = ((jnp.zeros(()), jnp.zeros(())), jax.tree.map(jnp.zeros_like, params))
        ((nats, count), gradient), _ = jax.lax.scan(add, zero, split)
    return nats / count, jax.tree.map(lambda g: g / count, gradient)


def _dealt(records: jax.Array, parts: int) -> jax.Array:
    """[B, ...] to [parts, B / parts, ...], dealt like cards: each device has some of each."""
    if len(records) % parts:
        raise JaxmixError(f"a batch of {len(records)} records does not divide into {parts} parts")
    return records.reshape(-1, parts, *records.shape[1:]).swapaxes(0, 1)


def eval_step(model: Model) -> Callable[[Params, Batch], Losses]:
    """Returns ``evaluate(params, batch)`` to the losses of its records."""

    def evaluate(params: Params, batch: Batch) -> Losses:
        return model.losses(params, batch)

    return evaluate
