"""Continual pre-training: a model of three domains goes on with a fourth, in many mixtures."""

from dataclasses import dataclass, replace

from experiments import tiny
from jaxmix.studies import CorpusSpec, Design, Origin, Size, Stage, Study

OLD = ("api_docs", "dictionary", "legal")
NEW = "code_python"
RATIOS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
AROUND = (-0.15, 0.0, 0.15)  # of the predicted critical ratio, what longer runs have
_STEP = 8 * 128


def ratio(r: float) -> dict[str, float]:
    """The mixture with a share r of the new domain and equal shares of the old ones."""
    return {**dict.fromkeys(OLD, (1 - r) / len(OLD)), NEW: r}


_OLD, _CODE = ratio(0.0), ratio(1.0)
_LEGAL, _WORDS = {"legal": 0.7, NEW: 0.3}, {"dictionary": 0.5, "api_docs": 0.5}
# Mixtures that change by how much they can, to learn how much of an earlier stage is left.
STAGED = {
    "old-code": (Stage(0.5, _OLD), Stage(0.5, _CODE)),
    "code-old": (Stage(0.5, _CODE), Stage(0.5, _OLD)),
    "less-more": (Stage(0.5, ratio(0.2)), Stage(0.5, ratio(0.7))),
    "more-less": (Stage(0.5, ratio(0.7)), Stage(0.5, ratio(0.2))),
    "legal-words": (Stage(0.5, _LEGAL), Stage(0.5, _WORDS)),
    "code-old-code": (Stage(0.25, _CODE), Stage(0.5, _OLD), Stage(0.25, _CODE)),
}


@dataclass(frozen=True)
class Continual:
    """All studies of the experiment.

    Attributes:
        corpus: which data.
        preset: of every run.
        base_tokens: of the run that the others start from.
        tokens: of a short continued run; a long one has three times as many.
        checkpoints: of a continued run.
        held: held-out records of every target.
        random: Dirichlet mixtures of all four domains; none in a trial.
        ratios: shares of the new domain.
        seeds: of the short runs.
        long_seeds: of the long runs.
        proof_seeds: of planned stages and what they are compared with.
        restarts: of a fit.
        unseen: mixtures that are kept from the fits by which laws are compared.
        laws: that are compared.
    """

    corpus: CorpusSpec
    preset: str = "tiny-32"
    base_tokens: int = 1_000_000
    tokens: int = 160 * _STEP
    checkpoints: int = 5
    held: int = 48
    random: int = 9
    ratios: tuple[float, ...] = RATIOS
    seeds: tuple[int, ...] = (0, 1)
    long_seeds: tuple[int, ...] = (2, 3, 4, 5)
    proof_seeds: tuple[int, ...] = (2, 3, 4, 5)
    restarts: int = 48
    unseen: tuple[str, ...] = ("r0.1", "r0.6", "random0", "random3", "random6")
    laws: tuple[str, ...] = ("additive-fixed-n", "joint-fixed-n", "relaxing")

    @property
    def base(self) -> Study:
        """The run of the old domains alone."""
        return Study(
            self.corpus,
            (Size(self.preset, self.base_tokens),),
            mixtures={"old": ratio(0.0)},
            domains=(*OLD, NEW),
            checkpoints=self.checkpoints,
            batch=8,
            length=128,
            held_windows=self.held,
            fleet=24,
        )

    def short(self, start: Origin) -> Study:
        """Every ratio of old and new, with several seeds."""
        return replace(
            self.base,
            sizes=(Size(self.preset, self.tokens),),
            mixtures={f"r{r:g}": ratio(r) for r in self.ratios},
            seeds=self.seeds,
            start_from=start,
        )

    def wide(self, start: Origin) -> Study:
        """Random mixtures of all four domains, so that a law knows the old ones apart."""
        designs = (Design("dirichlet", self.random, seed=1),)
        return replace(self.short(start), mixtures={}, designs=designs, seeds=self.seeds[:1])

    def staged(self, start: Origin) -> Study:
        """Mixtures that change as a run goes on."""
        return replace(self.short(start), mixtures={}, stages=STAGED)

    def long(self, start: Origin, ratios: tuple[float, ...]) -> Study:
        """Three times as many tokens at given ratios; as many warm-up steps."""
        short = self.short(start)
        return replace(
            short,
            sizes=(Size(self.preset, 3 * self.tokens),),
            mixtures={f"r{r:g}": ratio(r) for r in ratios},
            seeds=self.long_seeds,
            warmup=short.warmup / 3,
        )

    def proof(
        self,
        start: Origin,
        fixed: dict[str, dict[str, float]],
        stages: dict[str, tuple[Stage, ...]],
    ) -> Study:
        """Planned stages beside fixed mixtures, with new seeds."""
        short = self.short(start)
        return replace(short, mixtures=fixed, stages=stages, seeds=self.proof_seeds)


LAPTOP = Continual(CorpusSpec("text", "bpe-1024"))


def smoke() -> Continual:
    """The same in seconds on a corpus that needs no download; nothing is learned from it."""
    return Continual(
        tiny.text((*OLD, NEW)),
        preset="tiny-16",
        base_tokens=4 * _STEP,
        tokens=4 * _STEP,
        checkpoints=2,
        held=4,
        random=0,
        ratios=(0.0, 0.3, 0.6, 1.0),
        seeds=(0, 1),
        long_seeds=(2, 3),
        proof_seeds=(2, 3),
        restarts=4,
        unseen=(),
        laws=("relaxing",),
    )
