"""The fitter on published run tables, beside the best numbers known for them.

Run: JAXMIX_PUBLIC_RUNS=FOLDER python benchmarks/published.py

Prints a table; every figure is measured by the run that prints it. Reference figures: Chinchilla's
optimum is the published refit (Besiroglu et al. 2024) recomputed; the RedPajama objectives are the
best of 384 starts of an earlier search; the RegMix rank correlation is that of the same law fitted
elsewhere.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from jaxmix.fitting import FittedLaw, fit, mean_mre, score
from jaxmix.runs import RunTable, read_runs

Row = tuple[str, str, str]
CLEAN = "flags == ''"


def chinchilla(folder: Path) -> Iterator[Row]:
    """Eq. (2) on the points of Chinchilla's figure: Huber on the log loss, summed."""
    runs = read_runs(folder / "chinchilla_epoch.csv", where="epoch_excluded == 0")
    found = fit(runs, "chinchilla", residual="log")[0]
    p = found.params
    objective = f"{found.report.objective * len(runs):.11f}"
    values = f"E {p['E']:.5f}, alpha {p['alpha']:.5f}, beta {p['beta']:.5f}"
    yield "Chinchilla, sum of Huber", objective, ".00101827402"
    yield "Chinchilla, parameters", values, "E 1.81722, alpha .34731, beta .36717"


def objectives(folder: Path) -> Iterator[Row]:
    """Eq. (6) on the RedPajama runs."""
    runs = read_runs(folder / "redpajama_70M-410M.csv", where=CLEAN)
    known = {
        ("additive", "github"): 2.01162e-5,
        ("joint", "github"): 1.74611e-5,
        ("additive", "pile_weighted_mean"): 1.03037e-5,
        ("joint", "pile_weighted_mean"): 9.2720e-6,
    }
    for law in ("additive", "joint"):
        for found in fit(runs, law, targets=("github", "pile_weighted_mean")):
            report, best = found.report, known[law, found.target]
            name = f"RedPajama {found.target}, {law}: objective"
            agree = f"{report.agreeing}/{report.restarts} solves within 1%"
            yield name, f"{report.objective:.5e} ({agree})", f"{best:.5e}"


def next_size(folder: Path) -> Iterator[Row]:
    """70M to 305M fitted, 410M predicted: the overall loss and five groups."""
    runs = grouped(folder)
    small, large = runs.where("n_params < 3e8"), runs.where("n_params > 3e8")
    for law in ("additive", "joint"):
        found: tuple[FittedLaw, ...] = fit(small, law, residual="log")
        mre = mean_mre(score(found, large))
        yield f"RedPajama 410M from 70M-305M, {law}: mean MRE %", f"{mre:.3f}", ".64 (additive)"


def grouped(folder: Path) -> RunTable:
    """RedPajama runs with the losses averaged into five groups by validation share."""
    frame = pd.read_csv(folder / "redpajama_70M-410M.csv", keep_default_na=False)
    frame = frame[frame["flags"] == ""]
    shares = pd.read_csv(folder / "mixinglaws_valid_weights.csv")
    overall = "loss_pile_weighted_mean"
    kept = frame.filter(regex=rf"^(run|n_params|tokens|w_.*|{overall})$").copy()
    for name, group in shares.groupby("group_notebook"):
        losses = frame[group["column"]].astype(float)
        kept[f"loss_{name}"] = np.average(losses, axis=1, weights=group["valid_weight"])
    return read_runs(kept)


def regmix(folder: Path) -> Iterator[Row]:
    """17 domains, 512 mixtures fitted, 256 ranked."""
    path = folder / "regmix_1M_train512_test256.csv"
    train, test = (read_runs(path, where=f"split == '{s}'") for s in ("train", "test"))
    held = score(fit(train, "additive-fixed-nd", targets=["pile_cc"]), test)["pile_cc"]
    yield "RegMix 1M Pile-CC, test Spearman x 100", f"{100 * held.spearman:.2f}", "99.33"
    yield "RegMix 1M Pile-CC, test MRE %", f"{held.mre:.3f}", ".546"


def main() -> None:
    """Prints the table as Markdown, row by row."""
    folder = os.environ.get("JAXMIX_PUBLIC_RUNS")
    if not folder:
        sys.exit("JAXMIX_PUBLIC_RUNS is unset: it names the folder of published run tables")
    print("| what | jaxmix | best known |\n|---|---|---|")
    parts: tuple[Callable[[Path], Iterator[Row]], ...]
    parts = (chinchilla, objectives, next_size, regmix)
    for part in parts:
        for row in part(Path(folder)):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
