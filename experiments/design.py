"""What a study of a family consists of: a ladder to fit, a larger size to predict, and a proof."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from jaxmix.studies import CorpusSpec, Design, Size, Study, proof_study

_UNIFORM, _PROPORTIONAL = Design("uniform"), Design("proportional")


@dataclass(frozen=True)
class FamilyStudy:
    """One family's study; see `ladder`, `larger` and `proof`.

    Attributes:
        corpus: which data.
        domains: to train on.
        goals: targets whose mean a proposed mixture is to minimize, by name; one is "mean".
        sizes: presets that are fitted.
        largest: the preset that is predicted.
        tokens: of a run of the ladder and of the proof.
        largest_tokens: of a run of the larger size.
        random: Dirichlet mixtures of the ladder.
        minimum: least weight in a Dirichlet mixture.
        held: held-out records of every target.
        proof_held: the same in the proof.
        tiny: preset, maker of a corpus, and domains of a smoke test.
        batch: records a step.
        length: positions of a record.
        seeds: of the proof.
        scored: targets by whose errors laws are compared; None for all.
    """

    corpus: CorpusSpec
    domains: tuple[str, ...]
    goals: Mapping[str, tuple[str, ...]]
    sizes: tuple[str, ...]
    largest: str
    tokens: float
    largest_tokens: float
    random: int
    minimum: float
    held: int
    proof_held: int
    tiny: tuple[str, Callable[[Sequence[str]], CorpusSpec], tuple[str, ...]]
    batch: int = 8
    length: int = 128
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    scored: tuple[str, ...] | None = None

    @property
    def ladder(self) -> Study:
        """Uniform, proportional, one mixture near each vertex and random ones, at every size."""
        return Study(
            self.corpus,
            tuple(Size(preset, self.tokens) for preset in self.sizes),
            designs=(
                _UNIFORM,
                _PROPORTIONAL,
                Design("vertices", minimum=0.05),
                Design("dirichlet", self.random, minimum=self.minimum, seed=1),
            ),
            domains=self.domains,
            checkpoints=6,
            batch=self.batch,
            length=self.length,
            held_windows=self.held,
            fleet=24,
        )

    @property
    def unseen(self) -> tuple[str, ...]:
        """Random mixtures that are kept from the scored fits: every fourth."""
        return tuple(f"random{i}" for i in range(0, self.random, 4))

    @property
    def larger(self) -> Study:
        """Mixtures that no smaller size has seen, but for the uniform one, and more tokens."""
        return replace(
            self.ladder,
            sizes=(Size(self.largest, self.largest_tokens),),
            designs=(_UNIFORM, Design("dirichlet", 6, minimum=self.minimum, seed=2)),
        )

    def proof(self, mixtures: Mapping[str, Mapping[str, float]]) -> Study:
        """Proposed mixtures beside uniform and proportional ones at the larger size, by seed."""
        size = Size(self.largest, self.tokens)
        return replace(
            proof_study(self.ladder, size, mixtures, self.seeds),
            checkpoints=3,
            held_windows=self.proof_held,
            fleet=10,  # two seeds of a study with three goals
        )

    def smoke(self, study: Study) -> Study:
        """The same study in seconds, on a corpus that needs no download."""
        preset, corpus, domains = self.tiny
        return replace(
            study,
            corpus=corpus(domains),
            sizes=(replace(study.sizes[0], preset=preset, tokens=4_096),),
            designs=(_UNIFORM, Design("dirichlet", 1)),
            domains=domains,
            checkpoints=2,
            held_windows=4,
            seeds=study.seeds[:1],
        )
