"""Baselines recover the truths that they can say, and stand beside laws on the same rows."""

import numpy as np
import pytest

from jaxmix.fitting import compare, fit, simulate
from jaxmix.fitting.baselines import BASELINES, predict_baselines
from jaxmix.fitting.selection import select
from jaxmix.laws import get_law
from jaxmix.runs import read_runs

DOMAINS = ("a", "b", "c")
SIZES, TOKENS = [1e7, 3e7, 1e8, 3e8], [1e9, 3e9, 1e10]
MIXTURES = np.random.default_rng(0).dirichlet(np.ones(3), 16)
LARGE = "n_params > 2e8"


def table(log_loss):
    """Runs whose log loss of target x is a function of the weights [p, k] and log N, log D [p]."""
    rows = [(n, d, *h) for h in MIXTURES for n in SIZES for d in TOKENS]
    n, d, *h = np.array(rows).T
    columns = {"n_params": n, "tokens": d, **{f"w_{x}": w for x, w in zip(DOMAINS, h, strict=True)}}
    return read_runs({**columns, "loss_x": np.exp(log_loss(np.stack(h, 1), np.log(n), np.log(d)))})


def linear(h, n, d):
    return 3.0 + h @ [0.2, -0.1, 0.4] - 0.05 * n - 0.04 * d


def quadratic(h, n, d):
    return linear(h, n, d) - 0.7 * h[:, 0] * h[:, 1] + 0.4 * h[:, 1] * h[:, 2]


def error(predicted, runs):
    return np.max(np.abs(predicted / runs.losses(["x"]) - 1))


def test_exact_truths_are_recovered_at_other_sizes_and_mixtures():
    for truth, exact in ((linear, {"log-linear", "quadratic"}), (quadratic, {"quadratic"})):
        runs = table(truth)
        held = (runs.n_params > 2e8) | (runs.weights[:, 0] > 0.6)
        found = predict_baselines(runs.select(~held), runs.select(held))
        near = {name for name, p in found.items() if error(p, runs.select(held)) < 1e-4}
        assert near == exact and np.isnan(found["own-weight"]).all()


def test_a_measured_mixture_is_its_own_nearest_neighbor():
    runs = table(linear)
    found = predict_baselines(runs.where("tokens < 5e9"), runs.where("tokens > 5e9"))["neighbors"]
    assert error(found, runs.where("tokens > 5e9")) < 1e-3


OWN = {"E": 1.5, "A": 200.0, "alpha": 0.33, "B": 300.0, "beta": 0.31}


@pytest.fixture(scope="module")
def own():
    scale = {"mixtures": 0.03 + 0.91 * MIXTURES, "n_params": SIZES, "tokens": TOKENS}
    names = {"domains": DOMAINS, "targets": ["a", "c"]}
    return simulate(get_law("own-weight"), {"a": OWN, "c": {**OWN, "E": 2.0}}, **names, **scale)


def test_the_law_of_the_own_weight_is_fitted_and_its_quick_fit_agrees(own):
    laws = fit(own, "own-weight", restarts=8)
    for name, value in OWN.items():
        np.testing.assert_allclose(laws["a"].params[name], value, rtol=1e-3)
    quick = predict_baselines(own.where("n_params < 2e8"), own.where(LARGE))["own-weight"]
    np.testing.assert_allclose(quick, own.where(LARGE).losses(), rtol=1e-3)


def test_the_quick_own_weight_has_a_value_where_the_law_has_none(own):
    frame = own.frame.copy()
    frame.loc[frame["run"] == frame["run"][0], ["w_a", "w_b"]] = [0.0, 1 - frame["w_c"][0]]
    found = predict_baselines(own, read_runs(frame))
    assert all(np.isfinite(losses).all() for losses in found.values())


def test_one_mixture_or_no_domain_is_enough():
    runs = table(linear)
    single = runs.select(runs.weights[:, 0] == MIXTURES[0, 0])
    bare = read_runs(single.frame[["n_params", "tokens", "loss_x"]])
    for few in (single, bare):
        found = predict_baselines(few.where("n_params < 2e8"), few.where(LARGE))
        assert error(found["log-linear"], few.where(LARGE)) < 1e-6


def test_a_law_that_is_beaten_says_so():
    """A quadratic truth with little noise: no law here follows it."""
    runs, few = table(quadratic), {"burn_in": (0.0,), "residuals": ("log",), "outer": ()}
    found = select(runs, ["chinchilla"], by=("mixtures",), restarts=2, **few)
    rows = {row.name: row for row in found.baseline_rows}
    assert found.beaten_by == "quadratic" == found.baseline_rows[0].name
    assert set(rows) == {"log-linear", "quadratic", "neighbors"}
    assert "no law is recommended over the baseline quadratic" in found.reasons[-1]
    assert rows["quadratic"].score < 0.01 and rows["quadratic"].n_parameters == 8
    test = np.stack([split.test for split in found.trials.splits])
    each = [
        predict_baselines(runs, runs, None, split.train)["log-linear"]
        for split in found.trials.splits
    ]
    relative = 100 * np.abs(np.stack(each) / runs.losses() - 1)
    expected = np.mean([r[t].mean() for r, t in zip(relative, test, strict=True)])
    assert rows["log-linear"].error["mixtures"] == pytest.approx(expected, rel=0.05)


def test_the_right_law_beats_every_baseline(own):
    few = {"burn_in": (0.0,), "residuals": ("log",), "outer": ()}
    found = select(own, ["own-weight"], by=("mixtures",), restarts=4, targets=["a"], **few)
    assert found.beaten_by in (None, "own-weight")  # the same law, fitted twice
    assert {row.name for row in found.baseline_rows} == set(BASELINES)


def test_compare_scores_baselines_on_the_same_rows():
    runs = table(quadratic)
    found = compare(runs, ["chinchilla"], "n_params < 2e8", LARGE, restarts=2)
    assert found.beaten_by() == {"chinchilla": "quadratic"}
    best = found.baseline_means()[0]
    assert best.law == "quadratic" and best.test_mre < 0.01 and best.n_parameters == 8
    assert {r.test.rows for r in found.baseline_rows} == {found.rows[0].test.rows}
