"""What a study's programs would take on an accelerator, compiled for it without having one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmix.data import Corpus, batches
from jaxmix.placement import Placement, placed
from jaxmix.studies.plan import Wave, build
from jaxmix.studies.run import sources_of
from jaxmix.studies.study import Study
from jaxmix.training import Fleet, Member
from jaxmix.training.targets import Compiled, Target, compile_step


@dataclass(frozen=True)
class DryRun:
    """A wave's training step, compiled for a target.

    Attributes:
        wave: the wave.
        compiled: its step.
        largest: about how many records a step of each run may have, from the memory of this batch
            and of half of it; None if the batch cannot be halved.
        tokens: tokens that all runs of the wave read in a step.
        flops: their FLOPs, forward and backward, with causal attention counted as causal.
        steps: steps of every run.
    """

    wave: Wave
    compiled: Compiled
    largest: int | None
    tokens: int
    flops: float
    steps: int

    @property
    def mfu(self) -> float:
        """Modeled share of the chips' peak that training uses."""
        return self.compiled.mfu(self.flops)

    @property
    def hours(self) -> float:
        """Modeled time of all steps, without evaluations."""
        return self.steps * self.compiled.seconds / 3600

    def to_dict(self) -> dict[str, Any]:
        """Its figures by name, as JSON holds them; times are modeled."""
        made, target = self.compiled, self.compiled.target
        return {
            "preset": self.wave.preset,
            "runs": len(self.wave.runs),
            "target": target.name,
            "fits": made.fits,
            "state_bytes": made.state,
            "peak_bytes": made.peak,
            "memory_bytes": target.spec.memory,
            "largest_batch": self.largest,
            "collective_bytes": dict(made.cost.collectives),
            "modeled_step_seconds": made.seconds,
            "modeled_tokens_per_second": self.tokens / made.seconds,
            "modeled_mfu": self.mfu,
            "modeled_hours": self.hours,
        }


def dry_run(
    study: Study, wave: Wave, corpus: Corpus, target: Target, fsdp: int | None = None
) -> DryRun:
    """Compiles a wave's training step for a target.

    Args:
        study: the study.
        wave: the wave.
        corpus: its corpus, whose first batch gives the shapes.
        target: the target.
        fsdp: number of devices that share the parameters of a single run; None for a fleet.

    Raises:
        JaxmixError: the target's compiler is missing, or refuses the program.
    """
    with placed(Placement(target.spec.platform)):
        built = build(study, wave.preset, corpus)
        batch = next(batches(sources_of(study, wave, corpus)))
    steps = study.record_at(wave.tokens)
    members = tuple(Member(run.run, run.seed, run.learning_rate) for run in wave.runs)
    fleet = Fleet(members, steps, study.tokens_per_step, study.optimizer(wave.tokens))

    def compiled(count: int) -> Compiled:
        attention = count * len(members) * built.model.attention_flops(study.length)
        return compile_step(target, built.model, fleet, _resized(batch, count), fsdp, attention)

    whole, parts = compiled(study.batch), 1 if fsdp is None else target.count
    half = study.batch // 2
    largest = None
    if half and half % parts == 0:
        largest = _largest(half, compiled(half).peak, study.batch, whole, parts)
    tokens = len(members) * study.tokens_per_step
    flops = tokens * built.model.flops_per_token(study.length)
    return DryRun(wave, whole, largest, tokens, flops, steps[-1])


def _resized(batch: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """A batch of so many records, of which only shapes matter."""
    return {
        name: np.broadcast_to(x[:, :1], (len(x), count, *x.shape[2:])) for name, x in batch.items()
    }


def _largest(half: int, half_peak: float, batch: int, whole: Compiled, parts: int) -> int:
    """The most records that fit if memory grows in proportion."""
    each = max((whole.peak - half_peak) / (batch - half), 1.0)
    most = int(batch + whole.room / each)
    return max(0, most - most % parts)
