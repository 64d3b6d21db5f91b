"""Repeated data: the published formula, its limits, gradients, and laws as values."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.laws import (
    ADDITIVE,
    CHINCHILLA,
    GE,
    JOINT,
    fixed,
    get_law,
    law_from_recipe,
    law_recipe,
    repeated,
)
from jaxmix.laws.data_reuse import effective_data

PUBLISHED = {
    "E": np.exp(0.6254804),
    "A": np.exp(6.255414),
    "B": np.exp(7.3049974),
    "alpha": 0.3526596,
    "beta": 0.3526596,
    "R_D_star": 15.387756,
    "R_N_star": 5.309743,
}
MIXTURES = np.array([[0.5, 0.3, 0.2], [0.0, 0.4, 0.6], [1.0, 0.0, 0.0]])


def x_at(n, d, h, unique):
    return {"n_params": n, "tokens": d, "weights": h, "unique": unique}


@pytest.fixture
def params(draw_params):
    return {**draw_params(ADDITIVE, 3), "R_D_star": np.array(6.0)}


def published_loss(p, n, d, u):
    """Eq. (5), (6) and the closed form of U_N as the paper's appendix A writes them."""
    u = min(u, d)
    g = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    u_n = min(n, g * (g * u) ** (p["beta"] / p["alpha"]))
    r_d, r_n = d / u - 1, n / u_n - 1
    d_eff = u + u * p["R_D_star"] * (1 - np.exp(-r_d / p["R_D_star"]))
    n_eff = u_n + u_n * p["R_N_star"] * (1 - np.exp(-r_n / p["R_N_star"]))
    return p["E"] + p["A"] / n_eff ** p["alpha"] + p["B"] / d_eff ** p["beta"]


@pytest.mark.parametrize("exponents", [(0.3526596, 0.3526596), (0.31, 0.42)])
def test_one_domain_is_the_published_law(exponents):
    p = {**PUBLISHED, "alpha": exponents[0], "beta": exponents[1]}
    law = repeated(CHINCHILLA)
    points = [(1e9, 2e10, 5e9), (8e9, 1e11, 1e9), (1e8, 1e10, 1e10), (1e9, 1e9, 1e10)]
    for n, d, u in points:
        found = law.loss(p, x_at(n, d, jnp.ones(1), jnp.array([u])))
        np.testing.assert_allclose(found, published_loss(p, n, d, u), rtol=1e-12)


def test_effective_data_by_hand():
    d, h = effective_data(MIXTURES[0], 10.0, np.array([1.0, np.inf, 4.0]), 6.0)
    books = 1 + 6 * (1 - np.exp(-4 / 6))  # five epochs
    np.testing.assert_allclose(d, books + 3 + 2, rtol=1e-14)
    np.testing.assert_allclose(h, np.array([books, 3, 2]) / (books + 5), rtol=1e-14)


@pytest.mark.parametrize("base", [ADDITIVE, JOINT, CHINCHILLA], ids=lambda law: law.name)
def test_endless_data_is_the_base_law_to_the_bit(base, draw_params):
    p, law = draw_params(base, 3), repeated(base)
    aware = {**p, "R_D_star": 6.0, "R_N_star": 3.0}
    n, d = np.array([1e8, 1e9, np.inf]), np.array([1e10, np.inf, 1e12])
    x = x_at(n, d, MIXTURES, np.full(3, np.inf))
    np.testing.assert_array_equal(law.loss(aware, x), base.loss(p, x))


def test_repetition_costs_and_never_beats_its_limit(params):
    law, h = repeated(ADDITIVE), MIXTURES[0]
    losses = [law.loss(params, x_at(1e8, 1e11, h, np.full(3, u))) for u in (1e8, 1e9, 1e10, 1e12)]
    assert np.all(np.diff(losses) < 0)
    scarce = np.array([1e9, 2e9, 5e8])
    at_limit = law.loss(params, x_at(1e8, np.inf, h, scarce))
    np.testing.assert_allclose(law.loss(params, x_at(1e8, 1e15, h, scarce)), at_limit, rtol=1e-12)
    half = np.array([1e9, np.inf, 5e8])
    alone = ADDITIVE.loss(params, x_at(1e8, np.inf, np.array([0.0, 1.0, 0.0]), half))
    found = law.loss(params, x_at(1e8, np.inf, h, half))
    np.testing.assert_allclose(found, alone, rtol=1e-12)


