"""Effective data, harm, scarcity, floors and tokens before: by hand, in other units, convex."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.laws import (
    ADDITIVE,
    CHINCHILLA,
    D_CPT,
    EFFECTIVE,
    base_name,
    begun,
    floored,
    get_law,
    harmed,
    law_from_recipe,
    law_recipe,
    repeated,
    scarce,
)
from jaxmix.laws.baselines import LOG_LINEAR
from jaxmix.laws.effective import TransferLoss
from jaxmix.laws.harm import harm

NAMES = (
    "effective",
    "chinchilla+scarcity",
    "d-cpt",
    "effective+repetition",
    "effective+repetition+harm",
    "additive+repetition-by-domain",
    "joint+repetition+harm",
    "additive+harm",
    "additive+floor",
    "log-linear+floor",
    "effective+repetition+harm+floor",
    "additive+before",
)
MIXTURES = np.array([[0.5, 0.3, 0.2], [0.0, 0.4, 0.6], [1.0, 0.0, 0.0], [0.2, 0.2, 0.6]])
STOCK = np.array([2e9, np.inf, 5e8])


def x_at(n, d, h=MIXTURES, unique=STOCK, **more):
    return {"n_params": n, "tokens": d, "weights": h, "unique": unique, **more}


def inputs_of(law, n, d, h=MIXTURES):
    x = x_at(n, d, h[:, 0] if law.reads_own else h, tokens_before=3e9)
    return {i.name: x[i.name] for i in law.inputs}


def drawn(name, draw_params):
    law = get_law(name)
    more = {"tau": np.array([1.0, 0.3, 0.1]), "t": np.array(2.0), "rho": np.array(0.1)}
    params = draw_params(law, 3)
    return law, {n: more.get(n, v) for n, v in params.items()}


@pytest.mark.parametrize("name", NAMES)
def test_other_units_change_the_parameters_and_not_the_loss(name, draw_params):
    law, p = drawn(name, draw_params)
    x = inputs_of(law, np.array([1e8, 1e9, 3e7, 1e8]), np.array([1e10, 3e9, 1e9, 1e11]))
    moved = law.rescale(p, 3e8, 2e10)
    found = law.loss(moved, law.in_units(x, (3e8, 2e10)))
    np.testing.assert_allclose(found, law.loss(p, x), rtol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_and_agree_with_differences(name, draw_params):
    law, p = drawn(name, draw_params)
    x = inputs_of(law, 1e9, 1e10)
    theta = np.log(np.abs(np.asarray(law.flatten(p))))
    sign = np.sign(np.asarray(law.flatten(p)))

    def loss(z):
        return law.loss(law.unflatten(sign * jnp.exp(z), 3), x)

    exact = jax.jacrev(loss)(theta)
    steps = 1e-5 * np.eye(len(theta))
    central = np.stack([loss(theta + s) - loss(theta - s) for s in steps], 1) / 2e-5
    np.testing.assert_allclose(exact, central, rtol=1e-5, atol=1e-7)
    by_h = jax.jacrev(lambda h: law.loss(p, {**x, "weights": h}))(jnp.asarray(x["weights"]))
    assert np.isfinite(by_h).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_makes_the_same_law(name):
    law = get_law(name)
    recipe = law_recipe(law)
    assert recipe is not None and law_from_recipe(recipe) == law == get_law(name.upper())
    assert law.name == name and base_name(name) in name


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_of_convexity_holds_along_segments(name, draw_params):
    law, p = drawn(name, draw_params)
    p = {**p, **({"gamma": 0.6 * np.ones(3)} if name.startswith("additive") else {})}
    claims = law.convex(p) is None
    rng = np.random.default_rng(0)
    ends = rng.dirichlet(np.ones(3), (2, 200))
    h = np.stack([ends[0], 0.5 * (ends[0] + ends[1]), ends[1]])  # [3, 200, k]
    worst = -np.inf
    for n, d in itertools.product((1e7, 1e9), (1e9, 1e10, 1e11)):
        x = {**inputs_of(law, n, d), "weights": h[..., 0] if law.reads_own else h}
        low, middle, high = np.asarray(law.loss(p, x))
        worst = max(worst, float(np.max(middle - 0.5 * (low + high))))
    assert not claims or worst < 1e-9
    assert claims == (
        name not in ("d-cpt", "additive+repetition-by-domain", "joint+repetition+harm")
    )


def test_effective_by_hand():
    p = {"E": 1.5, "A": 100.0, "alpha": 0.3, "beta": 0.25, "tau": np.array([1.0, 0.5, 0.1])}
    found = EFFECTIVE.loss(p, x_at(1e8, 1e10))
    worth = MIXTURES @ p["tau"] * 1e10
    np.testing.assert_allclose(found, 1.5 + 100.0 / 1e8**0.3 + worth**-0.25, rtol=1e-12)
    aware = repeated(EFFECTIVE).loss({**p, "R_D_star": 3.0}, x_at(1e8, 1e10))
    e = MIXTURES * 1e10 / STOCK
    worth = np.where(e > 1, STOCK * (1 + 3 * (1 - np.exp(-(e - 1) / 3))), MIXTURES * 1e10)
    worth = np.where(np.isfinite(STOCK), worth, MIXTURES * 1e10) @ p["tau"]
    np.testing.assert_allclose(aware, 1.5 + 100.0 / 1e8**0.3 + worth**-0.25, rtol=1e-12)


def test_harm_by_hand():
    """Nothing up to half the threshold, a parabola around it, linear beyond."""
    p = {"g": np.array([0.2, 5.0, 0.1]), "t": 60.0, "nu": 0.5}
    e = MIXTURES[[0, 1, 3]] * 1e11 / STOCK
    z = e[:, [0, 2]] * (1e9 / STOCK[[0, 2]]) ** 0.5 / 60.0
    found = harm(p, x_at(1e9, 1e11, MIXTURES[[0, 1, 3]]))
    soft = np.where(z < 0.5, 0.0, np.where(z > 1.5, z - 1, (z - 0.5) ** 2 / 2))
    assert (z < 0.5).any() and ((z > 0.5) & (z < 1.5)).any() and (z > 1.5).any()
    np.testing.assert_allclose(found, soft @ p["g"][[0, 2]], rtol=1e-12)
    assert harm(p, x_at(1e9, 1e11, unique=np.full(3, np.inf))).max() == 0.0
    assert harm(p, x_at(1e9, 1e9)).max() == 0.0
    larger = harm(p, x_at(np.array([1e8, 1e9, 1e10]), 1e11, MIXTURES[0]))
    assert np.all(np.diff(larger) > 0)


def test_a_decay_of_every_domain_that_is_the_same_is_one_decay(draw_params):
    p = {**draw_params(ADDITIVE, 3), "R_D_star": 7.0}
    many = repeated(ADDITIVE, by_domain=True).loss(
        {**p, "R_D_star": np.full(3, 7.0)}, x_at(1e8, 1e11)
    )
    np.testing.assert_allclose(many, repeated(ADDITIVE).loss(p, x_at(1e8, 1e11)), rtol=1e-14)
    slower = repeated(ADDITIVE, by_domain=True).loss(
        {**p, "R_D_star": np.array([7.0, 7.0, 50.0])}, x_at(1e8, 1e11)
    )
    assert slower[0] < many[0] and slower[2] == many[2]


def test_scarcity_is_the_published_form_of_one_domain():
    p = {"E": 1.5, "A": 100.0, "alpha": 0.3, "B": 400.0, "beta": 0.3, "c": 0.2, "tau": np.ones(1)}
    x = x_at(1e8, np.array([1e9, 1e11]), np.ones((2, 1)), np.array([5e9]))
    plain = CHINCHILLA.loss(p, x)
    seen = np.array([1e9, 5e9 * (1 + 0.05)])  # the rounded corner
    np.testing.assert_allclose(scarce(CHINCHILLA).loss(p, x) - plain, seen**-0.2, rtol=1e-12)


def test_d_cpt_by_hand():
    names = ("E", "A", "alpha", "B", "beta", "eta", "C", "gamma", "epsilon")
    p = dict(zip(names, (1.5, 100.0, 0.3, 400.0, 0.3, 0.2, 0.4, 0.7, 0.02), strict=True))
    h = np.array([0.0, 0.3, 1.0])
    found = D_CPT.loss(p, {"n_params": 1e8, "tokens": 1e10, "weights": h})
    d_term = np.where(h > 0, h**0.2, 0.0) * 400.0 / 1e10**0.3
    expected = 1.5 + 100.0 / 1e8**0.3 + d_term + 0.4 / (h + 0.02) ** 0.7
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_floor_is_what_no_budget_lowers(draw_params):
    p = {**draw_params(ADDITIVE, 3), "E": -2.0, "F": 1.3}
    x = x_at(1e8, 1e10)
    logs = ADDITIVE.loss(p, x)
    np.testing.assert_allclose(floored(ADDITIVE).loss(p, x), 1.3 + np.exp(logs), rtol=1e-12)
    p = {**draw_params(LOG_LINEAR, 3), "F": 1.3}
    np.testing.assert_allclose(
        floored(LOG_LINEAR).loss(p, x), 1.3 + LOG_LINEAR.loss(p, x), rtol=1e-12
    )


def test_tokens_before_count_as_some_of_these():
    p = {"E": 1.5, "A": 100.0, "alpha": 0.3, "B": 400.0, "beta": 0.3, "rho": 0.1}
    x = {"n_params": 1e8, "tokens": np.array([1e9, 1e9]), "tokens_before": np.array([0.0, 2e10])}
    expected = CHINCHILLA.loss(p, {"n_params": 1e8, "tokens": np.array([1e9, 3e9])})
    np.testing.assert_allclose(begun(CHINCHILLA).loss(p, x), expected, rtol=1e-12)


def test_a_copy_of_effective_proves_nothing_once_it_repeats():
    """The proof of effective+repetition rests on the loss function, not on a name."""
    from dataclasses import replace

    other = replace(EFFECTIVE, loss=lambda p, x: -TransferLoss()(p, x))
    assert other.convex({}) is not None
    assert repeated(other).convex({}) is not None
    assert harmed(repeated(other)).convex({}) is not None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: get_law("effective+repetition+repetition"), "knows repetition already"),
        (lambda: get_law("effective+harm+harm"), r"has \+harm already; add it once"),
        (lambda: get_law("additive+floor+floor"), r"has \+floor already"),
        (lambda: get_law("additive-fixed-nd+harm"), "reads no tokens"),
        (lambda: get_law("d-cpt+harm"), "only one domain's weight"),
        (lambda: get_law("effective+repetition+before"), "counts epochs"),
        (lambda: get_law("ye-m1+before"), "reads no tokens"),
        (lambda: get_law("additive+repeated"), r"unknown law .*\+repetition-by-domain"),
        (lambda: get_law("additive+"), "unknown law"),
        (lambda: get_law("+harm"), "unknown law"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
