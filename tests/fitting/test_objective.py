"""Eq. (6) against a NumPy Huber loss, its gaps and weights, and the Jacobian that solvers use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting.objective import Objective, Rows
from jaxmix.laws import LAWS, N_PARAMS, Law, Parameter

K, ROWS = 3, 14
CONSTANT = Law(
    "constant", (Parameter("E"),), lambda p, x: p["E"] + 0.0 * x["n_params"], (N_PARAMS,)
)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def huber(residuals, delta):
    """The paper's definition below eq. (6)."""
    size = np.abs(residuals)
    return np.where(size < delta, residuals**2 / 2, delta * (size - delta / 2))


def rows_of(losses, row_weights=None, k=K, seed=0):
    """Rows of one fit with these losses [p] on random points."""
    rng = np.random.default_rng(seed)
    losses = np.asarray(losses, float)
    weights = np.ones_like(losses) if row_weights is None else np.asarray(row_weights, float)
    h = rng.dirichlet(np.ones(k), len(losses))
    n, d = np.exp(rng.normal(size=(2, len(losses))))
    x = {name: jnp.asarray(v) for name, v in (("n_params", n), ("tokens", d), ("weights", h))}
    return Rows(x, {}, jnp.asarray(losses), jnp.asarray(weights / weights.sum()))


DELTA = 1e-3
SIZES = [0.0, 1e-9, 0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 2.0, 300.0]
RESIDUALS = DELTA * np.array([*SIZES, *(-s for s in SIZES)])


def test_value_is_the_mean_huber_on_both_sides_of_the_threshold():
    rows = rows_of(2.0 + RESIDUALS)
    at = jnp.log(jnp.array([2.0]))
    objective = Objective(CONSTANT, K, DELTA)
    value = jax.jit(objective.value)
    np.testing.assert_allclose(objective.residuals(at, rows), RESIDUALS, atol=1e-15)
    expected = np.mean(huber(RESIDUALS, DELTA))
    np.testing.assert_allclose(objective.value(at, rows), expected, rtol=1e-11)
    for r in RESIDUALS:
        one = value(at, rows_of([2.0 + r]))
        np.testing.assert_allclose(one, huber(r, DELTA), rtol=1e-6, atol=1e-22)


@pytest.mark.parametrize("delta", [1e-6, 1e-2, 10.0])
def test_another_threshold_can_be_asked_for(delta):
    rows = rows_of(2.0 + RESIDUALS)
    at = jnp.log(jnp.array([2.0]))
    expected = np.mean(huber(RESIDUALS, delta))
    for objective, asked in (
        (Objective(CONSTANT, K, DELTA), delta),
        (Objective(CONSTANT, K, delta), None),
    ):
        found = objective.value(at, rows, asked)
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_slope_is_the_residual_cut_at_the_threshold():
    objective = Objective(CONSTANT, K, DELTA)
    slope = jax.jit(jax.grad(objective.value))
    for r in RESIDUALS:
        found = slope(jnp.log(jnp.array([2.0])), rows_of([2.0 + r]))
        np.testing.assert_allclose(found, [-2.0 * np.clip(r, -DELTA, DELTA)], rtol=0, atol=1e-14)


def test_weights_multiply_each_row():
    weights = np.arange(1.0, len(RESIDUALS) + 1)
    rows = rows_of(2.0 + RESIDUALS, weights)
    expected = np.sum(weights * huber(RESIDUALS, DELTA)) / weights.sum()
    found = Objective(CONSTANT, K, DELTA).value(jnp.log(jnp.array([2.0])), rows)
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_log_residuals_are_relative():
    losses = 2.0 + np.linspace(-0.3, 0.3, 9)
    found = Objective(CONSTANT, K, 1e-2, "log").value(jnp.log(jnp.array([2.0])), rows_of(losses))
    np.testing.assert_allclose(found, np.mean(huber(np.log(losses / 2.0), 1e-2)), rtol=1e-12)


