"""Plans: everything that a study will train, written down before anything runs."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jaxmix.data import Corpus
from jaxmix.models import family_of
from jaxmix.studies.domains import check_targets, mixtures_of
from jaxmix.studies.families import Built, CorpusSpec, Family, get_family
from jaxmix.studies.mixtures import Design
from jaxmix.training import OptimizerConfig, fleet_memory, write_json

Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Size:
    """One size of a study.

    Attributes:
        preset: of the model.
        tokens: of every run.
        mixtures: how many of the study's mixtures, from the first; None for all.
        learning_rate: the peak; None for the preset's own, by the paper's rule .614 / width.
    """

    preset: str
    tokens: float
    mixtures: int | None = None
    learning_rate: float | None = None


@dataclass(frozen=True)
class Study:
    """What a study asks.

    Attributes:
        corpus: which data.
        sizes: the ladder, each with its token budget.
        designs: mixtures by design.
        mixtures: further mixtures by name.
        domains: training domains; None for all of the corpus. Held-out losses of the others are
            recorded all the same: they are targets.
        seeds: each mixture is run with each; runs that share one start from the same parameters
            and read every domain in the same order.
        checkpoints: evenly spaced token counts at which losses are recorded.
        batch: records per step: windows of text, packed rows, captioned pictures.
        length: positions of a record: tokens, and patches of pictures.
        held_windows: held-out records per target.
        schedule: "constant" makes every checkpoint a run of its own length.
        warmup: share of the run's first checkpoint.
        fleet: most runs that train as one program; None for as many as memory allows.
        unique_tokens: cap of a domain's training tokens, by domain, to study repetition.
        forbid_repeat: refuse runs that would read a record twice.
        accumulate: parts of a batch that are computed one after the other; None for one on
            accelerators and for what is fastest on a CPU.
        overrides: of the presets' settings, such as ``{"remat": "full"}``.
    """

    corpus: CorpusSpec
    sizes: tuple[Size, ...]
    designs: tuple[Design, ...] = ()
    mixtures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    domains: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = (0,)
    checkpoints: int = 8
    batch: int = 16
    length: int = 128
    held_windows: int = 64
    schedule: Schedule = "constant"
    warmup: float = 0.5
    fleet: int | None = None
    unique_tokens: Mapping[str, int] = field(default_factory=dict)
    forbid_repeat: bool = False
    accumulate: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sizes or not (self.designs or self.mixtures) or not self.seeds:
            raise ValueError("a study needs at least one size, one mixture and one seed")
        families = {size.preset: family_of(size.preset) for size in self.sizes}
        if len(set(families.values())) > 1:
            named = ", ".join(f"{preset} ({family})" for preset, family in families.items())
            raise ValueError(f"sizes of one study are of one family, not {named}")
        for size in self.sizes:
            if size.tokens < self.tokens_per_step * self.checkpoints:
                least = self.tokens_per_step * self.checkpoints
                raise ValueError(
                    f"{size.preset}: {size.tokens:g} tokens are fewer than {self.checkpoints} "
                    f"checkpoints of one step each, {least:g}; give it more tokens"
                )

    @property
    def family(self) -> Family:
        """That its presets are of."""
        return get_family(family_of(self.sizes[0].preset))

    @property
    def tokens_per_step(self) -> int:
        """Of one run."""
        return self.batch * self.length

    def record_at(self, tokens: float) -> tuple[int, ...]:
        """Steps at which a run of that many tokens records its losses."""
        steps = round(tokens / self.tokens_per_step)
        return tuple(round(steps * (i + 1) / self.checkpoints) for i in range(self.checkpoints))

    def optimizer(self, tokens: float) -> OptimizerConfig:
        """How a run of that many tokens is trained."""
        steps = self.record_at(tokens)
        warmup = round(self.warmup * steps[0])
        return OptimizerConfig(steps[-1], warmup, self.schedule, accumulate=self.accumulate or 1)


@dataclass(frozen=True)
class PlannedRun:
    """One run: its name, mixture, seed and peak learning rate."""

    run: str
    mixture: str
    weights: Mapping[str, float]
    seed: int
    learning_rate: float


@dataclass(frozen=True)
class Wave:
    """Runs of one size that train as one program, and the job that one machine takes."""

    name: str
    preset: str
    tokens: float
    runs: tuple[PlannedRun, ...]


@dataclass(frozen=True)
class Plan:
    """A study, its waves, and what each size costs.

    Attributes:
        study: what was asked.
        corpus_hash: of the data it was planned on; other data is refused.
        waves: independent jobs.
        flops: of training, by preset, all runs together.
    """

    study: Study
    corpus_hash: str
    waves: tuple[Wave, ...]
    flops: Mapping[str, float]

    @property
    def runs(self) -> tuple[PlannedRun, ...]:
        """All runs, in the order of the waves."""
        return tuple(run for wave in self.waves for run in wave.runs)

    def save(self, path: Path) -> None:
        """Writes the plan as JSON, whole or not at all."""
        write_json(Path(path), {"jaxmix_plan": 1, **dataclasses.asdict(self)})


def make_plan(study: Study, corpus: Corpus | None = None) -> Plan:
    """Writes down every run of a study; nothing is trained.

    Args:
        study: what is asked.
        corpus: its corpus, where it is open already.

    Raises:
        ValueError: a domain, preset or mixture that does not fit the corpus.
    """
    corpus = corpus or study.corpus.open()
    first = build(study, study.sizes[0].preset, corpus)
    mixtures = mixtures_of(study, corpus, first)
    waves: list[Wave] = []
    flops: dict[str, float] = {}
    for size in study.sizes:
        built = build(study, size.preset, corpus)
        check_targets(study, corpus, built)
        runs = _runs(study, size, built, mixtures)
        per_run = built.model.flops_per_token(study.length) * size.tokens
        flops[size.preset] = flops.get(size.preset, 0.0) + per_run * len(runs)
        waves += _waves(size, runs, study.fleet or fleet_size(study, built, fleet_memory()))
    names = [run.run for wave in waves for run in wave.runs]
    if len(set(names)) != len(names):
        raise ValueError("two sizes of the study have one preset; give every size its own")
    return Plan(study, corpus.hash, tuple(waves), flops)


def build(study: Study, preset: str, corpus: Corpus) -> Built:
    """The model of one size of a study."""
    return study.family.build(preset, corpus, study.length, study.overrides)


def _runs(
    study: Study, size: Size, built: Built, mixtures: Mapping[str, Mapping[str, float]]
) -> list[PlannedRun]:
    chosen = list(mixtures.items())[: size.mixtures]
    rate = size.learning_rate or built.learning_rate
    return [
        PlannedRun(f"{size.preset}-{name}-s{seed}", name, dict(weights), seed, rate)
        for seed in study.seeds
        for name, weights in chosen
    ]


def _waves(size: Size, runs: Sequence[PlannedRun], most: int) -> list[Wave]:
    """Fleets of nearly equal numbers of runs, none larger than `most`."""
    count = -(-len(runs) // most)
    cuts = [round(i * len(runs) / count) for i in range(count + 1)]
    return [
        Wave(f"{size.preset}-{i}", size.preset, size.tokens, tuple(runs[a:b]))
        for i, (a, b) in enumerate(itertools.pairwise(cuts))
    ]


def fleet_size(study: Study, built: Built, memory: float) -> int:
    """Runs that fit into memory together, by a rough count of parameters and activations.

    Args:
        study: its batch and window.
        built: the model.
        memory: bytes that a fleet may take.
    """
    state = 16.0 * built.model.count().n_params_total
    config = built.config
    per_token = 20 * config.depth * config.width + 3 * config.vocab_size
    activations = 4.0 * study.tokens_per_step * per_token
    return max(1, min(64, int(memory / (state + activations))))


def config_hash(*parts: Any) -> str:
    """Short hash of everything that decides a run."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        ValueError: the file is not a plan.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("jaxmix_plan") != 1:
            raise ValueError("another version")
        study = data["study"]
        study |= {
            "corpus": CorpusSpec(**study["corpus"]),
            "sizes": tuple(Size(**s) for s in study["sizes"]),
            "designs": tuple(Design(**d) for d in study["designs"]),
            "domains": tuple(study["domains"]) if study["domains"] else None,
            "seeds": tuple(study["seeds"]),
        }
        waves = tuple(
            Wave(**{**w, "runs": tuple(PlannedRun(**r) for r in w["runs"])}) for w in data["waves"]
        )
        return Plan(Study(**study), data["corpus_hash"], waves, data["flops"])
    except FileNotFoundError:
        raise ValueError(f"{path}: no such plan; write one with jaxmix study plan") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: is not a plan ({error}); write one anew") from None
