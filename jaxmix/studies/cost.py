"""The cost of a plan: counted FLOPs, and time from a short measurement on this machine."""

from dataclasses import dataclass

from jaxmix.data import Corpus, batches
from jaxmix.errors import JaxmixError
from jaxmix.studies.plan import Plan, Wave, build
from jaxmix.studies.run import sources_of
from jaxmix.studies.study import Size, targets_of
from jaxmix.studies.tasks import encoded_tasks
from jaxmix.training import measure_rate


@dataclass(frozen=True)
class Cost:
    """The cost of one size of a plan.

    Attributes:
        preset: preset of the size.
        n_params: number of non-embedding parameters.
        runs: number of runs.
        waves: number of waves.
        tokens: training tokens of each run.
        flops: training FLOPs of all runs.
        seconds: time on this machine, with evaluations and without compilation.
    """

    preset: str
    n_params: int
    runs: int
    waves: int
    tokens: float
    flops: float
    seconds: float


def estimate(plan: Plan, corpus: Corpus) -> list[Cost]:
    """The costs of all sizes; trains each for a few steps to measure its speed."""
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
    if tasks := encoded_tasks(study, corpus):
        held += tasks[1].counted.size * study.checkpoints
    # A forward pass alone is a third of a training step.
    tokens = runs * (size.tokens + held / 3)
    n_params = model.count().n_params
    flops = plan.flops[size.preset]
    return Cost(size.preset, n_params, runs, len(waves), size.tokens, flops, seconds=tokens / rate)


def most_read(plan: Plan) -> dict[str, tuple[float, int]]:
    """Tokens read of every domain, and unique ones in its pool, of the run that repeats it most."""
    found: dict[str, tuple[float, int]] = {}
    for wave in plan.waves:
        for domain, read in wave.read.items():
            here = (read, wave.unique[domain])
            found[domain] = max(found.get(domain, here), here, key=lambda one: one[0] / one[1])
    return found


def check_repeats(plan: Plan, corpus: Corpus) -> None:
    """Checks that no record is read twice, if the study of a plan forbids that.

    Raises:
        JaxmixError: a run would repeat a domain; names both and how many records it needs.
    """
    for wave in plan.waves:
        _check_wave(plan, corpus, wave)


def _check_wave(plan: Plan, corpus: Corpus, wave: Wave) -> None:
    steps = plan.study.record_at(wave.tokens)[-1]
    for run, source in zip(wave.runs, sources_of(plan.study, wave, corpus), strict=True):
        try:
            source.check(steps)
        except JaxmixError as error:
            raise JaxmixError(f"run {run.run}: {error}") from None
