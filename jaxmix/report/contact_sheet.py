"""A contact sheet: pictures with their captions, and what a model made of them."""

import os
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmix.report.plots import save_figure

_COLUMNS = 8
_CELL = 1.35  # inches


def plot_contact_sheet(looks: Sequence[Any], path: str | os.PathLike[str], title: str = "") -> None:
    """Draws pictures in rows by target; below each its caption, and in blue what the model wrote.

    If the model predicts patches, the picture that it expected is to the right of the true one.

    Args:
        looks: pictures as ``jaxmix.studies.CaptionedPicture`` holds them: ``target`` (the domain
            that it is from), ``picture`` (uint8 [S, S, 3]), ``caption``, ``written`` (by the model)
            and ``expected`` (the picture as the model expected it, or None).
        path: file to write.
        title: above it all.
    """
    by_target: dict[str, list[Any]] = {}
    for look in looks:
        by_target.setdefault(look.target, []).append(look)
    rows = [all_[i : i + _COLUMNS] for all_ in by_target.values() for i in _firsts(all_)]
    double = any(look.expected is not None for look in looks)
    height = _CELL * (0.75 if double else 1) + 0.5
    size = (_COLUMNS * _CELL * (1.5 if double else 1), len(rows) * height + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=10)
    grid = figure.subplots(len(rows), _COLUMNS, squeeze=False)
    for axes_row, row in zip(grid, rows, strict=True):
        for axes in axes_row:
            axes.set_axis_off()
        for axes, look in zip(axes_row, row, strict=False):
            _draw(axes, look, 30 if double else 15)
        axes_row[0].text(
            -0.12, 0.5, row[0].target, rotation=90, fontsize=9, weight="bold",
            ha="right", va="center", transform=axes_row[0].transAxes,
        )  # fmt: skip
    save_figure(figure, path)


def _firsts(looks: Sequence[Any]) -> range:
    """Positions at which rows of pictures begin."""
    return range(0, len(looks), _COLUMNS)


def _draw(axes: Axes, look: Any, letters: int) -> None:
    """One picture with its two captions, and a frame, which white pictures need."""
    shown = look.picture
    if look.expected is not None:
        gap = np.full((len(shown), 2, 3), 255, np.uint8)
        shown = np.concatenate([shown, gap, look.expected], axis=1)
    axes.imshow(shown, interpolation="nearest")
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(color="0.8", linewidth=0.6)
    true, written = (_short(text, letters) for text in (look.caption, look.written))
    axes.text(0, -0.06, true, fontsize=6.5, va="top", transform=axes.transAxes)
    below = -0.06 - 0.13 * (true.count("\n") + 1)
    axes.text(0, below, written, fontsize=6.5, va="top", color="#0072B2", transform=axes.transAxes)


def _short(text: str, letters: int) -> str:
    """At most two lines; a dash for nothing."""
    lines = textwrap.wrap(" ".join(text.split()), letters + 4) or ["-"]
    return "\n".join(lines[:2]).replace("$", r"\$")  # a dollar sign would begin mathematics
