"""The compute-optimal frontier as a picture: isoFLOP curves, sizes and tokens, mixtures."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxmix.errors import JaxmixError
from jaxmix.mixtures.budget import Plan
from jaxmix.report.plots import COLORS, save

_SPAN = 0.35  # of the frontier's loss range (or of the loss), how far a curve is drawn above it


def plot_frontier(plans: Sequence[Plan], path: str | os.PathLike[str]) -> None:
    """Draws plans at one budget or many.

    Left, the loss at the optimal mixture over model size along every budget, with the optimum of
    each (the isoFLOP curves of Hoffmann et al. 2022, figure 3). Then, for two budgets or more, the
    optimal N and D and the optimal mixture over the budget.

    Args:
        plans: what ``frontier`` returns.
        path: PNG, SVG or PDF file to write, by its suffix.

    Raises:
        JaxmixError: no plan.
    """
    if not plans:
        raise JaxmixError("a frontier needs at least one plan to draw")
    plans = sorted(plans, key=lambda plan: plan.flops)
    panels = 3 if len(plans) > 1 else 1
    figure = Figure(figsize=(5.0 * panels, 4.2), layout="constrained")
    _isoflops(figure.add_subplot(1, panels, 1), plans)
    if panels > 1:
        _scales(figure.add_subplot(1, panels, 2), plans)
        _mixtures(figure.add_subplot(1, panels, 3), plans)
    save(figure, path)


def _isoflops(axes: Axes, plans: Sequence[Plan]) -> None:
    best = np.array([plan.objective for plan in plans])
    span = np.ptp(best) if len(plans) > 1 else 0.1 * best[0]
    top = best.max() + _SPAN * span
    sizes = np.array([plan.n_params for plan in plans])
    for color, plan in zip(_shades(len(plans)), plans, strict=True):
        near = plan.losses <= top
        n = np.append(plan.sizes[near], plan.n_params)
        order = np.argsort(n)
        losses = np.append(plan.losses[near], plan.objective)
        axes.plot(n[order], losses[order], color=color, label=f"{plan.flops:.3g}")
    axes.plot(sizes, best, color="0.2", linestyle="--", marker="o", ms=5, label="optimum")
    axes.set(title="loss at the optimal mixture", xlabel="parameters N")
    axes.set_ylabel("weighted loss, nats per token")
    axes.set_xscale("log")
    rows = -(-(len(plans) + 1) // 3)
    room = (0.16 + 0.06 * rows) * (top - best.min())  # for the legend, above the curves
    axes.set_ylim(best.min() - 0.08 * span, top + room)
    axes.legend(frameon=False, title="FLOPs", ncols=3, fontsize="small", loc="upper right")


def _scales(axes: Axes, plans: Sequence[Plan]) -> None:
    flops = [plan.flops for plan in plans]
    axes.plot(
        flops, [p.n_params for p in plans], color=COLORS[0], marker="o", ms=4, label="parameters N"
    )
    axes.plot(flops, [p.tokens for p in plans], color=COLORS[1], marker="s", ms=4, label="tokens D")
    axes.set(title="size and tokens", xlabel="FLOPs", xscale="log", yscale="log")
    axes.legend(frameon=False)


def _mixtures(axes: Axes, plans: Sequence[Plan]) -> None:
    flops = [plan.flops for plan in plans]
    weights = np.stack([plan.optimum.weights for plan in plans])  # [B, k]
    styles = ("-", "--", ":", "-.")
    for d, domain in enumerate(plans[0].optimum.domains):
        style = styles[d // len(COLORS) % len(styles)]
        color = COLORS[d % len(COLORS)]
        axes.plot(flops, weights[:, d], style, color=color, marker="o", ms=4, label=domain)
    axes.set(title="optimal mixture", xlabel="FLOPs", xscale="log")
    axes.set_ylabel("weight")
    axes.set_ylim(0, 1.08 * float(weights.max()))
    axes.legend(frameon=False, fontsize="small", ncols=1 if weights.shape[1] <= 8 else 2)


def _shades(count: int) -> list[tuple[float, float, float]]:
    """From light to dark blue, one for each budget."""
    light, dark = np.array([0.62, 0.79, 0.88]), np.array([0.03, 0.19, 0.42])
    share = np.linspace(0, 1, count) if count > 1 else np.ones(1)
    return [tuple((1 - s) * light + s * dark) for s in share]
