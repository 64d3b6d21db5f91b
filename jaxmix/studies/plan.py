"""Plans: everything that a study will train, saved before anything runs."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxmix.data import Corpus
from jaxmix.errors import JaxmixError
from jaxmix.models import TextConfig, VisionConfig
from jaxmix.models.attention import SHORT
from jaxmix.placement import current
from jaxmix.studies.families import Built
from jaxmix.studies.mixtures import Stage, average
from jaxmix.studies.pools import pool_tokens
from jaxmix.studies.study import Size, Study, mixtures_of, stages_of, targets_of
from jaxmix.training import fleet_memory, write_json


@dataclass(frozen=True)
class PlannedRun:
    """One run: its name, mixture, seed and peak learning rate.

    If the mixture changes, `weights` are the average of its `stages` over tokens.
    """

    run: str
    mixture: str
    weights: Mapping[str, float]
    seed: int
    learning_rate: float
    stages: tuple[Stage, ...] = ()

    def stage_starts(self, steps: int) -> tuple[int, ...]:
        """The first step of every stage of a run of so many steps."""
        ends = itertools.accumulate(stage.share for stage in self.stages[:-1])
        return (0, *(round(end * steps) for end in ends))


@dataclass(frozen=True)
class Wave:
    """Runs of one size that train as one program, on one machine.

    `unique` are the training tokens in the pools of domains, all of the corpus if one is left out.
    """

    name: str
    preset: str
    tokens: float
    runs: tuple[PlannedRun, ...]
    unique: Mapping[str, int] = field(default_factory=dict)

    @property
    def read(self) -> dict[str, float]:
        """Tokens that the run with the largest weight of a domain reads of it."""
        weights = {d: max(run.weights.get(d, 0.0) for run in self.runs) for d in self.unique}
        return {domain: self.tokens * weight for domain, weight in weights.items()}

    @property
    def epochs(self) -> dict[str, float]:
        """Epochs over a domain's pool in the run with its largest weight."""
        return {domain: read / self.unique[domain] for domain, read in self.read.items()}


@dataclass(frozen=True)
class Plan:
    """A study with its waves and costs.

    Attributes:
        study: the study.
        corpus_hash: hash of the data that it was planned with; other data is refused.
        waves: independent jobs.
        flops: training FLOPs of all runs together, by preset.
    """

    study: Study
    corpus_hash: str
    waves: tuple[Wave, ...]
    flops: Mapping[str, float]

    @property
    def runs(self) -> tuple[PlannedRun, ...]:
        """All runs, in the order of the waves."""
        return tuple(run for wave in self.waves for run in wave.runs)

    def find(self, run: str, folder: Path | str) -> tuple[Wave, PlannedRun]:
        """The wave of a run, and the run.

        Raises:
            JaxmixError: there is no such run; names the folder and the runs.
        """
        for wave in self.waves:
            for one in wave.runs:
                if one.run == run:
                    return wave, one
        some = ", ".join(one.run for one in self.runs[:8]) + ", ..." * (len(self.runs) > 8)
        raise JaxmixError(f"{folder}: no run '{run}'; it holds {some}")

    def save(self, path: Path) -> None:
        """Writes the plan as JSON."""
        write_json(Path(path), {"jaxmix_plan": 1, **dataclasses.asdict(self)})


def make_plan(study: Study, corpus: Corpus | None = None) -> Plan:
    """Plans every run of a study; nothing is trained.

    Args:
        study: the study.
        corpus: its corpus, if it is open already.

    Raises:
        JaxmixError: a domain, preset or mixture does not fit the corpus.
    """
    corpus = corpus or study.corpus.open()
    first = build(study, study.sizes[0].preset, corpus)
    mixtures = mixtures_of(study, corpus, first)
    stages = stages_of(study, corpus, mixtures)
    check_origin(study, corpus)
    waves: list[Wave] = []
    flops: dict[str, float] = {}
    for size in study.sizes:
        built = build(study, size.preset, corpus)
        for target in targets_of(study, corpus):  # raises if held-out records cannot be made
            study.family.heldout(built, corpus, target, study.length, 1)
        runs = _runs(study, size, built, mixtures, stages)
        per_run = built.model.flops_per_token(study.length) * size.tokens
        flops[size.preset] = flops.get(size.preset, 0.0) + per_run * len(runs)
        unique = pool_tokens(study, corpus, built, size.tokens)
        most = study.fleet or fleet_size(study, built, fleet_memory())
        waves += _waves(size, runs, most, unique)
    names = [run.run for wave in waves for run in wave.runs]
    if len(set(names)) != len(names):
        raise JaxmixError("two sizes of the study have one preset; give every size its own")
    return Plan(study, corpus.hash, tuple(waves), flops)


