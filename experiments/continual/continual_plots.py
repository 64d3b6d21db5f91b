"""Pictures of the continual study."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from experiments.continual import measured, staged_rules
from experiments.continual.config import NEW, ratio
from experiments.continual.continued_laws import TARGETS, base_of
from jaxmix.report import save_figure


def critical(law, table, short, long, found, beside, out):
    """Old loss against the base by ratio and tokens, with the law's curves; and the ratios."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    base, n = base_of(table, "old"), float(table.n_params[0])
    longest = float(long.tokens.max())
    changes = {**short, longest: measured.above_base(long)[longest]}
    shown = [min(short), sorted(short)[len(short) // 2], max(short), longest]
    colors = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(shown)))
    grid = np.linspace(0, 1, 101)
    for d, color in zip(shown, colors, strict=True):
        path = [[ratio(float(r)).get(x, 0.0) for x in law.domains] for r in grid]
        label = f"{d / 1e3:.0f}k tokens" + (" (not fitted)" if d == longest else "")
        left.plot(
            grid,
            law.predict(dict(n_params=n, tokens=d, weights=np.array(path))) - base,
            color=color,
            label=label,
        )
        for r, seeds in changes[d].items():
            left.plot([r] * len(seeds), list(seeds.values()), "o", ms=4, color=color)
    left.axhline(0, color="0.4", lw=0.8)
    left.set(xlabel=f"share of {NEW}", ylabel="old loss less the base's (nats per token)")
    left.set_title("the law (lines) and runs (points)", fontsize=10)
    left.legend(fontsize=8)
    tokens = np.array([one.tokens for one in found])
    ends = np.array([[one.low, one.high] for one in found])
    for name, ratios in beside.items():
        style = "-" if name == law.law.name else "--"
        right.plot(tokens / 1e3, [one.ratio for one in ratios], style, label=name)
    if np.isfinite(ends).all():
        label = f"90% of refits, {law.law.name}"
        right.fill_between(tokens / 1e3, *ends.T, color="0.6", alpha=0.3, label=label)
    seen = [measured.mean_and_error(measured.crossings(changes[d])) for d in tokens]
    right.errorbar(tokens / 1e3, *np.array(seen).T, fmt="o", color="C3", label="runs, with SE")
    right.set(xlabel="continued tokens (thousands)", ylabel="critical ratio of new data")
    right.set_title("fitted up to the last but one token count", fontsize=10)
    right.set_ylim(bottom=0)
    right.legend(fontsize=8)
    save_figure(figure, out / "critical.png", dpi=130)
    plt.close(figure)


def stages(laws, rows, recency, plans, out):
    """Staged losses predicted by two rules and measured; and the planned weights."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
    rules = {
        "equal loss": lambda law: staged_rules.by_equal_loss(law, rows),
        "recency": lambda law: staged_rules.predicted(law, rows, recency[law.target]),
    }
    for i, (axis, law) in enumerate(zip(axes[0], laws, strict=True)):
        for (label, rule), mark in zip(rules.items(), "ox", strict=True):
            axis.plot(rows.losses[i], rule(law), mark, ms=5, label=label, alpha=0.8)
        ends = [rows.losses[i].min(), rows.losses[i].max()]
        axis.plot(ends, ends, color="0.4", lw=0.8)
        name = "old domains" if TARGETS[i] == "old" else TARGETS[i]
        axis.set(xlabel="measured loss (nats per token)", ylabel="predicted loss (nats per token)")
        axis.set_title(f"{name} after a change of mixture", fontsize=10)
        axis.legend(fontsize=8)
    for axis, (rule, plan) in zip(axes[1], plans.items(), strict=True):
        ends = np.append(0, np.cumsum(plan.shares))
        for d, weights in zip(plan.domains, plan.weights.T, strict=True):
            axis.step(ends, np.append(weights, weights[-1]), where="post", label=d)
        axis.set(xlabel="share of the tokens", ylabel="planned weight", ylim=(-0.02, 1.02))
        axis.set_title(f"stages planned by {rule}", fontsize=10)
        axis.legend(fontsize=8)
    save_figure(figure, out / "stages.png", dpi=110)
    plt.close(figure)