def a_start(law, k, seed=0):
    """A working vector with every term of the law at work, for N and D near 1."""
    return jnp.asarray(np.random.default_rng(seed).normal(0.0, 0.4, law.count(k)))


@pytest.mark.parametrize("residual", ["loss", "log"])
def test_missing_rows_count_for_nothing(residual):
    """``fit`` writes 1 in their place; nothing may hang on that."""
    law = LAWS["additive-fixed-n"]
    objective = Objective(law, K, DELTA, residual)
    both = jax.jit(jax.value_and_grad(objective.value))
    linearize = jax.jit(objective.linearize)
    z = a_start(law, K)
    losses = np.random.default_rng(1).uniform(2, 5, ROWS)
    used = np.arange(ROWS) % 3 > 0
    kept = jax.tree.map(lambda x: x[used], rows_of(losses, used))
    expected = both(z, kept)
    for gap in (1.0, np.nan, np.inf):
        gappy = rows_of(np.where(used, losses, gap), used)
        value, gradient = both(z, gappy)
        np.testing.assert_allclose(value, expected[0], rtol=1e-13)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-11, atol=1e-18)
        residuals, jacobian = (np.asarray(x) for x in linearize(z, gappy))
        assert (residuals[~used] == 0).all() and (jacobian[:, ~used] == 0).all()
        assert np.isfinite(residuals).all() and np.isfinite(jacobian).all()


@pytest.mark.parametrize("residual", ["loss", "log"])
def test_rows_where_the_law_is_infinite_count_for_nothing_without_weight(residual):
    law = LAWS["ge"]
    rows = rows_of([2.0, 3.0, 2.5], [0.0, 1.0, 1.0], k=1)
    rows = rows._replace(x=rows.x | {"weights": jnp.array([0.0, 0.2, 0.7])})
    objective, z = Objective(law, 1, DELTA, residual), a_start(law, 1)
    value, gradient = jax.jit(jax.value_and_grad(objective.value))(z, rows)
    residuals, jacobian = jax.jit(objective.linearize)(z, rows)
    for found in (value, gradient, residuals, jacobian):
        assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("name", "residual"),
    [("additive", "loss"), ("additive", "log"), ("joint", "loss"), ("full", "log"), ("ge", "loss")],
)
def test_linearize_is_the_jacobian_in_working_parameters(name, residual):
    law = LAWS[name]
    k = K
    objective = Objective(law, k, DELTA, residual)
    rows = rows_of(np.random.default_rng(1).uniform(2, 5, ROWS), k=k)
    h = rows.x["weights"].at[0, 0].set(0.3 if law.reads_own else 0.0)
    rows = rows._replace(x=rows.x | {"weights": h[:, 0] if law.reads_own else h})
    z = a_start(law, k)

    def fitted(z):
        predicted = objective.predict(z, rows)
        return jnp.log(predicted) if residual == "log" else predicted

    residuals, jacobian = jax.jit(objective.linearize)(z, rows)
    expected = np.asarray(jax.jit(jax.jacfwd(fitted))(z)).T
    assert jacobian.shape == (law.count(k), ROWS)
    observed = np.log(rows.losses) if residual == "log" else rows.losses
    np.testing.assert_allclose(residuals, observed - jax.jit(fitted)(z), rtol=1e-12)
    np.testing.assert_allclose(jacobian, expected, rtol=1e-9, atol=1e-13)


def test_each_fit_sees_its_own_rows():
    each = jnp.arange(6.0).reshape(3, 2)
    shared = Rows({"weights": jnp.ones((2, K))}, {}, each, each)
    one = shared.of_fit(jnp.asarray(2))
    assert one.x["weights"].shape == (2, K) and one.losses.tolist() == [4, 5]
    own = Rows({}, {"weights": each}, each, each).alone(jnp.asarray(1))
    assert own.x["weights"].tolist() == [2, 3] and own.row_weights.tolist() == [[2, 3]]
