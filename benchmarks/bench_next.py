"""Runs needed to find a good mixture: chosen by regret, by variance, space-filling or at random.

    JAXMIX_PUBLIC_RUNS=<folder> python benchmarks/bench_next.py [--quick] [--out FILE.json]

Last result, 2026-11-25, two shared cores, JAX 0.10.2, float64, 3.1 minutes. "Runs" is the number
from which on the loss of the fit's best mixture stays within 1% of the optimal gain: the mean over
questions, with those that never are counted as one batch more than the last. "Lost" is the mean
share of the gain that is lost after some runs. The law is additive-fixed-nd throughout; first runs
are random, the same for all criteria; a fit sees one target; all choose from one pool.

                       simulated, k = 3        simulated, k = 5       RegMix, k = 17, 512 runs
                       8 truths, noise .3%     8 truths, noise .3%    6 targets
    criterion          runs  lost at 16, 24    runs  lost at 36, 60   runs  lost at 80, 120
    regret             20    1.6%   .5%        40    1.7%   .6%       150   1.2%   .8%
    variance           18    1.3%   .3%        42    4.8%  1.8%       140    .8%   .8%
    space-filling      22    116%   .5%        47    3.1%   .8%        93   4.4%   .8%
    random             27     31%  81%         47    5.9%  5.2%        97    19%   .8%

On simulated studies "regret" takes 1.3 and 1.2 times fewer runs than random, and loses 3.6 to 150
times less in the mean, which is made by random's bad luck. On RegMix it takes 1.6 times as many:
no help. There the law is only nearly true, and which of the 256 test mixtures looks best jumps
among a few that differ by about 1%; in the median all criteria are within .4% after 80 runs. With 8
and 6 questions the differences among the first three rows of the simulated studies are noise.
"""

import argparse
import json
import os
import pathlib
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmix.fitting import FittedLaw, fit, random_truth
from jaxmix.fitting.simulate import true_laws
from jaxmix.laws import ADDITIVE_FIXED_ND
from jaxmix.mixtures import dirichlet_design, optimize, optimize_many, vertices
from jaxmix.mixtures.sequential.candidates import distance
from jaxmix.mixtures.sequential.next_runs import CRITERIA, next_runs
from jaxmix.runs import RunTable, read_runs

LAW = ADDITIVE_FIXED_ND
N, D, NOISE = 1e8, 1e9, 0.003
BUDGET: dict[str, Any] = {"n_params": N, "tokens": D}
GOAL = 0.01  # share of the gain over the uniform mixture that may be lost
REGMIX = "regmix_1M_train512_test256.csv"
TARGETS = ("pile_cc", "github", "wikipedia_en", "arxiv", "stackexchange", "hackernews")


@dataclass(frozen=True)
class Plan:
    """How runs are added: the first ones, the batch, the last count, and solves per fit."""

    first: int
    batch: int
    last: int
    restarts: int = 24

    @property
    def counts(self) -> list[int]:
        return list(range(self.first, self.last + 1, self.batch))


class Race:
    """One study per (question, criterion), all over one pool of runs.

    A run that was not made is a missing loss, so that every round of every study is one fit of one
    shape, compiled once.

    Args:
        domains: names.
        pool: [q, k] mixtures of the runs that can be made.
        losses: by question, [q] the losses that they would have.
        plan: how runs are added.
    """

    def __init__(
        self, domains: Any, pool: np.ndarray, losses: dict[str, np.ndarray], plan: Plan
    ) -> None:
        self.domains, self.pool, self.losses, self.plan = domains, pool, losses, plan
        self.studies = [(q, c) for q in losses for c in CRITERIA]
        self.made = {s: np.zeros(len(pool), bool) for s in self.studies}
        rng = np.random.default_rng(0)
        for question in losses:
            first = rng.choice(len(pool), plan.first, replace=False)
            for criterion in CRITERIA:
                self.made[question, criterion][first] = True

    def table(self) -> RunTable:
        """The runs made so far; a target for each study."""
        columns: dict[str, Any] = {
            f"w_{d}": w for d, w in zip(self.domains, self.pool.T, strict=True)
        }
        for i, study in enumerate(self.studies):
            seen = np.where(self.made[study], self.losses[study[0]], np.nan)
            columns[f"loss_s{i}"] = seen
        count = len(self.pool)
        columns |= {"n_params": np.full(count, N), "tokens": np.full(count, D)}
        return read_runs(columns, source="race")

    def fits(self) -> tuple[RunTable, tuple[FittedLaw, ...]]:
        """All studies fitted."""
        table = self.table()
        return table, fit(table, LAW, restarts=self.plan.restarts)

    def grow(self, table: RunTable, laws: tuple[FittedLaw, ...]) -> None:
        """Adds a batch to every study by its criterion."""
        for i, (study, law) in enumerate(zip(self.studies, laws, strict=True)):
            batch = next_runs(
                optimize([law], N, D),
                table,
                sizes=[(N, D)],
                count=self.plan.batch,
                criterion=study[1],
                candidates=self.pool,
                closest=1e-4,
                repeats=False,
                seed=i // len(CRITERIA),
            )
            for row in batch.weights:
                self.made[study][int(distance(self.pool, row[None]).argmin())] = True


