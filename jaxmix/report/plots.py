"""Figures as files, for papers and slides: PNG, SVG or PDF by the suffix of the path."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxmix.errors import JaxmixError
from jaxmix.fitting import FittedLaws
from jaxmix.mixtures import Constraints, DomainEffects, Plan, optimize_many
from jaxmix.mixtures.uncertainty import Uncertainty
from jaxmix.report.contents import Report
from jaxmix.report.payload import ternary_grid
from jaxmix.runs import RunTable

PathLike = str | os.PathLike[str]

# Okabe and Ito's colors, which all eyes tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_FITTED, _HELD = COLORS[0], COLORS[1]
_STYLES = ("-", "--", ":", "-.")
_LONGEST = 28  # characters of a name
_SPAN = 0.35  # of the range of the optima's losses (or of the loss): how far up a curve is drawn


def save(figure: Figure, path: PathLike, **options: Any) -> None:
    """Writes a figure whole or not at all; ``options`` as for ``savefig``."""
    path = Path(path)
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    FigureCanvasAgg(figure)
    figure.savefig(beside, **{"dpi": 150, **options})
    os.replace(beside, path)


def plot_observed_predicted(
    laws: Mapping[str, FittedLaws], tables: Mapping[str, RunTable], path: PathLike
) -> None:
    """Draws observed against predicted mean losses, a panel per law (figure 3 of the paper).

    Args:
        laws: fitted laws by the panel's title.
        tables: rows by what the legend calls them, such as "fitted" and "larger size".
        path: file to write.
    """
    figure, panels = _panels(len(laws))
    for axes, (title, fits) in zip(panels, laws.items(), strict=True):
        for color, (name, table) in zip(COLORS, tables.items(), strict=False):
            seen, found = _mean_losses(fits, table)
            error = 100 * np.mean(np.abs(found - seen) / seen)
            axes.scatter(seen, found, s=14, alpha=0.7, color=color, label=f"{name}: {error:.2f}%")
        low, high = min(axes.get_xlim()), max(axes.get_xlim())
        axes.plot([low, high], [low, high], color="0.6", linewidth=1, zorder=0)
        axes.set(title=f"{title} law", xlabel="observed mean loss, nats per token")
        axes.legend(frameon=False, title="mean relative error of the mean")
    panels[0].set_ylabel("predicted mean loss, nats per token")
    save(figure, path)


def _panels(count: int, width: float = 4.4) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side."""
    figure = Figure(figsize=(width * count, 4.2), layout="constrained")
    return figure, [figure.add_subplot(1, count, i + 1) for i in range(count)]


def _mean_losses(fits: FittedLaws, table: RunTable) -> tuple[np.ndarray, np.ndarray]:
    """Observed and predicted losses averaged over targets, of the rows that have all of them."""
    seen = table.losses(fits.targets).T  # [p, m]
    whole = np.isfinite(seen).all(1)
    return seen[whole].mean(1), fits.predict(table).to_numpy()[whole].mean(1)


def plot_optimum_over_scale(
    laws: Mapping[str, FittedLaws],
    n_params: Sequence[float],
    tokens: float,
    path: PathLike,
    target_weights: Mapping[str, float] | None = None,
    constraints: Constraints | None = None,
) -> None:
    """Draws the optimal mixture against the size at one number of tokens (figure 6 of the paper).

    Args:
        laws: fitted laws by the panel's title.
        n_params: sizes, ascending.
        tokens: D.
        path: file to write.
        target_weights: of the objective; None weighs all targets equally.
        constraints: on the mixture, as for ``optimize_many``.
    """
    figure, panels = _panels(len(laws))
    for axes, (title, fits) in zip(panels, laws.items(), strict=True):
        found = optimize_many(
            fits, list(n_params), tokens, constraints, target_weights=target_weights
        )
        _plot_weights(axes, n_params, found.h, found.domains, ms=3)
        axes.set(title=f"{title} law, D = {tokens:.3g}", xlabel="parameters N", xscale="log")
    panels[0].set_ylabel("optimal weight")
    lines = panels[-1].get_legend_handles_labels()
    figure.legend(*lines, loc="outside right upper", frameon=False)
    save(figure, path)


