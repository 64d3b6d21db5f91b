"""Laws under a cosine learning rate beside a constant one: the paper's table 12.

    python -m experiments.schedules.run [--smoke]

Reads two tables, which train.py makes where they are missing: constant, a run with several
checkpoints for every size and mixture; cosine, a run of its own for every number of tokens. Fits
both, predicts the largest size, compares the optimal mixtures with what refits say of their noise,
and asks how far checkpoints of the constant rate tell which mixture is better under the cosine one.
"""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from experiments import harness
from experiments.harness import Setting
from jaxmix.fitting import FittedLaw, bootstrap, fit, mean_mre, random_truth, score, simulate
from jaxmix.laws import get_law
from jaxmix.mixtures import Uncertainty, dirichlet_design, js_distance, optimize
from jaxmix.runs import RunTable, read_runs

SCHEDULES = ("constant", "cosine")
LAWS = ("additive", "joint")
RESTARTS, REFITS = 192, 64
NEAR = 0.1  # a checkpoint counts as being at a budget that it misses by at most this share


def run(setting: Setting) -> None:
    """Errors, optima and ranks under both schedules."""
    tables = simulated() if setting.smoke else read_tables(setting)
    laws = {
        (law, schedule): fitted(small_sizes(runs), law, setting.smoke)
        for law in (LAWS[:1] if setting.smoke else LAWS)
        for schedule, runs in tables.items()
    }
    out = setting.out
    harness.write_csv(out / "errors.csv", error_rows(laws, tables))
    pairs = pair_rows(tables)
    harness.write_csv(out / "ranks.csv", rank_rows(pairs))
    # Refits take minutes, and are left out of a trial.
    optima = [] if setting.smoke else compared(laws, tables, out)
    from experiments.schedules.schedule_plots import plot_schedules

    plot_schedules(pairs, optima, out / "schedules.png")


def compared(
    laws: Mapping[tuple[str, str], tuple[FittedLaw, ...]],
    tables: Mapping[str, RunTable],
    out: pathlib.Path,
) -> list[dict[str, Any]]:
    """Writes the optima of both schedules, their refits and distances; returns the optima."""
    proposals = {which: proposal(found, tables[which[1]]) for which, found in laws.items()}
    optima = list(optimum_rows(proposals))
    harness.write_csv(out / "optima.csv", optima)
    harness.write_csv(out / "refits.csv", refit_rows(proposals))
    harness.write_csv(out / "distances.csv", distance_rows(proposals))
    return optima


def read_tables(setting: Setting) -> dict[str, RunTable]:
    """The run table of each schedule; of cosine runs only where their learning rate has ended."""
    paths = {name: setting.out / f"{name}.csv" for name in SCHEDULES}
    if not all(path.is_file() for path in paths.values()):
        from experiments.schedules.train import train

        train(setting.work, setting.out)
    tables = {name: read_runs(path) for name, path in paths.items()}
    cosine = tables["cosine"]
    last = cosine.frame.groupby("run")["tokens"].transform("max").to_numpy()
    return {**tables, "cosine": cosine.select(cosine.tokens == last)}


def simulated() -> dict[str, RunTable]:
    """Two small tables of one truth, in which the schedules differ by their noise alone."""
    sizes, budgets, domains = (1e4, 2e4, 4e4), (1e5, 2e5, 4e5), ("a", "b", "c")
    law = get_law("additive")
    mixtures = dirichlet_design(3, 8, seed=0, minimum=0.05)
    true = random_truth(law, 3, 0, count=3, n_params=(1e4, 4e4), tokens=(1e5, 4e5))
    return {
        name: simulate(
            law,
            dict(zip(domains, true, strict=True)),
            domains=domains,
            targets=domains,
            mixtures=mixtures,
            n_params=sizes,
            tokens=budgets,
            noise=0.002,
            seed=i,
        )
        for i, name in enumerate(SCHEDULES)
    }


def small_sizes(runs: RunTable) -> RunTable:
    """All sizes but the largest, which is predicted."""
    return runs.select(runs.n_params < runs.n_params.max())


def fitted(runs: RunTable, law: str, smoke: bool) -> tuple[FittedLaw, ...]:
    """One law per training domain, on the logarithm of the loss."""
    restarts = 8 if smoke else RESTARTS
    return fit(runs, law, targets=runs.domains, restarts=restarts, residual="log")


def error_rows(
    laws: Mapping[tuple[str, str], tuple[FittedLaw, ...]], tables: Mapping[str, RunTable]
) -> Iterator[dict[str, Any]]:
    """Table 12: mean relative error in percent, on the fitted sizes and on the larger one."""
    for (law, schedule), found in laws.items():
        runs = tables[schedule]
        seen = score(found, small_sizes(runs))
        beyond = score(found, runs.select(runs.n_params == runs.n_params.max()))
        label = {"law": law, "schedule": schedule}
        for target in seen:
            yield {
                **label,
                "target": target,
                "fitted_mre": seen[target].mre,
                "larger_mre": beyond[target].mre,
                "fitted_rows": seen[target].rows,
                "larger_rows": beyond[target].rows,
            }
        yield {
            **label,
            "target": "mean",
            "fitted_mre": mean_mre(seen),
            "larger_mre": mean_mre(beyond),
        }


