"""The repetition study: a scarce domain in three stocks, fitted, proposed for, and measured.

    python experiments/repetition/run.py [--work FOLDER] [--only PART,...] [--smoke]

Every part is resumed where it was stopped; results go to results/. Parts: runs, scores, optimum,
proof; those after the first read its table, results/runs.csv.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import config
import harness
import measuring
import proposing
import repetition_plots
import scoring
import stages
import train
from harness import Setting, write_csv
from reading import rows

from jaxmix.runs import read_runs, write_runs

PARTS = ("runs", "scores", "optimum", "proof")
KINDS = {"plain": "", "repetition": "+repetition", "harm": "+repetition+harm"}


def run(setting: Setting) -> None:
    if setting.smoke:  # too few rows for a law: pools and the trainer are what is tried
        study = config.smoke(config.ladder(config.STOCKS[0]))
        table = train.pooled({"smoke": stages.trained(study, setting.work / "ladder")})
        write_runs(table, setting.out / "runs.csv")
        return
    if "runs" in setting.parts:
        write_runs(train.train(setting.work), setting.out / "runs.csv")
    runs = read_runs(setting.out / "runs.csv")
    tables = scoring.split(runs)
    fits = setting.work / "fits"
    if "scores" in setting.parts:
        write_csv(setting.out / "scores.csv", scoring.scores(tables, fits))
        write_csv(setting.out / "harm.csv", measuring.rises(runs))
        write_csv(setting.out / "proxies.csv", measuring.proxies(runs))
        repetition_plots.curves(runs, setting.out / "harm.png")
    if not {"optimum", "proof"} & set(setting.parts):
        return
    scored = rows(setting.out / "scores.csv")
    names = {kind: scoring.chosen(scored, suffix) for kind, suffix in KINDS.items()}
    laws = {kind: scoring.fitted(tables["ladder"], law, fits) for kind, law in names.items()}
    prove(setting, laws, float(tables["larger_size"].n_params[0]))


def prove(setting: Setting, laws, n_params: float) -> None:
    """Proposes mixtures for the two smaller stocks; "proof" trains them too."""
    found, measured, proofs = [], [], {}
    for stock in config.STOCKS[:2]:
        own = list(proposing.proposals(laws, n_params, {config.SCARCE: float(stock)}))
        found += own
        if "proof" in setting.parts:
            study = config.proof(stock, proposing.mixtures(own))
            proof = stages.trained(study, setting.work / f"proof-{stock}")
            proofs[f"proof-{stock}"] = proof
            measured += proposing.gains(laws, own, proof)
    write_csv(setting.out / "optimum.csv", found)
    if measured:
        write_runs(train.pooled(proofs), setting.out / "proof.csv")
        write_csv(setting.out / "gains.csv", measured)


if __name__ == "__main__":
    harness.main(__file__, __doc__, run, parts=PARTS)
