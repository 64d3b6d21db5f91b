"""Draws the documentation's pictures from the example tables.

``python docs/_tools/pictures.py`` draws all of them, names after it only these. They are SVG files
under ``docs/pictures``; the same tables and versions give the same files.
"""

import pathlib
import sys
from collections.abc import Callable

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

import jaxmix as jm
from jaxmix.laws.data_reuse import R_D_STAR, worth

OUT = pathlib.Path(__file__).resolve().parents[1] / "pictures"
BLUE, ORANGE, GREEN, GRAY = "#1f5fa8", "#d9730d", "#2e8b57", "#9aa0a6"
SIZES = ["#c6dbef", "#8fbbdc", "#4f95c8", "#2070b4", "#08306b"]  # small models are light
LARGE = 3e5  # parameters: larger models of the table `text` are set aside
plt.rcParams.update(
    {
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.facecolor": "white",
        "font.family": "sans-serif",
        "font.size": 10,
        "svg.fonttype": "path",
        "svg.hashsalt": "jaxmix",
    }
)


def axes(count: int, width: float = 8.0, height: float = 3.3, **more: object) -> list[Axes]:
    """Axes side by side."""
    return list(plt.subplots(1, count, figsize=(width, height), squeeze=False, **more)[1][0])


def share(names: list[str]) -> list[str]:
    """Names of domains as people write them."""
    return [name.replace("_", " ") for name in names]


def prediction() -> Figure:
    """Losses of a size that was not fitted, predicted and measured; and the recommended mixture."""
    runs = jm.load_example("text")
    small, large = runs.where(f"n_params < {LARGE}"), runs.where(f"n_params > {LARGE}")
    refits = jm.fit(small, "additive", targets=["scripture"]).bootstrap(small, resamples=256)
    found = refits.predict(large, level=0.9)
    low, middle, high = (np.asarray(side)[0] for side in found)
    measured = large.frame["loss_scripture"].to_numpy()
    left, right = axes(2, width=9, gridspec_kw={"width_ratios": [1.1, 1]})
    ends = [measured.min() - 0.1, measured.max() + 0.1]
    left.plot(ends, ends, color=GRAY, lw=1, zorder=0)
    left.errorbar(
        middle, measured, xerr=[middle - low, high - middle], fmt="o", ms=4, lw=0.8, color=BLUE
    )
    inside = np.mean((measured >= low) & (measured <= high))
    left.set(xlabel="predicted from smaller models, nats", ylabel="measured, nats")
    left.set_title(
        f"332,448 parameters: {inside:.0%} of the losses\nlie inside their 90% intervals"
    )
    best = jm.recommend(runs, 1e6, 1e6, law="additive", targets=["scripture"])
    frame = pd.DataFrame(
        {"recommended": best.weights, "best run": best.named_baselines["best run"]}
    )
    frame = frame.sort_values("recommended")
    rows = np.arange(len(frame))
    right.barh(rows + 0.2, frame["recommended"], 0.38, color=BLUE, label="recommended")
    right.barh(rows - 0.2, frame["best run"], 0.38, color=GRAY, label="best mixture that was run")
    right.set_yticks(rows, share(list(frame.index)))
    gain = best.gains["uniform"]
    right.set_title(
        "Mixture for scripture at 1M parameters:\n"
        f"{gain.estimate:.2f} nats better than uniform ({gain.low:.2f} to {gain.high:.2f})"
    )
    right.set_xlabel("weight")
    right.legend(frameon=False, loc="center right")
    return left.figure


