"""The picture of the schedules experiment: paired losses, and optima with intervals."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from jaxmix.report import save_figure


def plot_schedules(
    pairs: pd.DataFrame, optima: Sequence[Mapping[str, Any]], path: pathlib.Path
) -> None:
    """Left: mean loss of each mixture under both rates. Right: weights of h* under both."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    mean = pairs[pairs["target"] == "mean"]
    budgets = np.unique(mean["tokens"])
    colors = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(budgets)))
    for d, color in zip(budgets, colors, strict=True):
        rows = mean[mean["tokens"] == d]
        left.plot(rows["constant"], rows["cosine"], ".", color=color, label=f"D = {d / 1e3:.0f}k")
    ends = [mean[["constant", "cosine"]].min().min(), mean[["constant", "cosine"]].max().max()]
    left.plot(ends, ends, color="0.6", linewidth=0.8)
    left.set_xlabel("mean loss at the checkpoint of the constant rate, nats")
    left.set_ylabel("mean loss of the cosine run, nats")
    left.legend(fontsize=8)
    _optima(right, optima)
    save_figure(fig, path, dpi=100)
    plt.close(fig)


def _optima(ax: Any, optima: Sequence[Mapping[str, Any]]) -> None:
    if not optima:  # of a trial
        return
    domains = list(dict.fromkeys(row["domain"] for row in optima))
    groups = list(dict.fromkeys((row["law"], row["schedule"]) for row in optima))
    for g, group in enumerate(groups):
        rows = [row for row in optima if (row["law"], row["schedule"]) == group]
        at = np.arange(len(domains)) + 0.15 * (g - (len(groups) - 1) / 2)
        weight = np.array([row["weight"] for row in rows])
        below, above = (np.array([row[x] for row in rows]) for x in ("low", "high"))
        bars = np.maximum([weight - below, above - weight], 0.0)
        mark = "o" if group[1] == "constant" else "s"
        color = "tab:blue" if group[0] == "additive" else "tab:orange"
        fill = color if group[1] == "constant" else "white"
        ax.errorbar(
            at,
            weight,
            bars,
            fmt=mark,
            color=color,
            markerfacecolor=fill,
            label=" law, ".join(group),
        )
    ax.set_xticks(range(len(domains)), domains, rotation=20)
    ax.set_ylabel("optimal weight for the mean loss, 90% interval")
    ax.set_ylim(0.0, 1.2)
    ax.legend(fontsize=8, ncols=2, loc="upper center")
