"""What continued runs measured: old losses against the base, crossings, and gains of stages."""

import numpy as np

from experiments.continual.config import NEW
from experiments.continual.continued_laws import mean_of_old
from jaxmix.mixtures import intervals_below


def above_base(table):
    """Old loss less the base's, by tokens, ratio and seed: {tokens: {ratio: [seeds]}}."""
    found = {}
    for row in mean_of_old(table.frame).to_dict("records"):
        by_ratio = found.setdefault(float(row["tokens"]), {})
        change = row["loss_old"] - row["base_loss_old"]
        by_ratio.setdefault(round(row[f"w_{NEW}"], 4), {})[int(row["seed"])] = change
    return found


def rises(table, ratio):
    """Whether the old loss at the end of the runs of a ratio is above the base's, on average."""
    by_ratio = above_base(table)[float(table.tokens.max())]
    nearest = min(by_ratio, key=lambda r: abs(r - ratio))
    return np.mean(list(by_ratio[nearest].values())) > 0


def crossings(by_ratio):
    """The ratio at which each seed's old loss meets the base, along lines between ratios run.

    A seed that keeps the base's loss at the largest ratio counts with that one.
    """
    ratios = np.array(sorted(by_ratio))
    found = []
    for seed in next(iter(by_ratio.values())):
        kept = intervals_below(ratios, np.array([by_ratio[r][seed] for r in ratios]))
        if kept:
            found.append(kept[-1][1])
    return np.array(found)


def mean_and_error(values):
    """Mean and its standard error over seeds; NaN where there are too few."""
    values = np.asarray(list(values), float)
    if not values.size:
        return float("nan"), float("nan")
    error = values.std(ddof=1) / values.size**0.5 if values.size > 1 else float("nan")
    return float(values.mean()), float(error)


def at_long(long, law):
    """Longer runs by ratio: change of the old loss, measured and predicted, and the new loss."""
    tokens = float(long.tokens.max())
    by_ratio = above_base(long)[tokens]
    base = float(mean_of_old(long.frame)["base_loss_old"].iloc[0])
    last = long.frame[long.frame["tokens"] == tokens]
    n = float(long.n_params[0])
    for r, seeds in sorted(by_ratio.items()):
        mean, error = mean_and_error(seeds.values())
        rows = last[np.isclose(last[f"w_{NEW}"], r, atol=1e-3)]
        weights = rows[[f"w_{d}" for d in law.domains]].to_numpy()[0]
        yield {
            "ratio": r,
            "tokens": int(tokens),
            "seeds": len(seeds),
            "measured_change": mean,
            "sem": error,
            "predicted_change": float(law.predict(dict(n_params=n, tokens=tokens, weights=weights)))
            - base,
            "new_loss": float(rows[f"loss_{NEW}"].mean()),
        }


def final_goals(table, goal):
    """Weighted loss at the end of every run, by mixture and seed; `goal` weighs the targets."""
    frame = mean_of_old(table.frame)
    last = frame[frame["tokens"] == frame["tokens"].max()]
    value = sum(w * last[f"loss_{t}"] for t, w in goal.items())
    old = last["loss_old"] - last["base_loss_old"]
    keys = list(zip(last["mixture"], last["seed"].astype(int), strict=True))
    return dict(zip(keys, value, strict=True)), dict(zip(keys, old, strict=True))
