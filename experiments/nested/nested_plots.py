"""Observed against predicted losses at the largest size."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxmix.report import save_figure


def plot_larger(points: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """A panel per law and a row of them per table, colored by tokens.

    Args:
        points: rows with `table`, `law`, `target`, `tokens`, `observed` and `predicted`.
        path: file to write.
    """
    names = list(dict.fromkeys(p["table"] for p in points))
    laws = list(dict.fromkeys(p["law"] for p in points))
    size = (3.6 * len(laws) + 1.2, 3.7 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(names), len(laws), sharey="row", squeeze=False)
    for line, name in zip(panels, names, strict=True):
        rows = [p for p in points if p["table"] == name]
        values = [p[c] for p in rows for c in ("observed", "predicted")]
        for axes, law in zip(line, laws, strict=True):
            own = [p for p in rows if p["law"] == law]
            dots = _panel(axes, own, (min(values), max(values)))
            axes.set_xlabel("observed loss, nats per token")
        line[0].set_ylabel("predicted loss, nats per token")
        figure.colorbar(dots, ax=line, label="training tokens D")
    figure.suptitle("The largest size predicted from the smaller ones")
    save_figure(figure, path)


def _panel(axes, rows, ends):
    seen, found, tokens = (
        np.array([p[c] for p in rows]) for c in ("observed", "predicted", "tokens")
    )
    error = 100 * np.mean(np.abs(found - seen) / seen)
    axes.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
    axes.set_title(f"{rows[0]['table']}, {rows[0]['target']}\n{rows[0]['law']}: {error:.2f}%")
    return axes.scatter(seen, found, c=tokens, s=16, cmap="viridis")
