"""Trains a family's second study, selects a law, recommends mixtures, and trains their proof.

The folder ``v2`` of the family holds the tables of the runs by width, and then:

- ``selection.json``: the law and the rows that held-out evidence chose, and why;
- ``scores.csv``: mean relative error of every law on the rows that were fitted and on the held-out
  size, beside the noise of seeds;
- ``recommended.json``: the recommended mixtures by goal, with predicted gains and intervals;
- ``proof.csv`` and ``gains.csv``: these mixtures at the held-out size, four seeds each, beside
  uniform and proportional ones; predicted and measured gains.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from experiments import harness, stages
from experiments.harness import Setting, write_csv
from experiments.waves import Ladder, train
from jaxmix.fitting import FittedLaws, fit, mean_mre, score, select
from jaxmix.mixtures import Constraints, Recommendation, recommend
from jaxmix.runs import RunTable, read_runs, write_runs, write_text
from jaxmix.studies import BASELINES, Study, mixture_weights, proof_study, put_to_test

# The richer laws, and those behind a floor: at vertices, losses are far from those of mixtures.
CANDIDATES = ("additive", "joint", "full", "additive+floor", "joint+floor")
BURN_IN = (0.0, 0.25, 0.5)  # the first checkpoint is an eighth of a run
SEEDS = (0, 1, 2, 3)


def main(ladder: Ladder, script: str, description: str) -> None:
    """Runs a study from the command line; `script` is its file."""

    def run(setting: Setting) -> None:
        if setting.smoke:  # too few rows for a law: the trainers are what is tried
            stages.trained(ladder.smoke(), setting.work)
            return
        tables = pathlib.Path(script).resolve().parent / "v2"
        for width in ladder.widths:
            train(ladder, width, setting.work, tables / f"{width}.csv")
        study(ladder, tables, setting.work)

    harness.main(script, description, run)


def study(ladder: Ladder, out: pathlib.Path, work: pathlib.Path) -> None:
    """Fits, recommends and trains the proof; all results go beside the tables."""
    fitted, larger = read_tables(ladder, out)
    goals = ladder.goals
    targets = tuple(dict.fromkeys(t for named in goals.values() for t in named))
    # Tables hold unique tokens only where a domain repeats.
    repeats = any(name.startswith("unique_") for name in fitted.frame.columns)
    candidates = CANDIDATES + stages.REPEATING * repeats
    found = select(fitted, candidates, targets=targets, burn_in=BURN_IN, outer=())
    chosen = {**found.choice.to_dict(), "where": found.where, "why": [*found.reasons, *found.notes]}
    write_text(out / "selection.json", json.dumps(chosen, indent=1) + "\n")
    rows = fitted.where(found.where) if found.where else fitted
    late = larger.where(f"run_progress >= {found.choice.burn_in}")
    names = tuple(dict.fromkeys((*stages.LAWS, found.choice.law.name)))
    laws = {
        n: fit(rows, n, restarts=stages.RESTARTS, residual=found.choice.residual) for n in names
    }
    write_csv(out / "scores.csv", scores(laws, rows, late))
    recommended = {
        goal: recommend_for(rows, larger, ladder, found.choice.law, targets)
        for goal, targets in goals.items()
    }
    told = {f"best-{goal}": one.to_dict() for goal, one in recommended.items()}
    write_text(out / "recommended.json", json.dumps(told, indent=1) + "\n")
    proof = stages.trained(proof_of(ladder, recommended), work / "proof")
    write_runs(read_runs(stages.slim(proof.frame)), out / "proof.csv")
    write_csv(out / "gains.csv", gains(recommended, proof, goals))


def read_tables(ladder: Ladder, folder: pathlib.Path) -> tuple[RunTable, RunTable]:
    """The rows of the fitted widths and those of the held-out one."""
    frames = {width: pd.read_csv(folder / f"{width}.csv") for width in ladder.widths}
    larger = read_runs(frames.pop(ladder.held_out))
    return read_runs(pd.concat(frames.values(), ignore_index=True)), larger


def scores(
    laws: Mapping[str, FittedLaws], rows: RunTable, larger: RunTable
) -> Iterator[dict[str, str]]:
    """Mean relative error in percent by law and target, and the noise of seeds."""
    noise = seed_noise(rows)
    for law, fits in laws.items():
        fitted, beyond = score(fits, rows), score(fits, larger)
        found = {t: (fitted[t].mre, beyond[t].mre, noise[t]) for t in fitted}
        mean = (mean_mre(fitted), mean_mre(beyond), float(np.mean(list(noise.values()))))
        for target, figures in {"mean": mean, **found}.items():
            named = zip(("fitted_mre", "larger_mre", "seed_noise"), figures, strict=True)
            yield {"law": law, "target": target} | {name: f"{x:.3f}" for name, x in named}


def seed_noise(runs: RunTable) -> dict[str, float]:
    """Mean absolute deviation of a run from the mean over many seeds, in percent, by target.

    It is estimated from pairs of runs that differ in their seed alone, which differ by the root of
    2 times as much. A perfect law would have about this error on unseen runs.
    """
    frame, found = runs.frame, {}
    for target in runs.targets:
        logs = np.log(frame[f"loss_{target}"])
        pairs = frame.assign(value=logs).pivot_table(
            index=["n_params", "tokens", "mixture"], columns="seed", values="value"
        )
        first, second = (pairs[seed].to_numpy() for seed in sorted(pairs.columns)[:2])
        found[target] = float(100 * np.nanmean(abs(first - second)) / 2**0.5)
    return found


def recommend_for(
    rows: RunTable, larger: RunTable, ladder: Ladder, law: Any, targets: tuple[str, ...]
) -> Recommendation:
    """The recommended mixture of a goal at the held-out size, whose proof matches the epochs."""
    stock = stages.stock_of(rows) if law.reads("unique") else None
    limits = Constraints(available=stock) if stock else None
    return recommend(
        rows,
        float(larger.n_params[0]),
        float(ladder.tokens),
        limits,
        law=law,
        targets=targets,
        baselines={name: mixture_weights(larger, name) for name in BASELINES},
    )


def proof_of(ladder: Ladder, recommended: Mapping[str, Recommendation]) -> Study:
    """The recommended mixtures beside the baselines at the held-out size."""
    best = {f"best-{goal}": one.weights for goal, one in recommended.items()}
    base = ladder.study(ladder.held_out, 0, best)
    size = replace(base.sizes[0], tokens=ladder.tokens)
    return replace(proof_study(base, size, best, SEEDS), checkpoints=4, fleet=5)


def gains(
    recommended: Mapping[str, Recommendation],
    proof: RunTable,
    goals: Mapping[str, tuple[str, ...]],
) -> Iterator[dict[str, Any]]:
    """Predicted and measured gains over the baselines."""
    named = {name: name for name in BASELINES}
    for goal, found in recommended.items():
        for one in put_to_test(found, proof, f"best-{goal}", named, goals[goal]):
            low, estimate, high = one.predicted
            yield {
                "goal": goal,
                "baseline": one.baseline,
                "law": found.optimum.laws.law.name,
                "low": f"{low:.4f}",
                "predicted": f"{estimate:.4f}",
                "high": f"{high:.4f}",
                "measured": f"{one.measured.mean:.4f}",
                "sem": f"{one.measured.sem:.4f}",
                "seeds": one.measured.seeds,
                "inside": int(one.off == 0),
            }
