"""The simplex: distances, the projection and the oracle on boxes, the hull of runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from jaxmix.mixtures import dirichlet_design, hull_distance, js_distance, kl
from jaxmix.mixtures.simplex import FLOOR, center, loosen, oracle, project


@pytest.fixture(autouse=True)
def _x64():
    with jax.enable_x64(True):
        yield


def random_box(rng: np.random.Generator, k: int) -> tuple[np.ndarray, np.ndarray]:
    lower = np.where(rng.random(k) < 0.4, rng.uniform(0, 1 / k, k), 0)
    upper = np.where(rng.random(k) < 0.4, rng.uniform(1 / k, 1, k), 1)
    return lower, upper


def test_js_is_a_distance() -> None:
    a, b, c = (dirichlet_design(4, 200, seed=s, concentration=0.3) for s in (0, 1, 2))
    ab, bc, ac = (np.asarray(js_distance(x, y)) for x, y in ((a, b), (b, c), (a, c)))
    assert np.allclose(ab, js_distance(b, a)) and np.all(js_distance(a, a) == 0)
    assert np.all(ac <= ab + bc + 1e-12)
    assert np.allclose(js_distance(np.eye(3), np.eye(3)[[1, 2, 0]]), np.sqrt(np.log(2)))


def test_kl_at_zeros() -> None:
    assert kl([0.0, 1.0], [0.5, 0.5]) == pytest.approx(np.log(2))
    assert kl([0.5, 0.5], [0.0, 1.0]) == np.inf


@pytest.mark.parametrize("k", [2, 3, 8])
def test_oracle_is_the_linear_program(k: int) -> None:
    rng = np.random.default_rng(k)
    for _ in range(20):
        lower, upper = random_box(rng, k)
        cost = rng.normal(size=k).round(1)  # with ties
        best = np.asarray(oracle(*map(jnp.asarray, (cost, lower, upper))))
        limits = list(zip(lower, upper, strict=True))
        exact = linprog(cost, A_eq=np.ones((1, k)), b_eq=[1], bounds=limits)
        assert cost @ best == pytest.approx(exact.fun, abs=1e-12)
        assert best.sum() == pytest.approx(1, abs=1e-14)
        assert np.all(best >= lower) and np.all(best <= upper + 1e-15)


@pytest.mark.parametrize("k", [1, 2, 5, 17])
def test_projection_is_the_nearest_point_in_kl(k: int) -> None:
    rng = np.random.default_rng(k)
    for _ in range(20):
        lower, upper = random_box(rng, k) if k > 1 else (np.zeros(1), np.ones(1))
        y = rng.gamma(0.3, size=k) + 1e-12
        h = np.asarray(project(*map(jnp.asarray, (y, lower, upper))))
        assert np.all(h >= lower) and np.all(h <= upper)
        assert h.sum() == pytest.approx(1, abs=1e-13)
        ratio, free = h / y, (h > lower + 1e-12) & (h < upper - 1e-12)
        if free.any():  # the optimality conditions: one ratio, larger at minima, smaller at maxima
            t = ratio[free].mean()
            assert np.allclose(ratio[free], t, rtol=1e-9)
            assert np.all(ratio[h <= lower] >= t * (1 - 1e-9))
            assert np.all(ratio[h >= upper] <= t * (1 + 1e-9))


def test_projection_keeps_pinned_zeros() -> None:
    lower, upper = jnp.array([0.0, FLOOR, FLOOR]), jnp.array([0.0, 2.0, 2.0])
    h = project(jnp.array([0.0, 3.0, 1.0]), lower, upper)
    assert np.allclose(h, [0, 0.75, 0.25])


def test_center_is_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        lower, upper = random_box(rng, 6)
        h = np.asarray(center(jnp.asarray(lower), jnp.asarray(upper)))
        assert h.sum() == pytest.approx(1, abs=1e-14)
        assert np.all(h > lower) and np.all(h < upper)


def test_implied_maxima_do_not_hold_weights() -> None:
    lower, upper = jnp.array([0.0, 0.4, 0.1]), jnp.array([0.5, 1.0, 0.3])
    assert np.allclose(loosen(lower, upper), [2.0, 2.0, 0.3])


def nearest(runs: np.ndarray, h: np.ndarray) -> float:
    """Distance to the convex hull by SLSQP on the shares."""
    share = np.full(len(runs), 1.0 / len(runs))
    found = minimize(
        lambda s: ((s @ runs - h) ** 2).sum(),
        share,
        jac=lambda s: 2 * runs @ (s @ runs - h),
        bounds=[(0, 1)] * len(runs),
        constraints={"type": "eq", "fun": lambda s: s.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 500},
    )
    return float(np.sqrt(found.fun))


@pytest.mark.parametrize(("k", "u"), [(2, 3), (3, 10), (5, 4), (8, 12)])
def test_hull_distance_is_the_nearest_point(k: int, u: int) -> None:
    rng = np.random.default_rng(k)
    for seed in range(4):
        runs = dirichlet_design(k, u, seed=seed, minimum=0.5 / k)
        h = dirichlet_design(k, 1, seed=100 + seed, concentration=0.5)[0]
        assert hull_distance(runs, h) == pytest.approx(nearest(runs, h), abs=1e-6)
        assert hull_distance(runs, rng.dirichlet(np.ones(u)) @ runs) == 0
        assert hull_distance(runs, runs[0]) == 0


def test_hull_of_repeated_and_single_runs() -> None:
    run = np.array([[0.5, 0.5], [0.5, 0.5]])
    assert hull_distance(run, np.array([1.0, 0.0])) == pytest.approx(np.sqrt(0.5))
    with pytest.raises(ValueError, match="at least one row"):
        hull_distance(np.zeros((0, 2)), np.array([1.0, 0.0]))
