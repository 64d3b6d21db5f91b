"""What the studies of all families do with their configuration: train, fit, propose, prove, plot.

Every stage is resumed where it was stopped; the waves of runs lie in the cache, the results beside
the configuration.
"""

import json
import pathlib

import numpy as np
import pandas as pd

from experiments import harness
from experiments.design import FamilyStudy
from experiments.harness import Setting, write_csv
from jaxmix.fitting import fit, mean_mre, score
from jaxmix.mixtures import Constraints, optimize
from jaxmix.report import plot_observed_predicted, plot_optimum_over_scale
from jaxmix.runs import read_runs, write_runs
from jaxmix.studies import make_plan, measured_gains, mixture_weights, run_plan, write_table

LAWS = ("simple", "effective", "additive", "joint", "full")
# Laws that may propose mixtures, and those that may if the data of the ladder repeat.
PROPOSING = ("additive", "joint")
REPEATING = ("effective+repetition+harm", "additive+repetition", "joint+repetition")
RESTARTS = 48


def main(laptop: FamilyStudy, gpu: FamilyStudy, script: str, description: str) -> None:
    """Runs a study from the command line; `script` is its file."""

    def run(setting: Setting) -> None:
        if setting.smoke:  # too few rows for a law: the trainers are what is tried
            for name in ("ladder", "larger"):
                trained(laptop.smoke(getattr(laptop, name)), setting.work / name)
            return
        study(gpu if setting.mode == "gpu" else laptop, setting.work, setting.out)

    harness.main(script, description, run, gpu=True)


def study(config: FamilyStudy, work: pathlib.Path, out: pathlib.Path) -> None:
    ladder = trained(config.ladder, work / "ladder")
    larger = trained(config.larger, work / "larger")
    write_runs(
        read_runs(pd.concat([ladder.frame, larger.frame], ignore_index=True)),
        out / "runs.csv",
    )
    seen, unseen = halves(ladder, config.unseen)
    tables = {"fitted": seen, "unseen_mixtures": unseen, "larger_size": larger}
    repeats = bool((ladder.frame.filter(regex="^epochs_").to_numpy() > 1).any())
    proposing = REPEATING if repeats else PROPOSING
    errors = {
        law: errors_of(law, seen, tables, config.scored)
        for law in dict.fromkeys((*LAWS, *proposing))
    }
    write_csv(out / "scores.csv", [{"law": law, **means(found)} for law, found in errors.items()])
    laws = {
        law: fit(ladder, law, restarts=RESTARTS, residual="log")
        for law in dict.fromkeys((*PROPOSING, *proposing))
    }
    write_csv(out / "targets.csv", by_target(laws, ladder, larger))
    # The law that proposes is chosen on unseen mixtures of the ladder, not on the larger size.
    chosen, plain = (
        min(kind, key=lambda law: float(means(errors[law])["unseen_mixtures"]))
        for kind in (proposing, PROPOSING)
    )
    found = proposals(config, chosen, laws[chosen], larger, work / "proposals.json")
    (out / "optimum.json").write_text(json.dumps(found, indent=1) + "\n")
    proof = trained(
        config.proof({name: one["weights"] for name, one in found.items()}), work / "proof", True
    )
    write_runs(proof, out / "proof.csv")
    write_csv(out / "gains.csv", gains(laws, found, plain, proof))
    write_csv(out / "promises.csv", promises(laws, found, proof))
    plot_observed_predicted(
        laws, {"fitted": ladder, "larger size": larger}, out / "observed-predicted.png"
    )
    sizes = np.geomspace(ladder.n_params.min(), 10 * larger.n_params.max(), 13)
    mean = dict.fromkeys(config.goals["mean"], 1.0)
    plain_laws = {law: laws[law] for law in PROPOSING}
    plot_optimum_over_scale(plain_laws, sizes, config.tokens, out / "optimum-over-scale.png", mean)


def trained(study, folder, keep_final=False):
    """The run table of a study, trained first where it is not."""
    corpus = study.corpus.open()
    plan = make_plan(study, corpus)
    folder.mkdir(parents=True, exist_ok=True)
    plan.save(folder / "plan.json")
    run_plan(plan, folder, corpus=corpus, keep_final=keep_final)
    return write_table(plan, folder, folder / "runs.csv")


def slim(frame):
    """Rows without what can be computed again, for tables that are committed.

    Unique tokens stay if a run of one domain alone would repeat them: laws of repetition read them.
    """
    stocks = frame.filter(regex="^unique_")
    enough = bool((stocks.to_numpy() >= frame["tokens"].max()).all())
    return frame.loc[
        :, ~frame.columns.str.match("(bpb|epochs|unique)_" if enough else "(bpb|epochs)_")
    ]


