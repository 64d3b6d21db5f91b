import dataclasses

import numpy as np
import pytest

from jaxmix.fitting import bootstrap, fit, random_truth, simulate
from jaxmix.fitting.uncertainty.ensemble import Ensemble
from jaxmix.fitting.uncertainty.model_error import ModelError
from jaxmix.laws import get_law
from jaxmix.mixtures import dirichlet_design, grid_design, optimize, trust
from jaxmix.runs import RunTable

DOMAINS = ("a", "b", "c")
BUDGET = (1e8, 1e10)


@pytest.fixture(scope="module")
def table() -> RunTable:
    params = random_truth(get_law("additive"), 3, seed=4, count=2)
    return simulate(
        get_law("additive"),
        {"s": params[0], "t": params[1]},
        domains=DOMAINS,
        mixtures=dirichlet_design(3, 14, seed=1, minimum=0.05),
        n_params=[1e7, 1e8],
        tokens=[4e9, 2e10],
        targets=["s", "t"],
        noise=0.004,
        seed=5,
    )


@pytest.fixture(scope="module")
def ensemble(table) -> Ensemble:
    laws = fit(table, "additive", restarts=32)
    return bootstrap(laws, table, resamples=60, basins=2)


@pytest.fixture(scope="module")
def found(ensemble):
    return trust(ensemble, *BUDGET, minimum={"b": 0.1})


def test_the_proposal_is_that_of_optimize(ensemble, found):
    best = optimize(ensemble.laws, *BUDGET, minimum={"b": 0.1})
    assert found.optimum.weights == pytest.approx(best.weights, abs=1e-9)
    assert found.weights.shape == (60, 3)
    assert np.all(found.weights[:, 1] >= 0.1 - 1e-12)
    assert found.weights.sum(1) == pytest.approx(np.ones(60))


def test_projections_are_those_of_the_set_on_a_fine_grid(found):
    grid = grid_design(3, 200, minimum=[0.0, 0.1, 0.0])
    inside = grid[found.contains(grid)]
    assert 0 < len(inside) < len(grid)
    for i, domain in enumerate(DOMAINS):
        interval = found.intervals[domain]
        assert interval.low <= inside[:, i].min() + 1e-9
        assert interval.high >= inside[:, i].max() - 1e-9
        assert interval.low >= inside[:, i].min() - 0.02
        assert interval.high <= inside[:, i].max() + 0.02
        assert interval.low <= interval.estimate <= interval.high


def test_each_refit_is_at_its_own_optimum(ensemble, found):
    grid = grid_design(3, 40, minimum=[0.0, 0.1, 0.0])
    losses = ensemble.losses(
        dict(zip(("n_params", "tokens"), BUDGET, strict=True), weights=grid)
    ).mean(0)  # [B, q]
    at = np.array(
        [
            ensemble.losses(dict(zip(("n_params", "tokens"), BUDGET, strict=True), weights=h)).mean(
                0
            )[b]
            for b, h in enumerate(found.weights)
        ]
    )
    assert np.all(at <= losses.min(1) + 1e-9)


def test_gain_is_predicted_by_the_laws_and_its_optimism_is_positive(ensemble, found):
    gain, best = found.gains[0], found.optimum
    uniform = np.full(3, 1 / 3)
    at = [
        np.mean(
            [
                f.predict(dict(zip(("n_params", "tokens"), BUDGET, strict=True), weights=h))
                for f in ensemble.laws
            ]
        )
        for h in (uniform, best.weights)
    ]
    assert gain.baseline == "uniform"
    assert gain.predicted == pytest.approx(at[0] - at[1])
    assert gain.corrected == pytest.approx(gain.predicted - gain.optimism)
    assert gain.low < gain.corrected < gain.high
    assert 0 <= gain.probability <= 1


def test_refits_that_agree_leave_no_doubt(ensemble):
    same = {
        p.name: np.stack([np.stack([f.params[p.name]] * 8) for f in ensemble.laws])
        for p in ensemble.laws[0].law.parameters
    }
    sure = dataclasses.replace(ensemble, params=same, model_error=ModelError.none(2))
    found = trust(sure, *BUDGET)
    gain = found.gains[0]
    assert gain.low == pytest.approx(gain.predicted, abs=1e-9)
    assert gain.high == pytest.approx(gain.predicted, abs=1e-9)
    assert gain.optimism == pytest.approx(0, abs=1e-9) and gain.probability == 1.0
    assert found.threshold == pytest.approx(0, abs=1e-9)
    widths = [i.high - i.low for i in found.intervals.values()]
    assert max(widths) < 0.01


def test_baselines_are_joined_by_name(ensemble):
    one = {"c": 0.2, "a": 0.5, "b": 0.3}
    found = trust(ensemble, *BUDGET, baselines={"mine": one, "vertex": {"w_c": 1.0}})
    assert [g.baseline for g in found.gains] == ["mine", "vertex"]
    assert found.gains[0].mixture.tolist() == [0.5, 0.3, 0.2]
    assert found.gains[1].mixture.tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.0}, "level must lie between 0 and 1"),
        ({"baselines": {"x": {"a": 0.5}}}, "baseline 'x' is no mixture: its weights sum to 0.5"),
        ({"baselines": {"x": {"d": 1.0}}}, "unknown domain 'd'"),
        ({"minimum": {"a": 0.7, "b": 0.7}}, "no mixture meets the bounds"),
    ],
)
def test_bad_questions_are_refused(ensemble, options, message):
    with pytest.raises(ValueError, match=message):
        trust(ensemble, *BUDGET, **options)


def test_the_limit_of_infinite_scale_has_an_answer(ensemble):
    found = trust(ensemble, np.inf, np.inf)
    assert np.isfinite([found.threshold, found.gains[0].low, found.gains[0].high]).all()
