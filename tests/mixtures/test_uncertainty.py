"""The confidence set, its projections and gains: against grids, refits that agree, constraints."""

from dataclasses import replace

import numpy as np
import pytest

from jaxmix.fitting import FittedLaws, bootstrap, fit, random_truth, simulate
from jaxmix.fitting.uncertainty.ensemble import Ensemble
from jaxmix.fitting.uncertainty.model_error import ModelError
from jaxmix.laws import get_law
from jaxmix.mixtures import Constraints, dirichlet_design, grid_design, optimize, uncertainty
from jaxmix.mixtures.solve.refits import objective_of
from jaxmix.runs import RunTable

DOMAINS = ("a", "b", "c")
BUDGET = (1e8, 1e10)
GRID = grid_design(3, 200)
GENERAL = {
    "row": Constraints(linear=["a <= 2 * b"], minimum={"c": 0.1}),
    "guard": Constraints(guards={"s": 0.02}, reference={"a": 0.3, "b": 0.3, "c": 0.4}),
    "kl": Constraints(kl_max=0.1),
}


def x_at(h):
    return {"n_params": BUDGET[0], "tokens": BUDGET[1], "weights": h}


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
    return bootstrap(fit(table, "additive", restarts=32), table, resamples=60, basins=2)


@pytest.fixture(scope="module")
def optimum(ensemble):
    return optimize(ensemble.laws, *BUDGET, Constraints(minimum={"b": 0.1}))


@pytest.fixture(scope="module")
def found(optimum, ensemble):
    return uncertainty(optimum, ensemble)


def test_projections_are_those_of_the_set_on_a_fine_grid(found):
    grid = GRID[GRID[:, 1] >= 0.1]
    inside = grid[found.contains(grid)]
    assert 0 < len(inside) < len(grid)
    assert not found.contains(GRID[GRID[:, 1] < 0.09]).any()
    _check_projections(found, inside)


def _check_projections(found, inside, atol=0.02):
    for i, domain in enumerate(DOMAINS):
        interval = found.intervals[domain]
        assert interval.low <= inside[:, i].min() + 1e-6
        assert interval.high >= inside[:, i].max() - 1e-6
        assert interval.low >= inside[:, i].min() - atol
        assert interval.high <= inside[:, i].max() + atol
        assert interval.low <= interval.estimate <= interval.high


def test_each_refit_is_at_its_own_optimum(ensemble, found):
    grid = GRID[GRID[:, 1] >= 0.1][::7]
    losses = ensemble.losses(x_at(grid)).mean(0)  # [B, q]
    at = np.einsum("mbb->b", ensemble.losses(x_at(found.refit_optima))) / 2
    assert found.refit_optima.shape == (60, 3)
    assert np.all(found.refit_optima[:, 1] >= 0.1 - 1e-12)
    assert np.all(at <= losses.min(1) + 1e-9)


def test_gain_is_predicted_by_the_laws_and_its_optimism_is_positive(ensemble, found):
    gain, best = found.gains[0], found.optimum
    at = [np.mean([f.predict(x_at(h)) for f in ensemble.laws]) for h in (np.full(3, 1 / 3), best.h)]
    assert gain.baseline == "uniform"
    assert gain.predicted == pytest.approx(at[0] - at[1])
    assert gain.corrected == pytest.approx(gain.predicted - gain.optimism)
    assert gain.low < gain.corrected < gain.high
    assert 0 <= gain.probability <= 1
    assert found.losses["s"].estimate == pytest.approx(best.predicted["s"])
    assert found.objective.low < found.objective.estimate < found.objective.high


def agreeing(ensemble: Ensemble) -> Ensemble:
    """Refits that are all the fit itself, without model error."""
    same = {
        p.name: np.stack([np.stack([f.params[p.name]] * 8) for f in ensemble.laws])
        for p in ensemble.laws.law.parameters
    }
    return replace(ensemble, params=same, model_error=ModelError.none(len(ensemble.laws)))


def test_refits_that_agree_leave_no_doubt(ensemble):
    found = uncertainty(optimize(ensemble.laws, *BUDGET), agreeing(ensemble))
    gain = found.gains[0]
    assert gain.low == pytest.approx(gain.predicted, abs=1e-8)
    assert gain.high == pytest.approx(gain.predicted, abs=1e-8)
    assert gain.optimism == pytest.approx(0, abs=1e-8) and gain.probability == 1.0
    assert found.threshold == pytest.approx(0, abs=1e-8)
    assert max(i.high - i.low for i in found.intervals.values()) < 0.01


