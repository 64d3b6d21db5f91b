"""What is trained with optimal mixtures: a text size with many seeds, multimodal sizes."""

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from experiments import tiny
from jaxmix.studies import CorpusSpec, Design, Size, Study

EXPERIMENTS = pathlib.Path(__file__).resolve().parent.parent

_TEXT = (
    "api_docs",
    "dictionary",
    "code_python",
    "code_cpp",
    "legal",
    "multilingual",
    "music",
)
_PICTURES = ("text", "image_caption", "interleaved")
_TRIED = ("api_docs", "dictionary", "code_python")  # by a trial


@dataclass(frozen=True)
class Final:
    """Models of one size, trained as well as they can be with proposed and other mixtures.

    Attributes:
        source: the experiment whose runs the laws are fitted on, all sizes but the largest.
        corpus: which data.
        domains: to train on.
        goals: targets whose mean a mixture is to minimize, by name.
        size: preset and tokens of every run.
        seeds: of every mixture.
        random: Dirichlet mixtures that no other study has.
        held: held-out windows of every target.
        restarts: of the fits.
        laws: to fit; the one with the lower error on unseen mixtures proposes.
        items: questions of every task on a domain that is trained on.
        beside_items: and on a goal that is not.
    """

    source: str
    corpus: CorpusSpec
    domains: tuple[str, ...]
    goals: Mapping[str, tuple[str, ...]]
    size: Size
    seeds: tuple[int, ...]
    random: int
    held: int
    restarts: int
    laws: tuple[str, ...]
    items: int
    beside_items: int

    @property
    def runs(self) -> pathlib.Path:
        """The run table of the source."""
        return EXPERIMENTS / self.source / "results" / "runs.csv"

    def study(self, mixtures: Mapping[str, Mapping[str, float]]) -> Study:
        """Proposed mixtures beside others; a cosine schedule, as for the paper's final models."""
        return Study(
            self.corpus,
            (self.size,),
            designs=(
                Design("uniform"),
                Design("proportional"),
                Design("dirichlet", self.random, minimum=0.01, seed=3),
            ),
            mixtures=mixtures,
            domains=self.domains,
            seeds=self.seeds,
            checkpoints=1,
            batch=8,
            held_windows=self.held,
            schedule="cosine",
            warmup=0.1,
            fleet=16,
        )


@dataclass(frozen=True)
class Scale:
    """Models of all sizes of a study, trained with the mixture that is best for their size.

    Attributes:
        source: the experiment whose runs the laws are fitted on, all sizes but the largest.
        corpus: which data.
        domains: to train on.
        goal: targets whose mean a mixture is to minimize.
        color: the domain whose weight colors the runs.
        sizes: presets.
        tokens: of every run, as in the source's ladder.
        seeds: of every mixture.
        held: held-out records of every target.
        restarts: of the fits.
        laws: to fit; figure 1 shows the last.
    """

    source: str
    corpus: CorpusSpec
    domains: tuple[str, ...]
    goal: tuple[str, ...]
    color: str
    sizes: tuple[str, ...]
    tokens: float
    seeds: tuple[int, ...]
    held: int
    restarts: int
    laws: tuple[str, ...]

    @property
    def runs(self) -> pathlib.Path:
        """The run table of the source."""
        return EXPERIMENTS / self.source / "results" / "runs.csv"

    def study(self, preset: str, mixtures: Mapping[str, Mapping[str, float]]) -> Study:
        """One size, trained as in the source; the uniform mixture where none is given."""
        return Study(
            self.corpus,
            (Size(preset, self.tokens),),
            designs=() if mixtures else (Design("uniform"),),
            mixtures=mixtures,
            domains=self.domains,
            seeds=self.seeds,
            checkpoints=6,
            batch=8,
            held_windows=self.held,
        )


@dataclass(frozen=True)
class Config:
    """Both studies."""

    final: Final
    scale: Scale


LAPTOP = Config(
    Final(
        "text",
        CorpusSpec("text", "bpe-1024"),
        _TEXT,
        {"average": _TEXT, "scripture": ("scripture",), "world_facts": ("world_facts",)},
        Size("tiny-96", 400_000),
        seeds=(0, 1, 2, 3),
        random=3,
        held=128,
        restarts=48,
        laws=("additive", "joint"),
        items=50,
        beside_items=150,
    ),
    Scale(
        "multimodal",
        CorpusSpec("nmm", "bpe-1024"),
        _PICTURES,
        _PICTURES,
        "text",
        tuple(f"nmm-tiny-{width}" for width in (24, 32, 48, 64, 96)),
        500_000,
        seeds=(0, 1),
        held=120,
        restarts=48,
        laws=("additive", "joint"),
    ),
)
_FEW = ("api_docs", "scripture")  # of which one is trained on


def smoke() -> Config:
    """A trial on a corpus that needs no download."""
    corpus = tiny.text(_TRIED, ("scripture",))
    return Config(
        Final(
            "text",
            corpus,
            _TRIED,
            {"average": _FEW, "scripture": ("scripture",)},
            Size("tiny-16", 4_096),
            seeds=(0, 1),
            random=1,
            held=4,
            restarts=2,
            laws=("additive",),
            items=2,
            beside_items=2,
        ),
        Scale(
            "text",
            corpus,
            _TRIED,
            _FEW,
            "dictionary",
            ("tiny-16",),
            8_192,
            seeds=(0,),
            held=4,
            restarts=2,
            laws=("additive",),
        ),
    )
