"""Implicit derivatives of the fit and of h* by the rows, against refits of moved rows."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting import fit, influence, simulate
from jaxmix.fitting.objective import Objective
from jaxmix.fitting.problem import make_problem
from jaxmix.fitting.solvers.lanes import POLISH, Jobs
from jaxmix.fitting.solvers.multistart import run_jobs
from jaxmix.fitting.solvers.newton import Newton
from jaxmix.laws import ADDITIVE
from jaxmix.mixtures import dirichlet_design, mixture_influence, optimize, vertices

DOMAINS = ("a", "b", "c")
POINT = (5e9, 2e11, np.array([0.2, 0.5, 0.3]))
AT = dict(zip(("n_params", "tokens", "weights"), POINT, strict=True))


def _truth() -> dict[str, np.ndarray]:
    values = {"E": 1.5, "A": 300.0, "alpha": 0.33, "B": 900.0, "beta": 0.3}
    values |= {"C": [1.2, 0.7, 1.0], "gamma": [0.4, 0.6, 0.5]}
    return {name: np.asarray(value, float) for name, value in values.items()}


@pytest.fixture(scope="module")
def study():
    """A small study with noise near the Huber threshold, so that rows lie on both sides."""
    mixtures = np.concatenate([vertices(3), dirichlet_design(3, 9, seed=1)])
    runs = simulate(
        ADDITIVE,
        _truth(),
        domains=DOMAINS,
        mixtures=mixtures,
        n_params=[1e7, 1e8, 1e9, 1e10],
        tokens=[1e9, 1e10, 1e11, 1e12],
        targets=("x",),
        noise=4e-4,
        seed=3,
    )
    return runs, fit(runs, "additive", restarts=16)[0]


def _refit(runs, fitted, *, losses=None, log_weight=None):
    """The fit's parameters after moving rows, by Newton's method from where they stood."""
    objective = Objective(fitted.law, 3, fitted.report.delta, fitted.report.residual)
    with jax.enable_x64(True):
        problem = make_problem(runs, fitted.law, ("x",), objective, "equal")
        z, rows = problem.working(fitted.params), problem.rows
        if losses is not None:
            rows = rows._replace(losses=jnp.asarray(losses)[None])
        if log_weight is not None:
            rows = rows._replace(row_weights=rows.row_weights * jnp.exp(jnp.asarray(log_weight)))
        one = jnp.zeros(1, int)
        jobs = Jobs(z[None], one, jax.random.split(jax.random.key(0), 1), one + POLISH)
        found = run_jobs(Newton(), objective, rows, jobs)
        return replace(fitted, params=problem.natural(jnp.asarray(found.z[0])))


def _difference(runs, fitted, row, step, kind, quantity):
    """Central difference of a quantity of the fit by one row's loss or log weight."""
    ends = []
    for sign in (1.0, -1.0):
        move = np.zeros(len(runs))
        move[row] = sign * step
        losses = runs.losses(["x"])[0] + move
        change = {"losses": losses} if kind == "loss" else {"log_weight": move}
        ends.append(quantity(_refit(runs, fitted, **change)))
    return (ends[0] - ends[1]) / (2.0 * step)


def _rows(runs, fitted, inside):
    """A few rows within the Huber threshold, or beyond it, and clear of its edge."""
    off = np.abs(
        runs.losses(["x"])[0]
        - fitted.predict(dict(n_params=runs.n_params, tokens=runs.tokens, weights=runs.weights))
    )
    ratio = off / fitted.report.delta
    chosen = np.flatnonzero((ratio < 0.9) if inside else (ratio > 1.1))
    assert len(chosen) >= 3
    return chosen[:3]


def _prediction(fitted):
    return fitted.predict(AT)


def _mixture(fitted):
    return optimize([fitted], *POINT[:2]).h


@pytest.mark.parametrize(
    ("kind", "inside", "step"),
    [("loss", True, 2e-6), ("weight", True, 4e-3), ("weight", False, 4e-3)],
)
def test_influence_equals_central_differences(study, kind, inside, step):
    runs, fitted = study
    found = influence(fitted, runs)
    assert found.undetermined == 0
    params = found.by_loss if kind == "loss" else found.by_weight
    at_point = found.on_prediction(AT)[0 if kind == "loss" else 1]
    mixture = mixture_influence([found], optimize([fitted], *POINT[:2]))
    by_row = (mixture.by_loss if kind == "loss" else mixture.by_weight)["x"]
    for row in _rows(runs, fitted, inside):
        quantities = {
            "alpha": (lambda f: f.params["alpha"], params["alpha"][row]),
            "C": (lambda f: f.params["C"], params["C"][:, row]),
            "prediction": (_prediction, at_point[row]),
            "mixture": (_mixture, by_row[:, row]),
        }
        for name, (quantity, expected) in quantities.items():
            # h* is known to about 1e-11 only, so steps are wide, and Richardson's extrapolation
            # takes out the curvature that they let in.
            whole, half = (
                _difference(runs, fitted, row, s, kind, quantity) for s in (step, step / 2.0)
            )
            measured = (4.0 * half - whole) / 3.0
            scale = np.max(np.abs(expected))
            assert np.max(np.abs(measured - expected)) <= 1e-4 * scale, (name, row)


def test_a_row_beyond_the_threshold_moves_nothing(study):
    runs, fitted = study
    found = influence(fitted, runs)
    for row in _rows(runs, fitted, inside=False):
        assert all(np.all(slope[..., row] == 0) for slope in found.by_loss.values())
        measured = _difference(runs, fitted, row, 1e-5, "loss", _prediction)
        assert abs(measured) < 1e-9


def test_other_rows_are_refused(study):
    runs, fitted = study
    with pytest.raises(ValueError, match="fitted on other rows"):
        influence(fitted, runs.where("tokens < 2e10"))


def test_a_fit_that_ended_early_goes_to_the_bottom(study):
    runs, fitted = study
    early = {**fitted.params, "alpha": fitted.params["alpha"] * 1.001}
    x = dict(n_params=runs.n_params, tokens=runs.tokens, weights=runs.weights)
    off = np.abs(runs.losses(["x"])[0] - replace(fitted, params=early).predict(x))
    small = np.minimum(off, fitted.report.delta)
    report = replace(fitted.report, objective=float(np.mean(small * (off - small / 2))))
    assert report.objective > 1.01 * fitted.report.objective
    found, exact = (
        influence(replace(fitted, params=early, report=report), runs),
        influence(fitted, runs),
    )
    for name, slope in exact.by_weight.items():
        np.testing.assert_allclose(
            found.by_weight[name], slope, rtol=1e-4, atol=1e-6 * np.abs(slope).max()
        )
    np.testing.assert_allclose(found.fitted.params["alpha"], fitted.params["alpha"], rtol=1e-7)
