"""Does what is chosen on small models hold at the large one? Candidates, inner score, true error.

Run: JAXMIX_PUBLIC_RUNS=FOLDER python benchmarks/selection.py [redpajama] [text] [vision]

The largest size of each table is set aside. Every candidate is scored on splits of the smaller
ones, and its law, fitted on all of them, on the largest size: late rows, and the regret of its pick
among the mixtures there. The choice sees the inner columns only.

RedPajama, 410M set aside, two shared CPU cores: picked "joint, log" (inner error .421%), true error
.404%. Best true error of the 18 candidates: .343% ("joint, log, burn-in 0.5", inner .450%). The
default "additive, loss": 2.409% inner, .472% true. A burn-in of .5 lowers the true error of every
law and residual; the splits of the smaller sizes do not find that out.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxmix.fitting.selection import FitSettings, run_trials, select
from jaxmix.fitting.selection.evidence import gather
from jaxmix.fitting.selection.splits import make_splits
from jaxmix.runs import RunTable, read_runs

ROOT = Path(__file__).resolve().parent.parent
LAWS = ("simple", "additive", "joint")


def table(name: str) -> tuple[RunTable, tuple[str, ...], tuple[float, ...]]:
    """Runs, targets and burn-ins of one study."""
    if name == "redpajama":
        path = Path(os.environ["JAXMIX_PUBLIC_RUNS"]) / "redpajama_70M-410M.csv"
        runs = read_runs(path, where="flags == ''")
        return runs, ("pile_weighted_mean",), (0.0, 0.5, 0.75)
    runs = read_runs(ROOT / f"experiments/{name}/results/runs.csv")
    return runs, tuple(t for t in runs.targets if t in runs.domains), (0.0, 0.25)


def rows(name: str, laws: Sequence[str] = LAWS) -> None:
    """Prints the Markdown table of one study."""
    start = time.perf_counter()
    runs, targets, burn_in = table(name)
    largest = runs.n_params.max()
    small = runs.select(runs.n_params < largest)
    chosen = select(small, laws, targets=targets, burn_in=burn_in, size_floors=(0.0,))
    candidates = [r.candidate for r in chosen.rows]
    (outer,) = make_splits(runs, ("size",), targets=targets)[-1:]
    trials = run_trials(runs, targets, candidates, [outer], FitSettings(restarts=64))
    truth = gather(trials)
    regret = np.full(len(candidates), np.nan) if truth.regret is None else truth.regret.score()
    inner, error = np.array([r.score for r in chosen.rows]), truth.error.score()
    print(f"\n{name}: {len(targets)} targets, n_params = {largest:.4g} set aside\n")
    print("| candidate | inner error % | inner regret | true error % | true regret |  |")
    print("|---|---|---|---|---|---|")
    for i, row in enumerate(chosen.rows):
        mark = (
            "picked" if row.candidate == chosen.choice else "high_regret" if row.high_regret else ""
        )
        figures = (f"{inner[i]:.3f}", f"{row.mean_regret:.4f}", f"{error[i]:.3f}")
        cells = (row.candidate.name, *figures, f"{regret[i]:.4f}", mark)
        print(f"| {' | '.join(cells)} |", flush=True)
    print(*chosen.reasons, sep="\n")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    for study in sys.argv[1:] or ("redpajama", "text", "vision"):
        rows(study)
