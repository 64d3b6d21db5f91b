"""The laws' values: the paper's formulas, points and arrays, empty domains, infinite scale."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.laws import LAWS

K = 3
every_law = pytest.mark.parametrize("name", LAWS)

# --- the formulas again, in NumPy, one point at a time, as the paper prints them -----------------


def bias(p, h):
    return p["E"] + 1 / sum(c * x**g for c, g, x in zip(p["C"], p["gamma"], h, strict=True))


def blend(c, gamma, h):
    return sum(ci * x for ci, x in zip(c, h, strict=True)) ** gamma


def transfer(p, d, h):
    worth = d * sum(t * x for t, x in zip(p["tau"], h, strict=True))
    return p["E"] + worth ** -p["beta"]


def effective(p, n, d, h):
    return p["A"] / n ** p["alpha"] + transfer(p, d, h)


def d_cpt(p, n, d, h):
    d_term = p["B"] * (h[0] ** p["eta"] if h[0] > 0 else 0.0) / d ** p["beta"]
    n_term = p["A"] / n ** p["alpha"]
    return p["E"] + n_term + d_term + p["C"] / (h[0] + p["epsilon"]) ** p["gamma"]


def ge(p, n, d, h):
    return (p["B"] / d ** p["beta"] + p["E"]) / h[0] ** p["gamma"]


def chinchilla(p, n, d, h):
    return p["E"] + p["A"] / n ** p["alpha"] + p["B"] / d ** p["beta"]  # eq. (2)


def additive(p, n, d, h):
    return bias(p, h) + p["A"] / n ** p["alpha"] + p["B"] / d ** p["beta"]  # eq. (4)


def joint(p, n, d, h):  # eq. (5)
    a, b = blend(p["C_A"], p["gamma_A"], h), blend(p["C_B"], p["gamma_B"], h)
    return bias(p, h) + a / n ** p["alpha"] + b / d ** p["beta"]


def full(p, n, d, h):  # eq. (10) and (11)
    powers = {x: blend(p[f"C_{x}"], p[f"gamma_{x}"], h) for x in ("alpha", "beta")}
    return joint({**p, **powers}, n, d, h)


def simple(p, n, d, h):  # eq. (9), with A at N as everywhere else
    return blend(p["C"], p["gamma"], h) + chinchilla(p, n, d, h)


def ye(form):
    return lambda p, n, d, h: p["E"] + form(p, [g * x for g, x in zip(p["gamma"], h, strict=True)])


FORMULAS = {
    "chinchilla": chinchilla,
    "additive": additive,
    "joint": joint,
    "simple": simple,
    "full": full,
    "additive-fixed-nd": lambda p, n, d, h: bias(p, h),
    "additive-fixed-n": lambda p, n, d, h: bias(p, h) + p["B"] / d ** p["beta"],
    "ye-m1": ye(lambda p, gh: sum(c * np.exp(x) for c, x in zip(p["C"], gh, strict=True))),
    "ye-m2": ye(lambda p, gh: p["C"] * sum(np.exp(x) for x in gh)),
    "ye-m3": ye(lambda p, gh: p["C"] * np.exp(np.prod(gh))),
    "ye-m4": ye(lambda p, gh: p["C"] * np.exp(sum(gh))),
    "ge": ge,
    "effective": effective,
    "effective-fixed-nd": lambda p, n, d, h: transfer(p, 1, h),
    "effective-fixed-n": lambda p, n, d, h: transfer(p, d, h),
    "effective-fixed-d": lambda p, n, d, h: effective(p, n, 1, h),
    "d-cpt": d_cpt,
    "additive-fixed-d": lambda p, n, d, h: bias(p, h) + p["A"] / n ** p["alpha"],
    "own-weight": lambda p, n, d, h: chinchilla(p, n, h[0] * d, h),
    "log-linear": lambda p, n, d, h: np.exp(p["c"] @ h) / n ** p["alpha"] / d ** p["beta"],
}


def points(count, k, seed=0):
    """N, D [count] and mixtures [count, k]: inside the simplex, on its edges, at its vertices."""
    rng = np.random.default_rng(seed)
    h = rng.dirichlet(np.ones(k), count)
    h[: len(h) // 3, 0] = 0.0
    h = h / h.sum(1, keepdims=True)
    h[-k:] = np.eye(k)
    return 10 ** rng.uniform(7, 10, count), 10 ** rng.uniform(9, 12, count), h


def same(found, expected, rtol=1e-12):
    np.testing.assert_allclose(np.asarray(found), expected, rtol=rtol, atol=0)


def test_every_law_has_a_formula_here():
    assert set(FORMULAS) == set(LAWS)


@pytest.mark.parametrize("k", [2, 5])
@every_law
def test_values_are_those_of_the_paper(name, k, draw_params, seen):
    law = LAWS[name]
    n, d, h = points(12, k, seed=k)
    h = h[h[:, 0] > 0] if law.reads_own else h
    n, d = n[: len(h)], d[: len(h)]
    for seed in range(3):  # exponents of both signs among them
        p = draw_params(law, k, seed)
        expected = [FORMULAS[name](p, *point) for point in zip(n, d, h, strict=True)]
        same(law.loss(p, dict(n_params=n, tokens=d, weights=seen(law, h))), expected)


@every_law
def test_one_point_and_arrays_agree(name, draw_params, seen):
    law = LAWS[name]
    k = K
    p = draw_params(law, k)
    n, d, h = points(6, k)
    h = np.maximum(h, 0.01)

    @jax.jit
    def loss(n, d, h):
        return law.loss(p, {"n_params": n, "tokens": d, "weights": seen(law, h)})

    single = [loss(n[i], d[i], h[i]) for i in range(6)]
    assert {x.shape for x in single} == {()}
    rows = loss(n, d, h)
    assert rows.shape == (6,)
    same(rows, single)
    grid = loss(n[:, None], d, h[:2, None, None])  # [2, 6, 6] of shapes [6, 1], [6], [2, 1, 1]
    full_grid = np.broadcast_to(grid, (2, 6, 6))
    same(np.diagonal(full_grid[1]), loss(n, d, np.broadcast_to(h[1], (6, k))))
    one_scale = np.broadcast_to(loss(n[2], d[2], h), 6)
    same(one_scale[3], loss(n[2], d[2], h[3]))
    same(loss(float(n[0]), float(d[0]), jnp.asarray(h[0])), single[0])


# --- empty domains and vertices ------------------------------------------------------------------


def corners(k):
    """Vertices, edges and the center of the simplex."""
    edges = [np.eye(k)[i] / 2 + np.eye(k)[j] / 2 for i in range(k) for j in range(i)]
    return np.vstack([np.eye(k), *edges, np.full((1, k), 1 / k)])


def values_and_gradients(law, p, n, d, h):
    """Losses [q] and the gradient in working parameters [q, P]."""
    n, d = np.broadcast_to(n, len(h)), np.broadcast_to(d, len(h))
    return [np.asarray(x) for x in _run(law, law.to_working(p), n, d, h)]


@partial(jax.jit, static_argnums=0)
def _run(law, z, n, d, h):
    def one(z, n, d, h):
        weights = h[..., 0] if law.reads_own else h
        x = {"n_params": n, "tokens": d, "weights": weights}
        return jnp.asarray(law.loss(law.from_working(z, h.shape[-1]), x), float)

    return jax.vmap(jax.value_and_grad(one), in_axes=(None, 0, 0, 0))(z, n, d, h)


@every_law
def test_empty_domains_give_finite_values_and_gradients(name, draw_params):
    law = LAWS[name]
    k = K
    h = corners(K)
    h = h[h[:, 0] > 0] if law.reads_own else h
    values, gradients = values_and_gradients(law, draw_params(law, k), 1e8, 1e10, h)
    assert np.isfinite(values).all() and np.isfinite(gradients).all()


@pytest.mark.parametrize("name", ["additive", "joint", "full", "additive-fixed-nd"])
def test_an_empty_domain_does_not_move_the_bias(name, draw_params):
    law = LAWS[name]
    p = draw_params(law, K)
    _, gradients = values_and_gradients(law, p, 1e8, 1e10, np.array([[0.0, 1.0, 0.0]]))
    labels = law.names(("a", "b", "c"))
    moved = {label for label, g in zip(labels, gradients[0], strict=True) if g != 0}
    assert not moved & {"C[a]", "C[c]", "gamma[a]", "gamma[c]", "gamma[b]"} and "C[b]" in moved


@pytest.mark.parametrize("name", ["ge", "own-weight"])
def test_a_law_of_its_own_weight_is_infinite_without_it_and_finite_beside_it(name, draw_params):
    law = LAWS[name]
    h = np.array([[0.0, 1.0], [1e-30, 1.0], [0.1, 0.9]])
    values, gradients = values_and_gradients(law, draw_params(law, 2), 1e8, 1e10, h)
    assert values[0] == np.inf and np.isfinite(values[1:]).all()
    assert np.isfinite(gradients).all()


# --- N → ∞, D → ∞ --------------------------------------------------------------------------------


@every_law
def test_infinite_scale_is_the_limit_of_large_ones(name, draw_params):
    law = LAWS[name]
    k = K
    p = draw_params(law, k)
    h = corners(K)
    h = h[h[:, 0] > 0] if law.reads_own else h
    here, _ = values_and_gradients(law, p, 1e8, 1e10, h)
    for n, d in ((np.inf, 1e10), (1e8, np.inf), (np.inf, np.inf)):
        values, gradients = values_and_gradients(law, p, n, d, h)
        near = values_and_gradients(law, p, min(n, 1e300), min(d, 1e300), h)
        assert np.isfinite(values).all() and np.isfinite(gradients).all()
        np.testing.assert_allclose(values, near[0], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(gradients, near[1], rtol=1e-6, atol=1e-6)
        grew = {a for a, x in (("n_params", n), ("tokens", d)) if np.isinf(x) and law.reads(a)}
        assert (values < here).all() if grew else (values == here).all()


# --- laws within laws ----------------------------------------------------------------------------


def joint_of(p, k):
    """The joint law's parameters that make it the additive law p."""
    ones = {"gamma_A": 1.0, "gamma_B": 1.0}
    blends = {"C_A": np.full(k, p["A"]), "C_B": np.full(k, p["B"])}
    return {**{n: v for n, v in p.items() if n not in ("A", "B")}, **blends, **ones}


