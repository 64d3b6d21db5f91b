"""Whether intervals cover what they say: simulated studies whose truth is known.

Every row of the table is one kind of study, drawn many times: a true law with random parameters,
random mixtures, four sizes and three checkpoints, noise of which half belongs to the run and half
to the checkpoint. A law is fitted, refitted on wild resamples by mixture, and asked for 90%
intervals of what the truth then answers: losses at unseen mixtures within the data and at ten
times the largest size and five times the tokens, parameters, the gain of the proposed mixture over
the uniform one, the true optimum (is it in the confidence set; are its weights within the set's
projections), and the loss at the proposal. Where the fitted law is not the true one, parameters
have no truth.

Optimism is the median over studies of predicted less true gain, in thousandths of a nat, before
and after the correction.

Run ``python benchmarks/calibration.py [--only NAME] [--studies 30] [--resamples 100]``; the table
goes to standard output, and with ``--out`` to a CSV file. ``--speed`` times 1,000 refits of the
joint law on the published runs instead, and says how many a fresh search would have ended lower.
"""

import argparse
import csv
import os
import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jaxmix.fitting import bootstrap, fit, random_truth
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.simulate import simulate_laws, true_laws
from jaxmix.laws import get_law
from jaxmix.mixtures import dirichlet_design, optimize
from jaxmix.runs import RunTable, read_runs

SIZES, TOKENS = (1e7, 3e7, 9e7, 2.7e8), (2e9, 6e9, 2e10)
BUDGETS = {
    "within": {"n_params": 9e7, "tokens": 6e9},
    "beyond": {"n_params": 2.7e9, "tokens": 1e11},
}
LEVEL = 0.9


@dataclass(frozen=True)
class Kind:
    """One kind of study: what is true, what is fitted, k domains, q mixtures, relative noise."""

    truth: str
    law: str
    k: int
    q: int
    noise: float

    @property
    def name(self) -> str:
        made = self.law if self.law == self.truth else f"{self.law} on {self.truth}"
        return f"{made} k={self.k} q={self.q} noise={self.noise:g}"


KINDS = (
    Kind("additive", "additive", 3, 20, 0.002),
    Kind("additive", "additive", 3, 20, 0.01),
    Kind("additive", "additive", 5, 32, 0.004),
    Kind("simple", "simple", 4, 24, 0.004),
    Kind("joint", "joint", 3, 30, 0.004),
    Kind("full", "additive", 3, 20, 0.004),
    Kind("joint", "additive", 4, 24, 0.004),
)


def draw(kind: Kind, studies: int, seed: int) -> tuple[tuple[FittedLaw, ...], RunTable]:
    """Truths, and one table whose targets are the studies."""
    law, names = get_law(kind.truth), [f"study{i}" for i in range(studies)]
    params = random_truth(
        law, kind.k, seed, count=studies, n_params=(SIZES[0], 1e9), tokens=(TOKENS[0], 1e11)
    )
    mixtures = dirichlet_design(kind.k, kind.q, seed=seed, minimum=0.02)
    truths = true_laws(
        law,
        dict(zip(names, params, strict=True)),
        domains=[f"d{i}" for i in range(kind.k)],
        mixtures=mixtures,
        n_params=SIZES,
        tokens=TOKENS,
        targets=names,
    )
    each = kind.noise / np.sqrt(2.0)
    table = simulate_laws(
        truths, mixtures=mixtures, n_params=SIZES, tokens=TOKENS, noise=each, seed=seed
    )
    frame, rng = table.frame.copy(), np.random.default_rng(seed + 1)
    run = np.unique(frame["run"].astype(str).to_numpy(), return_inverse=True)[1]
    for name in names:
        frame[f"loss_{name}"] *= np.exp(each * rng.standard_normal(run.max() + 1)[run])
    return truths, read_runs(frame)


def within(interval, value, slack: float = 0.0):
    return (value >= interval.low - slack) & (value <= interval.high + slack)


