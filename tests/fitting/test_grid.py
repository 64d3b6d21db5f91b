"""Rows on a grid: the same objective and the same normal equations as row by row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting.grid import on_grid
from jaxmix.fitting.objective import Objective, Prior, Rows
from jaxmix.laws import get_law


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def rows_of(law, mixtures, seed=0):
    """Two fits of rows in random order: ``mixtures`` names the mixture of each."""
    rng = np.random.default_rng(seed)
    mixtures = rng.permutation(np.asarray(mixtures))
    p, k = len(mixtures), 3
    weights = rng.dirichlet(np.ones(k), mixtures.max() + 1)[mixtures]
    stocks = rng.uniform(0.05, 0.5, (mixtures.max() + 1, k))[mixtures]
    known = {"n_params": rng.uniform(0.3, 3.0, p), "tokens": rng.uniform(0.3, 3.0, p)}
    known |= {"weights": weights, "unique": stocks}
    x = {i.name: jnp.asarray(known[i.name]) for i in law.inputs if i.per != "own"}
    own = {i.name: jnp.asarray(known[i.name].T[:2]) for i in law.inputs if i.per == "own"}
    losses, row_weights = rng.uniform(2.0, 3.0, (2, p)), rng.uniform(size=(2, p))
    row_weights[:, rng.integers(p)] = 0.0
    prior = Prior(jnp.zeros((2, law.count(k))), jnp.ones((2, law.count(k))))
    return Rows(x, own, jnp.asarray(losses), jnp.asarray(row_weights), prior)


UNEVEN = np.repeat(np.arange(6), [11, 11, 3, 40, 12, 1])


@pytest.mark.parametrize(
    "name", ["joint", "additive-fixed-nd", "additive+repetition", "effective", "ye-m1", "ge"]
)
def test_objective_and_normal_equations_are_those_of_the_rows(name):
    law = get_law(name)
    objective, rows = Objective(law, 3), rows_of(law, UNEVEN)
    grid = on_grid(rows)
    assert grid.losses.ndim == 3
    z = jnp.asarray(np.random.default_rng(1).normal(0.0, 0.5, law.count(3)))
    for fit in (0, 1):
        one, other = rows.of_fit(jnp.asarray(fit)), grid.of_fit(jnp.asarray(fit))
        np.testing.assert_allclose(
            objective.value(z, other), objective.value(z, one), rtol=1e-12, atol=0.0
        )
        grams = []
        for some in (one, other):
            residuals, jacobian = objective.linearize(z, some)
            stacked = jnp.concatenate([jacobian, residuals[None]]) * jnp.sqrt(some.row_weights)
            stacked = stacked.reshape(len(stacked), -1)
            grams.append(stacked @ stacked.T)
        np.testing.assert_allclose(*grams, rtol=1e-9, atol=1e-12)


def test_as_many_fits_as_rows_are_not_taken_for_rows():
    """A law of its own domain alone has inputs [m, p], here square."""
    objective, rows = Objective(get_law("ge"), 3), rows_of(get_law("ge"), np.repeat([0, 1], 20))
    many = rows._replace(
        own={name: jnp.tile(x, (20, 1)) for name, x in rows.own.items()},
        losses=jnp.tile(rows.losses, (20, 1)),
        row_weights=jnp.tile(rows.row_weights, (20, 1)),
        prior=None,
    )
    grid, z = on_grid(many), jnp.zeros(objective.law.count(3))
    assert grid.losses.ndim == 3
    for fit in (0, 39):
        values = [objective.value(z, r.of_fit(jnp.asarray(fit))) for r in (grid, many)]
        np.testing.assert_allclose(*values, rtol=1e-12)


def test_rows_of_as_many_mixtures_stay_as_they_are():
    rows = rows_of(get_law("joint"), np.arange(30))
    assert on_grid(rows) is rows


def test_a_law_without_mixtures_has_no_lines():
    rows = rows_of(get_law("chinchilla"), UNEVEN)
    assert on_grid(rows) is rows