def halves(ladder, held):
    """Rows to fit and rows of the mixtures that are kept from the fit."""
    apart = ladder.frame["mixture"].astype(str).isin(held).to_numpy()
    return ladder.select(~apart), ladder.select(apart)


def errors_of(law, seen, tables, targets):
    """Mean relative error in percent on every table, of laws fitted on `seen`."""
    fits = fit(seen, law, targets=targets, restarts=RESTARTS, residual="log")
    print(
        law,
        {name: round(mean_mre(score(fits, table)), 3) for name, table in tables.items()},
        flush=True,
    )
    return {name: score(fits, table) for name, table in tables.items()}


def means(found):
    return {name: f"{mean_mre(scores):.3f}" for name, scores in found.items()}


def by_target(laws, ladder, larger):
    """The paper's table 2: error on the fitted and on the larger sizes, target by target."""
    for law, fits in laws.items():
        fitted, beyond = score(fits, ladder), score(fits, larger)
        for target in fitted:
            yield {
                "law": law,
                "target": target,
                "fitted_mre": f"{fitted[target].mre:.3f}",
                "larger_mre": f"{beyond[target].mre:.3f}",
                "larger_spearman": f"{beyond[target].spearman:.4f}",
            }


def proposals(config, law, fits, larger, file):
    """The best mixture for every goal at the larger size; kept, as runs of it are trained."""
    if file.exists():
        return json.loads(file.read_text())
    n, found = float(larger.n_params[0]), {}
    limits = Constraints(available=stock_of(larger)) if fits.law.reads("unique") else None
    for goal, targets in config.goals.items():
        weights = dict.fromkeys(targets, 1.0)
        best = optimize(fits, n, config.tokens, limits, target_weights=weights)
        found[f"best-{goal}"] = {
            "law": law,
            "weights": best.weights,
            "predicted": best.objective,
            "gap": best.gap,
            "hull_distance": best.hull_distance,
            "goal": list(targets),
        }
    file.write_text(json.dumps(found))
    return found


def gains(laws, found, plain, proof):
    """Predicted and measured advantage over uniform and proportional mixtures.

    Beside the prediction of the law that proposes is that of the best law without repetition.
    """
    n, d = float(proof.n_params[0]), float(proof.tokens.max())
    stock = np.array(list(stock_of(proof).values()))
    for name, one in found.items():
        baselines = ("uniform", "proportional")

        def at(law, weights, goal=one["goal"]):
            return predicted(laws[law], goal, n, d, weights, stock)

        best = list(one["weights"].values())
        for baseline, measured in measured_gains(proof, name, baselines, one["goal"]).items():
            base = weights_of(proof, baseline)
            promised = {law: at(law, base) - at(law, best) for law in (one["law"], plain)}
            yield {
                "mixture": name,
                "law": one["law"],
                "baseline": baseline,
                "predicted_gain": f"{promised[one['law']]:.4f}",
                "plain_law": plain,
                "plain_predicted_gain": f"{promised[plain]:.4f}",
                "measured_gain": f"{measured.mean:.4f}",
                "sem": f"{measured.sem:.4f}",
                "seeds": measured.seeds,
                "unpaired_sd": f"{measured.noise:.4f}",
                "predicted_loss": f"{at(one['law'], best):.4f}",
                "measured_loss": f"{measured.loss:.4f}",
            }


def promises(laws, found, proof):
    """What every law that might have proposed promises of the proposed mixtures over uniform ones.

    Beside it the measured gain, and by how many of its standard errors the promise is off.
    """
    n, d = float(proof.n_params[0]), float(proof.tokens.max())
    stock = np.array(list(stock_of(proof).values()))
    for name, one in found.items():
        measured = measured_gains(proof, name, ("uniform",), one["goal"])["uniform"]
        for law, fits in laws.items():
            base, best = (
                predicted(fits, one["goal"], n, d, h, stock)
                for h in (weights_of(proof, "uniform"), list(one["weights"].values()))
            )
            yield {
                "mixture": name,
                "law": law,
                "promised_gain": f"{base - best:.4f}",
                "measured_gain": f"{measured.mean:.4f}",
                "sem": f"{measured.sem:.4f}",
                "off_by_sem": f"{(base - best - measured.mean) / measured.sem:.2f}",
            }


def predicted(fits, goal, n, d, weights, unique=np.inf):
    """Mean predicted loss of the targets of a goal."""
    x = dict(n_params=n, tokens=d, weights=weights, unique=unique)
    return float(np.mean([f.predict(x) for f in fits if f.target in goal]))


def stock_of(table):
    """Unique tokens by domain."""
    return {d: float(table.frame[f"unique_{d}"].iloc[0]) for d in table.domains}


def weights_of(table, mixture):
    return list(mixture_weights(table, mixture).values())
