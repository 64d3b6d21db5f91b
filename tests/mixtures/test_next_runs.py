"""The next runs: information against direct formulas, regret against draws, the batch's rules."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting import simulate
from jaxmix.fitting.fitted import StackedLaws
from jaxmix.fitting.simulate import simulate_laws, true_laws
from jaxmix.laws import ADDITIVE, ADDITIVE_FIXED_ND
from jaxmix.mixtures import (
    coverage,
    dirichlet_design,
    next_runs,
    optimal_weights,
    optimize_many,
    vertices,
)
from jaxmix.mixtures.sequential.criterion import stakes
from jaxmix.mixtures.sequential.posterior import (
    believe,
    expected,
    pose,
    reductions,
    run_gradients,
    update,
)
from jaxmix.mixtures.solve.lanes import weighted_loss

DOMAINS, TARGETS = ("web", "code", "books"), ("x", "y")
POWERS = {"E": 1.5, "A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34}
MIXES = {
    "x": {"C": np.array([2.5, 0.6, 0.8]), "gamma": np.array([0.5, 0.6, 0.7])},
    "y": {"C": np.array([0.7, 2.0, 0.5]), "gamma": np.array([0.6, 0.5, 0.8])},
}
SCALE: dict[str, Any] = {"n_params": [1e7, 1e8], "tokens": [1e9, 4e9]}
BIG = {"n_params": 7e9, "tokens": 1.5e11}
MIXTURES = dirichlet_design(3, 8, seed=0)
NOISE = 0.003


def truth(mixtures=MIXTURES):
    params = {t: {**POWERS, **MIXES[t]} for t in TARGETS}
    given = {"domains": DOMAINS, "mixtures": mixtures, "targets": TARGETS, **SCALE}
    return true_laws(ADDITIVE, params, **given)


@pytest.fixture(scope="module")
def laws():
    return truth()


@pytest.fixture(scope="module")
def runs(laws):
    return simulate_laws(laws, mixtures=MIXTURES, **SCALE)


def batch(laws, runs, **more):
    return next_runs(laws, runs, **{**BIG, "count": 4, "noise": NOISE, **more})


def test_what_a_run_tells_is_gauss_newton_information(laws, runs):
    with jax.enable_x64(True):
        problem = pose(laws, runs)
        beliefs, _ = believe(problem, laws, noise=NOISE)
        steps = np.array([[2e9, 4e9]])
        g = run_gradients(problem, beliefs.z, np.array([1e8]), steps, np.eye(3)[:1])
        after = update(beliefs, g[0])
        aim = stakes(problem, beliefs, optimize_many(laws, 7e9, 1.5e11), "regret")
        gained = float(reductions(beliefs, aim, g)[0])
        fall = float(expected(beliefs.covariance, aim) - expected(after.covariance, aim))
    information = np.einsum("mrp,mrq->mpq", g[0], g[0]) / (2 * NOISE**2)
    direct = np.linalg.inv(np.linalg.inv(beliefs.covariance) + information)
    np.testing.assert_allclose(after.covariance, direct, rtol=1e-6, atol=1e-9)
    assert gained == pytest.approx(fall, rel=1e-8) and gained > 0


def test_gradients_of_a_run_are_those_of_the_prediction(laws, runs):
    h, step = np.array([0.2, 0.3, 0.5]), 1e-6
    with jax.enable_x64(True):
        problem = pose(laws, runs)
        z = believe(problem, laws, noise=NOISE)[0].z
        args = (np.array([1e8]), np.array([[2e9]]), h[None])
        g = np.asarray(run_gradients(problem, z, *args))[0, :, 0]  # [m, P]
        for i, law in enumerate(laws):
            for p in range(g.shape[1]):
                moved = [
                    replace(law, params=problem.natural(z[i].at[p].add(s * step))) for s in (1, -1)
                ]
                above, below = (f.predict(dict(n_params=1e8, tokens=2e9, weights=h)) for f in moved)
                assert g[i, p] == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-8)


def test_expected_regret_and_variance_are_those_of_draws(laws, runs):
    """Parameters drawn from the beliefs, each with its own h*, judged by the truth."""
    w = np.array([0.5, 0.5])
    with jax.enable_x64(True):
        problem = pose(laws, runs)
        beliefs, _ = believe(problem, laws, noise=1e-4)
        best = optimize_many(laws, 7e9, 1.5e11)
        found = {
            kind: float(expected(beliefs.covariance, stakes(problem, beliefs, best, kind)))
            for kind in ("regret", "variance")
        }
        root = np.linalg.cholesky(np.asarray(beliefs.covariance))
        draws = np.random.default_rng(0).standard_normal((400, *beliefs.z.shape))
        z = jnp.asarray(np.asarray(beliefs.z) + np.einsum("mpq,smq->smp", root, draws))
        law, (n, d) = ADDITIVE, problem.units

        def act(z):
            stacked = StackedLaws(jax.vmap(lambda x: law.from_working(x, 3))(z), None, law)
            return optimal_weights(stacked, 7e9 / n, 1.5e11 / d, w)

        weights = jax.jit(jax.vmap(act))(z)
        true = StackedLaws(jax.vmap(lambda x: law.from_working(x, 3))(beliefs.z), None, law)
        loss = jax.vmap(lambda h: weighted_loss(true, 7e9 / n, 1.5e11 / d, jnp.asarray(w), h))
        regret = float(jnp.mean(loss(weights)) - loss(jnp.asarray(best.weights))[0])
        moved = float(jnp.sum(jnp.var(weights, 0)))
    assert found["regret"] == pytest.approx(regret, rel=0.25)
    assert found["variance"] == pytest.approx(moved, rel=0.25)


def test_a_trajectory_counts_as_one_observation(laws):
    scale: dict[str, Any] = {"mixtures": MIXTURES, "n_params": [1e7, 1e8]}
    few = simulate_laws(laws, tokens=[1e9, 4e9], **scale)
    many = simulate_laws(laws, tokens=[1e9, 1.0001e9, 4e9, 4.0001e9], **scale)
    with jax.enable_x64(True):
        sizes = [
            np.diagonal(np.asarray(believe(pose(laws, t), laws, noise=NOISE)[0].covariance))
            for t in (few, many)
        ]
    np.testing.assert_allclose(sizes[0], sizes[1], rtol=0.02)


def test_regret_falls_with_every_run_and_faster_than_at_random(laws, runs):
    by = {name: batch(laws, runs, criterion=name) for name in ("regret", "variance", "random")}
    for found in by.values():
        assert len(found) == 4 and np.all(np.diff(found.regret) < 0)
        assert np.all(np.abs(found.weights.sum(1) - 1) < 1e-12)
    assert by["regret"].regret[-1] < by["random"].regret[-1]
    assert by["variance"].spread[-1] < by["random"].spread[-1]
    again = batch(laws, runs)
    np.testing.assert_array_equal(again.weights, by["regret"].weights)
    assert again.after == coverage(np.vstack([np.unique(MIXTURES, axis=0), again.weights]))


def test_the_first_choice_is_the_best_of_all_by_brute_force(laws, runs):
    pool = dirichlet_design(3, 12, seed=5)
    first = batch(laws, runs, count=1, candidates=pool, sizes=[(1e8, 4e9)])
    falls = [
        np.diff(batch(laws, runs, count=1, candidates=[h] * 12, sizes=[(1e8, 4e9)]).regret)[0]
        for h in pool
    ]
    np.testing.assert_allclose(first.weights[0], pool[np.argmin(falls)])


def test_space_filling_takes_the_farthest(laws, runs):
    pool = dirichlet_design(3, 12, seed=6)
    found = batch(
        laws, runs, criterion="space-filling", candidates=pool, count=1, sizes=[(1e8, 4e9)]
    )
    gaps = [np.linalg.norm(MIXTURES - h, axis=1).min() for h in pool]
    np.testing.assert_allclose(found.weights[0], pool[np.argmax(gaps)])


def test_near_duplicates_are_refused_unless_noise_dominates(laws, runs):
    old = {"candidates": MIXTURES, "sizes": [(1e8, 4e9)]}
    with pytest.raises(ValueError, match="8 of 8 candidates are near-duplicates"):
        batch(laws, runs, **old)
    assert len(batch(laws, runs, repeats=True, **old)) == 4
    noisy = batch(laws, runs, **{**old, "noise": 1.0})
    assert len(noisy) == 4 and "near-duplicates are allowed" in noisy.notes[0]
    other = batch(laws, runs, **{**old, "sizes": [(2e8, 4e9)], "count": 8})
    assert len(np.unique(other.weights, axis=0)) == 8  # another size: none is a duplicate


def test_the_batch_keeps_to_its_budget_bounds_and_sizes(laws, runs):
    sizes = [(1e7, 1e9), (1e8, 2e9)]
    box = {"minimum": {"web": 0.2}, "maximum": {"w_code": 0.3}}
    found = batch(laws, runs, flops=4e18, count=None, sizes=sizes, **box)
    assert found.flops.sum() <= 4e18 < found.flops.sum() + 1.2e18 + 1e9
    assert set(zip(found.n_params, found.tokens, strict=True)) <= set(sizes)
    assert np.all(found.weights[:, 0] >= 0.2 - 1e-6) and np.all(found.weights[:, 1] <= 0.3 + 1e-6)
    with pytest.raises(ValueError, match="pays no run"):
        batch(laws, runs, flops=1e10)


def test_directions_out_of_the_active_set_still_count(laws, runs):
    """With h* at a bound in two of three weights the expected regret is not 0."""
    found = batch(laws, runs, minimum={"web": 0.9}, target_weights={"y": 1.0}, count=2)
    assert found.optimum[0] == pytest.approx(0.9)
    assert found.regret[0] > found.regret[-1] > 0


def test_runs_are_joined_to_laws_by_name(laws, runs):
    names = [*runs.frame.columns]
    swapped = replace(runs, frame=runs.frame[names[::-1]], domains=runs.domains[::-1])
    found = batch(laws, swapped)
    np.testing.assert_allclose(found.weights, batch(laws, runs).weights)
    assert found.domains == DOMAINS and list(found.rows()[0])[2:] == ["w_web", "w_code", "w_books"]


def test_noise_is_read_off_the_residuals(laws):
    mixtures = dirichlet_design(3, 60, seed=1)
    noisy = simulate_laws(laws, mixtures=mixtures, noise=0.01, **SCALE)
    found = batch(laws, noisy, noise=None, count=1)
    for i, name in enumerate(TARGETS):
        assert found.noise[name] == pytest.approx(0.01 * noisy.losses()[i].mean(), rel=0.25)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"count": None}, "name a limit"),
        ({"criterion": "best"}, "unknown criterion 'best'"),
        ({"count": 0}, "count must be"),
        ({"noise": 0.0}, "noise must be"),
        ({"flops": 0.0}, "flops must be"),
        ({"checkpoints": 0}, "checkpoints must be"),
        ({"candidates": np.ones((2, 2)) / 2}, r"candidates must be \[q, 3\]"),
        ({"candidates": np.ones((2, 3))}, "sum 1"),
        ({"candidates": vertices(3)[1:], "minimum": {"web": 0.5}}, "within the bounds"),
        ({"sizes": [(0.0, 1e9)]}, "above 0"),
        ({"maximum": {"boks": 0.1}}, "unknown domain 'boks'; nearest: books"),
    ],
)
def test_refused(laws, runs, more, message):
    with pytest.raises(ValueError, match=message):
        batch(laws, runs, **more)


def test_runs_of_other_domains_are_refused(laws):
    params = {"E": 1.0, "C": np.ones(2), "gamma": np.ones(2)}
    given = {"domains": ("web", "math"), "targets": ["x"], **SCALE}
    other = simulate(ADDITIVE_FIXED_ND, params, mixtures=dirichlet_design(2, 9, seed=0), **given)
    with pytest.raises(ValueError, match="domain 'books' is not in both"):
        batch(laws, other)
