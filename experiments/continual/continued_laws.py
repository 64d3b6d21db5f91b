"""Laws of continued runs: which fits, where the old loss meets the base, and Ye's exponential."""

import numpy as np
import pandas as pd

from experiments.continual.config import NEW, OLD, ratio
from jaxmix.fitting import bootstrap, fit, mean_mre, score
from jaxmix.laws import (
    TOKENS,
    WEIGHTS,
    Law,
    Parameter,
    fixed,
    get_law,
    log_uniform,
    mixture_term,
    start_floor,
)
from jaxmix.mixtures import critical_ratio
from jaxmix.runs import read_runs

TARGETS = ("old", NEW)  # the mean of the old domains, and the new one


def _relaxing_loss(p, x):
    """From L0 at D = 0 to the mixture's own level, up or down."""
    level = p["E"] + mixture_term(p["C"], p["gamma"], x["weights"])
    return level + (p["L0"] - level) * (1 + x["tokens"] / p["tau"]) ** -p["beta"]


def _relaxing_start(u, scales, k):
    share = log_uniform(u["C"], 0.04, 2.0)
    return {
        "E": start_floor(u["E"], scales),
        "L0": scales.loss_min + (scales.loss_max - scales.loss_min) * u["L0"],
        "tau": log_uniform(u["tau"], 0.01, 10.0),
        "beta": log_uniform(u["beta"], 0.1, 2.0),
        "C": 1.0 / (scales.loss_min * share),
        "gamma": log_uniform(u["gamma"], 0.14, 2.7),
    }


# The laws of the paper fall with D at every mixture; a continued run's loss may rise.
RELAXING = Law(
    "relaxing",
    (
        Parameter("E"),
        Parameter("L0"),
        Parameter("tau", low=1e-4, high=1e4),
        Parameter("beta", low=1e-2, high=5.0),
        Parameter("C", "domain"),
        Parameter("gamma", "domain", low=1e-9, high=30.0),
    ),
    _relaxing_loss,
    inputs=(TOKENS, WEIGHTS),
    start=_relaxing_start,
    rescale=lambda p, n_unit, d_unit: {**p, "tau": p["tau"] / d_unit},
    formula="M(h) + (L0 - M(h)) (1 + D/tau)^-beta, M(h) = E + 1/sum_i C_i h_i^gamma_i",
)
_NO_SIZE = {"C_A": (1.0,) * (len(OLD) + 1), "gamma_A": 1.0, "alpha": 4.0}  # A(h)/N^alpha is gone
LAWS = {
    "additive-fixed-n": get_law("additive-fixed-n"),
    "joint-fixed-n": fixed(get_law("joint"), _NO_SIZE),
    "relaxing": RELAXING,
}


def with_old(frames):
    """Run tables as one, with the mean over the old domains as a target of its own."""
    frame = pd.concat(frames, ignore_index=True).drop(columns=["stages"], errors="ignore")
    return read_runs(mean_of_old(frame))


def joined(tables):
    """Run tables as one."""
    return read_runs(pd.concat([t.frame for t in tables], ignore_index=True))


def mean_of_old(frame: pd.DataFrame) -> pd.DataFrame:
    old = {name: frame[[f"{name}_{d}" for d in OLD]].mean(axis=1) for name in ("loss", "base_loss")}
    return frame.assign(**{f"{name}_old": values for name, values in old.items()})


def base_of(table, target: str) -> float:
    """Loss of the model that the runs start from."""
    return float(table.frame[f"base_loss_{target}"].iloc[0])


def fitted(table, name, restarts):
    """A law of `LAWS` fitted to both targets."""
    return fit(table, LAWS[name], targets=TARGETS, restarts=restarts, residual="log")


def compared(table, asked):
    """Laws fitted on some mixtures and their mean relative errors on these and on the others."""
    apart = table.frame["mixture"].isin(asked.unseen).to_numpy()
    tables = {"fitted": table.select(~apart)}
    tables |= {"unseen_mixtures": table.select(apart)} if apart.any() else {}
    rows = []
    for name in asked.laws:
        rows += errors(name, fitted(tables["fitted"], name, asked.restarts), tables)
    return rows


def errors(name, laws, tables):
    """Mean relative errors in percent of one law by table and target, and over both targets."""
    rows = []
    for label, table in tables.items():
        found = score(laws, table)
        pairs = [*((t, one.mre) for t, one in found.items()), ("mean", mean_mre(found))]
        rows += [{"law": name, "table": label, "target": t, "mre": mre} for t, mre in pairs]
    return rows


def best_law(scores):
    """The law with the lowest mean error on mixtures that it has not seen."""
    last = scores[-1]["table"]
    means = [s for s in scores if s["table"] == last and s["target"] == "mean"]
    return min(means, key=lambda s: s["mre"])["law"]


def refitted(laws, table, resamples):
    """Refits of the old target's law, for intervals of the critical ratio."""
    (old,) = (law for law in laws if law.target == "old")
    return bootstrap([old], table, resamples=resamples, method="bayesian", cluster="mixture")


def predicted_ratios(laws, table, tokens, refits):
    """Critical ratios by a law, with what noise makes of them."""
    (old,) = (law for law in laws if law.target == "old")
    ends = ratio(0.0), ratio(1.0)
    return critical_ratio(old, base_of(table, "old"), *ends, tokens, refits=refits)


def ye_ratios(short, tokens, restarts):
    """Ye's exponential in the ratio, one fit per token count, and where each meets the base.

    Beyond the runs the ratio follows a straight line in log D through the last three.
    """
    frame = mean_of_old(short.frame)
    wide = frame.pivot_table(index=["mixture", "seed"], columns="tokens", values="loss_old")
    first = frame.drop_duplicates(["mixture", "seed"]).set_index(["mixture", "seed"])
    table = pd.DataFrame({f"loss_d{d:.0f}": wide[d] for d in wide.columns})
    table = table.assign(w_new=first[f"w_{NEW}"], n_params=1.0, tokens=1.0)
    table = read_runs(table.assign(w_old=1 - table["w_new"]).reset_index())
    laws = fit(table, "ye-m4", restarts=restarts)
    base = float(frame["base_loss_old"].iloc[0])
    found = {
        float(d): critical_ratio(law, base, {"old": 1}, {"new": 1}, [d])[0].ratio
        for d, law in zip(wide.columns, laws, strict=True)
    }
    last = [(np.log(d), r) for d, r in found.items() if np.isfinite(r)][-3:]
    beyond = [d for d in tokens if d > max(found)]
    if len(last) >= 2:
        slope, level = np.polyfit(*zip(*last, strict=True), 1)
        found |= {d: float(np.clip(level + slope * np.log(d), 0, 1)) for d in beyond}
    return found, {law.target: law.report.train_mre for law in laws}