@pytest.mark.parametrize("kind", GENERAL)
def test_constraints_of_every_kind_are_obeyed(kind, ensemble):
    """The set, its projections and the refits' optima meet the constraints of the proposal."""
    small = replace(ensemble, params={n: v[:, :12] for n, v in ensemble.params.items()})
    best = optimize(ensemble.laws, *BUDGET, GENERAL[kind])
    found = uncertainty(best, small)
    inside = GRID[found.contains(GRID)]
    free = uncertainty(optimize(ensemble.laws, *BUDGET), small)
    assert len(inside) > 0
    _check_projections(found, inside, atol=0.03)
    if kind == "row":
        a, b, c = found.refit_optima.T
        assert np.all(a <= 2 * b + 1e-6) and np.all(c >= 0.1 - 1e-6)
        assert not found.contains([0.8, 0.1, 0.1])
    if kind == "guard":  # compares with the reference in each refit's own losses
        reference = np.array([0.3, 0.3, 0.4])
        own = np.einsum("bb->b", small.losses(x_at(found.refit_optima))[0])
        assert np.all(own <= small.losses(x_at(reference))[0] + 0.02 + 1e-6)
    if kind == "kl":
        h = np.maximum(found.refit_optima, 1e-300)
        assert np.all(np.sum(h * np.log(3 * h), 1) <= 0.1 + 1e-6)
        assert not np.allclose(free.refit_optima, found.refit_optima, atol=1e-3)


def test_worst_case_and_pull_are_the_objective_of_refits_too(ensemble):
    small = replace(ensemble, params={n: v[:, :8] for n, v in ensemble.params.items()})
    worst = uncertainty(optimize(ensemble.laws, *BUDGET, worst_case="loss"), small)
    losses = ensemble.laws.predict(x_at(GRID)).to_numpy()
    assert worst.regret(GRID) == pytest.approx(losses.max(1) - worst.optimum.objective, abs=1e-9)
    own = small.losses(x_at(worst.refit_optima)).max(0)
    others = small.losses(x_at(GRID)).max(0)
    assert np.all(np.diagonal(own) <= others.min(1) + 1e-4)
    pulled = uncertainty(optimize(ensemble.laws, *BUDGET, pull=10.0), small)
    assert np.abs(pulled.refit_optima - 1 / 3).max() < 0.1
    assert pulled.gains[0].predicted < worst.gains[0].predicted


def test_the_objective_is_that_of_the_optimum(optimum):
    def predict(x):
        return np.stack([f.predict(x) for f in optimum.laws])

    assert objective_of(optimum, predict, optimum.h) == pytest.approx(optimum.objective)


def test_baselines_are_joined_by_name(optimum, ensemble):
    one = {"c": 0.2, "a": 0.5, "b": 0.3}
    found = optimum.uncertainty(ensemble, {"mine": one, "vertex": {"w_c": 1.0}})
    assert [g.baseline for g in found.gains] == ["mine", "vertex"]
    assert found.gains[0].mixture.tolist() == [0.5, 0.3, 0.2]
    assert found.gains[1].mixture.tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.0}, "level must lie between 0 and 1"),
        ({"baselines": {"x": {"a": 0.5}}}, "baseline 'x' is no mixture: its weights sum to 0.5"),
        ({"baselines": {"x": {"d": 1.0}}}, "unknown domain 'd'"),
    ],
)
def test_bad_questions_are_refused(optimum, ensemble, options, message):
    with pytest.raises(ValueError, match=message):
        uncertainty(optimum, ensemble, **options)


def test_refits_of_other_targets_are_refused(ensemble):
    one = optimize(FittedLaws([ensemble.laws["s"]]), *BUDGET)
    with pytest.raises(ValueError, match="other targets"):
        uncertainty(one, ensemble)


def test_the_limit_of_infinite_scale_has_an_answer(ensemble):
    found = uncertainty(optimize(ensemble.laws, np.inf, np.inf), ensemble)
    assert np.isfinite([found.threshold, found.gains[0].low, found.gains[0].high]).all()


def test_it_is_shown_as_a_dictionary_a_table_and_a_plot(found):
    shown = found.to_dict()
    assert shown["weights"] == found.optimum.weights
    assert shown["resampling"]["units"] == 14 and shown["resampling"]["resamples"] == 60
    assert shown["gains"]["uniform"]["corrected"] == found.gains[0].corrected
    assert shown["noise"]["s"]["floor"] != shown["noise"]["s"]["floor"]  # no repeats: NaN
    assert list(found.to_frame().columns) == ["weight", "low", "high"]
    assert "gain over" in found.summary() and len(repr(found)) < 200
    assert found.plot().get_xlabel() == "weight, 90% confidence set"
