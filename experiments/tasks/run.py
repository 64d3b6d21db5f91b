"""Tasks as targets: their losses and accuracies from small runs to a larger size.

    python -m experiments.tasks.run [--smoke]

Trains four sizes and a larger one, scored on questions about held-out text at every checkpoint.
Predicts the larger size: bits per byte of the right answers beside ordinary losses, and accuracies
by a law of -log accuracy and by way of the loss. Then proposes mixtures for tasks, and trains them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments import harness
from experiments.harness import Setting, write_csv
from experiments.stages import slim, trained
from experiments.tasks import config
from experiments.tasks.config import Config
from jaxmix.fitting import FittedLaws, fit, predicted_accuracies, score
from jaxmix.mixtures import Constraints, Optimum, optimize
from jaxmix.runs import (
    RunTable,
    accuracies,
    accuracy_targets,
    mostly_above_chance,
    read_runs,
    write_runs,
)

REGIONS = {"alone": None, "range": "range"}  # what a proposal may be


def run(setting: Setting) -> None:
    """Trains, fits, predicts, proposes and proves."""
    chosen = config.smoke() if setting.smoke else config.LAPTOP
    setting.work.mkdir(parents=True, exist_ok=True)
    ladder, larger = tables(chosen, setting)
    options = {"restarts": chosen.restarts, "residual": "log"}
    fits = [fit(ladder, law, **options) for law in chosen.laws]
    errors = [row for laws in fits for row in error_rows(laws, ladder, larger)]
    shares = [row for laws in fits for row in accuracy_rows(laws, ladder, larger, options)]
    write_csv(setting.out / "errors.csv", errors)
    write_csv(setting.out / "accuracy.csv", shares)
    write_csv(setting.out / "proposals.csv", proposals(chosen, setting, fits[0], larger))


def tables(chosen: Config, setting: Setting) -> tuple[RunTable, RunTable]:
    """The runs of the fitted sizes and of the larger one; runs.csv holds both."""
    path = setting.out / "runs.csv"
    if setting.smoke or not path.is_file():
        found = [
            slim(trained(getattr(chosen, name)(setting.work), setting.work / name).frame)
            for name in ("ladder", "larger")
        ]
        write_runs(read_runs(pd.concat(found, ignore_index=True)), path)
    runs = read_runs(path)
    larger = (runs.frame["preset"] == chosen.largest).to_numpy()
    return runs.select(~larger), runs.select(larger)


def error_rows(laws: FittedLaws, ladder: RunTable, larger: RunTable) -> Iterator[dict[str, Any]]:
    """Errors of losses and of tasks on the fitted sizes and on the larger one, percent."""
    fitted, beyond = score(laws, ladder), score(laws, larger)
    for target in laws.targets:
        yield {
            "law": laws.law.name,
            "target": target,
            "fitted_mre": fitted[target].mre,
            "larger_mre": beyond[target].mre,
            "larger_spearman": beyond[target].spearman,
        }


def accuracy_rows(
    laws: FittedLaws, ladder: RunTable, larger: RunTable, options: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Errors of accuracies of the larger size in points: both ways, and of what was last seen."""
    targets = accuracy_targets(ladder.frame)
    clear = [t for t in targets if mostly_above_chance(ladder.frame, t, ladder.source)]
    found = predicted_accuracies(laws, larger, ladder)
    if clear and np.isfinite(ladder.losses(clear)).sum(1).min() >= laws.law.count(
        len(laws.domains)
    ):
        found |= predicted_accuracies(fit(ladder, laws.law, targets=clear, **options), larger, None)
    for target in targets:
        name = target.removeprefix("accuracy_")
        seen, chance = accuracies(larger.frame, target, larger.source)
        yield {
            "law": laws.law.name,
            "task": name,
            "chance": chance.mean(),
            "measured": seen.mean(),
            "above_chance": float((seen > chance).mean()),
            **{
                how: 100 * np.abs(found[column] - seen).mean() if column in found else np.nan
                for how, column in (
                    ("direct", f"pred_metric_{name}"),
                    ("two_steps", f"pred_metric_{name}_by_loss"),
                )
            },
            "as_smaller": 100 * np.abs(_as_smaller(ladder, larger, target) - seen).mean(),
        }


def _as_smaller(ladder: RunTable, larger: RunTable, target: str) -> np.ndarray:
    """Accuracies if the larger size were as the largest fitted one is on average, by tokens."""
    last = ladder.select(ladder.n_params == ladder.n_params.max())
    seen, _ = accuracies(last.frame, target, last.source)
    nearest = np.abs(last.tokens[None] - larger.tokens[:, None]).argmin(1)
    return np.array([seen[last.tokens == last.tokens[i]].mean() for i in nearest])


def proposals(
    chosen: Config, setting: Setting, laws: FittedLaws, larger: RunTable
) -> Iterator[dict[str, Any]]:
    """The best mixture for every goal, by the law alone and within the weights that were run."""
    size, tokens = float(larger.n_params[0]), float(larger.tokens.max())
    proofs = []
    for how, within in [*REGIONS.items()][: 1 if setting.smoke else None]:
        found = {
            name: optimize(
                laws, size, tokens, Constraints(within=within), target_weights=weights(goal)
            )
            for name, goal in chosen.goals.items()
        }
        # Rounded, because a resumed call finds its runs by these numbers.
        mixtures = {n: {d: round(w, 6) for d, w in one.weights.items()} for n, one in found.items()}
        study = chosen.proof(setting.work, mixtures)
        proof = slim(trained(study, setting.work / f"proof-{how}").frame)
        proofs.append(proof.assign(run=f"{how}-" + proof["run"].astype(str)))
        for name, one in found.items():
            yield {"goal": name, "within": how, **gain_row(one, proof, name, chosen.goals[name])}
    write_runs(read_runs(pd.concat(proofs, ignore_index=True)), setting.out / "proof.csv")


def weights(goal: Sequence[str]) -> dict[str, float]:
    """Equal weights of tasks, as targets."""
    return {f"task_{task}": 1 / len(goal) for task in goal}


def gain_row(
    best: Optimum, proof: pd.DataFrame, name: str, goal: Sequence[str]
) -> dict[str, float | int]:
    """A mixture, and its gain over the uniform one in bits per byte: predicted and measured."""
    even = best.predict(np.full(len(best.domains), 1 / len(best.domains)))
    columns = [f"loss_{task}" for task in weights(goal)]
    means = proof.set_index(["mixture", "seed"])[columns].mean(axis=1).unstack()
    gains = means.loc["uniform"] - means.loc[name]
    return {
        **{f"w_{domain}": weight for domain, weight in best.weights.items()},
        "predicted": float(np.mean([even[t] - best.predicted[t] for t in weights(goal)])),
        "measured": float(gains.mean()),
        "sem": float(gains.sem()),
        "seeds": len(gains),
    }


if __name__ == "__main__":
    harness.main(__file__, __doc__, run)
