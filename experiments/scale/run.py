"""How the optimal mixture moves with the budget, on the studies that this code trained.

    python -m experiments.scale.run [--smoke]

Fits the joint and the additive law to every row of a study, follows h*(N, D) along the growth
schedules of figure 10 to their exact limits and over a grid of budgets (figure 6), and asks refits
on resampled mixtures whether its trends are more than noise.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments import family_tables, harness
from experiments.harness import Setting
from jaxmix.fitting import FittedLaw, bootstrap, fit
from jaxmix.fitting.uncertainty import Ensemble, interval
from jaxmix.mixtures import (
    Optima,
    js_distance,
    make_starts,
    optimize,
    optimize_many,
    schedule,
    solve_refits,
)
from jaxmix.runs import RunTable

STUDIES = ("multimodal", "vision", "text")
SCHEDULES = ("fixed-n", "fixed-d", "linear", "sqrt", "log")
LAWS = ("joint", "additive")
REFITTED = ("multimodal", "vision")  # seven domains take too long
RESTARTS, REFITS, STARTS = 48, 64, 16
DOUBLINGS = 40  # of what grows: to 10^12 times the smallest run
BEYOND = (10, 100)  # sizes in figure 6, as multiples of the largest that was run
FAR = 2.0**20  # where schedules are compared before their limits


def run(setting: Setting) -> None:
    """Every study's paths, trends and pictures."""
    for name in STUDIES[:1] if setting.smoke else STUDIES:
        runs = getattr(family_tables, name)()
        study(name, thinned(runs) if setting.smoke else runs, setting)


def thinned(runs: RunTable) -> RunTable:
    """Every third row, for a trial."""
    return runs.select(np.arange(len(runs)) % 3 == 0)


def study(name: str, runs: RunTable, setting: Setting) -> None:
    """One study: its files start with its name."""
    from experiments.scale.scale_plots import plot_compute, plot_paths

    restarts = 8 if setting.smoke else RESTARTS
    names = LAWS[1:] * 2 if setting.smoke else LAWS  # one program to compile
    joint, additive = (
        fit(runs, law, targets=runs.domains, restarts=restarts, residual="log") for law in names
    )
    constant = optimize(additive, runs.n_params.max(), runs.tokens.max(), starts=STARTS)
    paths, grid = growth(joint, runs, setting.smoke), budgets(joint, runs)
    out = setting.out
    harness.write_csv(out / f"{name}-paths.csv", path_rows(paths))
    harness.write_csv(out / f"{name}-grid.csv", optima_rows(grid, {}))
    harness.write_csv(out / f"{name}-limits.csv", limit_rows(paths, constant))
    if name in REFITTED and not setting.smoke:  # refits take minutes
        refits = bootstrap(joint, runs, resamples=REFITS, cluster="mixture", progress=told(name))
        harness.write_csv(out / f"{name}-trends.csv", trend_rows(joint, refits, runs))
    plot_compute(grid, constant, runs, out / f"{name}-weights-over-compute.png")
    if len(runs.domains) == 3:
        plot_paths(paths, constant, out / f"{name}-asymptotes.png")


def told(name: str) -> Any:
    """Says how far the refits of a study are."""
    return lambda done, total: print(f"{name}: refits of {done} of {total} targets", flush=True)


def growth(laws: tuple[FittedLaw, ...], runs: RunTable, smoke: bool) -> dict[str, Optima]:
    """h* along every schedule, from the smallest budget of the study to the limit."""
    factors = 2.0 ** np.arange(0, DOUBLINGS + 1, 10 if smoke else 1)
    smallest = runs.n_params.min(), runs.tokens.min()
    return {
        kind: optimize_many(laws, *schedule(kind, *smallest, factors, limit=True), starts=STARTS)
        for kind in SCHEDULES
    }


def budgets(laws: tuple[FittedLaw, ...], runs: RunTable) -> Optima:
    """h* for every size, and larger ones, over tokens from the fewest to 100 times the most."""
    sizes = np.unique(runs.n_params)
    sizes = np.concatenate([sizes[[0, -1]], [by * sizes[-1] for by in BEYOND]])
    tokens = np.geomspace(runs.tokens.min(), 100 * runs.tokens.max(), 25)
    n, d = (x.ravel() for x in np.meshgrid(sizes, tokens, indexing="ij"))
    return optimize_many(laws, n, d, starts=STARTS)