@pytest.mark.parametrize("law", [repeated(ADDITIVE), repeated(CHINCHILLA)], ids=lambda x: x.name)
def test_gradients_are_finite_everywhere(law, params):
    """At zero weights, at exactly one epoch (2e9 tokens of the vertex), at the limits."""
    p, unique = {**params, "R_N_star": np.array(5.0)}, np.array([2e9, np.inf, 1e9])
    grad = jax.jit(jax.grad(lambda p, h, d: law.loss(p, x_at(1e9, d, h, unique)), argnums=(0, 1)))
    p = {n: jnp.asarray(v) for n, v in p.items()}
    for h, tokens in itertools.product(MIXTURES, (1e10, 2e9, np.inf)):
        by_p, by_h = grad(p, jnp.asarray(h), jnp.asarray(tokens))
        assert np.isfinite(by_h).all()
        assert all(np.isfinite(v).all() for v in by_p.values())


def test_gradients_agree_with_finite_differences(params):
    law = repeated(ADDITIVE)
    x = x_at(1e9, np.array([1e10, 1e10, 3e9]), MIXTURES, np.array([2e9, 5e10, 1e8]))
    theta = np.asarray(law.flatten(params))

    def loss(log_theta):
        return law.loss(law.unflatten(jnp.exp(log_theta), 3), x)

    exact = jax.jit(jax.jacrev(loss))(np.log(theta))
    steps = 1e-5 * np.eye(len(theta))
    central = np.stack([loss(np.log(theta) + s) - loss(np.log(theta) - s) for s in steps], 1) / 2e-5
    np.testing.assert_allclose(exact, central, rtol=1e-6, atol=1e-8)


def test_slope_along_the_simplex_is_continuous_at_one_epoch(params):
    law, unique = repeated(ADDITIVE), jnp.array([5e9, jnp.inf, jnp.inf])

    def loss(t):
        return law.loss(params, x_at(1e9, 1e10, jnp.array([0.5 + t, 0.3 - t, 0.2]), unique))

    below, above = (jax.grad(loss)(t) for t in (-1e-9, 1e-9))
    np.testing.assert_allclose(below, above, rtol=1e-6)


def test_units_change_the_parameters_and_not_the_loss(params):
    law = repeated(ADDITIVE)
    x = x_at(1e9, 1e10, MIXTURES, np.array([2e9, 5e10, 1e8]))
    moved = law.rescale(params, 3e8, 2e10)
    found = law.loss(moved, law.in_units(x, (3e8, 2e10)))
    np.testing.assert_allclose(found, law.loss(params, x), rtol=1e-12)


def test_laws_are_values():
    assert repeated(ADDITIVE) == repeated(ADDITIVE) == get_law("Additive+repetition")
    assert len({repeated(JOINT), repeated(JOINT), JOINT}) == 2
    assert fixed(JOINT, {"E": 1.0}) == fixed(JOINT, {"E": 1}) != fixed(JOINT, {"E": 2.0})
    assert repeated(CHINCHILLA).count(1) == 7 and repeated(ADDITIVE).count(3) == 12


@pytest.mark.parametrize(
    "law",
    [
        ADDITIVE,
        repeated(JOINT),
        fixed(ADDITIVE, {"E": 1.5, "C": [1.0, 2.0, 3.0]}),
        fixed(repeated(CHINCHILLA), {"R_D_star": 15.0}),
    ],
    ids=lambda law: law.name,
)
def test_recipes_make_the_same_law(law):
    recipe = law_recipe(law)
    assert recipe is not None and law_from_recipe(recipe) == law


def test_a_fixed_law_is_the_law_at_those_values(params):
    law = fixed(ADDITIVE, {"E": 1.5, "beta": 0.3})
    free = {n: params[n] for n in ("A", "alpha", "B", "C", "gamma")}
    expected = ADDITIVE.loss(
        {**params, "E": 1.5, "beta": 0.3}, dict(n_params=1e8, tokens=1e10, weights=MIXTURES)
    )
    np.testing.assert_array_equal(
        law.loss(free, dict(n_params=1e8, tokens=1e10, weights=MIXTURES)), expected
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: repeated(GE), "only one domain's weight"),
        (lambda: repeated(repeated(JOINT)), "knows repetition already"),
        (lambda: get_law("additive-fixed-nd+repetition"), "reads no tokens"),
        (lambda: fixed(JOINT, {"A": 1.0}), "no parameter 'A'; it has E, alpha"),
        (lambda: fixed(JOINT, {"E": -1.0}), "takes one number"),
        (lambda: fixed(JOINT, {"C": 1.0}), "takes one number per domain"),
        (lambda: fixed(JOINT, {}), "at least one"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
