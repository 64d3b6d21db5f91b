"""The laws' parameters: how many, their two spellings, units, starting points, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.laws import LAWS, Law, Parameter, Scales

K = 3
SCALES = Scales(1e8, 1e10, 2.0, 4.0)
every_law = pytest.mark.parametrize("name", LAWS)

COUNTS = {
    "chinchilla": (5, 0),
    "additive": (5, 2),
    "joint": (5, 4),
    "simple": (6, 1),
    "full": (5, 6),
    "additive-fixed-nd": (1, 2),
    "additive-fixed-n": (3, 2),
    "additive-fixed-d": (3, 2),
    "effective": (4, 1),
    "effective-fixed-nd": (2, 1),
    "effective-fixed-n": (2, 1),
    "effective-fixed-d": (4, 1),
    "d-cpt": (9, 0),
    "own-weight": (5, 0),
    "log-linear": (2, 1),
    "ye-m1": (1, 2),
    "ye-m2": (2, 1),
    "ye-m3": (2, 1),
    "ye-m4": (2, 1),
    "ge": (4, 0),
}


@every_law
def test_counts_are_those_of_the_paper(name):
    law = LAWS[name]
    fixed, slope = COUNTS[name]
    for k in (1, 2, 7, 17):
        assert law.count(k) == fixed + slope * k
        assert len(law.names(tuple(f"d{i}" for i in range(k)))) == law.count(k)
    per_domain = {0: "", 1: " + k"}.get(slope, f" + {slope}k")
    assert law.count_formula() == f"{fixed}{per_domain}"


def test_labels_follow_the_flat_vector(draw_params):
    law, p = LAWS["joint"], draw_params(LAWS["joint"], 2)
    flat = dict(zip(law.names(("web", "code")), np.asarray(law.flatten(p)), strict=True))
    assert list(flat)[:5] == ["E", "alpha", "beta", "C[web]", "C[code]"]
    assert flat["C_B[code]"] == p["C_B"][1] and flat["gamma_A"] == p["gamma_A"]


@every_law
def test_flat_and_working_vectors_lead_back(name, draw_params):
    law = LAWS[name]
    k = K
    p = draw_params(law, k)
    for there, back in (
        (law.flatten(p), law.unflatten),
        (law.to_working(p), law.from_working),
        (law.to_working({n: np.stack([v, v]) for n, v in p.items()}), law.from_working),
    ):
        assert there.shape[-1] == law.count(k)
        for parameter in law.parameters:
            found = back(there, k)[parameter.name]
            assert found.shape == (*there.shape[:-1], *p[parameter.name].shape)
            expected = np.broadcast_to(p[parameter.name], found.shape)
            np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_supports_are_kept_wherever_a_solver_goes():
    law = Law(
        "x",
        (Parameter("r", support="real"), Parameter("p"), Parameter("u", "domain", "unit")),
        loss=lambda p, x: p["r"] + p["p"] + jnp.sum(p["u"] * x["weights"], -1),
    )
    z = np.array([-2.5, -3.0, -9.0, 9.0])
    p = law.from_working(z, 2)
    assert p["r"] == -2.5 and p["p"] == np.exp(-3.0) and 0 < p["u"][0] < 1e-3
    assert 0.999 < p["u"][1] < 1
    np.testing.assert_allclose(law.to_working(p), z, rtol=1e-12)
    low, high = law.bounds(2)
    assert low.shape == high.shape == (4,) and (low < high).all()


def test_declared_ranges_become_bounds():
    law = LAWS["joint"]
    low, high = (dict(zip(law.names(("a", "b")), x, strict=True)) for x in law.bounds(2))
    assert np.exp(low["alpha"]) == pytest.approx(1e-2) and np.exp(high["beta"]) == pytest.approx(5)
    assert np.exp(high["gamma[b]"]) == pytest.approx(30)
    assert (low["gamma_A"], high["gamma_B"]) == (-30, 30)
    assert low["E"] < -20 and high["C[a]"] > 20


@every_law
def test_starts_lie_within_bounds_and_give_plausible_losses(name, seen):
    law = LAWS[name]
    k = K
    keys = jax.random.split(jax.random.key(1), 300)
    n_unit, d_unit = law.units(SCALES)

    @jax.jit
    @jax.vmap
    def start_and_loss(key):
        z = law.sample_start(key, SCALES, k)
        params = law.from_working(z, k)
        return z, law.loss(
            params,
            dict(
                n_params=1e8 / n_unit, tokens=1e10 / d_unit, weights=seen(law, jnp.full(k, 1 / K))
            ),
        )

    starts, losses = (np.asarray(x) for x in start_and_loss(keys))
    assert starts.shape == (300, law.count(k)) and np.isfinite(starts).all()
    low, high = law.bounds(k)
    assert (starts >= low).all() and (starts <= high).all()
    assert np.sum(np.std(starts, 0) > 0) >= law.count(k) - 2  # the full law fixes two
    assert np.isfinite(losses).all() and 1.0 < np.median(losses) < 10.0


def test_starts_depend_on_the_key():
    law = LAWS["additive"]
    one, again, other = (
        np.asarray(law.sample_start(jax.random.key(s), SCALES, K)) for s in (0, 0, 1)
    )
    assert (one == again).all() and (one != other).all()


def test_a_law_without_a_sampler_starts_around_zero():
    law = Law(
        "x", (Parameter("C", "domain", low=0.1),), lambda p, x: jnp.sum(p["C"] * x["weights"], -1)
    )
    draw = jax.jit(jax.vmap(lambda key: law.sample_start(key, SCALES, K)))
    starts = np.asarray(draw(jax.random.split(jax.random.key(0), 500)))
    assert starts.min() == pytest.approx(np.log(0.1)) and 1.5 < starts.max() < 6
    assert np.mean(starts > 0) == pytest.approx(0.5, abs=0.1)


@every_law
def test_units_of_n_and_d_change_the_parameters_and_not_the_loss(name, draw_params, seen):
    law = LAWS[name]
    if law.rescale is None:
        assert law.units(SCALES) == (1.0, 1.0)
        return
    assert law.units(SCALES) == (1e8, 1e10)
    k = K
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(7, 10, 9), 10 ** rng.uniform(9, 12, 9)
    h = seen(law, rng.dirichlet(np.ones(K), 9))
    for seed in range(3):
        p = draw_params(law, k, seed)
        moved = law.rescale(p, 3e8, 2e10)
        assert set(moved) == set(p)
        expected = law.loss(p, dict(n_params=n, tokens=d, weights=h))
        np.testing.assert_allclose(
            law.loss(moved, dict(n_params=n / 3e8, tokens=d / 2e10, weights=h)),
            expected,
            rtol=1e-10,
        )
        back = law.rescale(moved, 1 / 3e8, 1 / 2e10)
        for key in p:
            np.testing.assert_allclose(back[key], p[key], rtol=1e-10)


@every_law
def test_gradients_agree_with_finite_differences(name, draw_params, seen):
    """In d L / d log|parameter|, which is of the losses' size for every parameter."""
    law = LAWS[name]
    k = K
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(7, 10, 5), 10 ** rng.uniform(9, 12, 5)
    h = rng.dirichlet(np.ones(K), 5)
    h[0] = [1.0, 0.0, 0.0] if law.reads_own else [0.0, 0.3, 0.7]
    h = seen(law, h)
    theta = np.asarray(law.flatten(draw_params(law, k)))

    @jax.jit
    def loss(theta):
        return law.loss(law.unflatten(theta, k), dict(n_params=n, tokens=d, weights=h))

    exact = np.asarray(jax.jit(jax.jacrev(loss))(theta)) * theta
    steps = np.diag(1e-5 * theta)
    central = np.stack([loss(theta + s) - loss(theta - s) for s in steps], 1) / 2e-5
    np.testing.assert_allclose(exact, central, rtol=1e-6, atol=2e-7)
