"""The pictures of the scale experiment: weights over compute, and paths in the triangle."""

import pathlib
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from experiments.ternary import to_xy, triangle
from jaxmix.mixtures import Optima
from jaxmix.report import save_figure
from jaxmix.runs import RunTable

_LABELS = {
    "fixed-n": "D grows, N constant",
    "fixed-d": "N grows, D constant",
    "linear": "D ∝ N",
    "sqrt": "D ∝ √N",
    "log": "D ∝ log N",
}


def plot_compute(grid: Optima, constant: Any, runs: RunTable, path: pathlib.Path) -> None:
    """Figure 6: a panel per domain, a line per size; dashed beyond the data."""
    k = len(grid.domains)
    columns = min(k, 4)
    rows = -(-k // columns)
    fig, axes = plt.subplots(
        rows,
        columns,
        figsize=(3.2 * columns, 2.9 * rows),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    sizes = np.unique(grid.n_params)
    colors = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, len(sizes)))
    for ax, i in zip(axes.flat, range(k), strict=False):
        for n, color in zip(sizes, colors, strict=True):
            _one_size(ax, grid, i, n, color, runs)
        ax.axhline(constant.h[i], color="black", linestyle=":", label="additive law")
        ax.set_title(grid.domains[i], fontsize=10)
        ax.set_xscale("log")
        ax.set_ylim(0.0, 1.15 * max(grid.h[:, i].max(), constant.h[i]))
    for ax in axes.flat[k:]:
        ax.axis("off")
    for ax in axes[-1, :]:
        ax.set_xlabel("6 N D, FLOPs")
    for ax in axes[:, 0]:
        ax.set_ylabel("optimal weight")
    fig.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    save_figure(fig, path, dpi=110)
    plt.close(fig)


def _one_size(ax: Any, grid: Optima, i: int, n: float, color: Any, runs: RunTable) -> None:
    at = grid.n_params == n
    flops, weight = 6 * n * grid.tokens[at], grid.h[at, i]
    run = runs.tokens[runs.n_params == n]
    seen = grid.tokens[at] <= run.max(initial=0.0) * 1.01
    ax.plot(flops, weight, "--", color=color, linewidth=1.0, label=None if seen.any() else _size(n))
    if seen.any():
        ax.plot(flops[seen], weight[seen], color=color, linewidth=2.2, label=_size(n))


def _size(n: float) -> str:
    return f"N = {n / 1e6:.2g}M"


def plot_paths(paths: dict[str, Optima], constant: Any, path: pathlib.Path) -> None:
    """Figure 10: paths in the triangle, whole and enlarged; stars are the limits."""
    domains = next(iter(paths.values())).domains
    fig, axes = plt.subplots(1, 2, figsize=(11, 5.0), layout="constrained")
    for ax in axes:
        triangle(ax, domains, lines=10 if ax is axes[1] else 5)
        for (kind, optima), color in zip(paths.items(), plt.get_cmap("tab10").colors, strict=False):
            xy = to_xy(optima.h)
            ax.plot(*xy[:-1].T, "-o", color=color, markersize=2.5, label=_LABELS[kind], zorder=3)
            ax.plot(*xy[-2:].T, ":", color=color, linewidth=1.0, zorder=2)
            ax.plot(*xy[-1], "*", color=color, markersize=12, zorder=4)
        ax.plot(*to_xy(constant.h), "kx", label="additive law, any budget", zorder=5)
    points = to_xy(np.vstack([*(o.h for o in paths.values()), constant.h[None]]))
    low, high = points.min(0), points.max(0)
    pad = max(0.08 * max(high - low), 0.02)
    axes[1].set_xlim(low[0] - pad, high[0] + pad)
    axes[1].set_ylim(low[1] - pad, high[1] + pad)
    for text in axes[1].texts:
        text.set_visible(False)
    axes[1].set_title("enlarged; a line of equal weight every 0.1", fontsize=9)
    axes[0].set_title("h* as the budget doubles from the smallest run; stars: limits", fontsize=9)
    axes[0].legend(loc="upper left", fontsize=8)
    save_figure(fig, path, dpi=110)
    plt.close(fig)
