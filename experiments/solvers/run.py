"""The objective against the number of local solves, by way of spending them: figure 2.

    python -m experiments.solvers.run [--smoke]

The joint law, eq. (5), on the losses of illustrated pages of our multimodal study, as in the paper,
and where JAXMIX_PUBLIC_RUNS is set on those of code of published language models.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments import family_tables, harness
from experiments.harness import Setting, write_csv
from experiments.solvers.solver_curves import Curves, Effort, all_curves
from jaxmix.fitting.solvers import Objective, Problem, make_problem
from jaxmix.laws import get_law
from jaxmix.report import COLORS, save_figure

EFFORT = {
    "multimodal": Effort(quasi_newton_solves=32, bank=96, chains=12, searches=12),
    "RedPajama": Effort(quasi_newton_solves=12, bank=48, chains=8, searches=8),
}
TINY = Effort(solves=4, quasi_newton_solves=2, bank=4, chains=4, searches=1)


def run(setting: Setting) -> None:
    names = ["multimodal"] if setting.smoke or not family_tables.published_are_here() else EFFORT
    rows, panels = [], {}
    for name in names:
        with jax.enable_x64(True):
            problem = pose(name, setting.smoke)
            curves = all_curves(problem, TINY if setting.smoke else EFFORT[name])
        panels[_title(name, problem)] = curves
        rows += [row for curve in curves for row in _rows(name, curve)]
        for curve in curves:
            print(name, curve.method, f"{np.median(curve.best[:, -1]):.5e}", flush=True)
        write_csv(setting.out / "figure2.csv", rows)
    draw(panels, setting.out / "figure2.png")


def pose(name: str, smoke: bool = False) -> Problem:
    """One target of one table, eq. (6) of the joint law, on the loss; few rows for a trial."""
    if smoke:
        runs, target = family_tables.multimodal().where("tokens > 4.9e5"), "interleaved"
    elif name == "multimodal":
        runs, target = family_tables.multimodal().where("preset != 'nmm-tiny-96'"), "interleaved"
    else:
        runs, target = family_tables.redpajama(), "github"
    law = get_law("joint")
    return make_problem(runs, law, (target,), Objective(law, len(runs.domains)), "equal")


def _title(name: str, problem: Problem) -> str:
    size = problem.objective.law.count(problem.objective.k)
    return f"{name} {problem.targets[0]}: joint law, {size} parameters, {len(problem.runs)} rows"


def _rows(name: str, curve: Curves) -> Iterator[dict[str, Any]]:
    for i, values in enumerate(np.quantile(curve.best, [0.25, 0.5, 0.75], axis=0).T):
        quartiles = zip(("lower", "median", "upper"), map(float, values), strict=True)
        yield {
            "table": name,
            "method": curve.method,
            "trials": curve.trials,
            "solves": i + 1,
            **dict(quartiles),
            "seconds_per_solve": curve.seconds_per_solve,
        }


def draw(panels: dict[str, list[Curves]], path) -> None:
    """Medians and quartiles over trials, a panel for every table."""
    figure = Figure(figsize=(6.4 * len(panels), 4.6), layout="constrained")
    for i, (title, curves) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), i + 1)
        for color, curve in zip(COLORS, curves, strict=False):
            low, middle, high = 1e5 * np.quantile(curve.best, [0.25, 0.5, 0.75], axis=0)
            x = np.arange(1, len(middle) + 1)
            label = f"{curve.method}: {curve.trials}"
            axes.plot(x, middle, color=color, lw=2, label=label)
            axes.fill_between(x, low, high, color=color, alpha=0.12, lw=0)
        ticks = 2 ** np.arange(0, 7)
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, map(str, ticks))
        axes.set(xlabel="local solves", ylabel="objective (6), in $10^{-5}$ nats²", title=title)
        axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path)


if __name__ == "__main__":
    harness.main(__file__, __doc__, run)
