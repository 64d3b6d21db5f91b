"""The figures of a report as files, for papers and slides: PNG, SVG or PDF by the name's suffix."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.figure import Figure

from jaxmix.errors import JaxmixError
from jaxmix.mixtures.effects import DomainEffects
from jaxmix.mixtures.uncertainty import Trust
from jaxmix.report.contents import Report
from jaxmix.report.payload import ternary_grid
from jaxmix.report.plots import COLORS, save

Path = str | os.PathLike[str]
_FITTED, _HELD = COLORS[0], COLORS[1]
_LONGEST = 28  # characters of a name


def plot_residuals(report: Report, target: str, path: Path) -> None:
    """Relative errors of one target against N, D and each weight; held-out rows in another color.

    Args:
        report: what ``make_report`` returned.
        target: bare name of a target of its laws.
        path: file to write.

    Raises:
        JaxmixError: the report has no such target.
    """
    if target not in report.targets:
        raise JaxmixError(f"unknown target '{target}'; the report has {', '.join(report.targets)}")
    i, table = report.targets.index(target), report.rows.table
    said = report.predicted[i]
    error = 100 * (report.observed[i] - said) / said
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


def plot_confidence(trust: Trust, path: Path) -> None:
    """The proposal, its confidence set and the baselines: weights by domain, a ternary beside.

    The ternary stands there for three domains only.

    Args:
        trust: what ``jaxmix.mixtures.uncertainty.trust`` returned.
        path: file to write.
    """
    k = len(trust.optimum.domains)
    three = k == 3
    figure = Figure(figsize=(9.5 if three else 5.5, max(3.2, 1.5 + 0.34 * k)), layout="constrained")
    _intervals(figure.add_subplot(1, 1 + three, 1), trust)
    if three:
        _ternary(figure.add_subplot(1, 2, 2), trust)
    save(figure, path)


def _intervals(axes, trust: Trust) -> None:
    """Domains from the top down."""
    domains, best = trust.optimum.domains, trust.optimum.weights
    at = -np.arange(len(domains))
    low, high = (
        np.array([getattr(trust.intervals[d], e) for d in domains]) for e in ("low", "high")
    )
    axes.hlines(at, low, high, color=_FITTED, alpha=0.35, linewidth=7)
    axes.plot(best, at, "o", color=_FITTED, label="proposal")
    for marker, gain in zip("s^Dv*", trust.gains, strict=False):
        axes.plot(gain.mixture, at, marker, color="0.2", mfc="none", label=_plain(gain.baseline))
    axes.set_yticks(at, [_plain(d) for d in domains])
    axes.set(xlabel="weight", title=f"{100 * trust.level:.0f}% confidence set")
    axes.set_xlim(left=0)
    axes.legend(frameon=False, fontsize=8)


def corner_points(weights: np.ndarray) -> np.ndarray:
    """Mixtures of three domains [..., 3] as points in the plane [..., 2], the last one on top.

    >>> corner_points(np.eye(3)).round(3).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.5, 0.866]]
    """
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    return np.asarray(weights) @ corners


def _ternary(axes, trust: Trust) -> None:
    grid = ternary_grid()
    inside = corner_points(grid[trust.contains(grid)])
    edge = corner_points(np.eye(3)[[0, 1, 2, 0]])
    axes.plot(*edge.T, color="0.6", linewidth=1)
    axes.scatter(*inside.T, s=7, color=_FITTED, alpha=0.25, linewidths=0)
    axes.scatter(*corner_points(trust.weights).T, s=5, color=_FITTED, alpha=0.5)
    axes.scatter(*corner_points(trust.optimum.weights), s=50, color=_FITTED, edgecolor="white")
    for marker, gain in zip("s^Dv*", trust.gains, strict=False):
        axes.scatter(*corner_points(gain.mixture), marker=marker, s=36, fc="none", ec="0.2")
    sides = ("top", "top", "bottom")
    for (x, y), name, side in zip(edge[:3], trust.optimum.domains, sides, strict=True):
        shift = 0.03 if side == "bottom" else -0.03
        axes.text(x, y + shift, _plain(name), ha="center", va=side)
    axes.set_axis_off()
    axes.set_aspect("equal")


def plot_effects(effects: DomainEffects, path: Path) -> None:
    """What ten points more of each domain do to each target; a star where the interval has no 0.

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
