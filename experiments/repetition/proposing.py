"""The best mixtures by laws with and without repetition and harm, and what they gained."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from experiments.repetition import config
from experiments.repetition.config import GOALS
from jaxmix.fitting import FittedLaws
from jaxmix.mixtures import Constraints, optimize
from jaxmix.runs import RunTable
from jaxmix.studies import measured_gains

BASELINES = ("uniform", "proportional")


def proposals(
    laws: Mapping[str, FittedLaws], n_params: float, stock: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    """The best mixture for every goal by every law, inside the hull of the mixtures that were run.

    Args:
        laws: fitted laws by kind: plain ones ignore the stock.
        n_params: N of the runs.
        stock: unique tokens by domain.
    """
    for goal, targets in GOALS.items():
        for kind, fits in laws.items():
            known = dict(stock) if fits.law.reads("unique") else {}
            limits = Constraints(available=known, within="hull")
            weights = dict.fromkeys(targets, 1.0)
            best = optimize(fits, n_params, config.TOKENS, limits, target_weights=weights)
            scarce = float(best.weights[config.SCARCE])
            yield {
                "mixture": f"{goal}-{kind}",
                "goal": goal,
                "kind": kind,
                "law": fits.law.name,
                "stock": stock[config.SCARCE],
                **{f"w_{d}": float(best.weights[d]) for d in config.DOMAINS},
                "epochs": scarce * config.TOKENS / stock[config.SCARCE],
                "predicted_loss": float(best.objective),
            }


def mixtures(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The weights of proposals by name."""
    return {row["mixture"]: {d: row[f"w_{d}"] for d in config.DOMAINS} for row in rows}


def gains(
    laws: Mapping[str, FittedLaws], trained: list[dict[str, Any]], proof: RunTable
) -> Iterator[dict[str, Any]]:
    """What every law promised of trained proposals over the baselines, and what was measured."""
    last = proof.frame[proof.frame["tokens"] == proof.frame["tokens"].max()]
    for one in trained:
        targets = GOALS[one["goal"]]
        expected = {kind: _predicted(fits, last, targets) for kind, fits in laws.items()}
        measured_over = measured_gains(proof, one["mixture"], BASELINES, targets)
        for baseline, measured in measured_over.items():
            yield {
                **{n: one[n] for n in ("mixture", "goal", "law")},
                "weight": one[f"w_{config.SCARCE}"],
                "epochs": one["epochs"],
                "baseline": baseline,
                **{f"{k}_gain": e[baseline] - e[one["mixture"]] for k, e in expected.items()},
                "measured_gain": measured.mean,
                "sem": measured.sem,
                "seeds": measured.seeds,
                "measured_loss": measured.loss,
            }


def _predicted(fits: FittedLaws, rows: pd.DataFrame, targets: tuple[str, ...]) -> pd.Series:
    """The predicted mean loss of the targets, by mixture."""
    losses = fits.predict(rows.reset_index(drop=True))[list(targets)].mean(axis=1)
    return losses.groupby(rows["mixture"].astype(str).to_numpy()).mean()