def law() -> Figure:
    """The additive law through the losses of one target, along each of its inputs."""
    runs = jm.load_example("multimodal")
    laws = jm.fit(runs, "additive", targets=["text"])
    frame = runs.frame
    sizes = sorted(frame.n_params.unique())
    uniform = frame[frame.run.str.contains("uniform")]
    panels = axes(3, width=10, sharey=True)
    for axis, column in zip(panels[:2], ("tokens", "n_params"), strict=True):
        other = "n_params" if column == "tokens" else "tokens"
        groups = sizes if column == "tokens" else (83e3, 166e3, 250e3, 333e3, 499e3)
        for color, value in zip(SIZES, groups, strict=True):
            rows = uniform[(uniform[other] / value - 1).abs() < 0.02]
            line = np.geomspace(frame[column].min(), frame[column].max(), 60)
            draw(axis, laws, rows, column, line, color)
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
    last = frame[frame.tokens > 4.5e5]
    for color, size in zip(SIZES, sizes, strict=False):
        rows = last[
            (last.n_params == size) & (last.tokens == last[last.n_params == size].tokens.min())
        ]
        panels[2].plot(rows.w_text, rows.loss_text, ".", color=color)
        h = np.linspace(0.04, 0.92, 60)
        point = mixture_line(rows, h)
        panels[2].plot(h, laws.predict(point)["text"], color=color, label=f"{size:,.0f}")
    panels[0].set(xlabel="training tokens", ylabel="loss of text, nats", title="more tokens")
    panels[1].set(xlabel="parameters", title="larger models")
    panels[2].set(xlabel="weight of text", title="another mixture")
    panels[2].legend(frameon=False, title="parameters", fontsize=8)
    return panels[0].figure


def draw(
    axis: Axes, laws: jm.FittedLaws, rows: pd.DataFrame, column: str, line: np.ndarray, color: str
) -> None:
    """Losses of some rows and the law along one column."""
    axis.plot(rows[column], rows.loss_text, ".", color=color)
    point = pd.concat([rows.iloc[[0]]] * len(line), ignore_index=True)
    point[column] = line
    axis.plot(line, laws.predict(point)["text"], color=color)


def mixture_line(rows: pd.DataFrame, weight: np.ndarray) -> pd.DataFrame:
    """Points with a weight of text, the rest shared equally."""
    point = pd.concat([rows.iloc[[0]]] * len(weight), ignore_index=True)
    return point.assign(
        w_text=weight, w_image_caption=(1 - weight) / 2, w_interleaved=(1 - weight) / 2
    )


CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])


def support() -> Figure:
    """Mixtures of three domains that were run, the region that they support, and two proposals."""
    runs = jm.load_example("multimodal")
    weights = {"text": 1.0, "image_caption": 1.0}
    found = jm.recommend(runs, 1e6, 2e6, law="additive", target_weights=weights)
    names = list(runs.domains)
    mixtures = runs.frame[[f"w_{n}" for n in names]].drop_duplicates().to_numpy() @ CORNERS
    low, high = (
        getattr(runs.frame[[f"w_{n}" for n in names]], side)().to_numpy() for side in ("min", "max")
    )
    axis = axes(1, width=5.6, height=4.6)[0]
    axis.fill(*CORNERS.T, facecolor="#f3f4f6", edgecolor=GRAY)
    grid = np.random.default_rng(0).dirichlet(np.ones(3), 40000)
    inside = ((grid >= low) & (grid <= high)).all(1)
    from scipy.spatial import ConvexHull

    for points, style, label in (
        (mixtures, {"facecolor": "#cfe2f3"}, "convex hull of the mixtures that were run"),
        (grid[inside] @ CORNERS, {"facecolor": "none", "edgecolor": BLUE, "linestyle": "--"},
         "range of the weights that were run"),
    ):  # fmt: skip
        hull = ConvexHull(points)
        axis.fill(*points[hull.vertices].T, label=label, **style)
    axis.plot(*mixtures.T, "o", ms=4, color=BLUE, label="mixtures that were run")
    axis.plot(*(found.h @ CORNERS), "*", ms=14, color=GREEN, label="recommended")
    axis.plot(
        *(found.law_optimum.h @ CORNERS), "X", ms=9, color=ORANGE, label="the law's own optimum"
    )
    for name, corner in zip(share(names), CORNERS, strict=True):
        up = corner[1] > 0
        axis.annotate(name, corner, (0, 6 if up else -14), textcoords="offset points", ha="center")
    axis.set(xlim=(-0.12, 1.12), ylim=(-0.12, 1.0), aspect="equal")
    axis.axis("off")
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0.62, 1.0))
    return axis.figure


