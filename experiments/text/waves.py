"""Trains the second text study, size by size; every size that ends becomes a table in v2/.

    python -m experiments.text.waves [--work FOLDER] [--smoke]

32 mixtures at each of five sizes, a third of them with two seeds, 2M tokens a run; and 12, 10 of
them new, at four times the largest of these sizes for 4M tokens. A size is trained in waves, and
its table grows with every wave that ends: runs that it holds are not trained again. A wave that
was stopped goes on where it was, if its folder is still there.
"""

import pathlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats.qmc import Sobol

from experiments import harness, stages
from experiments.harness import Setting
from experiments.text.config import STUDY
from jaxmix.data import Corpus
from jaxmix.runs import read_runs, write_runs
from jaxmix.studies import Size, Study, build, epoch_tokens

HELD_OUT = 192
WIDTHS = (24, 32, 48, 96, HELD_OUT, 64)  # in the order in which they are trained
TOKENS, HELD_OUT_TOKENS = 2_000_000, 4_000_000
# Half the rule .614 / width: what experiments/learning_rate found best at these widths.
RATE_TIMES_WIDTH = 0.307
# Losses are measured with parameters averaged over a tenth of the run so far: at width 24 and 1M
# tokens, runs with other seeds then differ by .8% instead of 1.1%, and losses are .13 nats lower.
AVERAGE = 0.1


def mixtures(domains: tuple[str, ...], tokens: dict[str, int]) -> dict[str, dict[str, float]]:
    """The 32 mixtures of the fitted sizes, and 10 for the held-out size alone ("new0", ...)."""
    k = len(domains)
    shares = np.array([tokens[d] for d in domains], float)
    rows = {"uniform": np.full(k, 1 / k), "proportional": shares / shares.sum()}
    rows |= {f"only-{d}": row for d, row in zip(domains, np.eye(k), strict=True)}
    rows |= {
        f"near-{d}": row for d, row in zip(domains, 0.05 + (1 - 0.05 * k) * np.eye(k), strict=True)
    }
    filling = space_filling(k, 32)
    rows |= {f"filling{i}": row for i, row in enumerate(filling[:16])}
    rows |= {f"new{i}": row for i, row in enumerate(filling[16:26])}
    return {name: dict(zip(domains, map(float, row), strict=True)) for name, row in rows.items()}


def space_filling(k: int, count: int) -> np.ndarray:
    """[count, k] mixtures, uniform over the simplex: a Sobol sequence as exponential spacings."""
    draws = -np.log(np.clip(Sobol(k, seed=0).random(count), 1e-9, 1 - 1e-9))
    return draws / draws.sum(1, keepdims=True)


def study(width: int, seeds: tuple[int, ...], chosen: dict[str, dict[str, float]]) -> Study:
    """The runs of one size with these seeds."""
    tokens = HELD_OUT_TOKENS if width == HELD_OUT else TOKENS
    return Study(
        STUDY.corpus,
        (Size(f"tiny-{width}", tokens, learning_rate=RATE_TIMES_WIDTH / width),),
        mixtures=chosen,
        domains=STUDY.domains,
        seeds=seeds,
        checkpoints=8,
        batch=8,
        length=128,
        held_windows=64,
        average=AVERAGE,
        match_epochs=HELD_OUT_TOKENS,
        fleet=22,
    )


def studies(width: int, corpus: Corpus) -> list[Study]:
    """All mixtures with one seed and a third with another, or those of the held-out size."""
    first = study(width, (0,), {"uniform": dict.fromkeys(STUDY.domains, 1 / len(STUDY.domains))})
    built = build(first, first.sizes[0].preset, corpus)
    every = mixtures(STUDY.domains, epoch_tokens(first, corpus, built))
    new = {name: row for name, row in every.items() if name.startswith("new")}
    if width == HELD_OUT:
        return [study(width, (0,), {n: every[n] for n in ("uniform", "proportional", *new)})]
    seen = {name: row for name, row in every.items() if name not in new}
    again = dict(list(seen.items())[:2] + list(seen.items())[2::3][:9])
    return [study(width, (0,), seen), study(width, (1,), again)]


def waves(width: int, done: set[tuple[str, int]]) -> Iterator[tuple[str, Study]]:
    """What is left of a size, a fleet at a time, each with its name."""
    size = 4 if width == HELD_OUT else 22  # about half an hour on two cores, or less
    for whole in studies(width, STUDY.corpus.open()):
        (seed,) = whole.seeds
        left = [name for name in whole.mixtures if (name, seed) not in done]
        for start in range(0, len(left), size):
            chosen = {name: whole.mixtures[name] for name in left[start : start + size]}
            yield f"{width}-seed{seed}-{left[start]}", replace(whole, mixtures=chosen)


def train(width: int, work: pathlib.Path, file: pathlib.Path) -> None:
    """Trains what a size's table does not hold yet."""
    rows = [pd.read_csv(file)] if file.exists() else []
    done = {pair for part in rows for pair in zip(part["mixture"], part["seed"], strict=True)}
    for name, wave in waves(width, done):
        rows.append(stages.slim(stages.trained(wave, work / name).frame))
        frame = pd.concat(rows, ignore_index=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_runs(read_runs(frame), file)
        print(f"{file}: {len(frame)} rows", flush=True)


def run(setting: Setting) -> None:
    """All sizes; in a trial, a step of the first on a corpus that needs no download."""
    if setting.smoke:
        first = STUDY.smoke(study(WIDTHS[0], (0,), {"only": {"dictionary": 1.0}}))
        stages.trained(replace(first, match_epochs=2 * first.sizes[0].tokens), setting.work)
        return
    for width in WIDTHS:
        train(width, setting.work, pathlib.Path(__file__).resolve().parent / f"v2/{width}.csv")


if __name__ == "__main__":
    harness.main(__file__, __doc__, run)