def optima_rows(optima: Optima, more: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One row per budget: the mixture and how sure it is that it is the optimum."""
    for b in range(len(optima)):
        n, d = float(optima.n_params[b]), float(optima.tokens[b])
        yield {
            **more,
            "n_params": n,
            "tokens": d,
            "flops": 6.0 * n * d,
            **{f"h_{x}": float(optima.h[b, i]) for i, x in enumerate(optima.domains)},
            "objective": float(optima.objective[b]),
            "gap": float(optima.gap[b]),
            "agreeing": int(optima.agreeing[b]),
            "starts": optima.starts,
            "hull_distance": optima[b].hull_distance,
        }


def path_rows(paths: dict[str, Optima]) -> Iterator[dict[str, Any]]:
    """All schedules below one another; the last row of each is its limit."""
    for kind, optima in paths.items():
        yield from optima_rows(optima, {"schedule": kind})


def limit_rows(paths: dict[str, Optima], constant: Any) -> Iterator[dict[str, Any]]:
    """Where each schedule ends, and how far that is from where proportional growth ends.

    `way_left` is the distance from the mixture after 20 doublings to the schedule's own limit.
    """
    goal = paths["linear"].h[-1]
    for kind, optima in paths.items():
        doublings = len(optima) - 2
        far = optima.h[round(doublings * np.log2(FAR) / DOUBLINGS)]
        end = optima.h[-1]
        yield {
            "schedule": kind,
            **{f"h_{x}": float(end[i]) for i, x in enumerate(optima.domains)},
            "to_linear_limit": distance(goal, end),
            "way_left": distance(far, end),
            "largest_gap": float(optima.gap.max()),
            "fewest_agreeing": int(optima.agreeing.min()),
            "starts": optima.starts,
        }
    yield {
        "schedule": "additive",
        **{f"h_{x}": w for x, w in constant.weights.items()},
        "to_linear_limit": distance(goal, constant.h),
        "way_left": 0.0,
        "largest_gap": constant.gap,
        "fewest_agreeing": constant.agreeing,
        "starts": constant.starts,
    }


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Jensen-Shannon distance of two mixtures."""
    return float(js_distance(a, b))


def trend_rows(
    laws: tuple[FittedLaw, ...], refits: Ensemble, runs: RunTable
) -> Iterator[dict[str, Any]]:
    """By how much h* changes over the sizes and the tokens of the study, with 90% intervals.

    `agreeing` is the share of refits in which the weight moves the same way.
    """
    n, d = ((float(x.min()), float(x.max())) for x in (runs.n_params, runs.tokens))
    moves = {
        "D grows in the data": ((n[1], d[0]), (n[1], d[1])),
        "N grows in the data": ((n[0], d[1]), (n[1], d[1])),
        "D grows to infinity": ((n[1], d[1]), (n[1], np.inf)),
        "N grows to infinity": ((n[1], d[1]), (np.inf, d[1])),
    }
    for move, ends in moves.items():
        start, end = (optimize_many(laws, *budget, starts=STARTS).h[0] for budget in ends)
        many = [optima_of(refits, *budget) for budget in ends]
        change, drawn = end - start, many[1] - many[0]
        low, _, high = interval(change, drawn - change, 0.9)
        for i, domain in enumerate(runs.domains):
            yield {
                "move": move,
                "domain": domain,
                "from": float(start[i]),
                "to": float(end[i]),
                "change": float(change[i]),
                "low": float(low[i]),
                "high": float(high[i]),
                "agreeing": float(np.mean(np.sign(drawn[:, i]) == np.sign(change[i]))),
                "refits": len(drawn),
            }


def optima_of(refits: Ensemble, n_params: float, tokens: float) -> np.ndarray:
    """The optimum of every refit for the mean of the targets, [B, k]."""
    k = len(refits.laws.domains)
    points = make_starts(np.zeros(k), np.ones(k), k + 2, 0)
    return solve_refits(optimize(refits.laws, n_params, tokens), refits.stacked, points)[0]


if __name__ == "__main__":
    harness.main(__file__, __doc__ or "", run)
