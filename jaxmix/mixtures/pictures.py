"""What several pictures draw: weights over a budget, isoFLOP curves, effects of domains."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmix.display import ink, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colors, which all eyes tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_STYLES = ("-", "--", ":", "-.")
_SPAN = 0.35  # of the range of the optima's losses (or of the loss): how far up a curve is drawn


def draw_weights(ax: "Axes", x: Any, h: np.ndarray, domains: Sequence[str]) -> None:
    """Weights [B, k] over x [B], one line per domain."""
    colors = [ink() if color == "#000000" else color for color in COLORS]
    for i, (domain, weights) in enumerate(zip(domains, h.T, strict=True)):
        style, color = _STYLES[i // len(colors) % len(_STYLES)], colors[i % len(colors)]
        ax.plot(x, weights, style, color=color, marker="o", ms=3.5, label=plain(domain))
    ax.set_ylim(0, 1.08 * float(h.max()))


def draw_isoflops(ax: "Axes", plans: Sequence[Any]) -> None:
    """The loss at the optimal mixture over model size along every budget (``BudgetPlan``)."""
    best = np.array([plan.objective for plan in plans])
    span = np.ptp(best) if len(plans) > 1 else 0.1 * best[0]
    top = best.max() + _SPAN * span
    light, dark = np.array([0.62, 0.79, 0.88]), np.array([0.1, 0.35, 0.7])
    for i, plan in enumerate(plans, 1):
        near, share = plan.losses <= top, i / len(plans)
        n = np.append(plan.sizes[near], plan.n_params)
        losses = np.append(plan.losses[near], plan.objective)
        order, color = np.argsort(n), (1 - share) * light + share * dark
        ax.plot(n[order], losses[order], color=color, label=f"{plan.flops:.3g}")
    sizes = [plan.n_params for plan in plans]
    ax.plot(sizes, best, color=ink(), linestyle="--", marker="o", ms=5, label="optimum")
    ax.set(title="loss at the optimal mixture", xlabel="parameters N", xscale="log")
    ax.set_ylabel("weighted loss, nats per token")
    rows = -(-(len(plans) + 1) // 3)
    room = (0.16 + 0.06 * rows) * (top - best.min())  # for the legend, above the curves
    ax.set_ylim(best.min() - 0.08 * span, top + room)
    ax.legend(frameon=False, title="FLOPs", ncols=3, fontsize="small", loc="upper right")


def draw_effects(
    ax: "Axes",
    targets: Sequence[str],
    domains: Sequence[str],
    shown: np.ndarray,
    marked: np.ndarray,
) -> None:
    """Numbers [m, k] on colors: below 0, where a domain helps, in green.

    Args:
        ax: where.
        targets: [m] names of the rows.
        domains: [k] names of the columns.
        shown: [m, k].
        marked: [m, k] those with a star.
    """
    # The colors stop before their dark ends, on which black numbers are hard to read.
    most = 1.6 * float(np.max(np.abs(shown), where=np.isfinite(shown), initial=1e-12))
    ax.imshow(shown, cmap="RdYlGn_r", vmin=-most, vmax=most, aspect="auto")
    for (i, j), value in np.ndenumerate(shown):
        mark = "*" if marked[i, j] else ""
        ax.text(j, i, f"{value:+.3f}{mark}", ha="center", va="center", fontsize=8, color="black")
    ax.set_xticks(range(len(domains)), map(plain, domains), rotation=30, ha="right")
    ax.set_yticks(range(len(targets)), map(plain, targets))
    ax.set_title("change of the loss per +10 points, nats", fontsize=10)
