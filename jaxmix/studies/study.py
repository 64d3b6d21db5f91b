"""A study: data, sizes, mixtures, seeds and training of its runs, and what it reads of a corpus."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxmix.data import Corpus
from jaxmix.errors import JaxmixError
from jaxmix.models import family_of
from jaxmix.studies.families import Built, CorpusSpec, Family, get_family
from jaxmix.studies.mixtures import Design, Stage, checked_mixture, checked_stages, named_mixtures
from jaxmix.training import OptimizerConfig

Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Size:
    """One size of a study.

    Attributes:
        preset: preset of the model.
        tokens: training tokens of every run.
        mixtures: number of the study's mixtures, from the first; None for all.
        learning_rate: peak learning rate; None for the preset's, by the paper's rule .614 / width.
    """

    preset: str
    tokens: float
    mixtures: int | None = None
    learning_rate: float | None = None


@dataclass(frozen=True)
class Origin:
    """The finished run that continued runs start from; `find_origin` makes one.

    Attributes:
        folder: absolute path of the folder of its study.
        run: name of the run.
        hash: hash of its final parameters; others are refused.
        preset: preset of its model.
        tokenizer: tokenizer of its data.
        tokens: tokens that its parameters have been trained on, in all.
    """

    folder: str
    run: str
    hash: str
    preset: str
    tokenizer: str
    tokens: int


@dataclass(frozen=True)
class TaskFile:
    """The tasks that runs are scored on at every checkpoint; `find_tasks` makes one.

    Attributes:
        path: absolute path of the JSONL file of questions.
        hash: hash of the questions; others are refused.
    """

    path: str
    hash: str


@dataclass(frozen=True)
class Study:
    """The settings of a study.

    Attributes:
        corpus: the data.
        sizes: the ladder of sizes, each with its token budget.
        designs: designs of mixtures.
        mixtures: further mixtures by name.
        domains: training domains; None for all of the corpus. Losses of the other domains are
            recorded too, as targets.
        seeds: seeds that each mixture is run with. Runs with equal seeds start from the same
            parameters and read every domain in the same order.
        checkpoints: number of evenly spaced token counts at which losses are recorded.
        batch: number of records per step: windows of text, packed rows, captioned pictures.
        length: number of positions in a record: tokens, and patches of pictures.
        held_windows: number of held-out records per target.
        schedule: "cosine", or "constant", which makes every checkpoint a run of its own length.
        warmup: length of the warm-up, as a share of the steps to the first checkpoint.
        average: losses are measured with parameters averaged over this share of the run so far, and
            these are kept at its end; 0 for the parameters themselves. Averaged ones have losses
            with less noise at a constant learning rate.
        fleet: most runs that train as one program; None for as many as memory allows.
        unique_tokens: stock of unique training tokens by domain; all of the corpus for the others.
            Runs read a pool of so many tokens, which their seed chooses.
        match_epochs: tokens of a large run that has this stock. Pools are cut so that every run
            repeats each domain as often as the large run would. None for pools of the whole stock.
        forbid_repeat: refuse runs that would read a record twice.
        accumulate: number of parts of a batch that are computed one after the other; None for one
            on accelerators and the fastest number on a CPU.
        overrides: settings of the presets' models, such as ``{"remat": "full"}``.
        stages: mixtures that change during a run, by name.
        start_from: the run whose parameters all runs start from, with a new optimizer and warm-up.
            Its unread records come first, in the order of each run's seed. None for new parameters.
        tasks: the tasks that runs are scored on at every checkpoint; None for none.
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
    average: float = 0.0
    fleet: int | None = None
    unique_tokens: Mapping[str, float] = field(default_factory=dict)
    match_epochs: float | None = None
    forbid_repeat: bool = False
    accumulate: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, tuple[Stage, ...]] = field(default_factory=dict)
    start_from: Origin | None = None
    tasks: TaskFile | None = None

    def __post_init__(self) -> None:
        mixed = self.designs or self.mixtures or self.stages
        if not self.sizes or not mixed or not self.seeds:
            raise JaxmixError("a study needs at least one size, one mixture and one seed")
        families = {size.preset: family_of(size.preset) for size in self.sizes}
        if len(set(families.values())) > 1:
            named = ", ".join(f"{preset} ({family})" for preset, family in families.items())
            raise JaxmixError(f"sizes of one study must be of one family, not {named}")
        least = self.tokens_per_step * self.checkpoints
        for size in self.sizes:
            if size.tokens < least:
                raise JaxmixError(
                    f"{size.preset}: {size.tokens:g} tokens are fewer than {self.checkpoints} "
                    f"checkpoints of one step each, {least:g}; give it more tokens"
                )

    @property
    def family(self) -> Family:
        """The family of its presets."""
        return get_family(family_of(self.sizes[0].preset))

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one run reads per step."""
        return self.batch * self.length

    def record_at(self, tokens: float) -> tuple[int, ...]:
        """Steps at which a run of so many tokens records its losses."""
        steps = round(tokens / self.tokens_per_step)
        return tuple(round(steps * (i + 1) / self.checkpoints) for i in range(self.checkpoints))

    def optimizer(self, tokens: float) -> OptimizerConfig:
        """The optimizer of a run of so many tokens."""
        steps = self.record_at(tokens)
        warmup = round(self.warmup * steps[0])
        parts = self.accumulate or 1
        return OptimizerConfig(
            steps[-1], warmup, self.schedule, average=self.average, accumulate=parts
        )


def targets_of(study: Study, corpus: Corpus) -> tuple[str, ...]:
    """The targets of a study: all of the corpus that its family can read."""
    return tuple(name for name in corpus.targets if study.family.reads(corpus, name))


def domains_of(study: Study, corpus: Corpus) -> tuple[str, ...]:
    """The training domains of a study.

    Raises:
        JaxmixError: a name is not a domain, or the family cannot read it.
    """
    family = study.family
    known = tuple(name for name in corpus.domains if family.reads(corpus, name))
    for name in [*(study.domains or ()), *study.unique_tokens]:
        if name not in known:
            raise JaxmixError(
                f"{corpus.name} has no training domain '{name}' for {family.name} models; known: "
                f"{', '.join(known) or 'none'}"
            )
    if not known:
        raise JaxmixError(f"{corpus.name} has no domain that {family.name} models can read")
    return study.domains or known


def epoch_tokens(study: Study, corpus: Corpus, built: Built) -> dict[str, int]:
    """Training tokens of every domain in whole records, including patches of pictures."""
    return {
        d: len(study.family.records(built, corpus, d, study.length)) * study.length
        for d in domains_of(study, corpus)
    }


def mixtures_of(study: Study, corpus: Corpus, built: Built) -> dict[str, dict[str, float]]:
    """Weights of every mixture of a study, by name.

    Raises:
        JaxmixError: a mixture names an unknown domain, or its weights do not sum to 1.
    """
    sizes = epoch_tokens(study, corpus, built)
    given = {n: checked_mixture(n, weights, tuple(sizes)) for n, weights in study.mixtures.items()}
    stock = {domain: study.unique_tokens.get(domain, n) for domain, n in sizes.items()}
    return named_mixtures(study.designs, stock) | given


def stages_of(study: Study, corpus: Corpus, taken: Container[str]) -> dict[str, tuple[Stage, ...]]:
    """Stages of every staged mixture of a study, by name.

    Raises:
        JaxmixError: stages do not fit the study's domains, or a mixture has the same name.
    """
    domains = domains_of(study, corpus)
    for name in study.stages:
        if name in taken:
            raise JaxmixError(f"a mixture and stages are both called '{name}'; rename one")
    return {name: checked_stages(name, stages, domains) for name, stages in study.stages.items()}
