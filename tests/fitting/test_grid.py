"""Rows on a grid: the same objective and the same normal equations as row by row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting.grid import on_grid
from jaxmix.fitting.linear import ByTerms, Dense, linear_model
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
        models = [linear_model(objective, z, some) for some in (one, other)]
        found = [m.normal(r.row_weights) for m, r in zip(models, (one, other), strict=True)]
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def test_the_mixtures_of_these_laws_count_by_few_terms():
    """The others need one number for each domain, or share parameters between terms."""
    names = ["additive", "joint", "full", "simple", "ye-m1", "joint+floor", "d-cpt", "ge"]
    kinds = {}
    for name in [*names, "additive+repetition", "effective"]:
        rows = on_grid(rows_of(get_law(name), UNEVEN)).of_fit(jnp.asarray(0))
        objective = Objective(get_law(name), 3)
        kinds[name] = type(linear_model(objective, jnp.zeros(objective.law.count(3)), rows))
    assert kinds == {name: ByTerms if name in names else Dense for name in kinds}


@pytest.mark.parametrize("residual", ["loss", "log"])
def test_terms_give_the_normal_equations_of_the_jacobian(residual):
    """Also if a mixture has no rows that count, even none where the law is finite."""
    law = get_law("joint")
    objective, rows = Objective(law, 3, residual=residual), rows_of(law, UNEVEN)
    assert rows.prior is not None
    gone = np.asarray(rows.x["weights"][:, 0] == rows.x["weights"][0, 0])
    rows = rows._replace(
        x=rows.x | {"weights": jnp.where(gone[:, None], -1.0, rows.x["weights"])},
        row_weights=jnp.where(gone, 0.0, rows.row_weights),
        prior=rows.prior._replace(precision=rows.prior.precision.at[:, 4].set(jnp.inf)),
    )
    grid = on_grid(rows).of_fit(jnp.asarray(1))
    z = jnp.asarray(np.random.default_rng(1).normal(0.0, 0.5, law.count(3)))
    model, dense = linear_model(objective, z, grid), Dense(*objective.linearize(z, grid))
    assert isinstance(model, ByTerms)
    weights = grid.row_weights * jnp.minimum(1.0, 0.1 / jnp.abs(model.residuals))
    np.testing.assert_allclose(model.residuals, dense.residuals, rtol=1e-13)
    for a, b in zip(model.normal(weights), dense.normal(weights), strict=True):
        assert np.isfinite(a).all() and (np.asarray(a)[4] == 0).all()
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


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
