"""Figures as files, for papers and slides: PNG, SVG or PDF by the suffix of the path."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaxmix.display import plain
from jaxmix.errors import JaxmixError
from jaxmix.files import whole
from jaxmix.fitting import FittedLaws
from jaxmix.mixtures import BudgetPlan, Constraints, DomainEffects, Optimum, optimize_many
from jaxmix.mixtures.pictures import COLORS, draw_isoflops, draw_weights
from jaxmix.report.contents import Report
from jaxmix.runs import RunTable

PathLike = str | os.PathLike[str]


def save_figure(figure: Figure, path: PathLike, **options: Any) -> None:
    """Writes a figure whole or not at all; ``options`` as for ``savefig``."""
    FigureCanvasAgg(figure)
    with whole(path) as beside:
        figure.savefig(beside, **{"dpi": 150, "format": Path(path).suffix[1:], **options})


def _figure(panels: int, width: float, height: float, columns: int = 8) -> tuple[Figure, Any]:
    """A figure and its axes [panels]; width and height are those of a panel, inches."""
    columns = min(panels, columns)
    rows = -(-panels // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(panels)]


def plot_observed_predicted(
    laws: Mapping[str, FittedLaws], tables: Mapping[str, RunTable], path: PathLike
) -> None:
    """Draws observed against predicted mean losses, a panel per law (figure 3 of the paper).

    Args:
        laws: fitted laws by the panel's title.
        tables: rows by what the legend calls them, such as "fitted" and "larger size".
        path: file to write.
    """
    figure, panels = _figure(len(laws), 4.4, 4.2)
    for axes, (title, fits) in zip(panels, laws.items(), strict=True):
        for color, (name, table) in zip(COLORS, tables.items(), strict=False):
            losses = table.losses(fits.targets).T  # [p, m]
            whole = np.isfinite(losses).all(1)
            seen = losses[whole].mean(1)
            said = fits.predict(table).to_numpy()[whole].mean(1)
            error = 100 * np.mean(np.abs(said - seen) / seen)
            axes.scatter(seen, said, s=14, alpha=0.7, color=color, label=f"{name}: {error:.2f}%")
        ends = [min(axes.get_xlim()), max(axes.get_xlim())]
        axes.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
        axes.set(title=f"{title} law", xlabel="observed mean loss, nats per token")
        axes.legend(frameon=False, title="mean relative error of the mean")
    panels[0].set_ylabel("predicted mean loss, nats per token")
    save_figure(figure, path)


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
    figure, panels = _figure(len(laws), 4.4, 4.2)
    for axes, (title, fits) in zip(panels, laws.items(), strict=True):
        sizes = list(n_params)
        found = optimize_many(fits, sizes, tokens, constraints, target_weights=target_weights)
        found.plot(axes)
        axes.get_legend().remove()
        axes.set(title=f"{title} law, D = {tokens:.3g}", ylabel="")
    panels[0].set_ylabel("optimal weight")
    figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    save_figure(figure, path)


def plot_path(optima: Sequence[Optimum], path: PathLike) -> None:
    """Draws optimal weights as a run grows, over its size or, if that is fixed, over its tokens.

    Args:
        optima: of one law, at budgets that grow; infinite ones are left out.
        path: file to write.
    """
    finite = [one for one in optima if np.isfinite(one.n_params + one.tokens)]
    n, d = (np.array([getattr(one, name) for one in finite]) for name in ("n_params", "tokens"))
    x, label = (d, "tokens D") if np.ptp(n) == 0 else (n, "parameters N")
    figure, (axes,) = _figure(1, 6.4, 4.2)
    draw_weights(axes, x.tolist(), np.stack([one.h for one in finite]), finite[0].domains)
    axes.set(xlabel=label, xscale="log", ylabel="optimal weight")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    save_figure(figure, path)


def plot_frontier(plans: Sequence[BudgetPlan], path: PathLike) -> None:
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
    domains = plans[0].optimum.domains
    figure, panels = _figure((3 if domains else 2) if len(plans) > 1 else 1, 5.0, 4.2)
    draw_isoflops(panels[0], plans)
    if len(plans) > 1:
        flops = [plan.flops for plan in plans]
        sizes, tokens = [p.n_params for p in plans], [p.tokens for p in plans]
        panels[1].plot(flops, sizes, color=COLORS[0], marker="o", ms=4, label="parameters N")
        panels[1].plot(flops, tokens, color=COLORS[1], marker="s", ms=4, label="tokens D")
        panels[1].set(title="size and tokens", yscale="log")
        if domains:
            h = np.stack([plan.optimum.h for plan in plans])
            draw_weights(panels[2], flops, h, domains)
            panels[2].set(title="optimal mixture", ylabel="weight")
        for axes in panels[1:]:
            axes.set(xlabel="FLOPs", xscale="log")
            axes.legend(frameon=False, fontsize="small")
    save_figure(figure, path)


def plot_residuals(report: Report, target: str, path: PathLike) -> None:
    """Draws relative errors of one target against N, D and each weight.

    Args:
        report: what ``make_report`` or ``write_report`` returned.
        target: name of a target of its laws.
        path: file to write.

    Raises:
        JaxmixError: the report has no such target.
    """
    i, rows = report.laws.targets.index(report.laws[target].target), report.rows
    error = 100 * (report.observed[i] / report.predicted[i] - 1)
    weights = zip(report.laws.domains, report.mixtures.T, strict=True)
    drawn = {"N": rows.table.n_params, "D": rows.table.tokens}
    drawn |= {f"weight of {plain(domain)}": h for domain, h in weights}
    figure, panels = _figure(len(drawn), 3.4, 2.6, columns=3)
    for axes, (name, values) in zip(panels, drawn.items(), strict=True):
        for mask, color in ((rows.fitted, COLORS[0]), (~rows.fitted, COLORS[1])):
            axes.scatter(values[mask], error[mask], s=8, alpha=0.5, color=color)
        axes.axhline(0, color="0.6", linewidth=1, zorder=0)
        axes.set(xlabel=name, ylabel="error, %", xscale="log" if name in ("N", "D") else "linear")
    figure.suptitle(f"{plain(target)}: observed less predicted; orange rows were held out")
    save_figure(figure, path)


def plot_effects(effects: DomainEffects, path: PathLike) -> None:
    """Draws what ten points more of each domain do to each target; stars mark intervals without 0.

    Args:
        effects: what ``domain_effects`` returned.
        path: file to write.
    """
    wide, high = 2.2 + 0.85 * len(effects.domains), 1.4 + 0.36 * len(effects.targets)
    figure, (axes,) = _figure(1, wide, high)
    effects.plot(axes)
    save_figure(figure, path)