def gains() -> Figure:
    """Gains of the recommended mixture over two baselines, by target and together."""
    runs = jm.load_example("multimodal")
    weights = {"text": 1.0, "image_caption": 1.0}
    found = jm.recommend(runs, 1e6, 2e6, law="additive", target_weights=weights)
    axis = axes(1, width=6.5, height=2.8)[0]
    rows = [("mean of text and captions", found.gains["best run"])]
    rows += [(t, found.by_target["best run"][t]) for t in found.by_target["best run"]]
    for y, (_, gain) in enumerate(reversed(rows)):
        color = GREEN if gain.low > 0 else ORANGE if gain.high < 0 else GRAY
        axis.plot([gain.low, gain.high], [y, y], color=color, lw=3, solid_capstyle="round")
        axis.plot(gain.estimate, y, "o", color=color)
    axis.axvline(0, color="black", lw=0.8)
    axis.set_yticks(range(len(rows)), [name.replace("_", " ") for name, _ in reversed(rows)])
    axis.set_xlabel("gain over the best mixture that was run, nats (90% intervals)")
    return axis.figure


def limit() -> Figure:
    """What a limit costs: the lowest loss against the largest weight that a domain may have."""
    runs = jm.load_example("text")
    laws = jm.fit(runs, "additive", targets=["scripture"])
    most = np.linspace(0.15, 0.95, 17)
    best = [laws.optimize(1e6, 1e6, jm.Constraints(maximum={"dictionary": m})) for m in most]
    axis = axes(1, width=6, height=3.2)[0]
    axis.plot(most, [b.objective for b in best], color=BLUE)
    chosen = best[7]
    price = next(iter(chosen.prices.values()))
    step = np.array([-0.12, 0.12])
    axis.plot(most[7] + step, chosen.objective - price * step, color=ORANGE, lw=2)
    axis.plot(most[7], chosen.objective, "o", color=ORANGE)
    axis.annotate(
        f"shadow price: {price:.2f} nats per unit of weight", (most[7], chosen.objective),
        (14, 14), textcoords="offset points", color=ORANGE,
    )  # fmt: skip
    axis.set(
        xlabel="largest weight allowed for dictionary", ylabel="predicted loss of scripture, nats"
    )
    return axis.figure


def repetition() -> Figure:
    """What repeated tokens are worth, and how small and large runs read a stock."""
    epochs = np.linspace(0, 40, 200)
    left, right = axes(2, width=9)
    left.plot(epochs, epochs, color=GRAY, lw=1, label="as good as new")
    left.plot(epochs, worth(epochs, R_D_STAR), color=BLUE, label="worth, published decay")
    left.axvline(4, color=ORANGE, lw=1, ls="--")
    left.annotate("four epochs", (4, 22), (4, 0), textcoords="offset points", color=ORANGE)
    left.set(xlabel="epochs of a stock", ylabel="worth, in stocks of new tokens", ylim=(0, 40))
    left.legend(frameon=False, loc="upper left")
    weight = np.linspace(0.01, 0.5, 100)
    for tokens, color, label in (
        (1e12, BLUE, "large run, 1T tokens"),
        (1e10, GRAY, "small run, 10B tokens"),
    ):
        right.plot(weight, weight * tokens / 25e9, color=color, label=label)
    right.set(xlabel="weight of a domain with 25B tokens", ylabel="epochs", yscale="log")
    right.axhline(4, color=ORANGE, lw=1, ls="--")
    right.legend(frameon=False)
    return left.figure


PICTURES: dict[str, Callable[[], Figure]] = {
    made.__name__: made for made in (prediction, law, support, gains, limit, repetition)
}


def main(names: list[str]) -> None:
    """Draws the pictures of these names, or all."""
    for name in names or PICTURES:
        figure = PICTURES[name]()
        figure.tight_layout()
        figure.savefig(OUT / f"{name}.svg", metadata={"Date": None})
        print(OUT / f"{name}.svg", (OUT / f"{name}.svg").stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1:])
