"""Trains the second text study, size by size; every size that ends becomes a table in v2/.

    python experiments/text/waves.py [--work FOLDER] [--smoke]

32 mixtures at each of five sizes, a third of them with two seeds, 2M tokens a run; then 12, 10 of
them new, at four times the largest of these sizes for 4M tokens. A size whose table is there is not
trained again. A size that was stopped goes on where it was, if its folder is still there.
"""

import pathlib
import sys
from dataclasses import replace

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import harness
import numpy as np
import pandas as pd
import stages
from config import STUDY
from harness import Setting
from scipy.stats.qmc import Sobol

from jaxmix.data import Corpus
from jaxmix.runs import read_runs, write_runs
from jaxmix.studies import Size, Study, build, epoch_tokens

WIDTHS = (24, 32, 48, 64, 96)
HELD_OUT = 192
TOKENS, HELD_OUT_TOKENS = 2_000_000, 4_000_000
# Half the rule .614 / width: what experiments/learning_rate found best at these widths.
RATE_TIMES_WIDTH = 0.307


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
        match_epochs=HELD_OUT_TOKENS,
        fleet=22,
    )


def studies(width: int, corpus: Corpus) -> list[Study]:
    """All mixtures with one seed and a third with another, or those of the held-out size."""
    first = study(width, (0,), {"uniform": dict.fromkeys(STUDY.domains, 1 / len(STUDY.domains))})
    built = build(first, first.sizes[0].preset, corpus)
    every = mixtures(STUDY.domains, epoch_tokens(first, corpus, built))
    new = {name for name in every if name.startswith("new")}
    if width == HELD_OUT:
        return [
            study(width, (0,), {n: every[n] for n in ("uniform", "proportional", *sorted(new))})
        ]
    seen = {name: row for name, row in every.items() if name not in new}
    again = dict(list(seen.items())[:2] + list(seen.items())[2::3][:9])
    return [study(width, (0,), seen), study(width, (1,), again)]


def train(width: int, work: pathlib.Path, out: pathlib.Path) -> None:
    """Trains one size and writes its table, if it is not there."""
    file = out / f"{width}.csv"
    if file.exists():
        return
    parts = [
        stages.trained(one, work / f"{width}-seed{one.seeds[0]}")
        for one in studies(width, STUDY.corpus.open())
    ]
    frame = pd.concat([stages.slim(part.frame) for part in parts], ignore_index=True)
    out.mkdir(parents=True, exist_ok=True)
    write_runs(read_runs(frame), file)
    print(f"{file}: {len(frame)} rows", flush=True)


def run(setting: Setting) -> None:
    """All sizes; in a trial, a step of the first on a corpus that needs no download."""
    if setting.smoke:
        first = STUDY.smoke(study(WIDTHS[0], (0,), {"only": {"dictionary": 1.0}}))
        stages.trained(replace(first, match_epochs=2 * first.sizes[0].tokens), setting.work)
        return
    for width in (*WIDTHS, HELD_OUT):
        train(width, setting.work, pathlib.Path(__file__).resolve().parent / "v2")


if __name__ == "__main__":
    harness.main(__file__, __doc__, run)
