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
the proposals alone are repeated. With JAXMIX_PUBLIC_RUNS, ``--published`` does the same on measured
tables: see ``published_regret.py``.
"""

import argparse
import pickle
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count, islice, product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from truths import DESIGNS, KINDS, Study, make_study

from jaxmix.fitting import bootstrap, fit
from jaxmix.fitting.fitted import FittedLaws
from jaxmix.fitting.uncertainty.ensemble import Ensemble
from jaxmix.laws import Law, get_law
from jaxmix.mixtures import Constraints, optimize
from jaxmix.runs import RunTable, read_runs

LEVEL = 0.9
ROWS = ("law's optimum", "law within range", "recommended", "best measured", "uniform")


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """A study with its fits and refits."""

    study: Study
    laws: FittedLaws
    ensemble: Ensemble

    @property
    def runs(self) -> RunTable:
        """The table as the fits read it."""
        return read_runs(self.study.frame)

    def optimum(self, within: str):
        """The law's optimum at the big budget."""
        budget = self.study.n_params, self.study.tokens
        return optimize(self.laws, *budget, Constraints(within=within))  # type: ignore[arg-type]


def fit_study(study: Study, law: str, resamples: int) -> Fitted:
    """Fits and refits a law to the table of a study."""
    runs = read_runs(study.frame)
    laws = fit(runs, law, restarts=16)
    ensemble = bootstrap(laws, runs, resamples=resamples, cluster="mixture", restarts=16)
    return Fitted(study=study, laws=laws, ensemble=ensemble)


def cached(study: Study, law: str, resamples: int, folder: Path | None) -> Fitted:
    """The fitted study of a folder, or a new one, which is stored there."""
    if folder is None:
        return fit_study(study, law, resamples)
    path = folder / f"{study.name}-{law}-{resamples}.pkl"
    if path.exists():
        return pickle.loads(path.read_bytes())
    made = fit_study(study, law, resamples)
    folder.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        _Pickler(file).dump(made)
    return made


class _Pickler(pickle.Pickler):
    """Stores laws by their names: they are made of functions, which pickle cannot store."""

    def reducer_override(self, obj: object):
        return (get_law, (obj.name,)) if isinstance(obj, Law) else NotImplemented


def judge(fitted: Fitted) -> dict[str, object]:
    """Regrets by row, and which intervals hold the true gain."""
    from jaxmix.mixtures.recommend import recommend_mixture

    study = fitted.study
    inside = fitted.optimum("range")
    found = recommend_mixture(inside, fitted.ensemble, fitted.runs, level=LEVEL)
    mixtures = dict(
        zip(
            ROWS,
            (fitted.optimum("anywhere").h, inside.h, found.h, study.best_measured, study.uniform),
            strict=True,
        )
    )
    row: dict[str, object] = {
        "study": study.name,
        "design": study.design,
        "attainable": study.attainable,
        "noise": noise_of_mean(study),
    }
    row |= {name: float(study.regret(h)) for name, h in mixtures.items()}
    for name, gain in found.gains.items():
        true = study.gain(found.h, found.baselines[name])
        row[f"in {name}"] = bool(gain.low - 1e-9 <= true <= gain.high + 1e-9)
    return row


def noise_of_mean(study: Study) -> float:
    """Standard error of the measured mean loss of one row, nats."""
    losses = study.frame.filter(regex="^loss_")
    return float(study.noise * losses.to_numpy().mean() / np.sqrt(losses.shape[1]))


def studies(number: int, ks: tuple[int, ...], only: str | None) -> list[Study]:
    """So many studies, all kinds, designs and k alike; equal shapes follow each other."""
    names = islice(_numbered(ks, only), number)
    made = [make_study(*each) for each in sorted(names, key=lambda e: (e[2], e[1] == "few"))]
    return made


def _numbered(ks: tuple[int, ...], only: str | None) -> Iterator[tuple]:
    for seed in count():
        cells = [c for c in product(KINDS, DESIGNS, ks) if (only or "") in "{}-{}-k{}".format(*c)]
        if not cells:
            sys.exit(f"no study has '{only}' in its name")
        yield from ((*cell, seed) for cell in cells)


def table(rows: pd.DataFrame) -> str:
    """By design and overall: one line for each kind of mixture."""
    parts = [(name, part) for name, part in rows.groupby("design", sort=False)]
    lines = [line for name, part in [*parts, ("all", rows)] for line in _lines(str(name), part)]
    return pd.DataFrame(lines).to_string(index=False, na_rep="")


def _lines(design: str, part: pd.DataFrame) -> Iterator[dict[str, object]]:
    for name in ROWS:
        regret, limit = part[name], part["best measured"] + part["noise"]
        line: dict[str, object] = {
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


def _work(job: tuple[Study, str, int, Path | None, bool]) -> tuple[str, dict[str, object], float]:
    start = time.perf_counter()
    study, law, resamples, folder, fit_only = job
    fitted = cached(study, law, resamples, folder)
    row = {} if fit_only else judge(fitted)
    return study.name, row, time.perf_counter() - start


def main() -> None:
    """Judges the studies and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=72)
    parser.add_argument("--only", help="part of the names of studies")
    parser.add_argument("--k", default="3,5,7", help="numbers of domains")
    parser.add_argument("--law", default="additive")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--cache", type=Path, help="folder for fits and refits")
    parser.add_argument("--fit-only", action="store_true", help="fill the cache and stop")
    parser.add_argument("--out", type=Path, help="CSV file of all studies")
    options = parser.parse_args()
    ks = tuple(int(k) for k in options.k.split(","))
    made = studies(options.studies, ks, options.only)
    jobs = [(s, options.law, options.resamples, options.cache, options.fit_only) for s in made]
    rows = []
    for i, (name, row, seconds) in enumerate(_done(jobs, options.jobs)):
        shown = " ".join(f"{n} {row[n]:.4f}" for n in ROWS if row)
        print(f"{i + 1}/{len(jobs)} {name} {seconds:.0f} s {shown}", file=sys.stderr, flush=True)
        rows.append(row)
    if options.fit_only:
        return
    frame = pd.DataFrame(rows)
    if options.out:
        frame.to_csv(options.out, index=False)
    print(table(frame))


def _done(jobs: list, processes: int) -> Iterator[tuple[str, dict[str, object], float]]:
    if processes == 1:
        yield from map(_work, jobs)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_work, jobs)


if __name__ == "__main__":
    main()
