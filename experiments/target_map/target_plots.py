"""The pictures of the target map: corners, arrows, and distances over the simplex."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from experiments.ternary import to_xy, triangle
from jaxmix.mixtures import FixedPoints
from jaxmix.report import save_figure

_LAYERS = (0.0, 0.2, 0.4, 0.6)


def plot_corners(rows: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
    """Figure 7: the optimal mixture (columns) of each target alone (rows), by the first law."""
    rows = [row for row in rows if row["law"] == rows[0]["law"]]
    names = list(dict.fromkeys(row["study"] for row in rows))
    fig, axes = plt.subplots(
        1, len(names), figsize=(4.4 * len(names), 4.0), squeeze=False, layout="constrained"
    )
    for ax, name in zip(axes.flat, names, strict=True):
        _matrix(ax, [row for row in rows if row["study"] == name])
        ax.set_title(name)
    axes.flat[0].set_ylabel("target alone")
    fig.supxlabel("optimal weight of each training domain", fontsize=10)
    save_figure(fig, path, dpi=100)
    plt.close(fig)


def _matrix(ax: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    domains = list(dict.fromkeys(row["domain"] for row in rows))
    own = {row["target"]: row["domain"] for row in rows if row["own"]}
    targets = sorted(own, key=lambda target: domains.index(own[target]))
    value = {(row["target"], row["domain"]): row["weight"] for row in rows}
    weights = np.array([[value[t, d] for d in domains] for t in targets])
    ax.imshow(weights, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for i, j in np.ndindex(*weights.shape):
        if weights[i, j] >= 0.005:
            color = "white" if weights[i, j] > 0.6 else "black"
            ax.text(j, i, f"{weights[i, j]:.2f}", ha="center", va="center", fontsize=8, color=color)
    ax.set_xticks(range(len(domains)), domains, rotation=40, ha="right", fontsize=8)
    ax.set_yticks(range(len(targets)), targets, fontsize=8)


def plot_triangles(
    found: FixedPoints, places: Sequence[Mapping[str, Any]], path: pathlib.Path
) -> None:
    """Figures 8 and 9 for three domains: where each target mixture goes, and how far."""
    w, h, domains = found.target_weights, found.optima.h, found.optima.domains
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    triangle(left, domains)
    coarse = np.all(np.isclose(w * 10, np.round(w * 10), atol=1e-6), axis=1)
    start, move = to_xy(w[coarse]), to_xy(h[coarse]) - to_xy(w[coarse])
    left.quiver(*start.T, *move.T, angles="xy", scale_units="xy", scale=1, width=0.003, zorder=3)
    left.set_title("from target mixture w to the best training mixture h*(w)", fontsize=9)
    triangle(right, domains)
    drawn = right.tripcolor(*to_xy(w).T, found.distance, shading="gouraud", cmap="magma", vmin=0)
    fig.colorbar(drawn, ax=right, label="Jensen-Shannon distance of w and h*(w)")
    fixed = [_mixture(row, domains) for row in places if row["fixed"]]
    for ax in (left, right):
        for mixture in fixed:
            ax.plot(*to_xy(mixture), "*", color="tab:cyan", markersize=14, zorder=5)
    right.set_title("stars: w = h*(w)" if fixed else "no w = h*(w) between the corners", fontsize=9)
    save_figure(fig, path, dpi=100)
    plt.close(fig)


def _mixture(row: Mapping[str, Any], domains: Sequence[str]) -> np.ndarray:
    return np.array([float(str(row[f"w_{i}"]).split()[-1]) for i in range(len(domains))])


def plot_layers(found: FixedPoints, path: pathlib.Path) -> None:
    """Figure 9 for four domains: triangles of three at some weights of the fourth."""
    w, domains = found.target_weights, found.optima.domains
    top = float(found.distance.max())
    fig, axes = plt.subplots(1, len(_LAYERS), figsize=(3.4 * len(_LAYERS) + 1, 3.6))
    drawn = None
    for ax, level in zip(axes, _LAYERS, strict=True):
        at = np.isclose(w[:, 3], level)
        triangle(ax, domains[:3], size=7)
        inner = w[at, :3] / w[at, :3].sum(1, keepdims=True)
        drawn = ax.tripcolor(
            *to_xy(inner).T, found.distance[at], shading="gouraud", cmap="magma", vmin=0, vmax=top
        )
        ax.set_title(f"{domains[3]} {level:g}, others share the rest", fontsize=8)
    fig.subplots_adjust(wspace=0.35)
    fig.colorbar(drawn, ax=axes, label="Jensen-Shannon distance of w and h*(w)")
    save_figure(fig, path, dpi=100, bbox_inches="tight")
    plt.close(fig)


def plot_distances(maps: Mapping[str, FixedPoints], path: pathlib.Path) -> None:
    """How far each target mixture moves, by its largest weight, in every study."""
    fig, axes = plt.subplots(
        1, len(maps), figsize=(3.8 * len(maps), 3.2), squeeze=False, layout="constrained"
    )
    for ax, (name, found) in zip(axes.flat, maps.items(), strict=True):
        ax.plot(found.target_weights.max(1), found.distance, ".", markersize=2.5, alpha=0.5)
        ax.set_title(name)
        ax.set_xlabel("largest weight of the target mixture w")
        ax.set_ylim(bottom=0.0)
    axes.flat[0].set_ylabel("JS distance of w and h*(w)")
    save_figure(fig, path, dpi=100)
    plt.close(fig)
