"""The second studies of all families, trained wave by wave into tables that grow.

A wave is a fleet of runs of one size. A size's table grows with every wave that ends, and runs that
it holds are not trained again, so a study can be trained over days and on several machines. A wave
that was stopped goes on where it was, if its folder is still there.
"""

import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats.qmc import Sobol

from experiments import stages
from experiments.design import FamilyStudy
from jaxmix.data import Corpus
from jaxmix.runs import read_runs, write_runs
from jaxmix.studies import Size, Study, build, epoch_tokens

MIXTURES, NEW = 32, 6
# Half the rule .614 / width: what experiments/learning_rate found best at these widths.
RATE_TIMES_WIDTH = 0.307
# Losses are measured with parameters averaged over a tenth of the run so far: at width 24 and 1M
# tokens, runs with other seeds then differ by .8% instead of 1.1%, and losses are .13 nats lower.
AVERAGE = 0.1

Mixtures = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Ladder:
    """A family's second study: 32 mixtures at each width, a third of them with two seeds.

    The held-out width has uniform and proportional weights and 6 mixtures of its own.

    Attributes:
        family: its first study, which says the corpus, the domains, and the shape of a batch.
        preset: name of a preset without its width, "tiny-".
        widths: all widths, in the order in which they are trained.
        held_out: the width that no law is fitted on.
        tokens: of a run.
        held_out_tokens: of a run of the held-out width, whose epochs all runs match.
        held_windows: held-out records of every target.
        goals: targets whose mean a recommended mixture is to minimize, by name.
    """

    family: FamilyStudy
    preset: str
    widths: tuple[int, ...]
    held_out: int
    tokens: int
    held_out_tokens: int
    held_windows: int
    goals: Mapping[str, tuple[str, ...]]

    def study(self, width: int, seed: int, mixtures: Mixtures) -> Study:
        """The runs of one size and seed on these mixtures."""
        tokens = self.held_out_tokens if width == self.held_out else self.tokens
        rate = RATE_TIMES_WIDTH / width
        return Study(
            self.family.corpus,
            (Size(f"{self.preset}{width}", tokens, learning_rate=rate),),
            mixtures=mixtures,
            domains=self.family.domains,
            seeds=(seed,),
            checkpoints=8,
            batch=self.family.batch,
            length=self.family.length,
            held_windows=self.held_windows,
            average=AVERAGE,
            match_epochs=self.held_out_tokens,
            fleet=22,
        )

    def studies(self, width: int, corpus: Corpus) -> list[Study]:
        """All mixtures of a width with one seed, and a third of them with another."""
        uniform = dict.fromkeys(self.family.domains, 1 / len(self.family.domains))
        first = self.study(width, 0, {"uniform": uniform})
        built = build(first, first.sizes[0].preset, corpus)
        every = mixtures(self.family.domains, epoch_tokens(first, corpus, built))
        new = {name: row for name, row in every.items() if name.startswith("new")}
        if width == self.held_out:
            chosen = {name: every[name] for name in ("uniform", "proportional", *new)}
            return [self.study(width, 0, chosen)]
        seen = {name: row for name, row in every.items() if name not in new}
        again = dict(list(seen.items())[:2] + list(seen.items())[2::3][:9])
        return [self.study(width, 0, seen), self.study(width, 1, again)]

    def waves(self, width: int, done: set[tuple[str, int]]) -> Iterator[tuple[str, Study]]:
        """What is left of a width, a fleet at a time, each with its name.

        Args:
            width: the width.
            done: mixtures and seeds that are trained.
        """
        size = 4 if width == self.held_out else 22  # half an hour on two cores, or less
        for whole in self.studies(width, self.family.corpus.open()):
            (seed,) = whole.seeds
            left = [name for name in whole.mixtures if (name, seed) not in done]
            for start in range(0, len(left), size):
                chosen = {name: whole.mixtures[name] for name in left[start : start + size]}
                yield f"{width}-seed{seed}-{left[start]}", replace(whole, mixtures=chosen)

    def smoke(self) -> Study:
        """One mixture in seconds, on a corpus that needs no download."""
        first, *_ = self.family.tiny[2]
        study = self.family.smoke(self.study(self.widths[0], 0, {"only": {first: 1.0}}))
        return replace(study, match_epochs=2 * study.sizes[0].tokens)


def mixtures(domains: tuple[str, ...], tokens: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """The 32 mixtures of the fitted sizes, and 6 for the held-out size alone ("new0", ...)."""
    k = len(domains)
    shares = np.array([tokens[d] for d in domains], float)
    rows = {"uniform": np.full(k, 1 / k), "proportional": shares / shares.sum()}
    rows |= {f"only-{d}": row for d, row in zip(domains, np.eye(k), strict=True)}
    rows |= {
        f"near-{d}": row for d, row in zip(domains, 0.05 + (1 - 0.05 * k) * np.eye(k), strict=True)
    }
    filling, seen = space_filling(k, 32), MIXTURES - len(rows)
    rows |= {f"filling{i}": row for i, row in enumerate(filling[:seen])}
    rows |= {f"new{i}": row for i, row in enumerate(space_filling(k, NEW, seed=1))}
    return {name: dict(zip(domains, map(float, row), strict=True)) for name, row in rows.items()}


def space_filling(k: int, count: int, seed: int = 0) -> np.ndarray:
    """[count, k] mixtures, uniform over the simplex: a Sobol sequence as exponential spacings."""
    power = 2 ** int(np.ceil(np.log2(count)))
    draws = -np.log(np.clip(Sobol(k, seed=seed).random(power)[:count], 1e-9, 1 - 1e-9))
    return draws / draws.sum(1, keepdims=True)


def train(ladder: Ladder, width: int, work: pathlib.Path, file: pathlib.Path) -> None:
    """Trains what a width's table does not hold yet."""
    rows = [pd.read_csv(file)] if file.exists() else []
    done = {pair for part in rows for pair in zip(part["mixture"], part["seed"], strict=True)}
    for name, wave in ladder.waves(width, done):
        rows.append(stages.slim(stages.trained(wave, work / name).frame))
        frame = pd.concat(rows, ignore_index=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_runs(read_runs(frame), file)
        print(f"{file}: {len(frame)} rows", flush=True)