def race(domains: Any, pool: np.ndarray, losses: Any, plan: Plan, judge: Any) -> np.ndarray:
    """Regret shares [counts, questions, criteria]."""
    runners, found = Race(domains, pool, losses, plan), []
    for count in plan.counts:
        table, laws = runners.fits()
        found.append(judge(laws).reshape(len(losses), len(CRITERIA)))
        if count < plan.last:
            runners.grow(table, laws)
        print(count, np.median(found[-1], 0).round(4), flush=True)
    return np.array(found)


def simulated(k: int, truths: int, plan: Plan) -> dict[str, Any]:
    """Known laws: h* of each fit judged by the truth."""
    domains = tuple(f"d{i}" for i in range(k))
    i, j = np.triu_indices(k, 1)
    pool = np.vstack(
        [
            dirichlet_design(k, 120, seed=0),
            dirichlet_design(k, 60, seed=1, concentration=0.4),
            0.98 * vertices(k) + 0.02 / k,
            0.49 * (vertices(k)[i] + vertices(k)[j]) + 0.02 / k,
        ]
    )
    drawn = random_truth(LAW, k, 7, count=truths)
    names = tuple(f"t{i}" for i in range(truths))
    shape = {"domains": domains, "mixtures": pool, "n_params": [N], "tokens": [D]}
    true = true_laws(LAW, dict(zip(names, drawn, strict=True)), targets=names, **shape)
    rng = np.random.default_rng(3)
    losses = {
        f.target: f.predict(BUDGET | {"weights": pool})
        * np.exp(NOISE * rng.standard_normal(len(pool)))
        for f in true
    }
    best = optimize_many(true, N, D, target_weights=np.eye(truths))
    even = np.array([f.predict(BUDGET | {"weights": np.full(k, 1 / k)}) for f in true])
    gain = np.maximum(even - best.objective, NOISE * even)

    def judge(laws: Any) -> np.ndarray:
        weights = optimize_many(laws, N, D, target_weights=np.eye(len(laws))).h
        which = np.repeat(np.arange(truths), len(CRITERIA))
        found = [
            float(true[w].predict(BUDGET | {"weights": h}))
            for w, h in zip(which, weights, strict=True)
        ]
        return (np.array(found) - best.objective[which]) / gain[which]

    return _summary(race(domains, pool, losses, plan, judge), plan, GOAL)


def published(plan: Plan) -> dict[str, Any]:
    """RegMix: runs chosen from its 512; judged by the observed loss of the best-looking of 256."""
    table = read_runs(pathlib.Path(os.environ["JAXMIX_PUBLIC_RUNS"]) / REGMIX)
    train, test = table.where("split == 'train'"), table.where("split == 'test'")
    losses = dict(zip(TARGETS, train.losses(TARGETS), strict=True))
    seen = test.losses(TARGETS)
    best, mean = seen.min(1), seen.mean(1)

    def judge(laws: Any) -> np.ndarray:
        out = []
        for i, law in enumerate(laws):
            t = i // len(CRITERIA)
            pick = int(np.argmin(law.predict(BUDGET | {"weights": test.weights})))
            out.append((seen[t, pick] - best[t]) / (mean[t] - best[t]))
        return np.array(out)

    return _summary(race(train.domains, train.weights, losses, plan, judge), plan, GOAL)


def _summary(regret: np.ndarray, plan: Plan, goal: float) -> dict[str, Any]:
    """Runs from which on the goal is met; where it never is, one batch more than the last."""
    met = np.logical_and.accumulate(regret[::-1] <= goal)[::-1]  # [counts, questions, criteria]
    first = np.where(met.any(0), met.argmax(0), len(plan.counts))
    needed = np.array([*plan.counts, plan.last + plan.batch])[first]  # [questions, criteria]
    return {
        name: {
            "mean_runs": float(needed[:, i].mean()),
            "median_runs": float(np.median(needed[:, i])),
            "never": int(np.sum(first[:, i] == len(plan.counts))),
            "ratio_to_random": float(needed[:, -1].mean() / needed[:, i].mean()),
            "median_regret": dict(
                zip(plan.counts, np.median(regret[:, :, i], 1).round(5), strict=True)
            ),
            "mean_regret": dict(zip(plan.counts, regret[:, :, i].mean(1).round(5), strict=True)),
        }
        for i, name in enumerate(CRITERIA)
    }


def main() -> None:
    """Runs all races and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    quick = arguments.quick
    found: dict[str, Any] = {}
    for k, plan in ((3, Plan(8, 4, 48)), (5, Plan(12, 6, 84))):
        began = time.perf_counter()
        plan = Plan(plan.first, plan.batch, plan.first + plan.batch, 8) if quick else plan
        found[f"simulated k={k}"] = simulated(k, 2 if quick else 8, plan)
        found[f"simulated k={k}"]["seconds"] = time.perf_counter() - began
    if os.environ.get("JAXMIX_PUBLIC_RUNS"):
        began = time.perf_counter()
        found["regmix"] = published(Plan(40, 20, 60, 4) if quick else Plan(40, 20, 200, 12))
        found["regmix"]["seconds"] = time.perf_counter() - began
    text = json.dumps(found, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