def test_the_joint_law_holds_the_additive_one(draw_params):
    p = draw_params(LAWS["additive"], K)
    n, d, h = points(20, K)
    same(
        LAWS["joint"].loss(joint_of(p, K), dict(n_params=n, tokens=d, weights=h)),
        LAWS["additive"].loss(p, dict(n_params=n, tokens=d, weights=h)),
    )


@pytest.mark.parametrize("gamma", [1.0, -0.7])
def test_the_full_law_holds_the_joint_one(gamma, draw_params):
    p = draw_params(LAWS["joint"], K)
    n, d, h = points(20, K)
    constant = {f"C_{x}": np.full(K, p[x] ** (1 / gamma)) for x in ("alpha", "beta")}
    lifted = {**p, **constant, "gamma_alpha": gamma, "gamma_beta": gamma}
    del lifted["alpha"], lifted["beta"]
    same(
        LAWS["full"].loss(lifted, dict(n_params=n, tokens=d, weights=h)),
        LAWS["joint"].loss(p, dict(n_params=n, tokens=d, weights=h)),
    )


def test_the_fixed_laws_are_the_additive_one_without_its_other_terms(draw_params):
    p = draw_params(LAWS["additive"], K)
    n, d, h = points(20, K)
    at_limit = LAWS["additive"].loss(p, dict(n_params=np.full(20, np.inf), tokens=d, weights=h))
    same(LAWS["additive-fixed-n"].loss(p, dict(n_params=n, tokens=d, weights=h)), at_limit)
    at_limit = LAWS["additive"].loss(p, dict(n_params=n, tokens=np.full(20, np.inf), weights=h))
    same(LAWS["additive-fixed-d"].loss(p, dict(n_params=n, tokens=d, weights=h)), at_limit)
    same(
        LAWS["additive-fixed-nd"].loss(p, dict(n_params=n, tokens=d, weights=h)),
        LAWS["additive-fixed-n"].loss(p, dict(n_params=n, tokens=np.full(20, np.inf), weights=h)),
    )


def test_the_factor_of_ge_is_absorbed(draw_params):
    p = draw_params(LAWS["ge"], 1)
    n, d, _ = points(20, 2)
    h = np.linspace(0.05, 1.0, 20)
    scaled = {**p, "B": 1.3 * p["B"], "E": 1.3 * p["E"]}
    same(
        LAWS["ge"].loss(scaled, dict(n_params=n, tokens=d, weights=h)),
        1.3 * np.asarray(LAWS["ge"].loss(p, dict(n_params=n, tokens=d, weights=h))),
    )
