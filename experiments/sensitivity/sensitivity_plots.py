"""The pictures of the sensitivity experiment: predicted against measured moves, and slopes."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from jaxmix.report import save_figure


def plot_moves(rows: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
    """Change of each weight of h* as a mixture is left out: predicted, and in refits."""
    rows = [row for row in rows if row["unit"] == "mixture"]
    studies = list(dict.fromkeys(row["study"] for row in rows))
    variants = list(dict.fromkeys((row["law"], row["delta"]) for row in rows))
    shape = len(studies), len(variants)
    fig, axes = plt.subplots(
        *shape, figsize=(3.1 * shape[1], 3.0 * shape[0]), squeeze=False, layout="constrained"
    )
    for (i, j), ax in np.ndenumerate(axes):
        own = [
            r for r in rows if r["study"] == studies[i] and (r["law"], r["delta"]) == variants[j]
        ]
        _cloud(ax, own)
        ax.locator_params(axis="x", nbins=4)
        ax.set_title(f"{studies[i]}, {variants[j][0]}, threshold {variants[j][1]:g}", fontsize=8)
    fig.supxlabel("predicted change of a weight of h* (a mixture left out)", fontsize=10)
    fig.supylabel("change in refits that go downhill from the full fit", fontsize=10)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    save_figure(fig, path, dpi=100)
    plt.close(fig)


def _cloud(ax: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    same = np.array([row["same"] for row in rows])
    for name, mark, color in (
        ("derivative", "x", "tab:orange"),
        ("steps", ".", "tab:blue"),
    ):
        ax.plot([row[name] for row in rows], same, mark, color=color, markersize=4, label=name)
    edge = 1.1 * max(float(np.quantile(np.abs(same), 0.98)), 1e-6)  # far points would hide the rest
    ax.plot([-edge, edge], [-edge, edge], color="0.7", linewidth=0.8, zorder=0)
    ax.set_xlim(-edge, edge)
    ax.set_ylim(-edge, edge)
    ax.tick_params(labelsize=7)


def plot_slopes(rows: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
    """Slopes of every target's loss (rows) towards every domain (columns); stars: not 0."""
    studies = list(dict.fromkeys(row["study"] for row in rows))
    places = list(dict.fromkeys(row["at"] for row in rows))
    size = 4.6 * len(studies), 3.7 * len(places)
    fig, axes = plt.subplots(
        len(places), len(studies), figsize=size, squeeze=False, layout="constrained"
    )
    for (i, j), ax in np.ndenumerate(axes):
        _matrix(ax, [r for r in rows if r["study"] == studies[j] and r["at"] == places[i]])
        ax.set_title(f"{studies[j]}, at the {places[i]} mixture", fontsize=9)
    fig.supxlabel("domain that gets the weight", fontsize=10)
    fig.supylabel("target", fontsize=10)
    save_figure(fig, path, dpi=100)
    plt.close(fig)


def _matrix(ax: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    targets = list(dict.fromkeys(row["target"] for row in rows))
    domains = list(dict.fromkeys(row["domain"] for row in rows))
    slope = np.array([row["slope"] for row in rows]).reshape(len(targets), len(domains))
    edge = float(np.quantile(np.abs(slope), 0.95))
    drawn = ax.imshow(slope, cmap="RdBu_r", vmin=-edge, vmax=edge, aspect="auto")
    for row, (t, d) in zip(rows, np.ndindex(slope.shape), strict=True):
        star = "*" if row["low"] > 0 or row["high"] < 0 else ""
        color = "white" if abs(slope[t, d]) > 0.7 * edge else "black"
        text = f"{slope[t, d]:.2f}{star}"
        ax.text(d, t, text, ha="center", va="center", fontsize=7, color=color)
    ax.set_xticks(range(len(domains)), domains, rotation=40, ha="right", fontsize=7)
    ax.set_yticks(range(len(targets)), targets, fontsize=7)
    ax.figure.colorbar(drawn, ax=ax, label="nats per unit of weight", extend="both")
