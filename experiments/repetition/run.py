"""The repetition study: a scarce domain in three stocks, fitted, proposed for, and measured.

    python -m experiments.repetition.run [--work FOLDER] [--only PART,...] [--smoke]

Every part is resumed where it was stopped; results go to results/. Parts: runs, scores, optimum,
proof; those after the first read its table, results/runs.csv.
"""

from experiments import harness, stages
from experiments.harness import Setting, write_csv
from experiments.reading import rows
from experiments.repetition import config, measuring, proposing, repetition_plots, scoring, train
from jaxmix.runs import read_runs, write_runs

PARTS = ("runs", "scores", "optimum", "proof")
KINDS = {"plain": "", "repetition": "+repetition", "harm": "+repetition+harm"}
TRAINED = ("plain", "harm")


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
    base = scoring.chosen(rows(setting.out / "scores.csv"))
    laws = {k: scoring.fitted(tables["ladder"], base + end, fits) for k, end in KINDS.items()}
    stock = {config.SCARCE: float(config.STOCKS[0])}
    found = list(proposing.proposals(laws, float(tables["larger_size"].n_params[0]), stock))
    write_csv(setting.out / "optimum.csv", found)
    if "proof" in setting.parts:
        prove(setting, laws, [one for one in found if one["kind"] in TRAINED])


def prove(setting: Setting, laws, proposed) -> None:
    """Trains proposed mixtures, and writes what they gain."""
    study = config.proof(proposing.mixtures(proposed))
    proof = train.pooled({"proof": stages.trained(study, setting.work / "proof")})
    write_runs(proof, setting.out / "proof.csv")
    write_csv(setting.out / "gains.csv", proposing.gains(laws, proposed, proof))


if __name__ == "__main__":
    harness.main(__file__, __doc__, run, parts=PARTS)
