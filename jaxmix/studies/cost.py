"""What a plan costs: FLOPs by count, and time by a short measurement on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from jaxmix.data import Corpus, batches
from jaxmix.errors import JaxmixError
from jaxmix.studies.domains import targets_of
from jaxmix.studies.plan import Plan, Size, Wave, build
from jaxmix.studies.run import sources_of
from jaxmix.training import measure_rate


@dataclass(frozen=True)
class Cost:
    """Of one size of a plan.

    Attributes:
        preset: of the size.
        n_params: non-embedding parameters.
        runs: how many.
        waves: in how many fleets.
        tokens: of each run.
        flops: of training all of them.
        seconds: on this machine, evaluations included and compilation not.
    """

    preset: str
    n_params: int
    runs: int
    waves: int
    tokens: float
    flops: float
    seconds: float


def estimate(plan: Plan, corpus: Corpus) -> list[Cost]:
    """Costs of all sizes; trains a few steps of each to learn its speed."""
    return [_cost(plan, corpus, size) for size in plan.study.sizes]


def _cost(plan: Plan, corpus: Corpus, size: Size) -> Cost:
    study = plan.study
    waves = [wave for wave in plan.waves if wave.preset == size.preset]
    runs = sum(len(wave.runs) for wave in waves)
    model = build(study, size.preset, corpus).model
    largest = max(waves, key=lambda wave: len(wave.runs))
    batch = next(batches(sources_of(study, largest, corpus)))
    rate = measure_rate(model, batch, study.length)
    targets = targets_of(study, corpus)
    held = study.held_windows * len(targets) * study.length * study.checkpoints
    # A forward pass alone is a third of a training step.
    tokens = runs * (size.tokens + held / 3)
    n_params = model.count().n_params
    flops = plan.flops[size.preset]
    return Cost(size.preset, n_params, runs, len(waves), size.tokens, flops, seconds=tokens / rate)


def check_repeats(plan: Plan, corpus: Corpus) -> None:
    """Refuses a plan that would read a record twice, where its study forbids that.

    Raises:
        JaxmixError: names the domain, what it has and what the run needs.
    """
    for wave in plan.waves:
        _check(plan, corpus, wave)


def _check(plan: Plan, corpus: Corpus, wave: Wave) -> None:
    steps = plan.study.record_at(wave.tokens)[-1]
    for run, source in zip(wave.runs, sources_of(plan.study, wave, corpus), strict=True):
        try:
            source.check(steps)
        except JaxmixError as error:
            raise JaxmixError(f"run {run.run}: {error}") from None
