"""Newton's method: bounds, indefinite Hessians, and failure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.solvers.lanes import POLISH, Jobs, run_lanes
from jaxmix.fitting.solvers.newton import Newton, free_parameters
from jaxmix.laws import N_PARAMS, Law, Parameter

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


CAPPED = Law(
    "capped",
    (Parameter("E", support="real", high=1.0), Parameter("b", support="real", low=-3.0)),
    loss=lambda p, x: p["E"] + p["b"] * x["n_params"],
    inputs=(N_PARAMS,),
)
X = np.linspace(0.2, 2.0, 11)


def rows(losses):
    p = len(losses)
    return Rows(
        {"n_params": jnp.asarray(X[:p])}, {}, jnp.asarray(losses)[None], jnp.full((1, p), 1 / p)
    )


def solve(objective, losses, starts):
    z = jnp.asarray(starts, float)
    count = len(z)
    jobs = Jobs(z, jnp.zeros(count, int), jax.random.split(jax.random.key(0), count), None)
    jobs = jobs._replace(stage=jnp.full(count, POLISH))
    return run_lanes(Newton(), objective, rows(losses), jobs, groups=1, width=4)


@pytest.mark.parametrize("delta", [0.3, 10.0])
def test_a_parameter_stops_at_its_bound_and_the_others_go_on(delta):
    objective = Objective(CAPPED, 1, delta)
    losses = 1.5 + 0.2 * X + 0.02 * np.sin(9 * X)
    found = solve(objective, losses, [[0.9, 0.4], [0.95, 0.5], [1.0, 0.3]])
    best = optimize.least_squares(
        lambda z: losses - z[0] - z[1] * X,
        [0.5, 0.5],
        bounds=([-1e3, -3], [1, 1e3]),
        **{"loss": "huber", "f_scale": delta, "xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15},
    )
    assert (found.z[:, 0] == 1.0).all()  # exactly: the bound, not near it
    np.testing.assert_allclose(found.value, best.cost / len(X), rtol=1e-6)
    for z in found.z:
        gradient = jax.grad(objective.value)(z, rows(losses).of_fit(0))
        assert gradient[0] < 0 and abs(gradient[1]) < 1e-12


def test_a_bound_that_does_not_bind_lets_go():
    objective = Objective(CAPPED, 1, 10.0)
    losses = 0.7 + 0.2 * X
    found = solve(objective, losses, [[1.0, -3.0], [1.0, 0.0]])
    np.testing.assert_allclose(found.z, [[0.7, 0.2]] * 2, atol=1e-9)


def test_free_parameters_are_those_not_pushed_out():
    objective = Objective(CAPPED, 1)
    at, push = jnp.array([1.0, -3.0]), jnp.array([1.0, 1.0])
    assert free_parameters(objective, at, push).tolist() == [True, False]
    assert free_parameters(objective, at, -push).tolist() == [False, True]
    assert free_parameters(objective, at + jnp.array([-1.0, 1.0]), push).all()


def test_it_goes_downhill_where_the_hessian_is_indefinite():
    square = Law(
        "square",
        (Parameter("a", support="real"), Parameter("b", support="real")),
        loss=lambda p, x: p["a"] ** 2 * x["n_params"] + p["b"] ** 2,
        inputs=(N_PARAMS,),
    )
    objective = Objective(square, 1, delta=100.0)
    losses = 4.0 * X + 1.0
    start = jnp.array([0.1, 0.1])
    hessian = jax.hessian(objective.value)(start, rows(losses).of_fit(0))
    assert np.linalg.eigvalsh(hessian).max() < 0
    found = solve(objective, losses, [start, -start])
    np.testing.assert_allclose(np.abs(found.z), [[2.0, 1.0]] * 2, rtol=1e-6)


def test_a_start_that_is_not_finite_fails():
    found = solve(Objective(CAPPED, 1), 1.0 + X, [[np.nan, 0.0], [0.0, 0.0]])
    assert found.failed.tolist() == [True, False] and np.isposinf(found.value[0])
