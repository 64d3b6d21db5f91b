"""Pictures of figures 1 and 4."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from jaxmix.fitting import FittedLaw
from jaxmix.report import save_figure
from jaxmix.runs import RunTable

ORDER = {  # mixtures from the top of figure 4, and their colors
    "best-world_facts": "#CC79A7",
    "best-scripture": "#D55E00",
    "best-average": "#0072B2",
    "uniform": "#009E73",
    "proportional": "#E69F00",
}
OTHER = "0.6"
LINES = {
    "best-additive": ("#0072B2", "o", "optimal, additive law"),
    "best-joint": ("#D55E00", "D", "optimal, joint law"),
    "uniform": ("#009E73", "s", "uniform"),
    "proportional": ("#E69F00", "^", "proportional to size"),
}


def figure1(
    fits: Sequence[FittedLaw],
    ladder: RunTable,
    larger: RunTable,
    domain: str,
    rows: Sequence[Mapping[str, Any]],
    path: pathlib.Path,
) -> None:
    """Left, every run beside the law; right, the mean loss that mixtures reach over scale."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _runs(figure, left, fits, ladder, larger, domain)
    _reached(right, pd.DataFrame(rows))
    save_figure(figure, path, dpi=130)


def _runs(
    figure: Figure,
    axes: Axes,
    fits: Sequence[FittedLaw],
    ladder: RunTable,
    larger: RunTable,
    domain: str,
) -> None:
    """Mean losses over FLOPs; a run's line is what the law says of it."""
    norm = Normalize(0, 1)
    points = None
    kinds = (ladder, "o", 10, "fitted"), (larger, "D", 26, "larger size, predicted")
    for table, marker, size, label in kinds:
        seen, said = means(fits, table)
        flops = 6 * table.n_params * table.tokens
        color = table.weights[:, table.domains.index(domain)]
        points = axes.scatter(
            flops, seen, c=color, s=size, marker=marker, norm=norm, cmap="viridis", label=label
        )
        names = table.frame["run"].astype(str).to_numpy()
        for run in dict.fromkeys(names):
            at = np.flatnonzero(names == run)
            shade = points.cmap(norm(color[at[0]]))
            axes.plot(flops[at], said[at], color=shade, linewidth=0.7, alpha=0.8)
    axes.set(xscale="log", xlabel="6ND, FLOPs", ylabel="mean loss, nats per token")
    axes.set_title("runs (points) and the joint law (lines)", fontsize=10)
    axes.legend(frameon=False, loc="upper right")
    figure.colorbar(points, ax=axes, label=f"weight of {domain}")


def means(fits: Sequence[FittedLaw], table: RunTable) -> tuple[np.ndarray, np.ndarray]:
    """Observed and predicted mean losses of the targets that were fitted."""
    said = [
        fit.predict(dict(n_params=table.n_params, tokens=table.tokens, weights=table.weights))
        for fit in fits
    ]
    return table.losses([fit.target for fit in fits]).mean(0), np.mean(said, axis=0)


def _reached(axes: Axes, frame: pd.DataFrame) -> None:
    """Mean loss of every mixture at every size; what nobody proposed is gray."""
    frame = frame.assign(flops=6 * frame["n_params"] * frame["tokens"])
    others = frame[~frame["mixture"].isin(list(LINES))]
    axes.scatter(others["flops"], others["loss"], s=14, color=OTHER, label="random, near a vertex")
    for mixture, (color, marker, label) in LINES.items():
        own = frame[frame["mixture"] == mixture]
        if (own["study"] == "new").any():  # of the same seeds as the optima
            own = own[own["study"] == "new"]
        own = own.groupby("flops")["loss"].mean()
        if len(own):
            axes.plot(own.index, own, color=color, marker=marker, markersize=5, label=label)
    axes.set(xscale="log", xlabel="6ND, FLOPs", ylabel="mean loss, nats per token")
    axes.set_title("what mixtures reach at every size", fontsize=10)
    axes.legend(frameon=False, fontsize=8)


def figure4(rows: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
    """Losses of the final models on every goal, with standard errors over seeds."""
    frame = pd.DataFrame(rows)
    goals = list(dict.fromkeys(frame["goal"]))
    names = [n for n in ORDER if n in set(frame["mixture"])]
    names += [n for n in dict.fromkeys(frame["mixture"]) if n not in ORDER]
    figure = Figure(figsize=(3.6 * len(goals) + 1.2, 3.4), layout="constrained")
    for i, goal in enumerate(goals):
        axes = figure.add_subplot(1, len(goals), i + 1)
        own = frame[frame["goal"] == goal].set_index("mixture")
        for y, name in enumerate(reversed(names)):
            color = ORDER.get(name, OTHER)
            loss, sem = own.loc[name, "loss"], own.loc[name, "sem"]
            axes.errorbar(loss, y, xerr=sem, fmt="o", color=color, capsize=3)
        axes.set_yticks(range(len(names)), reversed(names) if i == 0 else [""] * len(names))
        axes.grid(axis="x", color="0.9")
        title = "mean of the trained domains" if goal == "average" else f"{goal}, never trained on"
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("loss, nats per token")
    save_figure(figure, path, dpi=130)
