"""What a study asks: data, sizes, mixtures, seeds, how its runs are trained, where they start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxmix.errors import JaxmixError
from jaxmix.models import family_of
from jaxmix.studies.families import CorpusSpec, Family, get_family
from jaxmix.studies.mixtures import Design, Stage
from jaxmix.training import OptimizerConfig

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
class Origin:
    """The finished run that continued runs start from; `find_origin` makes one.

    Attributes:
        folder: of its study; absolute.
        run: its name.
        hash: of its final parameters; others are refused.
        preset: of its model.
        tokenizer: of its data.
        tokens: that its parameters have been trained on, in all.
    """

    folder: str
    run: str
    hash: str
    preset: str
    tokenizer: str
    tokens: int


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
        stages: mixtures that change as a run goes on, by name.
        start_from: the run whose parameters all runs start from, with a new optimizer and warm-up.
            Its unread records come first, in the order of each run's seed. None for new parameters.
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
    stages: Mapping[str, tuple[Stage, ...]] = field(default_factory=dict)
    start_from: Origin | None = None

    def __post_init__(self) -> None:
        mixed = self.designs or self.mixtures or self.stages
        if not self.sizes or not mixed or not self.seeds:
            raise JaxmixError("a study needs at least one size, one mixture and one seed")
        families = {size.preset: family_of(size.preset) for size in self.sizes}
        if len(set(families.values())) > 1:
            named = ", ".join(f"{preset} ({family})" for preset, family in families.items())
            raise JaxmixError(f"sizes of one study are of one family, not {named}")
        for size in self.sizes:
            if size.tokens < self.tokens_per_step * self.checkpoints:
                least = self.tokens_per_step * self.checkpoints
                raise JaxmixError(
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
