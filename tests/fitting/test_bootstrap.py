from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from jaxmix.fitting import bootstrap, fit, measure_noise, random_truth, simulate
from jaxmix.fitting.uncertainty.clusters import cluster_labels, default_cluster, make_folds
from jaxmix.fitting.uncertainty.ensemble import interval, monte_carlo_error
from jaxmix.fitting.uncertainty.model_error import level_and_slope
from jaxmix.laws import WEIGHTS, Input, Law, Parameter, get_law
from jaxmix.mixtures import dirichlet_design
from jaxmix.runs import RunTable, read_runs

DOMAINS = ("a", "b", "c")
LINEAR = Law(
    "linear",
    (Parameter("c", "domain", "real"),),
    loss=lambda p, x: jnp.sum(x["weights"] * p["c"], -1),
    inputs=(WEIGHTS,),
)


def study(noise: float = 0.01, replicates: int = 1, q: int = 14, law: str = "additive") -> RunTable:
    params = random_truth(get_law(law), 3, seed=3)[0]
    return simulate(
        get_law(law),
        params,
        domains=DOMAINS,
        mixtures=dirichlet_design(3, q, seed=1, minimum=0.02),
        n_params=[1e7, 1e8],
        tokens=[4e9, 2e10],
        targets=["t"],
        noise=noise,
        seed=5,
        replicates=replicates,
    )


@pytest.fixture(scope="module")
def table() -> RunTable:
    return study()


@pytest.fixture(scope="module")
def linear(table):
    # A threshold above every residual makes the fit least squares, which has closed forms.
    return fit(table, LINEAR, delta=100.0, restarts=8)


def test_clusters_are_whole_runs_or_mixtures(table):
    mixture, run = cluster_labels(table, "mixture"), cluster_labels(table, "run")
    assert mixture.max() + 1 == 14 and run.max() + 1 == 28
    for key, name in ((mixture, "w_a"), (run, "run")):
        groups = {k: set(table.frame[name][key == k]) for k in np.unique(key)}
        assert all(len(found) == 1 for found in groups.values())
    assert default_cluster(table, True) == "mixture" and default_cluster(table, False) == "run"
    few = table.select(mixture < 3)
    assert default_cluster(few, True) == "run"  # of which there are enough
    assert len(np.unique(make_folds(run, 5, seed=0))) == 5


def test_too_few_clusters_are_refused(table):
    few = table.select(cluster_labels(table, "mixture") < 3)
    with pytest.raises(ValueError, match="3 mixtures are too few to resample; at least 6"):
        bootstrap(fit(few, LINEAR, restarts=4), few, cluster="mixture", resamples=5)


def test_other_rows_are_refused(table, linear):
    with pytest.raises(ValueError, match="was fitted on other rows"):
        bootstrap(linear, table.where("n_params > 5e7"), resamples=5)


@pytest.mark.slow
def test_wild_refits_scatter_as_the_cluster_sandwich_says(table, linear):
    """Least squares: Cov = (X'X)^-1 sum_g X_g' r_g r_g' X_g (X'X)^-1, r of fits without g."""
    found = bootstrap(linear, table, resamples=3000, cluster="mixture", seed=1)
    x, y, keys = table.weights, table.losses(["t"])[0], cluster_labels(table, "mixture")
    bread, meat = np.linalg.inv(x.T @ x), np.zeros((3, 3))
    for g in np.unique(keys):
        out = keys == g
        rest = np.linalg.lstsq(x[~out], y[~out], rcond=None)[0]
        score = x[out].T @ (y[out] - x[out] @ rest)
        meat += np.outer(score, score)
    expected = bread @ meat @ bread
    scatter = found.params["c"][0] - linear[0].params["c"]
    assert np.cov(scatter.T) == pytest.approx(expected, rel=0.12, abs=0.03 * expected.max())
    assert scatter.mean(0) == pytest.approx(np.zeros(3), abs=4 * np.sqrt(expected.max() / 3000))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["bayesian", "resample"])
def test_weighted_refits_scatter_alike(method, table, linear):
    wild = bootstrap(linear, table, resamples=600, cluster="mixture").params["c"][0].std(0)
    other = bootstrap(linear, table, resamples=600, cluster="mixture", method=method)
    assert np.all(other.params["c"][0].std(0) / wild > 0.6)
    assert np.all(other.params["c"][0].std(0) / wild < 1.5)


