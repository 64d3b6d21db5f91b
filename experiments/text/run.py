"""The text study: trains the ladder and the larger size, fits laws, and tests their mixtures.

    python experiments/text/run.py [--work FOLDER] [--smoke]

Every stage is resumed where it was stopped; results go to results/ (smoke: results/smoke/).
"""

import argparse
import csv
import json
import os
import pathlib

os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(os.cpu_count() or 1))

import config
import numpy as np

from jaxmix.fitting import fit, score
from jaxmix.fitting.scores import mean_mre
from jaxmix.mixtures import optimize
from jaxmix.report import plot_observed_predicted, plot_optimum_over_scale
from jaxmix.runs import runs_from_frame, write_runs
from jaxmix.studies import final_losses, gain, make_plan, run_plan, write_table

HERE = pathlib.Path(__file__).resolve().parent
LAWS = ("simple", "additive", "joint", "full")
RESTARTS = 48
CACHE = pathlib.Path(os.environ.get("JAXMIX_CACHE") or pathlib.Path.home() / ".cache/jaxmix")


def main(work: pathlib.Path, smoke: bool) -> None:
    out = HERE / "results" / "smoke" if smoke else HERE / "results"
    out.mkdir(parents=True, exist_ok=True)
    size = config.smoke if smoke else lambda study: study
    ladder = trained(size(config.ladder), work / "ladder")
    larger = trained(size(config.larger), work / "larger")
    if smoke:  # too few rows for a law: the trainers are what is tried
        return
    both = runs_from_frame(joined(ladder, larger))
    write_runs(both, out / "runs.csv")
    seen, unseen = halves(ladder)
    scored = list(scores(seen, unseen, larger))
    write_csv(out / "scores.csv", scored)
    both_laws = ("additive", "joint")
    laws = {name: fit(ladder, name, restarts=RESTARTS, residual="log") for name in both_laws}
    write_csv(out / "larger.csv", by_target(laws, larger))
    # The law that proposes is chosen on unseen mixtures of the ladder, not on the larger size.
    error = {row["law"]: float(row["unseen_mixtures"]) for row in scored}
    chosen = min(laws, key=error.__getitem__)
    found = proposals(chosen, laws[chosen], larger)
    (out / "optimum.json").write_text(json.dumps(found, indent=1) + "\n")
    mixtures = {name: one["weights"] for name, one in found.items()}
    proof = trained(config.proof(mixtures), work / "proof")
    write_runs(proof, out / "proof.csv")
    write_csv(out / "gains.csv", gains(laws, found, proof))
    plots(laws, ladder, larger, out)


def trained(study, folder):
    """The run table of a study, trained first where it is not."""
    corpus = study.corpus.open()
    plan = make_plan(study, corpus)
    folder.mkdir(parents=True, exist_ok=True)
    plan.save(folder / "plan.json")
    run_plan(plan, folder, corpus=corpus)
    return write_table(plan, folder, folder / "runs.csv")


def joined(*tables):
    import pandas as pd

    return pd.concat([table.frame for table in tables], ignore_index=True)


def halves(ladder):
    """Every fourth random mixture is kept from the fit."""
    names = ladder.frame["mixture"].astype(str)
    held = names.isin([f"random{i}" for i in range(0, 15, 4)]).to_numpy()
    return ladder.select(~held), ladder.select(held)


def scores(seen, unseen, larger):
    """Mean relative error in percent: law by law, the same splits."""
    for name in LAWS:
        fits = fit(seen, name, restarts=RESTARTS, residual="log")
        errors = {
            "fitted": mean_mre(score(fits, seen)),
            "unseen_mixtures": mean_mre(score(fits, unseen)),
            "larger_size": mean_mre(score(fits, larger)),
        }
        yield {"law": name, **{k: f"{v:.3f}" for k, v in errors.items()}}
        print(name, errors, flush=True)


def by_target(laws, larger):
    for name, fits in laws.items():
        for target, found in score(fits, larger).items():
            yield {
                "law": name,
                "target": target,
                "mre": f"{found.mre:.3f}",
                "spearman": f"{found.spearman:.4f}",
            }


def proposals(law, fits, larger):
    """Best mixtures for the mean of the training domains and for the target-only text."""
    n, found = float(larger.n_params[0]), {}
    for goal, targets in {"mean": config.DOMAINS, config.TARGET: (config.TARGET,)}.items():
        best = optimize(fits, n, config.TOKENS, target_weights=dict.fromkeys(targets, 1.0))
        found[f"best-{goal}"] = {
            "law": law,
            "weights": best.mixture,
            "predicted": best.objective,
            "gap": best.gap,
            "hull_distance": best.hull_distance,
            "goal": list(targets),
        }
    return found


def gains(laws, found, proof):
    """Predicted and measured advantage over uniform and proportional mixtures."""
    n, d = float(proof.n_params[0]), float(proof.tokens.max())
    for name, one in found.items():
        fits = [f for f in laws[one["law"]] if f.target in one["goal"]]
        losses = final_losses(proof, one["goal"])
        for baseline in ("uniform", "proportional"):
            weights = weights_of(proof, baseline)
            at = {"best": list(one["weights"].values()), "baseline": weights}
            predicted = {
                k: float(np.mean([f.predict(n, d, h) for f in fits])) for k, h in at.items()
            }
            measured = gain(losses, name, baseline)
            yield {
                "mixture": name,
                "law": one["law"],
                "baseline": baseline,
                "predicted_gain": f"{predicted['baseline'] - predicted['best']:.4f}",
                "measured_gain": f"{measured.mean:.4f}",
                "sem": f"{measured.sem:.4f}",
                "seeds": measured.seeds,
                "unpaired_sd": f"{measured.noise:.4f}",
                "predicted_loss": f"{predicted['best']:.4f}",
                "measured_loss": f"{np.mean([v for (m, _), v in losses.items() if m == name]):.4f}",
            }


def weights_of(table, mixture):
    row = table.frame.loc[table.frame["mixture"] == mixture].iloc[0]
    return [float(row[f"w_{domain}"]) for domain in table.domains]


def plots(laws, ladder, larger, out):
    tables = {"fitted": ladder, "larger size": larger}
    plot_observed_predicted(laws, tables, out / "observed-predicted.png")
    sizes = np.geomspace(ladder.n_params.min(), 10 * larger.n_params.max(), 13)
    goal = dict.fromkeys(config.DOMAINS, 1.0)
    plot_optimum_over_scale(laws, sizes, config.TOKENS, out / "optimum-over-scale.png", goal)


def write_csv(path, rows):
    rows = list(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=pathlib.Path, default=CACHE / "studies" / "text")
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    main(given.work / "smoke" if given.smoke else given.work, given.smoke)
