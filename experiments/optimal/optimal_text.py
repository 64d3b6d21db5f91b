"""Figure 4 and table 16: final models of one size, with proposed mixtures and with others."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from experiments import harness, stages
from experiments.harness import Setting
from experiments.optimal import optimal_fits, optimal_plots
from experiments.optimal.config import Final
from jaxmix.fitting import FittedLaw
from jaxmix.runs import RunTable, write_runs
from jaxmix.studies import final_losses, gain

BASELINE = "uniform"


def run(config: Final, setting: Setting) -> None:
    """Fits, proposes, trains and writes optima.csv, final.csv and losses.csv."""
    ladder, larger = optimal_fits.ladder_and_larger(config.runs)
    targets = tuple(dict.fromkeys(t for goal in config.goals.values() for t in goal))
    fits = optimal_fits.fitted(ladder, config.laws, targets, config.restarts)
    n_params, tokens = float(larger.n_params[0]), config.size.tokens
    found = optimal_fits.optima(fits, config.goals, n_params, tokens)
    law = optimal_fits.better_law(config.runs.with_name("scores.csv"), config.laws)
    mixtures = {
        f"best-{goal}": optimal_fits.restricted(found[law, goal].weights, config.domains)
        for goal in config.goals
    }
    table = stages.trained(config.study(mixtures), setting.work / "final", keep_final=True)
    harness.write_csv(setting.out / "optima.csv", [*_optima(found, law), *_others(table)])
    write_runs(table, setting.out / "final.csv")
    rows = list(_losses(config, table, fits[law], n_params))
    harness.write_csv(setting.out / "losses.csv", rows)
    optimal_plots.figure4(rows, setting.out / "figure-4.png")


def _optima(found: Mapping[tuple[str, str], Any], chosen: str) -> Iterator[dict[str, Any]]:
    """The paper's table 16: best mixtures in percent."""
    for (law, goal), best in found.items():
        yield {
            "mixture": f"best-{goal}",
            "law": law,
            "trained": law == chosen,
            "predicted": best.objective,
            "gap": best.gap,
            "hull_distance": best.hull_distance,
            **{domain: 100 * weight for domain, weight in best.weights.items()},
        }


def _others(table: RunTable) -> Iterator[dict[str, Any]]:
    """The mixtures that nobody proposed."""
    for name in dict.fromkeys(table.frame["mixture"].astype(str)):
        if not name.startswith("best-"):
            weights = stages.weights_of(table, name)
            percent = {d: 100 * w for d, w in zip(table.domains, weights, strict=True)}
            yield {"mixture": name, "law": "", "trained": True, **percent}


def _losses(
    config: Final, table: RunTable, fits: list[FittedLaw], n_params: float
) -> Iterator[dict[str, Any]]:
    """Mean over seeds of every mixture's loss on every goal, and its gain over the uniform one.

    The law is one of constant learning rates and these models end with a cosine, so its level is
    not theirs; its differences between mixtures may be.
    """
    for goal, targets in config.goals.items():
        there = [t for t in targets if t in table.targets]
        losses = final_losses(table, there)
        for name in dict.fromkeys(mixture for mixture, _ in losses):
            values = np.array([v for (m, _), v in losses.items() if m == name])
            paired = gain(losses, name, BASELINE)
            yield {
                "mixture": name,
                "goal": goal,
                "loss": float(values.mean()),
                "sem": float(values.std(ddof=1) / len(values) ** 0.5),
                "seeds": len(values),
                "gain": paired.mean,
                "gain_sem": paired.sem,
                "predicted_gain": _promised(config, table, fits, there, n_params, name),
            }


def _promised(config, table, fits, targets, n_params, name):
    """What the law expects of a mixture against the uniform one; none where domains differ."""
    if tuple(fits[0].domains) != tuple(table.domains):
        return float("nan")
    base, ours = (
        stages.predicted(fits, targets, n_params, config.size.tokens, stages.weights_of(table, m))
        for m in (BASELINE, name)
    )
    return base - ours
