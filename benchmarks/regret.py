"""What a proposal costs: the truth at the big budget, in studies that no law here can follow.

Every study of ``truths.py`` is proposed for from its table alone, at ten times the largest size and
tokens, and judged by its truth there. Rows of the table:

- the optimum of the additive law over the whole simplex, and within the range that was run;
- the recommended mixture (``jaxmix.recommend`` with that law and the same refits);
- the mixture with the lowest measured loss at the largest size and tokens;
- the uniform mixture.

Columns: mean and worst regret in nats, mean regret as a share of what the best mixture gains over
the uniform one, and the share of studies in which a mixture is worse than the best measured one by
more than noise (the standard deviation of one measured mean loss, .002 to .01 nats). For the
recommended mixture also how often the 90% interval of its gain over each baseline holds the true
gain.

Run: python benchmarks/regret.py [--studies 72] [--only PART] [--k 3,5,7] [--jobs 1] [--cache DIR]

``--only`` names part of a study's name, such as ``narrow`` or ``skills-spread``. With ``--cache``,
fits and refits of every study are pickled into a folder and read back by the next run, so that
the proposals alone are repeated. ``--published`` judges by the measured tables in the folder that
JAXMIX_PUBLIC_RUNS names instead (``regret_published.py``); there the uniform mixture is a random
one.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice, product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from refitting import refitted
from regret_published import cases, judge_case
from truths import DESIGNS, KINDS, Study, make_study

from jaxmix.fitting.uncertainty.ensemble import Ensemble
from jaxmix.mixtures import Constraints, optimize
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.recommend import recommend_mixture
from jaxmix.mixtures.region import Within
from jaxmix.runs import read_runs

LEVEL = 0.9
ROWS = ("law's optimum", "law within range", "recommended", "best measured", "uniform")

Row = dict[str, object]
Done = tuple[str, Row, float]  # name of a study, its row, seconds


def judge(study: Study, ensemble: Ensemble) -> Row:
    """Regrets by row, and which intervals hold the true gain."""
    anywhere, inside = (optimum(study, ensemble, within) for within in ("anywhere", "range"))
    found = recommend_mixture(inside, ensemble, read_runs(study.frame), level=LEVEL)
    mixtures = anywhere.h, inside.h, found.h, study.best_measured, study.uniform
    row: Row = {
        "study": study.name,
        "design": study.design,
        "attainable": study.attainable,
        "noise": noise_of_mean(study),
    }
    row |= {name: float(study.regret(h)) for name, h in zip(ROWS, mixtures, strict=True)}
    for name, gain in found.gains.items():
        true = study.gain(found.h, found.baselines[name])
        row[f"in {name}"] = bool(gain.low - 1e-9 <= true <= gain.high + 1e-9)
    return row


def optimum(study: Study, ensemble: Ensemble, within: Within) -> Optimum:
    """The optimum of the law at the big budget of a study."""
    return optimize(ensemble.laws, study.n_params, study.tokens, Constraints(within=within))


def noise_of_mean(study: Study) -> float:
    """Standard error of the measured mean loss of one row, nats."""
    losses = study.frame.filter(regex="^loss_")
    return float(study.noise * losses.to_numpy().mean() / np.sqrt(losses.shape[1]))


def studies(number: int, ks: tuple[int, ...], only: str | None) -> list[Study]:
    """So many studies, all kinds, designs and k alike; equal shapes follow each other."""
    names = islice(_numbered(ks, only), number)
    return [make_study(*each) for each in sorted(names, key=lambda e: (e[2], e[1] == "few"))]


def _numbered(ks: tuple[int, ...], only: str | None) -> Iterator[tuple]:
    for seed in count():
        cells = [c for c in product(KINDS, DESIGNS, ks) if (only or "") in "{}-{}-k{}".format(*c)]
        if not cells:
            sys.exit(f"no study has '{only}' in its name")
        yield from ((*cell, seed) for cell in cells)


def table(rows: pd.DataFrame) -> str:
    """By design, or published table, and overall: one line for each kind of mixture."""
    parts = [(name, part) for name, part in rows.groupby("design", sort=False)]
    lines = [line for name, part in [*parts, ("all", rows)] for line in _lines(str(name), part)]
    return pd.DataFrame(lines).to_string(index=False, na_rep="")


def _lines(design: str, part: pd.DataFrame) -> Iterator[Row]:
    for name in (name for name in ROWS if name in part):
        regret, limit = part[name], part["best measured"] + part["noise"]
        line: Row = {
            "design": f"{design} ({len(part)})",
            "mixture": name,
            "mean regret": f"{regret.mean():.4f}",
            "worst": f"{regret.max():.4f}",
            "share of gain": f"{regret.mean() / part['attainable'].mean():.2f}",
            "worse than measured": f"{(regret > limit).mean():.2f}",
        }
        if name == "recommended":
            held = {c: part[c].mean() for c in part.columns if c.startswith("in ")}
            line |= {f"held, {c[3:]}": f"{share:.2f}" for c, share in held.items()}
        yield line


def _simulated(options: argparse.Namespace) -> Iterator[Done]:
    ks = tuple(int(k) for k in options.k.split(","))
    made = studies(options.studies, ks, options.only)
    jobs = [(study, options) for study in made]
    if options.jobs == 1:
        yield from map(_work, jobs)
        return
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_work, jobs)


def _work(job: tuple[Study, argparse.Namespace]) -> Done:
    study, options = job
    start = time.perf_counter()
    name = f"{study.name}-{options.law}-{options.resamples}"
    ensemble = refitted(read_runs(study.frame), options.law, options.resamples, options.cache, name)
    row = {} if options.fit_only else judge(study, ensemble)
    return study.name, row, time.perf_counter() - start


def _published(options: argparse.Namespace) -> Iterator[Done]:
    folder = os.environ.get("JAXMIX_PUBLIC_RUNS")
    if not folder:
        sys.exit("--published needs JAXMIX_PUBLIC_RUNS, the folder of published run tables")
    for case in cases(Path(folder)):
        if (options.only or "") in case.name:
            start = time.perf_counter()
            ensemble = refitted(case.fitted, case.law, options.resamples, options.cache, case.name)
            row = {} if options.fit_only else judge_case(case, ensemble, LEVEL)
            yield case.name, row, time.perf_counter() - start


def main() -> None:
    """Judges the studies and prints one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--studies", type=int, default=72)
    parser.add_argument("--only", help="part of the names of studies")
    parser.add_argument("--k", default="3,5,7", help="numbers of domains")
    parser.add_argument("--law", default="additive")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--cache", type=Path, help="folder for fits and refits")
    parser.add_argument("--fit-only", action="store_true", help="fill the cache and stop")
    parser.add_argument("--out", type=Path, help="CSV file of all studies")
    parser.add_argument("--published", action="store_true", help="measured tables instead")
    options = parser.parse_args()
    rows = []
    for name, row, seconds in _published(options) if options.published else _simulated(options):
        shown = " ".join(f"{n} {row[n]:.4f}" for n in ROWS if row)
        print(f"{len(rows) + 1} {name} {seconds:.0f} s {shown}", file=sys.stderr, flush=True)
        rows.append(row)
    if options.fit_only:
        return
    frame = pd.DataFrame(rows)
    if options.out:
        frame.to_csv(options.out, index=False)
    print(table(frame))


if __name__ == "__main__":
    main()
