"""Plots as files, for papers and for the demo. PNG, SVG or PDF by the name's suffix."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxmix.fitting import FittedLaw
from jaxmix.fitting.inputs import read_inputs
from jaxmix.mixtures import optimize_many
from jaxmix.runs import RunTable

# Okabe and Ito's colors, which all eyes tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")


def plot_observed_predicted(
    laws: Mapping[str, Sequence[FittedLaw]],
    tables: Mapping[str, RunTable],
    path: str | os.PathLike[str],
) -> None:
    """Observed against predicted mean loss of all targets, a panel per law (the paper's figure 3).

    Args:
        laws: fitted laws by the panel's title.
        tables: rows by what the legend calls them, such as "fitted" and "larger size".
        path: file to write.
    """
    figure = Figure(figsize=(4.4 * len(laws), 4.2), layout="constrained")
    for i, (title, fits) in enumerate(laws.items()):
        axes = figure.add_subplot(1, len(laws), i + 1)
        for color, (name, table) in zip(COLORS, tables.items(), strict=False):
            seen, found = _mean_losses(fits, table)
            error = 100 * np.mean(np.abs(found - seen) / seen)
            axes.scatter(seen, found, s=14, alpha=0.7, color=color, label=f"{name}: {error:.2f}%")
        low, high = min(axes.get_xlim()), max(axes.get_xlim())
        axes.plot([low, high], [low, high], color="0.6", linewidth=1, zorder=0)
        axes.set(title=f"{title} law", xlabel="observed mean loss, nats per token")
        if i == 0:
            axes.set_ylabel("predicted mean loss, nats per token")
        axes.legend(frameon=False, title="mean relative error of the mean")
    save(figure, path)


def _mean_losses(fits: Sequence[FittedLaw], table: RunTable) -> tuple[np.ndarray, np.ndarray]:
    """Observed and predicted losses averaged over targets, rows with all of them only."""
    seen = table.losses([f.target for f in fits])
    x = read_inputs(table, fits[0].law, fits[0].domains)
    found = np.stack([f.predict(x) for f in fits])
    whole = np.isfinite(seen).all(0)
    return seen[:, whole].mean(0), found[:, whole].mean(0)


def plot_optimum_over_scale(
    laws: Mapping[str, Sequence[FittedLaw]],
    n_params: Sequence[float],
    tokens: float,
    path: str | os.PathLike[str],
    target_weights: Mapping[str, float] | None = None,
) -> None:
    """The optimal mixture against model size at one number of tokens, a panel per law (figure 6).

    Args:
        laws: fitted laws by the panel's title.
        n_params: sizes, ascending.
        tokens: D.
        path: file to write.
        target_weights: of the objective; all targets alike where not given.
    """
    figure = Figure(figsize=(4.4 * len(laws), 4.2), layout="constrained")
    for i, (title, fits) in enumerate(laws.items()):
        axes = figure.add_subplot(1, len(laws), i + 1)
        found = optimize_many(fits, list(n_params), tokens, target_weights=target_weights)
        for d, domain in enumerate(found.domains):
            axes.plot(
                n_params, found.weights[:, d], color=COLORS[d % 8], marker="o", ms=3, label=domain
            )
        axes.set(title=f"{title} law, D = {tokens:.3g}", xlabel="parameters N")
        axes.set_ylim(0, 1.08 * float(found.weights.max()))
        axes.set_xscale("log")
        if i == 0:
            axes.set_ylabel("optimal weight")
            lines = axes.get_legend_handles_labels()
            figure.legend(*lines, loc="outside right upper", frameon=False)
    save(figure, path)


def save(figure: Figure, path: str | os.PathLike[str], **how: Any) -> None:
    """Writes beside the name and renames, so that no half picture is left; `how` as of savefig."""
    path = Path(path)
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    FigureCanvasAgg(figure)
    figure.savefig(beside, **{"dpi": 150, **how})
    os.replace(beside, path)
