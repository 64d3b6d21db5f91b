"""Figure 5: error against the number of mixtures that are fitted, a panel for every table."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from experiments.masked_fits import grouped
from jaxmix.report import COLORS, save_figure

LAWS = {"additive": COLORS[0], "joint": COLORS[1], "simple": COLORS[2]}
_ACROSS = 5


def draw(curves: Sequence[dict[str, Any]], path) -> None:
    """Medians and quartiles of the curves of one picture."""
    panels = list(grouped(curves, "design", "rows_are"))
    across = min(_ACROSS, len(panels)) if len(panels) != 6 else 3
    down = -(-len(panels) // across)
    figure = Figure(figsize=(3.3 * across, 2.9 * down), layout="constrained")
    for i, (key, own) in enumerate(panels):
        axes = figure.add_subplot(down, across, i + 1)
        for law, rows in grouped(own, "law"):
            _curve(axes, law["law"], rows)
        axes.set_title(f"{key['design']}: {key['rows_are']}", fontsize=10)
        axes.set_yscale("log")
        axes.set_ylim(top=min(axes.get_ylim()[1], 40 * min(r["median"] for r in own)))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        if i % across == 0:
            axes.set_ylabel("mean relative error, %")
        if i >= len(panels) - across:
            axes.set_xlabel("mixtures fitted, q")
        axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def _curve(axes, law: str, rows: Sequence[Mapping[str, Any]]) -> None:
    q, low, middle, high = ([r[n] for r in rows] for n in ("q", "lower", "median", "upper"))
    axes.plot(q, middle, color=LAWS[law], marker="o", ms=3, label=law)
    axes.fill_between(q, low, high, color=LAWS[law], alpha=0.15, lw=0)