def build(study: Study, preset: str, corpus: Corpus) -> Built:
    """The model of one size of a study."""
    return study.family.build(preset, corpus, study.length, study.overrides)


def _runs(
    study: Study,
    size: Size,
    built: Built,
    mixtures: Mapping[str, Mapping[str, float]],
    stages: Mapping[str, tuple[Stage, ...]],
) -> list[PlannedRun]:
    fixed = [(name, dict(weights), ()) for name, weights in mixtures.items()]
    staged = [(name, average(parts), parts) for name, parts in stages.items()]
    rate, steps = size.learning_rate or built.learning_rate, study.record_at(size.tokens)[-1]
    runs = [
        PlannedRun(f"{size.preset}-{name}-s{seed}", name, weights, seed, rate, parts)
        for seed in study.seeds
        for name, weights, parts in [*fixed, *staged][: size.mixtures]
    ]
    for run in runs:
        starts = (*run.stage_starts(steps), steps)
        if any(b <= a for a, b in itertools.pairwise(starts)):
            raise JaxmixError(
                f"stages of '{run.mixture}': one has no step of its own in {steps} steps of "
                f"{size.preset}; give it a larger share"
            )
    return runs


def check_origin(study: Study, corpus: Corpus) -> None:
    """Checks that a study can start from the run that it names.

    Raises:
        JaxmixError: its preset or tokenizer differs from the run's.
    """
    origin = study.start_from
    if origin is None:
        return
    other = [size.preset for size in study.sizes if size.preset != origin.preset]
    if other:
        raise JaxmixError(
            f"run '{origin.run}' is of {origin.preset}; {other[0]} cannot start from it"
        )
    if tokenizer_name(corpus) != origin.tokenizer:
        raise JaxmixError(
            f"run '{origin.run}' reads tokens of {origin.tokenizer}, and {corpus.name} has tokens "
            f"of {tokenizer_name(corpus)}; prepare the data with the tokenizer of the run"
        )


def tokenizer_name(corpus: Corpus) -> str:
    """The tokenizer and its hash, as in run tables."""
    return f"{corpus.tokenizer.name}-{corpus.tokenizer.hash[:12]}"


def wave_folder(folder: Path, wave: Wave) -> Path:
    """The folder of a wave's rows and checkpoints."""
    return Path(folder) / "waves" / wave.name


def _waves(
    size: Size, runs: Sequence[PlannedRun], most: int, unique: Mapping[str, int]
) -> list[Wave]:
    """Waves of nearly equal numbers of runs, at most `most`."""
    count = -(-len(runs) // most)
    cuts = [round(i * len(runs) / count) for i in range(count + 1)]
    return [
        Wave(f"{size.preset}-{i}", size.preset, size.tokens, tuple(runs[a:b]), unique)
        for i, (a, b) in enumerate(itertools.pairwise(cuts))
    ]


def fleet_size(study: Study, built: Built, memory: float) -> int:
    """Number of runs that fit into memory.

    Args:
        study: the study.
        built: the model.
        memory: bytes that a fleet may use.
    """
    state, step = member_memory(built, study.batch, study.length, current().platform)
    return max(1, min(64, int(memory / (state + step))))


def member_memory(built: Built, batch: int, length: int, platform: str) -> tuple[float, float]:
    """Bytes of a run's parameters and moments, and of what a step adds.

    A CPU's are a rough count in float32. An accelerator's follow the compiled steps of
    ``benchmarks/results/accelerators.json``: activations of 20 bytes for every position, layer and
    unit of width, the logits, and scores of rows that are too short for fused attention.

    Args:
        built: the model.
        batch: records of a step.
        length: positions of a record.
        platform: "cpu", "gpu" or "tpu".
    """
    config, state = built.config, 12.0 * built.model.count().n_params_total
    if platform == "cpu":
        per_token = 20 * config.depth * config.width + 3 * config.vocab_size
        return 4 / 3 * state, 4.0 * batch * length * per_token
    stacks, words = [(config.depth, config.width, config.heads, length)], length
    if isinstance(config, VisionConfig):
        patches = config.grid.patches
        decoder = (config.decoder_depth, config.decoder_width, 0, length)
        stacks, words = [(*stacks[0][:3], patches), decoder], length - patches
    plain = not isinstance(config, TextConfig) and stacks[0][-1] <= SHORT
    each = 4.0 * words * config.vocab_size
    for depth, width, heads, positions in stacks:
        each += depth * positions * (20 * width + 7 * heads * positions * plain)
    return state, batch * each


def config_hash(*parts: Any) -> str:
    """Short hash of the settings of a run."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