@pytest.mark.slow
def test_noise_refits_scatter_by_the_noise_of_repeats():
    table = study(noise=0.01, replicates=4)
    laws = fit(table, LINEAR, delta=100.0, restarts=8)
    noise = measure_noise(laws, table)[0]
    assert noise.seed_sd == pytest.approx(0.01 * table.losses()[0].mean(), rel=0.15)
    assert noise.freedom == 14 * 4 * 3
    assert noise.p_value > 0.05 and noise.slope == {}
    assert 0.5 < noise.unexplained <= 1  # a straight line is no law of these losses
    found = bootstrap(laws, table, resamples=1500, method="noise")
    # Errors are those of whole runs: both checkpoints of a run move together.
    x, keys = table.weights, cluster_labels(table, "run")
    bread = np.linalg.inv(x.T @ x)
    score = np.stack([x[keys == g].sum(0) for g in np.unique(keys)])
    expected = noise.seed_sd**2 * bread @ (score.T @ score) @ bread
    assert np.diag(np.cov(found.params["c"][0].T)) == pytest.approx(np.diag(expected), rel=0.15)
    assert found.model_error.level.tolist() == [0.0]


def test_method_noise_needs_to_know_of_noise(table, linear):
    with pytest.raises(ValueError, match="needs repeats of runs with other seeds or a column"):
        bootstrap(linear, table, method="noise", resamples=5)


def test_noise_that_depends_on_the_mixture_is_seen():
    table = study(noise=0.0, replicates=6)
    rng = np.random.default_rng(0)
    frame = table.frame.copy()
    frame["loss_t"] += 0.03 * np.exp(2.0 * frame["w_a"]) * rng.standard_normal(len(frame))
    frame["sem_t"] = 0.004
    table = read_runs(frame)
    noise = measure_noise(fit(table, LINEAR, delta=100.0, restarts=4), table)[0]
    assert noise.p_value < 0.05
    assert noise.slope["a"] - noise.slope["b"] == pytest.approx(4.0, abs=1.5)
    assert noise.evaluation_sd == pytest.approx(0.004)
    sizes = noise.rows(table)
    assert np.corrcoef(sizes, table.weights[:, 0])[0, 1] > 0.9
    assert np.sqrt(np.mean(sizes**2)) == pytest.approx(noise.seed_sd)


def test_the_monte_carlo_error_is_what_other_draws_show():
    drawn = np.random.default_rng(0).standard_normal((200, 1000))  # 1,000 sets of 200 refits
    low, high = np.percentile(drawn, [5, 95], axis=0)
    seen = (high - low).std() / (high - low).mean()
    assert monte_carlo_error(drawn[None]) == pytest.approx(seen, rel=0.15)


def test_refits_end_when_intervals_are_known_well_enough(linear, table):
    found = bootstrap(linear, table, cluster="mixture", seed=4)
    assert found.monte_carlo_error <= 0.06 and found.resamples in (128, 256, 384)
    many = bootstrap(linear, table, cluster="mixture", seed=4, resamples=500)
    np.testing.assert_array_equal(many.params["c"][:, : found.resamples], found.params["c"])
    assert many.monte_carlo_error < found.monte_carlo_error
    few = bootstrap(linear, table, cluster="mixture", seed=4, resamples=50)
    assert few.monte_carlo_error > 0.06


@pytest.fixture(scope="module")
def additive(table):
    return fit(table, "additive", restarts=32)


@pytest.fixture(scope="module")
def ensemble(additive, table):
    return bootstrap(additive, table, resamples=60, probes=6, seed=2)


def test_refits_end_where_fresh_searches_do(ensemble):
    assert ensemble.search_check.probed == 6
    # Within the 1% by which fresh searches of 64 starts differ among themselves.
    assert ensemble.search_check.lower <= 0.5
    assert ensemble.search_check.gap < 0.02


def test_a_refit_on_the_rows_themselves_is_the_fit(additive, table):
    import jax

    from jaxmix.fitting.uncertainty.refit import make_refitters

    with jax.enable_x64(True):
        refitter = make_refitters(additive, table)[0]
        refit = refitter.run(None, np.ones((2, len(table))))
    # The polish of a fit goes a few digits further.
    assert refit.value == pytest.approx(additive[0].report.objective, rel=1e-3)


def test_left_out_mixtures_are_predicted_by_fits_without_them(additive, table):
    import jax

    from jaxmix.fitting.uncertainty.refit import make_refitters

    keys = cluster_labels(table, "mixture")
    with jax.enable_x64(True):
        left = make_refitters(additive, table)[0].leave_out(keys)
    without = fit(table.select(keys != 5), "additive", restarts=32)[0]
    rows = keys == 5
    expected = without.predict(
        dict(n_params=table.n_params[rows], tokens=table.tokens[rows], weights=table.weights[rows])
    )
    # The fits may end in neighboring basins: alike within the noise, unlike the full fit.
    assert left.predicted[rows] == pytest.approx(expected, abs=0.01 * expected.max())
    assert not np.allclose(left.predicted[rows], left.fitted[rows], atol=1e-6)


