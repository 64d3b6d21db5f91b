"""Fully decoupled AdamW, with learning rates as arrays, so that members of a fleet can differ.

Decoupled means that the weight decay does not depend on the peak learning rate: parameters shrink
by ``weight_decay * schedule(step)`` (appendix A of the paper; Loshchilov and Hutter 2017).
"""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from jaxmix.errors import JaxmixError


@dataclass(frozen=True)
class OptimizerConfig:
    """Settings of the optimizer; the defaults are the paper's.

    Attributes:
        steps: number of steps of the whole run, at whose end a cosine is zero.
        warmup_steps: number of steps of the linear warm-up from 0 to the peak.
        schedule: "constant" after the warm-up, so that every checkpoint is a run of its own length,
            or "cosine" to zero.
        b1: decay of the first moment.
        b2: decay of the second moment.
        weight_decay: share by which a step at the peak shrinks every matrix.
        clip: largest global norm of a gradient.
        average: the parameters that are evaluated and kept are averages over this share of the
            steps so far, see `averaged`; 0 for the parameters themselves.
        accumulate: number of parts of a batch that are computed one after the other.
    """

    steps: int
    warmup_steps: int
    schedule: Literal["constant", "cosine"] = "constant"
    b1: float = 0.9
    b2: float = 0.95
    weight_decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.0
    accumulate: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_steps <= self.steps:
            raise JaxmixError(
                f"a warm-up of {self.warmup_steps} steps does not fit a run of {self.steps}"
            )
        if not 0 <= self.average <= 1:
            raise JaxmixError(f"an average over a share of {self.average:g}; give one from 0 to 1")

    def unit(self, step: jax.Array) -> jax.Array:
        """The schedule as a share of the peak; step 0 is the first."""
        done = step.astype(jnp.float32) + 1
        rise = jnp.minimum(1.0, done / max(self.warmup_steps, 1))
        if self.schedule == "constant":
            return rise
        rest = max(self.steps - self.warmup_steps, 1)
        # The cosine stays at its maximum until the warm-up is over.
        since = jnp.maximum(done - 1 - self.warmup_steps, 0.0)
        return rise * optax.cosine_decay_schedule(1.0, rest)(since)


def adam(config: OptimizerConfig) -> optax.GradientTransformation:
    """Clipping and Adam's scaling; `move` applies schedule, learning rate and decay."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip), optax.scale_by_adam(b1=config.b1, b2=config.b2)
    )


def move(
    config: OptimizerConfig, params: Any, scaled: Any, peak: jax.Array, step: jax.Array
) -> Any:
    """Parameters after a step of size ``unit(step) * (peak * scaled + decay * params)``.

    Vectors (gains and biases) do not decay. They are told by their names, because stacked layers
    have one more axis.
    """
    unit = config.unit(step)

    def one(path: tuple[Any, ...], p: jax.Array, u: jax.Array) -> jax.Array:
        decay = config.weight_decay if is_matrix(path) else 0.0
        return p - unit * (peak * u + decay * p)

    return jax.tree_util.tree_map_with_path(one, params, scaled)


def averaged(config: OptimizerConfig, so_far: Any, params: Any, step: jax.Array) -> Any:
    """The average of parameters over the last share of all steps, after one more step.

    Step t moves the average towards the parameters by 1 / (average * t), as in Shamir and Zhang
    2013: weights fall as a power of t, and their mean age is average / (1 + average) of the run. So
    every checkpoint is averaged as a run of its own length would be. At a constant learning rate
    this lowers the noise that the last steps leave in the losses.

    Args:
        config: the settings; `average` is above 0.
        so_far: the average before the step.
        params: the parameters after the step.
        step: number of steps before this one, a scalar.
    """
    share = jnp.minimum(1.0, 1.0 / (config.average * (step.astype(jnp.float32) + 1)))
    return jax.tree.map(lambda a, p: a + share * (p - a), so_far, params)


def is_matrix(path: tuple[Any, ...]) -> bool:
    """Whether a parameter decays, by the last part of its name."""
    return path[-1].key not in ("gain", "bias")
