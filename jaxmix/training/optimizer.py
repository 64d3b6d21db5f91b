"""Fully decoupled AdamW, and learning rates as data so that a fleet can hold many.

Decoupled means that neither the peak learning rate nor its sweep changes the decay: parameters
shrink by ``weight_decay * schedule(step)`` (appendix A of the paper; Loshchilov and Hutter 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from jaxmix.errors import JaxmixError


@dataclass(frozen=True)
class OptimizerConfig:
    """How parameters move; the defaults are the paper's.

    Attributes:
        steps: of the whole run, which a cosine ends at.
        warmup_steps: from 0 to the peak, linearly.
        schedule: after the warm-up "constant", which makes every checkpoint a run of its own
            length, or "cosine" to zero.
        b1: decay of the first moment.
        b2: decay of the second moment.
        weight_decay: share of every matrix that a step at the peak takes away.
        clip: largest global norm of a gradient.
        accumulate: parts of a batch that are computed one after the other.
    """

    steps: int
    warmup_steps: int
    schedule: Literal["constant", "cosine"] = "constant"
    b1: float = 0.9
    b2: float = 0.95
    weight_decay: float = 1e-4
    clip: float = 1.0
    accumulate: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_steps <= self.steps:
            raise JaxmixError(f"warm-up of {self.warmup_steps} steps in a run of {self.steps}")

    def unit(self, step: jax.Array) -> jax.Array:
        """The schedule as a share of the peak; step 0 is the first."""
        done = step.astype(jnp.float32) + 1
        rise = jnp.minimum(1.0, done / max(self.warmup_steps, 1))
        if self.schedule == "constant":
            return rise
        rest = max(self.steps - self.warmup_steps, 1)
        # The cosine stands at its top until the warm-up is over.
        since = jnp.maximum(done - 1 - self.warmup_steps, 0.0)
        return rise * optax.cosine_decay_schedule(1.0, rest)(since)


def adam(config: OptimizerConfig) -> optax.GradientTransformation:
    """Clipping and Adam's scaling; `move` does what depends on the step and the learning rate."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip), optax.scale_by_adam(b1=config.b1, b2=config.b2)
    )


def move(
    config: OptimizerConfig, params: Any, scaled: Any, peak: jax.Array, step: jax.Array
) -> Any:
    """Parameters after a step of size ``unit(step) * (peak * scaled + decay * params)``.

    Vectors (gains and biases) do not decay; nor does anything else with fewer than two axes of its
    own, which stacked layers show by their name.
    """
    unit = config.unit(step)

    def one(path: tuple[Any, ...], p: jax.Array, u: jax.Array) -> jax.Array:
        decay = config.weight_decay if is_matrix(path) else 0.0
        return p - unit * (peak * u + decay * p)

    return jax.tree_util.tree_map_with_path(one, params, scaled)


def is_matrix(path: tuple[Any, ...]) -> bool:
    """Whether a parameter decays, by the last part of its name."""
    return path[-1].key not in ("gain", "bias")