def test_the_same_seed_gives_the_same_refits(additive, table, ensemble):
    again = bootstrap(additive, table, resamples=60, seed=2)
    assert all(np.array_equal(again.params[n], v) for n, v in ensemble.params.items())
    other = bootstrap(additive, table, resamples=60, seed=3)
    assert not np.array_equal(other.params["E"], ensemble.params["E"])


def test_intervals_have_the_shape_of_the_question(ensemble, additive):
    inside = ensemble.predict(dict(n_params=1e8, tokens=1e10, weights=np.eye(3)), level=0.9)
    assert inside.low.shape == (1, 3)
    assert np.all(inside.low < inside.high)
    wider = ensemble.predict(dict(n_params=1e8, tokens=1e10, weights=np.eye(3)), level=0.99)
    assert np.all(wider.high - wider.low >= inside.high - inside.low)
    center = additive[0].predict(dict(n_params=1e8, tokens=1e10, weights=np.eye(3)))
    assert inside.estimate[0] == pytest.approx(center)
    intervals = ensemble.parameter_intervals()["t"]
    assert list(intervals) == list(additive[0].law.names(DOMAINS))
    assert all(i.low <= i.high for i in intervals.values())


@pytest.mark.slow
def test_own_weight_laws_are_refitted_by_name():
    domains = ("x", "a", "b")
    truth = {"E": 2.0, "B": 30.0, "beta": 0.2, "gamma": 0.05}
    table = simulate(
        get_law("ge"),
        {"a": truth, "b": {**truth, "gamma": 0.1}},
        domains=domains,
        mixtures=dirichlet_design(3, 12, seed=1, minimum=0.05),
        n_params=[1e8],
        tokens=[1e9, 4e9, 2e10],
        targets=["a", "b"],
        noise=0.003,
    )
    laws = fit(table, "ge", restarts=16)
    found = bootstrap(laws, table, resamples=40)
    for target, gamma in (("a", 0.05), ("b", 0.1)):
        low, _, high = found.only(target).parameter_intervals()[target]["gamma"]
        assert low - 0.01 < gamma < high + 0.01
    grid = found.losses(
        dict(n_params=1e8, tokens=np.array([1e9, 1e10]), weights=np.array([0.2, 0.3, 0.5]))
    )
    assert grid.shape == (2, 40, 2)


@pytest.mark.slow
def test_log_residuals_are_resampled_on_their_scale(table):
    laws = fit(table, "additive", residual="log", restarts=32)
    found = bootstrap(laws, table, resamples=40)
    spread = found.predict(dict(n_params=1e8, tokens=1e10, weights=np.full(3, 1 / 3)))
    assert 0 < (spread.high - spread.low)[0] < 0.2


def test_errors_of_a_wrong_law_are_found_and_noise_is_not(table, additive, ensemble):
    """A straight line misses these losses by more than their noise; the true law does not."""
    line = fit(table, LINEAR, restarts=8)
    wrong = bootstrap(line, table, resamples=60, cluster="mixture").model_error
    right = ensemble.model_error
    noise = 0.01 * float(np.mean(table.losses()))
    assert np.hypot(right.level, right.per_distance * 0.1)[0] < 2 * noise
    assert (
        wrong.level[0] + 0.1 * wrong.per_distance[0] > right.level[0] + 0.1 * right.per_distance[0]
    )
    assert right.mixtures.shape == (14, 3)


@pytest.mark.parametrize(("level", "slope"), [(0.3, 2.0), (0.0, 1.0), (0.5, 0.0)])
def test_level_and_slope_of_squared_errors(level, slope):
    x = np.array([0.0, 0.0, 0.01, 0.04, 0.09])
    assert level_and_slope(level**2 + slope**2 * x, x) == pytest.approx((level, slope), abs=1e-6)


def test_squared_errors_below_zero_give_no_error():
    assert level_and_slope(np.array([-1.0, -2.0, -0.5]), np.array([0.0, 0.1, 0.2]))[0] == 0.0


def test_model_error_grows_outside_the_hull_and_with_the_budget(ensemble):
    error = replace(
        ensemble.model_error,
        level=np.array([0.01]),
        per_distance=np.array([0.5]),
        beyond=np.array([[0.02, 0.0]]),
        drift=np.array([[0.03, 0.0]]),
        center=np.array([1e8 / np.e, 1e10]),
        smallest=np.array([[1e7, 1e10]]),
        largest=np.array([[1e8, 1e10]]),
    )
    run, middle = error.mixtures[3], {"n_params": 1e8 / np.e, "tokens": 1e10}
    edge, larger = middle | {"n_params": 1e8}, middle | {"n_params": 1e8 * np.e}
    far, away = (
        float(error.outside(np.eye(3)[0])),
        np.linalg.norm(run - error.mixtures.mean(0)),
    )
    assert far > 0.05
    assert error.single(middle | {"weights": run}) == pytest.approx([0.01])
    assert error.single(middle | {"weights": np.eye(3)[0]}) == pytest.approx(
        [np.hypot(0.01, 0.5 * far)]
    )
    for budget, shared in ((edge, 0.0), (larger, 0.02)):  # beyond the edge only all drift together
        single = np.hypot(0.01, 0.03 * away)
        assert error.single(budget | {"weights": run}) == pytest.approx([single])
        assert error.shared(budget) == pytest.approx([shared])
    drawn = error.draw(larger | {"weights": np.stack([run, run])}, 20000, 0)
    assert drawn.shape == (1, 20000, 2)
    expected = np.sqrt(0.01**2 + (0.03 * away) ** 2 + 0.02**2 * 6 / 4)  # of Student's t
    assert np.std(drawn[0, :, 0]) == pytest.approx(expected, rel=0.05)


