"""``fit`` from table to report: what its numbers mean, what it refuses, what it leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting import SOLVERS, FitError, fit, score, simulate
from jaxmix.fitting.objective import Objective
from jaxmix.fitting.problem import make_problem
from jaxmix.laws import ADDITIVE, CHINCHILLA, GE, TOKENS, WEIGHTS, Law, Parameter
from jaxmix.runs import RunTableError, read_runs

RESTARTS = 16
DOMAINS = ("a", "b", "c")
TRUTHS = {
    "x": {
        **{"E": 1.2, "A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34},
        **{"C": [3.0, 1.0, 2.0], "gamma": [0.5, 0.6, 0.4]},
    },
    "y": {
        **{"E": 1.6, "A": 120.0, "alpha": 0.31, "B": 700.0, "beta": 0.33},
        **{"C": [1.0, 2.0, 1.5], "gamma": [0.4, 0.7, 0.5]},
    },
}
MIXTURES = [
    *([0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.6, 0.4, 0.0], [0.0, 0.4, 0.6]),
    *([0.5, 0.0, 0.5], [0.4, 0.3, 0.3], [0.3, 0.2, 0.5]),
]


def draw(noise=0.002, seed=0):
    return simulate(
        ADDITIVE,
        TRUTHS,
        domains=DOMAINS,
        mixtures=MIXTURES,
        n_params=[1e7, 1e8, 1e9],
        tokens=[1e9, 1e10, 1e11],
        targets=["x", "y"],
        noise=noise,
        seed=seed,
    )


@pytest.fixture(scope="module")
def runs():
    return draw()


@pytest.fixture(scope="module")
def both(runs):
    return fit(runs, "additive", restarts=RESTARTS)


def changed(runs, **columns):
    """The same table with columns added or replaced."""
    return read_runs(runs.frame.assign(**columns), source="t.csv")


def same_bits(found, expected):
    assert found.report == expected.report or np.isnan(found.report.held_out_mre)
    assert found.report.objective == expected.report.objective
    for name, value in expected.params.items():
        np.testing.assert_array_equal(found.params[name], value)


def huber(residuals, delta=1e-3):
    size = np.abs(residuals)
    return np.where(size < delta, size**2 / 2, delta * (size - delta / 2))


def residuals_of(fitted, runs):
    predicted = fitted.predict(
        dict(n_params=runs.n_params, tokens=runs.tokens, weights=runs.weights)
    )
    return runs.losses([fitted.target])[0] - predicted


# --- what comes back -----------------------------------------------------------------------------


def test_the_report_is_that_of_the_parameters_it_comes_with(runs, both):
    assert [f.target for f in both] == ["x", "y"] and {f.domains for f in both} == {DOMAINS}
    for found in both:
        report, residuals = found.report, residuals_of(found, runs)
        assert report.objective == pytest.approx(np.mean(huber(residuals)), rel=1e-9)
        relative = np.abs(residuals) / runs.losses([found.target])[0]
        assert report.train_mre == pytest.approx(100 * relative.mean(), rel=1e-9)
        assert (report.rows, report.restarts, report.delta) == (72, RESTARTS, 1e-3)
        assert (report.residual, report.solver, report.notes) == ("loss", "pooled-hopping", ())
        assert 1 <= report.agreeing <= RESTARTS and report.gradient_norm < 1e-9
        assert 1 < report.condition < 1e12 and report.at_bound == ()
        assert np.isnan(report.held_out_mre) and report.held_out_rows == 0
        assert found.data.n_params == (1e7, 1e9) and found.data.tokens == (1e9, 1e11)
        np.testing.assert_allclose(
            found.data.mixtures, np.unique(np.array(MIXTURES), axis=0), atol=1e-12
        )


def test_the_truth_is_near(both):
    for found in both:
        truth = TRUTHS[found.target]
        for name in ("E", "alpha", "beta"):
            assert float(found.params[name]) == pytest.approx(truth[name], rel=0.15)
        np.testing.assert_allclose(found.params["C"], truth["C"], rtol=0.15)


def test_the_same_seed_gives_the_same_bits_and_another_the_same_optimum(runs, both):
    for again, first in zip(fit(runs, ADDITIVE, restarts=RESTARTS), both, strict=True):
        same_bits(again, first)
    for other, first in zip(fit(runs, ADDITIVE, restarts=RESTARTS, seed=7), both, strict=True):
        assert other.report.objective == pytest.approx(first.report.objective, rel=1e-3)
        assert not np.array_equal(other.params["C"], first.params["C"])


def test_a_target_does_not_know_which_others_are_fitted(runs, both):
    (alone,) = fit(runs, ADDITIVE, targets=["loss_y"], restarts=RESTARTS)
    same_bits(alone, both[1])
    for found, first in zip(
        fit(runs, ADDITIVE, targets=["y", "x"], restarts=RESTARTS), both[::-1], strict=True
    ):
        same_bits(found, first)


def test_held_out_rows_are_scored_and_take_no_part(runs, both):
    fresh = draw(seed=1)
    for found, first in zip(
        fit(runs, ADDITIVE, restarts=RESTARTS, held_out=fresh), both, strict=True
    ):
        np.testing.assert_array_equal(found.params["C"], first.params["C"])
        held = score([first], fresh)[first.target]
        assert (found.report.held_out_mre, found.report.held_out_rows) == (held.mre, held.rows)


def test_the_users_precision_is_left_alone(runs, both):
    assert not jax.config.jax_enable_x64 and jnp.ones(1).dtype == jnp.float32
    with pytest.raises(FitError):
        fit(runs.where("tokens < 2e9 and n_params < 2e7"), ADDITIVE)
    assert not jax.config.jax_enable_x64
    assert (
        both[0].predict(dict(n_params=1e8, tokens=1e10, weights=[0.2, 0.3, 0.5])).dtype
        == np.float64
    )


@pytest.mark.slow
def test_float32_is_within_a_few_percent_and_says_so(runs, both):
    found = fit(runs, ADDITIVE, restarts=RESTARTS, precision="float32")
    for rough, fine in zip(found, both, strict=True):
        assert rough.report.objective == pytest.approx(fine.report.objective, rel=0.03)
        assert np.mean(huber(residuals_of(rough, runs))) == pytest.approx(
            fine.report.objective, rel=0.03
        )
        assert any("float32" in note for note in rough.report.notes)
        assert rough.params["C"].dtype == np.float64


# --- options -------------------------------------------------------------------------------------


def test_missing_losses_leave_out_that_targets_rows_only(runs, both):
    gone = np.arange(72) % 5 == 0
    gappy = changed(runs, loss_y=np.where(gone, np.nan, runs.losses(["y"])[0]))
    x, y = fit(gappy, ADDITIVE, restarts=RESTARTS)
    same_bits(x, both[0])
    assert y.report.rows == 72 - gone.sum()
    (kept,) = fit(runs.select(~gone), ADDITIVE, targets=["y"], restarts=RESTARTS)
    assert y.report.objective == pytest.approx(kept.report.objective, rel=1e-6)
    point = (3e8, 2e10, np.full(3, 1 / 3))
    assert y.predict(
        dict(zip(("n_params", "tokens", "weights"), point, strict=False))
    ) == pytest.approx(
        kept.predict(dict(zip(("n_params", "tokens", "weights"), point, strict=False))), rel=1e-5
    )
    assert y.report.objective != pytest.approx(both[1].report.objective, rel=1e-4)


def test_rows_are_weighed_by_their_standard_errors(runs):
    sem = np.where(np.arange(72) % 2, 0.002, 0.004)
    sem[3], sem[5] = np.nan, 0.0  # unknown: the target's median
    table = changed(runs, sem_y=sem)
    (found,) = fit(table, ADDITIVE, targets=["y"], restarts=RESTARTS, weighting="sem")
    known = np.where(sem > 0, sem, np.median(sem[sem > 0]))
    weights = known**-2 / np.sum(known**-2)
    expected = np.sum(weights * huber(residuals_of(found, runs)))
    assert found.report.objective == pytest.approx(expected, rel=1e-9)
    spoiled = runs.losses(["y"])[0] + np.where(np.arange(72) % 2, 0.0, 0.5)
    table = changed(runs, loss_y=spoiled, sem_y=np.where(np.arange(72) % 2, 1e-3, 1e3))
    (found,) = fit(table, ADDITIVE, targets=["y"], restarts=RESTARTS, weighting="sem")
    good = np.abs(residuals_of(found, runs)[1::2])
    assert np.mean(good) < 0.01


def test_weighing_needs_standard_errors(runs):
    with pytest.raises(FitError, match=r"needs columns sem_<target>"):
        fit(runs, ADDITIVE, weighting="sem")


def test_log_residuals_and_another_threshold(runs):
    (found,) = fit(runs, ADDITIVE, targets=["x"], restarts=RESTARTS, residual="log", delta=1e-2)
    predicted = found.predict(
        dict(n_params=runs.n_params, tokens=runs.tokens, weights=runs.weights)
    )
    expected = np.mean(huber(np.log(runs.losses(["x"])[0] / predicted), 1e-2))
    assert found.report.objective == pytest.approx(expected, rel=1e-9)
    assert (found.report.residual, found.report.delta) == ("log", 1e-2)
    assert score([found], draw(0.0))["x"].mre < 0.2


def test_progress_counts_every_solve(runs):
    seen = []
    fit(runs, ADDITIVE, restarts=RESTARTS, progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (2 * RESTARTS, 2 * RESTARTS) and seen == sorted(set(seen))


@pytest.mark.slow
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_ends_at_the_same_optimum(runs, both, solver):
    for found, first in zip(fit(runs, ADDITIVE, restarts=32, solver=solver), both, strict=True):
        assert found.report.solver == solver
        assert found.report.objective == pytest.approx(first.report.objective, rel=1e-3)


# --- parameters at a bound, and terms that the rows cannot tell ----------------------------------

CAPPED = Law(
    "capped",
    (Parameter("E", high=1.0), Parameter("b", "domain")),
    loss=lambda p, x: p["E"] + jnp.sum(p["b"] * x["weights"], -1) / (x["tokens"] / 1e9),
    inputs=(TOKENS, WEIGHTS),
)


H = np.array([0.2, 0.5, 0.8, 0.3, 0.6, 0.9])
D = np.array([1e9, 2e9, 4e9, 8e9, 1e10, 2e10])


def small(**columns):
    table = {"n_params": np.full(6, 1e8), "tokens": D, "w_a": H, "w_b": 1 - H, **columns}
    return read_runs(table, source="t.csv")


def test_a_parameter_at_its_bound_is_named():
    losses = 1.2 + (0.7 * H + 0.4 * (1 - H)) / (D / 1e9)
    (found,) = fit(small(loss_x=losses), CAPPED, restarts=8)
    assert found.report.at_bound == ("E",) and found.params["E"] == pytest.approx(1.0, rel=1e-12)
    assert found.report.gradient_norm < 1e-9  # of the others
    (free,) = fit(small(loss_x=losses - 0.4), CAPPED, restarts=8)
    assert free.report.at_bound == () and free.params["E"] == pytest.approx(0.8, rel=1e-6)


def notes_of(runs, law):
    with jax.enable_x64(True):
        k = len(runs.domains)
        return make_problem(runs, law, runs.targets, Objective(law, k), "equal").notes


def test_terms_that_the_rows_cannot_tell_are_noted(runs):
    one_size = runs.where("n_params < 2e7")
    expected = "no other model size can be predicted (all rows have one value of n_params, 1e7)"
    assert all(expected in notes[0] for notes in notes_of(one_size, ADDITIVE))
    at_end = notes_of(one_size.where("tokens > 2e10").select(np.ones(8, bool)), CHINCHILLA)
    levels = [note for note in at_end[0] if "one value of" in note]
    assert [note.split(",")[0][-8:] for note in levels] == ["n_params", "f tokens"]
    assert notes_of(runs, ADDITIVE) == ((), ())


@pytest.mark.slow
def test_tables_of_one_size_can_be_fitted_all_the_same():
    runs = simulate(
        CHINCHILLA,
        {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 1500.0, "beta": 0.33},
        domains=["a"],
        mixtures=[[1.0]],
        n_params=[1e8],
        tokens=np.geomspace(1e9, 1e11, 8),
        targets=["x"],
    )
    (found,) = fit(runs, CHINCHILLA, restarts=8)
    assert any("one value of n_params" in n for n in found.report.notes)
    assert found.report.objective < 1e-12 and found.report.condition > 1e10
    assert score([found], runs)["x"].mre < 1e-4


def ge_runs(noise=0.0):
    truth = {"E": 1.5, "B": 300.0, "beta": 0.3, "gamma": 0.06}
    return simulate(
        GE,
        {"a": truth, "b": {**truth, "gamma": 0.1}},
        domains=["a", "b"],
        mixtures=[[0.1, 0.9], [0.4, 0.6], [0.7, 0.3], [0.9, 0.1]],
        n_params=[1e8],
        tokens=[1e9, 1e10, 1e11],
        targets=["a", "b"],
        noise=noise,
    )


def test_rows_where_the_law_diverges_are_left_out_of_that_target_only():
    runs = ge_runs()
    h = runs.weights.copy()
    h[:3] = [0.0, 1.0]  # losses of a stay as they were: no finite law can tell them
    table = changed(runs, w_a=h[:, 0], w_b=h[:, 1])
    a, b = fit(table, GE, restarts=8)
    assert (a.report.rows, b.report.rows) == (9, 12)
    assert any(n.startswith("3 rows left out") for n in a.report.notes)
    assert not any("left out" in n for n in b.report.notes)
    for name, value in {"E": 1.5, "B": 300.0, "beta": 0.3, "gamma": 0.06}.items():
        assert float(a.params[name]) == pytest.approx(value, rel=1e-5)
    assert np.isfinite(a.report.train_mre)


# --- refusals ------------------------------------------------------------------------------------


def test_too_few_rows_name_the_target_the_law_and_the_numbers(runs):
    few = changed(runs, loss_y=np.where(np.arange(72) < 10, runs.losses(["y"])[0], np.nan))
    with pytest.raises(FitError, match="target 'y' has 10 rows") as error:
        fit(few, ADDITIVE)
    message = str(error.value)
    assert "t.csv" in message and "additive law 11" in message and "\n" not in message
    enough = changed(runs, loss_y=np.where(np.arange(72) % 6 == 0, runs.losses(["y"])[0], np.nan))
    assert fit(enough, ADDITIVE, targets=["y"], restarts=2)[0].report.rows == 12


def test_rows_that_diverge_do_not_count():
    table = ge_runs().where("tokens < 2e10 and w_a < 0.5")
    table = changed(table, w_a=[0.0, 0.4, 0.4, 0.4], w_b=[1.0, 0.6, 0.6, 0.6])
    with pytest.raises(FitError, match="target 'a' has 3 rows and the ge law 4"):
        fit(table, GE, targets=["a"], restarts=2)


def test_unknown_names(runs):
    with pytest.raises(ValueError, match="unknown solver 'newton': choose one of pooled-hopping"):
        fit(runs, ADDITIVE, solver="newton")
    with pytest.raises(ValueError, match="unknown law 'aditive'"):
        fit(runs, "aditive")
    with pytest.raises(RunTableError, match="unknown target 'z'"):
        fit(runs, ADDITIVE, targets=["z"])


def test_laws_that_the_table_cannot_feed(runs):
    bare = read_runs(
        {"n_params": np.geomspace(1e7, 1e9, 9), "tokens": [1e9] * 9, "loss": [3.0] * 9}, source="t"
    )
    with pytest.raises(FitError, match=r"t: the additive law needs columns w_<domain>"):
        fit(bare, ADDITIVE)
    with pytest.raises(FitError, match=r"'x' has no column w_x"):
        fit(runs, GE)


def test_losses_that_no_start_explains_are_refused(runs):
    nowhere = Law("nowhere", (Parameter("E"),), lambda p, x: p["E"] * jnp.nan * x["n_params"])
    with pytest.raises(FitError, match=r"nowhere law"):
        fit(runs, nowhere, restarts=8)
