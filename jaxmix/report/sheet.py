"""A contact sheet: pictures, and what a model made of them."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.figure import Figure

from jaxmix.report.plots import save

_COLUMNS = 8
_CELL = 1.35  # inches


class Looked(Protocol):
    """A picture with its captions; `jaxmix.studies.Look` is one."""

    @property
    def target(self) -> str:
        """Domain that it is from."""
        ...

    @property
    def picture(self) -> np.ndarray:
        """Uint8 [S, S, 3]."""
        ...

    @property
    def caption(self) -> str:
        """That it has."""
        ...

    @property
    def written(self) -> str:
        """That the model wrote."""
        ...

    @property
    def expected(self) -> np.ndarray | None:
        """The picture as the model expected it."""
        ...


def plot_contact_sheet(
    looks: Sequence[Looked], path: str | os.PathLike[str], title: str = ""
) -> None:
    """Draws pictures in rows by target; below each its caption, and in blue what the model wrote.

    Where the model predicts patches, the picture that it expected stands at the right of the true
    one.

    Args:
        looks: what to show.
        path: file to write.
        title: above it all.
    """
    rows = [chunk for target in _targets(looks) for chunk in _chunks(looks, target)]
    double = any(look.expected is not None for look in looks)
    width = 2 if double else 1
    height = _CELL * (0.75 if double else 1) + 0.5
    size = (_COLUMNS * _CELL * (1.5 if double else 1), len(rows) * height + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=10)
    grid = figure.subplots(len(rows), _COLUMNS, squeeze=False)
    for axes_row, row in zip(grid, rows, strict=True):
        for axes in axes_row:
            axes.set_axis_off()
        for axes, look in zip(axes_row, row, strict=False):
            _draw(axes, look, 15 * width)
        axes_row[0].text(
            -0.12, 0.5, row[0].target, rotation=90, fontsize=9, weight="bold",
            ha="right", va="center", transform=axes_row[0].transAxes,
        )  # fmt: skip
    save(figure, path)


def _targets(looks: Sequence[Looked]) -> list[str]:
    return list(dict.fromkeys(look.target for look in looks))


def _chunks(looks: Sequence[Looked], target: str) -> list[list[Looked]]:
    mine = [look for look in looks if look.target == target]
    return [mine[i : i + _COLUMNS] for i in range(0, len(mine), _COLUMNS)]


def _draw(axes, look: Looked, letters: int) -> None:
    """One picture with its two captions, framed so that white ones end somewhere."""
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
    # A dollar sign would begin mathematics.
    return "\n".join(lines[:2]).replace("$", r"\$")