def test_errors_beyond_few_sizes_are_not_nothing(table, additive, ensemble):
    """Two sizes say little of a third, and what they say does not depend on the units of N."""
    error, x = ensemble.model_error, {"weights": np.full(3, 1 / 3), "tokens": 2e10}
    at, near, far = (ensemble.predict(x | {"n_params": 1e8 * f}) for f in (1.0, np.e, np.e**2))
    for within, beyond in ((at, near), (near, far)):
        assert (beyond.high - beyond.low)[0] > 1.2 * (within.high - within.low)[0]
    gained = np.ptp(additive[0].predict(x | {"n_params": np.array([1e7, 1e8])})) / np.log(10)
    assert 0.2 * gained < error.beyond[0, 0] < gained
    without = ensemble.predict(x | {"n_params": 1e8}, noise=False)
    assert (without.high - without.low)[0] < (at.high - at.low)[0]


def test_the_error_of_a_difference_is_smooth_in_the_distance(ensemble):
    error = replace(ensemble.model_error, level=np.array([0.01]), drift=np.zeros((1, 2)))
    x, w = {"n_params": 1e8, "tokens": 1e10, "weights": error.mixtures[3]}, np.ones(1)
    near, far = 1e-3 * error.correlation_length, 1e3 * error.correlation_length
    at = error.difference_sd(x, w, np.array([0.0, near, 2 * near, far]))
    assert at[0] == 0 and at[2] == pytest.approx(2 * at[1], rel=1e-4)  # variance quadratic at 0
    assert at[3] == pytest.approx(np.sqrt(2) * error.single(x)[0])  # independent far apart
    many = x | {"weights": error.mixtures[:5]}
    assert error.difference_sd(many, w, np.full(5, far)) == pytest.approx(np.full(5, at[3]))


def test_an_interval_lies_midway_between_basic_and_percentile():
    errors = np.append(np.linspace(-1.0, 3.0, 101), np.inf)[:101]
    low, estimate, high = interval(10.0, errors, 0.9)
    assert (low, estimate, high) == pytest.approx((10 - 1.8, 10, 10 + 1.8))
    low, _, high = interval(10.0, errors, 0.9, fixed=errors - 1.0)
    basic, percentile = (10 - 2.8, 10 + 0.8), (10 - 1.8, 10 + 1.8)
    assert (low, high) == pytest.approx(np.mean([basic, percentile], axis=0))
    assert np.isfinite(interval(0.0, np.append(errors, np.inf), 0.95).high)
    assert interval(0.0, np.append(errors, [np.inf] * 3), 0.99).high == np.inf  # no 1e6 nats


def test_repeats_have_the_same_inputs(table, linear):
    """Runs that differ in an input of the law are no repeats."""
    law = Law(
        "tuned",
        (Parameter("c", "domain", "real"), Parameter("m", "scalar", "real")),
        loss=lambda p, x: x["weights"] @ p["c"] + p["m"] * x["learning_rate"],
        inputs=(WEIGHTS, Input("learning_rate")),
    )
    frames = [table.frame.assign(learning_rate=rate, run=lambda f, r=rate: f["run"] + f"-{r}")
              for rate in (0.1, 0.2)]  # fmt: skip
    both = read_runs(pd.concat(frames))
    tuned = replace(linear[0], law=law, params={**linear[0].params, "m": np.zeros(())})
    assert measure_noise(linear, both)[0].freedom == len(table)
    assert measure_noise([tuned], both)[0].freedom == 0


def test_an_ensemble_is_shown_and_reads_tables(ensemble, table):
    assert "60 wild refits" in repr(ensemble) and "fresh search" in ensemble.summary()
    assert list(ensemble.to_frame().columns) == ["low", "estimate", "high"]
    assert ensemble.losses(table).shape == (1, 60, len(table))
    with pytest.raises(ValueError, match="no fitted law of target 'q'"):
        ensemble.only("q")