def measure(kind: Kind, studies: int, resamples: int, seed: int) -> dict[str, object]:
    start = time.perf_counter()
    truths, table = draw(kind, studies, seed)
    laws = fit(table, kind.law, restarts=64)
    ensemble = bootstrap(laws, table, resamples=resamples, cluster="mixture")
    unseen = dirichlet_design(kind.k, 20, seed=seed + 2, minimum=0.02)
    row: dict[str, object] = {"study": kind.name}
    for place, budget in BUDGETS.items():
        x = budget | {"weights": unseen}
        true = np.stack([t.predict(x) for t in truths])
        found = ensemble.predict(x, level=LEVEL, noise=False)
        row[f"loss, {place}"] = float(np.mean(within(found, true)))
    row["parameters"] = _parameters(ensemble, truths) if kind.law == kind.truth else float("nan")
    for place, budget in BUDGETS.items():
        found = [_proposal(ensemble.only(t.target), t, budget) for t in truths]
        means = {name: [f[name] for f in found] for name in found[0]}
        for name in ("gain", "set", "weights", "loss at h*"):
            row[f"{name}, {place}"] = float(np.mean(means[name]))
        row[f"optimism, {place}"] = 1e3 * float(np.median(means["optimism"]))
        row[f"corrected, {place}"] = 1e3 * float(np.median(means["corrected"]))
        row[f"true gain, {place}"] = 1e3 * float(np.median(means["true"]))
    row["seconds"] = time.perf_counter() - start
    return row


def _parameters(ensemble, truths) -> float:
    intervals = ensemble.parameter_intervals(LEVEL)
    pairs = ((intervals[t.target][name], x) for t in truths for name, x in t.labelled.items())
    return float(np.mean([within(i, x) for i, x in pairs]))


def _proposal(ensemble, truth: FittedLaw, budget) -> dict[str, float]:
    found = optimize(ensemble.laws, **budget).uncertainty(ensemble, level=LEVEL)
    h, uniform = found.optimum.h, np.full(len(truth.domains), 1 / len(truth.domains))
    at, plain = (float(truth.predict(budget | {"weights": x})) for x in (h, uniform))
    true, gain = plain - at, found.gains[0]
    best = optimize([truth], **budget).h
    ends = [within(i, x, 1e-6) for i, x in zip(found.intervals.values(), best, strict=True)]
    return {
        "gain": bool(within(gain, true, 1e-9)),
        "set": bool(found.contains(best)),
        "weights": float(np.mean(ends)),
        "loss at h*": bool(within(found.objective, at)),
        "optimism": gain.predicted - true,
        "corrected": gain.corrected - true,
        "true": true,
    }


def speed(resamples: int = 1000, probes: int = 24) -> None:
    """Refits of the joint law, k = 7, 1089 rows, 33 parameters; compiled by a first small call."""
    folder = os.environ.get("JAXMIX_PUBLIC_RUNS") or sys.exit("--speed needs JAXMIX_PUBLIC_RUNS")
    frame = pd.read_csv(os.path.join(folder, "redpajama_70M-410M.csv"))
    runs = read_runs(frame[frame["flags"].isna()])
    laws = fit(runs, "joint", targets=["github"])
    bootstrap(laws, runs, resamples=50)
    bootstrap(laws, runs, resamples=130)  # the shapes of a full batch of lanes
    start = time.perf_counter()
    bootstrap(laws, runs, resamples=resamples)
    seconds = time.perf_counter() - start
    check = bootstrap(laws, runs, resamples=50, probes=probes).search_check
    print(f"{resamples} refits: {seconds:.1f} s; {check}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="part of the name of a kind of study")
    parser.add_argument("--studies", type=int, default=30)
    parser.add_argument("--resamples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    if options.speed:
        return speed()
    rows = []
    for kind in KINDS:
        if options.only is None or options.only in kind.name:
            rows.append(measure(kind, options.studies, options.resamples, options.seed))
            shown = (f"{k} {v:.3g}" for k, v in rows[-1].items() if isinstance(v, float))
            print(rows[-1]["study"], "|", "; ".join(shown), flush=True)
            if options.out:
                with open(options.out, "w", newline="") as file:
                    writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
    sys.exit(0 if rows else f"no kind of study has '{options.only}' in its name")


if __name__ == "__main__":
    main()
