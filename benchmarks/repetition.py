"""What repeated tokens are worth: our fit of the published law beside the published fit.

The 182 rows of Muennighoff et al. 2023 (arXiv 2305.16264, appendix A), R*_D and R*_N fitted with
the other coefficients at the paper's values, then all seven fitted. The objective is theirs, the
sum over rows of Huber(1e-3) on the logarithm of the loss; R2 is on the loss. Run it as

    JAXMIX_PUBLIC_RUNS=<folder of datablations.csv> python benchmarks/repetition.py

Result (two CPU cores, JAX 0.10, 32 restarts):

    law                       R*_D      R*_N     objective       R2
    no decay                 1e+09     1e+09    0.03310393   0.4452
    published                15.39      5.31    0.01582594   0.7722
    jaxmix                   95.37     1.706    0.01580466   0.7910
    jaxmix, all seven         27.9     1e+04    0.00661667   0.9361

A lower optimum than the published one exists with the same coefficients; fitted freely, these runs
say that excess parameters lose nothing (R*_N at the edge of its range).
"""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from jaxmix.fitting import FittedLaw, fit, score
from jaxmix.laws import CHINCHILLA, R_D_STAR, R_N_STAR, fixed, repeated
from jaxmix.runs import RunTable, read_runs

BASE = {
    "E": float(np.exp(0.6254804)),
    "A": float(np.exp(6.255414)),
    "B": float(np.exp(7.3049974)),
    "alpha": 0.3526596,
    "beta": 0.3526596,
}
ENDLESS = 1e9  # R* at which repeated tokens and excess parameters are worth as much as fresh ones
DELTA = 1e-3


def read_table(path: Path) -> RunTable:
    """The rows of the published fit, with one domain: c4."""
    frame = pd.read_csv(path)
    frame = frame[frame["in_paper_fit"] == 1].reset_index(drop=True)
    held = {"n_params": frame["n_params"], "tokens": frame["tokens"], "w_c4": 1.0}
    data = {"unique_c4": frame["unique_tokens"], "loss_c4": frame["loss"]}
    return read_runs(pd.DataFrame({**held, **data}), source=str(path))


def objective(law: FittedLaw, runs: RunTable) -> float:
    """Sum of Huber on the logarithm of the loss."""
    unique = runs.frame[["unique_c4"]].to_numpy()
    predicted = law.predict(
        dict(n_params=runs.n_params, tokens=runs.tokens, weights=runs.weights, unique=unique)
    )
    size = np.abs(np.log(predicted) - np.log(runs.losses()[0]))
    small = np.minimum(size, DELTA)
    return float(np.sum(small * (size - 0.5 * small)))


def main() -> None:
    """Prints the table."""
    folder = os.environ.get("JAXMIX_PUBLIC_RUNS")
    if not folder:
        sys.exit("set JAXMIX_PUBLIC_RUNS to the folder that holds datablations.csv")
    runs = read_table(Path(folder) / "datablations.csv")
    decays = fixed(repeated(CHINCHILLA), BASE)
    (ours,) = fit(runs, decays, residual="log", restarts=32)
    (free,) = fit(runs, repeated(CHINCHILLA), residual="log", restarts=32)

    def at(r_d: float, r_n: float) -> FittedLaw:
        params = {"R_D_star": np.asarray(r_d), "R_N_star": np.asarray(r_n)}
        return FittedLaw(decays, "c4", ("c4",), params, ours.data, ours.report)

    rows = {
        "no decay": at(ENDLESS, ENDLESS),
        "published": at(R_D_STAR, R_N_STAR),
        "jaxmix": ours,
        "jaxmix, all seven": free,
    }
    print(f"{'law':20}{'R*_D':>10}{'R*_N':>10}{'objective':>14}{'R2':>9}")
    for name, law in rows.items():
        decay = [float(law.params[n]) for n in ("R_D_star", "R_N_star")]
        r2 = score([law], runs)["c4"].r2
        print(f"{name:20}{decay[0]:10.4g}{decay[1]:10.4g}{objective(law, runs):14.8f}{r2:9.4f}")


if __name__ == "__main__":
    main()
