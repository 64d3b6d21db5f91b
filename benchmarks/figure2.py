"""Figure 2 of the paper redrawn: eq. (6) against the number of inner solves.

A trial of random restarts is a draw with replacement from a bank of recorded solves; a trial of
hopping is a chain that was really run, hop by hop; one of the default is a real search, whose
solves are counted in the order of the pool.
"""

import csv
import pathlib
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from problem import GOALS, random_jobs

from jaxmix.fitting.basin_hopping import BasinHopping, kick
from jaxmix.fitting.lanes import WARM, Jobs, Solver
from jaxmix.fitting.problem import Problem
from jaxmix.fitting.search import SEARCHES, run_jobs, run_search

QUARTILES = ("lower_quartile", "median", "upper_quartile")


@dataclass(frozen=True)
class Curves:
    """Best value after 1, 2, ... inner solves: best [trials, solves]."""

    name: str
    best: np.ndarray
    seconds_per_solve: float
    recorded: str


def _solver(name: str) -> Solver:
    return SEARCHES[name].solver


def random_restarts(name: str, label: str, problem: Problem, bank: int, solves: int) -> Curves:
    """100 trials of ``solves`` draws from a bank of ``bank`` random starts."""
    jobs = random_jobs(problem, 0, 0, bank)
    began = time.perf_counter()
    values = np.asarray(run_jobs(_solver(name), problem.objective, problem.rows, jobs).value)
    seconds = (time.perf_counter() - began) / bank
    drawn = np.random.default_rng(0).choice(values, (100, solves))
    recorded = f"100 trials from a bank of {bank} solves"
    return Curves(label, np.minimum.accumulate(drawn, 1), seconds, recorded)


def hopping(name: str, label: str, problem: Problem, chains: int, solves: int) -> Curves:
    """Real chains: the steps of ``BasinHopping``, with the value after every inner solve noted."""
    search = SEARCHES[name].solver
    assert isinstance(search, BasinHopping)
    objective, rows = problem.objective, problem.rows
    jobs = random_jobs(problem, 0, 0, chains)
    rng = np.random.default_rng(0)
    current, standing, seen = None, None, []
    began = time.perf_counter()
    for hop in range(solves):
        results = run_jobs(search.inner, objective, rows, jobs)
        value, z = np.asarray(results.value), np.asarray(results.z)
        seen.append(value)
        if current is None or standing is None:
            current, standing = value, z
        uphill = rng.exponential(size=chains) * search.temperature * current
        accept = value <= current + uphill
        current = np.where(accept, value, current)
        standing = np.where(accept[:, None], z, standing)
        keys = jax.random.split(jax.random.key(hop), chains)
        kicked = jax.vmap(lambda k, v: kick(objective, k, v))(keys, jnp.asarray(standing))
        jobs = Jobs(kicked, jobs.fit, keys, jnp.full(chains, WARM))
    seconds = (time.perf_counter() - began) / (chains * solves)
    best = np.minimum.accumulate(np.stack(seen, 1), 1)
    return Curves(label, best, seconds, f"{chains} chains")


def pooled(label: str, problem: Problem, trials: int, solves: int) -> Curves:
    """Real searches of the default."""
    search = SEARCHES["pooled-hopping"]
    began = time.perf_counter()
    values = [run_search(search, problem, solves, s).value[:solves, 0] for s in range(trials)]
    seconds = (time.perf_counter() - began) / (trials * solves)
    best = np.minimum.accumulate(np.stack(values), 1)
    return Curves(label, best, seconds, f"{trials} searches of {solves}")


def figure2(problem: Problem, out: pathlib.Path, *, quick: bool = False) -> dict[str, Any]:
    """Measures the five curves and writes ``figure2.csv`` and ``figure2.png``."""
    solves, chains, bank, trials = (4, 2, 8, 2) if quick else (64, 20, 256, 20)
    slow = 4 if quick else 32  # L-BFGS solves take long
    curves = [
        random_restarts("lbfgs", "random restarts, L-BFGS", problem, bank // 2, solves),
        hopping("basin-hopping", "basin-hopping, L-BFGS", problem, chains, slow),
        random_restarts("gauss-newton", "random restarts, Gauss–Newton", problem, bank, solves),
        hopping("gauss-newton-hopping", "basin-hopping, Gauss–Newton", problem, chains, solves),
        pooled("pooled hopping, Gauss–Newton (default)", problem, trials, solves),
    ]
    out.mkdir(parents=True, exist_ok=True)
    _write_csv(curves, out / "figure2.csv")
    draw(out / "figure2.csv", out / "figure2.png")
    return {
        curve.name: {
            "recorded": curve.recorded,
            "seconds_per_solve": curve.seconds_per_solve,
            "final_median": float(np.median(curve.best[:, -1])),
            "solves": curve.best.shape[1],
        }
        for curve in curves
    }


def _write_csv(curves: list[Curves], path: pathlib.Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "trials", "inner_solves", *QUARTILES])
        for curve in curves:
            for i, values in enumerate(np.quantile(curve.best, [0.25, 0.5, 0.75], axis=0).T):
                row = [curve.name, curve.recorded, i + 1, *(f"{value:.6e}" for value in values)]
                writer.writerow(row)


def draw(table: pathlib.Path, path: pathlib.Path) -> None:
    """The picture of a written ``figure2.csv``."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    frame = pd.read_csv(table)
    figure, axes = plt.subplots(figsize=(8.5, 5), layout="constrained")
    for i, (name, curve) in enumerate(frame.groupby("method", sort=False)):
        low, middle, high = 1e5 * curve[list(QUARTILES)].to_numpy().T
        label = f"{name}: {curve['trials'].iloc[0]}"
        axes.plot(curve["inner_solves"], middle, color=f"C{i}", lw=2, label=label)
        axes.fill_between(curve["inner_solves"], low, high, color=f"C{i}", alpha=0.12, lw=0)
    for goal, style, label in _LINES:
        axes.axhline(1e5 * GOALS[goal], color="black", lw=1, ls=style, label=label)
    ticks = [1, 2, 4, 8, 16, 32, 64]
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set(
        xlabel="inner solves",
        ylabel="objective (6), in $10^{-5}$",
        title="RedPajama github, joint law, 1,089 rows: median and quartiles over trials",
        ylim=(1.55, 2.1),
    )
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)


_LINES = (
    ("published", ":", "best published, exponents above 0"),
    ("best", "--", "best known, exponents of either sign"),
)