def proposal(laws: tuple[FittedLaw, ...], runs: RunTable) -> Uncertainty:
    """The best mixture for the mean loss at the largest budget, with its refits."""
    small = small_sizes(runs)
    refits = bootstrap(laws, small, resamples=REFITS)
    best = optimize(laws, float(runs.n_params.max()), float(runs.tokens.max()))
    return best.uncertainty(refits)


def optimum_rows(proposals: Mapping[tuple[str, str], Uncertainty]) -> Iterator[dict[str, Any]]:
    """The optima by law, schedule and domain, with 90% intervals."""
    for (law, schedule), found in proposals.items():
        for i, (domain, weight) in enumerate(found.optimum.weights.items()):
            interval = found.intervals[domain]
            yield {
                "law": law,
                "schedule": schedule,
                "domain": domain,
                "weight": weight,
                "low": interval.low,
                "high": interval.high,
                "spread": float(found.refit_optima[:, i].std()),
                "gap": found.optimum.gap,
            }


def refit_rows(proposals: Mapping[tuple[str, str], Uncertainty]) -> Iterator[dict[str, Any]]:
    """The optimum of every refit; equal numbers turn the signs of the same mixtures' residuals."""
    for (law, schedule), found in proposals.items():
        for number, weights in enumerate(found.refit_optima):
            named = zip(found.optimum.domains, weights.tolist(), strict=True)
            yield {"law": law, "schedule": schedule, "refit": number, **dict(named)}


def distance_rows(proposals: Mapping[tuple[str, str], Uncertainty]) -> Iterator[dict[str, Any]]:
    """How far the optima of the schedules are apart, and how far noise alone puts them apart.

    A distance is the largest difference of a weight. `constant_*` is that of two refits under the
    constant rate, `noise_*` that of the errors of refits of both schedules, drawn independently,
    and `paired_*` the same where both turn the signs of the same mixtures' residuals, so that what
    both share is not counted; `*_farther` is the share of them that exceed what was found.
    `regret` is what the law of the cosine rate loses, in nats, with the constant one's mixture.
    """
    for law in dict.fromkeys(law for law, _ in proposals):
        one, other = (proposals[law, schedule] for schedule in SCHEDULES)
        h = [p.optimum.h for p in (one, other)]
        found = float(np.abs(h[0] - h[1]).max())
        errors = [p.refit_optima - p.optimum.h for p in (one, other)]
        apart = {
            "constant": errors[0] - np.roll(errors[0], 1, 0),
            "noise": errors[0] - np.roll(errors[1], 1, 0),
            "paired": errors[0] - errors[1],
        }
        row: dict[str, Any] = {"law": law, "found": found, "js_distance": float(js_distance(*h))}
        for name, difference in apart.items():
            largest = np.abs(difference).max(1)
            row[f"{name}_median"] = float(np.median(largest))
            row[f"{name}_95"] = float(np.quantile(largest, 0.95))
            row[f"{name}_farther"] = float(np.mean(largest >= found))
        yield {
            **row,
            "refits": len(errors[0]),
            "in_cosine_set": int(other.contains(h[0])),
            "regret": float(other.regret(h[0])),
            "cosine_threshold": other.threshold,
        }


def pair_rows(tables: Mapping[str, RunTable]) -> pd.DataFrame:
    """Every cosine run beside the checkpoint of the constant rate at its budget and mixture."""
    constant, cosine = (tables[name] for name in SCHEDULES)
    rows = []
    for i in range(len(cosine)):
        same = np.isclose(constant.weights, cosine.weights[i], atol=1e-6).all(1)
        same &= constant.n_params == cosine.n_params[i]
        away = np.where(same, np.abs(np.log(constant.tokens / cosine.tokens[i])), np.inf)
        j = int(away.argmin())
        if away[j] > NEAR:
            continue
        losses = constant.losses(cosine.domains)[:, j], cosine.losses(cosine.domains)[:, i]
        for target, a, b in [
            *zip(cosine.domains, *losses, strict=True),
            ("mean", *(float(x.mean()) for x in losses)),
        ]:
            rows.append(
                {
                    "n_params": cosine.n_params[i],
                    "tokens": cosine.tokens[i],
                    "target": target,
                    "constant": float(a),
                    "cosine": float(b),
                }
            )
    return pd.DataFrame(rows)


def rank_rows(pairs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rank correlation over mixtures, and the gain of the cosine rate, by budget and target."""
    for (n, d, target), group in pairs.groupby(["n_params", "tokens", "target"], sort=True):
        gain = group["constant"] - group["cosine"]
        yield {
            "n_params": float(n),
            "tokens": float(d),
            "target": target,
            "mixtures": len(group),
            "spearman": float(spearmanr(group["constant"], group["cosine"]).statistic),
            "gain": float(gain.mean()),
            "gain_sd": float(gain.std()),
            "loss_sd": float(group["cosine"].std()),
        }


if __name__ == "__main__":
    harness.main(__file__, __doc__ or "", run)
