"""Every result shows itself: a short repr, text, HTML that escapes names, a frame, a picture."""

import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes

import jaxmix as jm
from jaxmix import fitting, mixtures
from jaxmix.display import Parts, Shown
from jaxmix.fitting.selection.compare import ComparisonRow

NAMES = ("<b>", "$x$")  # HTML and mathematics, which no page and no picture may take for its own


@pytest.fixture(scope="module")
def results():
    """One of each, from a small table."""
    rng = np.random.default_rng(0)
    h = rng.dirichlet([2.0, 2.0], 8)
    n, d, i = (x.ravel() for x in np.meshgrid([1e7, 1e8], [1e9, 4e9], np.arange(8)))
    i = i.astype(int)
    base = 1.5 + 20 * n**-0.25 + 60 * d**-0.25
    weights = {f"w_{name}": h[i, j] for j, name in enumerate(NAMES)}
    losses = {f"loss_{t}": base + 0.4 / (0.1 + h[i, j]) for j, t in enumerate(NAMES)}
    run = [f"m{j}-{size:.0f}" for j, size in zip(i, n, strict=True)]
    runs = jm.read_runs({"run": run, "n_params": n, "tokens": d, **weights, **losses})
    laws = jm.fit(runs, "additive", restarts=8)
    ensemble = jm.bootstrap(laws, runs, resamples=20)
    best = laws.optimize(1e9, 2e10, jm.Constraints(maximum={"<b>": 0.6}))
    influences = [fitting.influence(law, runs) for law in laws]
    halves = [runs.where(f"n_params {side} 5e7") for side in "<>"]
    scored = [jm.score(laws, half)["<b>"] for half in halves]
    row = ComparisonRow("additive", 9, "<b>", *scored)
    at = {"n_params": 1e8, "tokens": 4e9, "weights": np.full(2, 0.5)}
    grid = np.array([[0.2, 0.8], [0.5, 0.5]])
    recommended = mixtures.recommend_mixture(best, ensemble, runs)
    made = [
        runs,
        jm.score(laws, runs),
        laws,
        laws[0],
        laws.law,
        ensemble,
        influences[0],
        fitting.Comparison((row,), {"additive": laws}, baseline_rows=(replace(row, law="<b>"),)),
        jm.select(runs, ["chinchilla"], by=["mixtures"], burn_in=(0.0,), restarts=4),
        best,
        best.constraints,
        best.uncertainty(ensemble),
        best.sensitivity(),
        recommended,
        mixtures.mixture_influence(influences, best),
        mixtures.optimize_many(laws, [1e8, 1e9], 2e10),
        mixtures.plan_budget(laws, 1e20, jm.Constraints(available={"$x$": 1e9})),
        jm.pareto(laws, 1e9, 2e10, points=5),
        mixtures.fixed_point_map(laws, 1e9, 2e10, grid),
        mixtures.domain_effects(laws, at, ensemble=ensemble),
        jm.next_runs(best, runs, count=2),
    ]
    return {type(one).__name__: one for one in made}


KINDS = (
    *("RunTable", "Scores", "FittedLaws", "FittedLaw", "Law", "Ensemble", "Influence"),
    *("Comparison", "Selection", "Optimum", "Constraints", "Uncertainty", "Sensitivity"),
    *("Recommendation", "MixtureInfluence", "Optima", "BudgetPlan", "Front", "FixedPoints"),
    *("DomainEffects", "NextRuns"),
)
NO_FRAME = ("Law", "Constraints")
NO_PICTURE = ("Scores", "Law", "Constraints", "Ensemble", "Influence", "MixtureInfluence")


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_shows_itself(results, kind):
    one = results[kind]
    assert isinstance(one, Shown)
    assert len(repr(one)) < 600 and "\n" not in repr(one) and "array(" not in repr(one)
    text, page = one.summary(), one._repr_html_()
    assert text.splitlines()[0].endswith(".") and "<table" in page
    assert "<b>" not in page and not re.search(r"color:|background", page)
    assert kind in NO_PICTURE or hasattr(one, "plot")
    if kind not in NO_FRAME:
        assert len(one.to_frame())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NO_PICTURE])
def test_a_picture_is_drawn_where_one_says(results, kind):
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    assert results[kind].plot(axes) is axes and isinstance(axes, Axes)
    assert axes.has_data()
    figure.draw_without_rendering()  # a name with dollar signs is no mathematics


class Many(Shown):
    def _shown(self):
        import pandas as pd

        frame = pd.DataFrame({"n_params": np.full(40, 7e9), "loss": np.linspace(2, 3, 40)})
        return Parts("forty", {"sizes": frame}, [f"note {i}" for i in range(6)], "run more")


def test_long_tables_and_many_notes_are_cut_in_pages_and_whole_in_text():
    page, text = Many()._repr_html_(), Many().summary()
    assert page.count("<tr>") == 25 and "and 16 more rows" in page and "7B" in page
    assert "<summary>2 more notes</summary>" in page and text.count("note: ") == 6
    assert text.count("7B") == 40 and text.endswith("run more")
