"""Figure 3: observed against predicted losses, a row for every law and a column for every table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from jaxmix.fitting import FittedLaw, read_inputs
from jaxmix.report import COLORS, save_figure
from jaxmix.runs import RunTable


@dataclass(frozen=True)
class Panel:
    """The fits of one law to one table.

    Attributes:
        table: name.
        law: name.
        fits: a law per target.
        parts: rows by their role, the fitted ones first.
    """

    table: str
    law: str
    fits: tuple[FittedLaw, ...]
    parts: Mapping[str, RunTable]


def mean_losses(panel: Panel, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Observed and predicted losses, averaged over targets, of the rows that have all."""
    runs = panel.parts[part]
    seen = runs.losses([f.target for f in panel.fits])
    x = read_inputs(runs, panel.fits[0].law, panel.fits[0].domains)
    found = np.stack([f.predict(x) for f in panel.fits])
    whole = np.isfinite(seen).all(0)
    return seen[:, whole].mean(0), found[:, whole].mean(0)


def draw(panels: Sequence[Panel], path) -> None:
    """Writes the picture; panels of one law in a row."""
    tables = list(dict.fromkeys(p.table for p in panels))
    laws = list(dict.fromkeys(p.law for p in panels))
    figure = Figure(figsize=(3.7 * len(tables), 3.6 * len(laws)), layout="constrained")
    for panel in panels:
        at = laws.index(panel.law) * len(tables) + tables.index(panel.table)
        axes = figure.add_subplot(len(laws), len(tables), at + 1)
        _fill(axes, panel)
        axes.set_title(f"{panel.table}, {panel.law} law")
        if at % len(tables) == 0:
            axes.set_ylabel("predicted mean loss, nats per token")
        if at // len(tables) == len(laws) - 1:
            axes.set_xlabel("observed mean loss, nats per token")
    save_figure(figure, path)


def _fill(axes, panel: Panel) -> None:
    for color, part in zip(COLORS, panel.parts, strict=False):
        seen, found = mean_losses(panel, part)
        error = 100 * np.mean(np.abs(found - seen) / seen)
        label = f"{part if part == 'fitted' else 'larger model'}: {error:.2f}%"
        axes.scatter(seen, found, s=9, alpha=0.6, color=color, label=label, linewidths=0)
    low, high = min(axes.get_xlim()), max(axes.get_xlim())
    axes.plot([low, high], [low, high], color="0.6", linewidth=1, zorder=0)
    axes.legend(frameon=False, loc="upper left", title="mean relative error", fontsize=9)
