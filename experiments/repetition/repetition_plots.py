"""Held-out loss of the scarce domain against its epochs, by stock and size."""

import pathlib

from matplotlib.figure import Figure

from experiments.repetition import config
from jaxmix.report import COLORS, save_figure
from jaxmix.runs import RunTable


def curves(runs: RunTable, path: pathlib.Path) -> None:
    """A panel for every stock, at the smallest and the largest size: a line for every mixture."""
    frame = runs.frame[runs.frame["seed"] == 0]
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    panels = figure.subplots(1, len(config.STOCKS), sharey=True)
    for axes, stock in zip(panels, config.STOCKS, strict=True):
        own = frame[frame[f"unique_{config.SCARCE}"] == stock]
        for preset, color in zip((config.SIZES[0], config.SIZES[-1]), COLORS, strict=False):
            for mixture, run in own[own["preset"] == preset].groupby("mixture"):
                epochs = run["tokens"] * run[f"w_{config.SCARCE}"] / stock
                if mixture != "proportional":
                    label = preset if mixture == "uniform" else None
                    axes.plot(epochs, run[f"loss_{config.SCARCE}"], color=color, lw=1, label=label)
        axes.set_xscale("log")
        axes.set_title(f"{stock:,} unique tokens of {config.SCARCE}", fontsize=10)
        axes.set_xlabel("epochs")
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("held-out loss, nats")
    save_figure(figure, path)
