"""Figure 1: what a law says of every run, and what its mixtures reach over scale."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from experiments import harness, stages
from experiments.harness import Setting
from experiments.optimal import optimal_fits, optimal_plots
from experiments.optimal.config import Scale
from experiments.optimal.optimal_fits import Fits
from jaxmix.runs import RunTable, read_runs, write_runs
from jaxmix.studies import final_losses


def run(config: Scale, setting: Setting) -> None:
    """Fits, proposes and trains for every size; writes scale_optima.csv, scale.csv and a plot."""
    ladder, larger = optimal_fits.ladder_and_larger(config.runs)
    fits = optimal_fits.fitted(ladder, config.laws, config.goal, config.restarts)
    source = read_runs(config.runs)
    weights, frames = [], []
    for preset in config.sizes:
        n_params = _n_params(source, preset)
        found = optimal_fits.optima(fits, {"mean": config.goal}, n_params, config.tokens)
        mixtures = {f"best-{law}": best.weights for (law, _), best in found.items()}
        weights += [_row(preset, n_params, law, best) for (law, _), best in found.items()]
        kept = {n: optimal_fits.restricted(m, config.domains) for n, m in mixtures.items()}
        for name, some in ((preset, kept), (f"{preset}-uniform", {})):
            frames.append(stages.trained(config.study(preset, some), setting.work / name).frame)
    trained = read_runs(pd.concat(frames, ignore_index=True))
    harness.write_csv(setting.out / "scale_optima.csv", weights)
    write_runs(trained, setting.out / "scale_runs.csv")
    rows = [*_reached(trained, config, "new"), *_reached(source, config, config.source)]
    harness.write_csv(setting.out / "scale.csv", rows)
    tables = {"fitted": ladder, "larger": larger}
    harness.write_csv(setting.out / "figure-1.csv", _errors(fits, tables))
    optimal_plots.figure1(
        fits[config.laws[-1]], ladder, larger, config.color, rows, setting.out / "figure-1.png"
    )


def _errors(fits: Fits, tables: Mapping[str, RunTable]) -> Iterator[dict[str, Any]]:
    """Mean relative error of the mean loss in percent, as figure 1 shows it."""
    for law, laws in fits.items():
        for name, table in tables.items():
            seen, said = optimal_plots.means(laws, table)
            yield {"law": law, "rows": name, "mre": float(100 * np.mean(np.abs(said / seen - 1)))}


def _n_params(source: RunTable, preset: str) -> float:
    """N of a size of the source; of its smallest in a trial, whose size the source lacks."""
    at = source.n_params[source.frame["preset"].astype(str) == preset]
    return float(at[0] if len(at) else source.n_params.min())


def _row(preset: str, n_params: float, law: str, best: Any) -> dict[str, Any]:
    facts = {"preset": preset, "n_params": n_params, "law": law, "predicted": best.objective}
    return {**facts, **{domain: 100 * weight for domain, weight in best.weights.items()}}


def _reached(table: RunTable, config: Scale, study: str) -> Iterator[dict[str, Any]]:
    """The mean loss of every run at the common number of tokens."""
    for n_params in np.unique(table.n_params):
        own = table.select(table.n_params == n_params)
        most = max(1.01 * config.tokens, own.tokens.min())  # a trial has fewer than any source
        at = own.select(own.tokens <= most)
        tokens = float(at.tokens.max())
        for (mixture, seed), loss in final_losses(at, config.goal).items():
            yield {
                "study": study,
                "n_params": float(n_params),
                "tokens": tokens,
                "mixture": mixture,
                "seed": seed,
                "loss": loss,
            }
