"""Four domains of text, four sizes to fit and a larger one, and the questions to score on."""

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from experiments import tiny
from jaxmix.data import Corpus, Question, make_tasks, write_tasks
from jaxmix.studies import CorpusSpec, Design, Size, Study, find_tasks

DOMAINS = ("api_docs", "dictionary", "code_python", "code_cpp")
BESIDE = "scripture"  # is never trained on


@dataclass(frozen=True)
class Config:
    """A study and its questions.

    Attributes:
        corpus: which data.
        domains: to train on.
        sizes: presets that are fitted.
        largest: the preset that is predicted.
        tokens: of every run.
        random: Dirichlet mixtures of the ladder; the larger size has as many others.
        items: questions of every task.
        held: held-out windows of every target.
        restarts: of the fits.
        laws: that are fitted; the first proposes.
        goals: tasks that a mixture is to be best at, by name.
        seeds: of the runs that prove it.
        overrides: settings of the presets' models.
    """

    corpus: CorpusSpec
    domains: tuple[str, ...]
    sizes: tuple[str, ...]
    largest: str
    tokens: float
    random: int
    items: int
    held: int
    restarts: int
    laws: tuple[str, ...]
    goals: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def questions(self, corpus: Corpus) -> list[Question]:
        """Which domain a text goes on in, its last word, and how a dictionary's entry goes on."""
        found = make_tasks(corpus, (*self.domains, BESIDE), self.items)
        kinds = ("domain-", "word-", "continue-dictionary")
        return [one for one in found if one.task.startswith(kinds)]

    def ladder(self, work: pathlib.Path) -> Study:
        """Uniform, one mixture near each vertex and random ones, at every size."""
        path = work / "tasks.jsonl"
        write_tasks(self.questions(self.corpus.open()), path)
        return Study(
            self.corpus,
            tuple(Size(preset, self.tokens) for preset in self.sizes),
            designs=(
                Design("uniform"),
                Design("vertices", minimum=0.05),
                Design("dirichlet", self.random, minimum=0.02, seed=1),
            ),
            domains=self.domains,
            checkpoints=3,
            batch=8,
            length=128,
            held_windows=self.held,
            fleet=24,
            overrides=self.overrides,
            tasks=find_tasks(path),
        )

    def larger(self, work: pathlib.Path) -> Study:
        """Mixtures that no smaller size has seen, but for the uniform one."""
        designs = (Design("uniform"), Design("dirichlet", self.random, minimum=0.02, seed=2))
        return replace(self.ladder(work), sizes=(Size(self.largest, self.tokens),), designs=designs)

    def proof(self, work: pathlib.Path, mixtures: Mapping[str, Mapping[str, float]]) -> Study:
        """Proposed mixtures beside the uniform one, at the larger size."""
        study, designs = self.larger(work), (Design("uniform"),)
        return replace(study, designs=designs, mixtures=mixtures, seeds=self.seeds, checkpoints=1)


LAPTOP = Config(
    CorpusSpec("text-mini", "bpe-1024"),
    DOMAINS,
    ("tiny-24", "tiny-32", "tiny-48", "tiny-64"),
    "tiny-96",
    160_000,
    random=5,
    items=60,
    held=48,
    restarts=48,
    laws=("additive", "joint"),
    goals={
        "scripture": ("word-scripture",),
        "code": ("word-code_python", "word-code_cpp"),
    },
    seeds=(0, 1),
)


def smoke() -> Config:
    """A trial on a corpus that needs no download."""
    return Config(
        tiny.text(DOMAINS[:3], (BESIDE,)),
        DOMAINS[:3],
        ("tiny-16",),
        "tiny-24",
        6_144,
        random=2,
        items=2,
        held=4,
        restarts=2,
        laws=("simple",),
        goals={"scripture": ("word-scripture",)},
        seeds=(0,),
        overrides={"depth": 1},
    )
