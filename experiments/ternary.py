"""Mixtures of three domains as points of a triangle."""

import numpy as np
from matplotlib.axes import Axes

# Where each domain alone lies: left, right, top.
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


def to_xy(mixtures: np.ndarray) -> np.ndarray:
    """Places [..., 2] of mixtures [..., 3]."""
    return np.asarray(mixtures) @ _CORNERS


def triangle(ax: Axes, domains: tuple[str, ...], lines: int = 5, size: float = 9.0) -> None:
    """Draws the empty triangle with its corners named and lines of equal weight."""
    ax.set_aspect("equal")
    ax.axis("off")
    for i in range(3):
        for step in range(lines):
            level = step / lines
            ends = np.full((2, 3), level)
            ends[0, (i + 1) % 3], ends[0, (i + 2) % 3] = 1.0 - level, 0.0
            ends[1, (i + 1) % 3], ends[1, (i + 2) % 3] = 0.0, 1.0 - level
            width, color = (1.0, "black") if step == 0 else (0.5, "0.8")
            ax.plot(*to_xy(ends).T, color=color, linewidth=width, zorder=1)
    places = {0: ("right", "top"), 1: ("left", "top"), 2: ("center", "bottom")}
    for i, (across, along) in places.items():
        ax.annotate(domains[i], _CORNERS[i], ha=across, va=along, fontsize=size)