def _plot_weights(
    axes: Axes, x: Sequence[float], h: np.ndarray, domains: Sequence[str], ms: float
) -> None:
    """Weights [B, k] over x, one line per domain."""
    for i, (domain, weights) in enumerate(zip(domains, h.T, strict=True)):
        style = _STYLES[i // len(COLORS) % len(_STYLES)]
        color = COLORS[i % len(COLORS)]
        axes.plot(x, weights, style, color=color, marker="o", ms=ms, label=domain)
    axes.set_ylim(0, 1.08 * float(h.max()))


def plot_frontier(plans: Sequence[Plan], path: PathLike) -> None:
    """Draws compute-optimal plans at one budget or many.

    Left, the loss at the optimal mixture over model size along every budget, with the optimum of
    each (the isoFLOP curves of Hoffmann et al. 2022, figure 3). Then, for two budgets or more, the
    optimal N and D and the optimal mixture over the budget.

    Args:
        plans: what ``frontier`` returns.
        path: file to write.

    Raises:
        JaxmixError: no plan.
    """
    if not plans:
        raise JaxmixError("a frontier needs at least one plan to draw")
    plans = sorted(plans, key=lambda plan: plan.flops)
    figure, panels = _panels(3 if len(plans) > 1 else 1, 5.0)
    _plot_isoflops(panels[0], plans)
    if len(plans) > 1:
        flops = [plan.flops for plan in plans]
        sizes, tokens = [p.n_params for p in plans], [p.tokens for p in plans]
        panels[1].plot(flops, sizes, color=COLORS[0], marker="o", ms=4, label="parameters N")
        panels[1].plot(flops, tokens, color=COLORS[1], marker="s", ms=4, label="tokens D")
        panels[1].set(title="size and tokens", yscale="log")
        h = np.stack([plan.optimum.h for plan in plans])
        _plot_weights(panels[2], flops, h, plans[0].optimum.domains, ms=4)
        panels[2].set(title="optimal mixture", ylabel="weight")
        for axes in panels[1:]:
            axes.set(xlabel="FLOPs", xscale="log")
            axes.legend(frameon=False, fontsize="small")
    save(figure, path)


def _plot_isoflops(axes: Axes, plans: Sequence[Plan]) -> None:
    best = np.array([plan.objective for plan in plans])
    span = np.ptp(best) if len(plans) > 1 else 0.1 * best[0]
    top = best.max() + _SPAN * span
    light, dark = np.array([0.62, 0.79, 0.88]), np.array([0.03, 0.19, 0.42])
    for share, plan in zip(np.linspace(1, 0, len(plans))[::-1], plans, strict=True):
        near = plan.losses <= top
        n, losses = np.append(plan.sizes[near], plan.n_params), plan.losses[near]
        order = np.argsort(n)
        losses = np.append(losses, plan.objective)[order]
        color = (1 - share) * light + share * dark
        axes.plot(n[order], losses, color=color, label=f"{plan.flops:.3g}")
    sizes = [plan.n_params for plan in plans]
    axes.plot(sizes, best, color="0.2", linestyle="--", marker="o", ms=5, label="optimum")
    axes.set(title="loss at the optimal mixture", xlabel="parameters N", xscale="log")
    axes.set_ylabel("weighted loss, nats per token")
    rows = -(-(len(plans) + 1) // 3)
    room = (0.16 + 0.06 * rows) * (top - best.min())  # for the legend, above the curves
    axes.set_ylim(best.min() - 0.08 * span, top + room)
    axes.legend(frameon=False, title="FLOPs", ncols=3, fontsize="small", loc="upper right")


def plot_residuals(report: Report, target: str, path: PathLike) -> None:
    """Draws relative errors of one target against N, D and each weight.

    Args:
        report: what ``make_report`` or ``write_report`` returned.
        target: name of a target of its laws.
        path: file to write.

    Raises:
        JaxmixError: the report has no such target.
    """
    i, table = report.laws.targets.index(report.laws[target].target), report.rows.table
    error = 100 * (report.observed[i] / report.predicted[i] - 1)
    axes_of = {"N": table.n_params, "D": table.tokens}
    axes_of |= {f"weight of {d}": h for d, h in zip(report.domains, report.mixtures.T, strict=True)}
    columns = min(3, len(axes_of))
    rows = -(-len(axes_of) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.6 * rows), layout="constrained")
    for at, (name, values) in enumerate(axes_of.items()):
        axes = figure.add_subplot(rows, columns, at + 1)
        for mask, color in ((report.rows.fitted, _FITTED), (~report.rows.fitted, _HELD)):
            axes.scatter(values[mask], error[mask], s=8, alpha=0.5, color=color)
        axes.axhline(0, color="0.6", linewidth=1, zorder=0)
        axes.set(xlabel=_plain(name), ylabel="error, %" if at % columns == 0 else "")
        if at < 2:
            axes.set_xscale("log")
    figure.suptitle(f"{_plain(target)}: observed less predicted; orange rows were held out")
    save(figure, path)


def plot_confidence(uncertainty: Uncertainty, path: PathLike) -> None:
    """Draws weights with their confidence set; of three domains also the set on the simplex.

    Args:
        uncertainty: of an optimum.
        path: file to write.
    """
    k = len(uncertainty.optimum.domains)
    size = (9.5 if k == 3 else 5.5, max(3.2, 1.5 + 0.34 * k))
    figure = Figure(figsize=size, layout="constrained")
    uncertainty.plot(figure.add_subplot(1, 1 + (k == 3), 1))
    if k == 3:
        _plot_ternary(figure.add_subplot(1, 2, 2), uncertainty)
    save(figure, path)


_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


def _plot_ternary(axes: Axes, sure: Uncertainty) -> None:
    grid = ternary_grid()
    axes.plot(*(_CORNERS[[0, 1, 2, 0]]).T, color="0.6", linewidth=1)
    inside = grid[sure.contains(grid)] @ _CORNERS
    axes.scatter(*inside.T, s=7, color=_FITTED, alpha=0.25, linewidths=0)
    axes.scatter(*(sure.refit_optima @ _CORNERS).T, s=5, color=_FITTED, alpha=0.5)
    axes.scatter(*(sure.optimum.h @ _CORNERS), s=50, color=_FITTED, edgecolor="white")
    for marker, gain in zip("s^Dv*", sure.gains, strict=False):
        axes.scatter(*(gain.mixture @ _CORNERS), marker=marker, s=36, fc="none", ec="0.2")
    for (x, y), name in zip(_CORNERS, sure.optimum.domains, strict=True):
        shift, side = (0.03, "bottom") if y else (-0.03, "top")
        axes.text(x, y + shift, _plain(name), ha="center", va=side)
    axes.set_axis_off()
    axes.set_aspect("equal")


def plot_effects(effects: DomainEffects, path: PathLike) -> None:
    """Draws what ten points more of each domain do to each target; stars mark intervals without 0.

    Args:
        effects: what ``domain_effects`` returned.
        path: file to write.
    """
    shown = 0.1 * effects.slope  # [m, k]
    size = (2.2 + 0.85 * len(effects.domains), 1.4 + 0.36 * len(effects.targets))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    most = float(np.nanmax(np.abs(np.where(np.isfinite(shown), shown, np.nan)), initial=1e-12))
    axes.imshow(shown, cmap="RdYlGn_r", vmin=-most, vmax=most, aspect="auto", alpha=0.75)
    for (i, j), value in np.ndenumerate(shown):
        mark = "*" if effects.significant[i, j] else ""
        axes.text(j, i, f"{value:+.3f}{mark}", ha="center", va="center", fontsize=8)
    names = [_plain(d) for d in effects.domains]
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(effects.targets)), [_plain(t) for t in effects.targets])
    axes.set_title("change of the loss per +10 points, nats", fontsize=10)
    save(figure, path)


def _plain(name: str) -> str:
    """Not too long, and without mathematics, which a dollar sign would begin."""
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    return short.replace("$", r"\$")
