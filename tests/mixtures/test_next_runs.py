"""The next runs: information against direct formulas, regret against draws, the batch's rules."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting import FittedLaws, StackedLaws, bootstrap, fit, simulate
from jaxmix.fitting.simulate import simulate_laws, true_laws
from jaxmix.fitting.uncertainty.influence import pose
from jaxmix.laws import ADDITIVE, ADDITIVE_FIXED_ND, get_law, repeated
from jaxmix.mixtures import (
    Constraints,
    coverage,
    dirichlet_design,
    next_runs,
    optimal_weights,
    optimize,
    vertices,
)
from jaxmix.mixtures.sequential.candidates import (
    candidate_mixtures,
    corners,
    given_mixtures,
)
from jaxmix.mixtures.sequential.criterion import criterion_roots
from jaxmix.mixtures.sequential.posterior import (
    believe,
    expected,
    reductions,
    run_gradients,
    update,
)
from jaxmix.mixtures.solve.lanes import weighted_loss
from jaxmix.mixtures.solve.problem import problem_of
from jaxmix.mixtures.solve.refits import solve_refits

DOMAINS, TARGETS = ("web", "code", "books"), ("x", "y")
POWERS = {"E": 1.5, "A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34}
MIXES = {
    "x": {"C": np.array([2.5, 0.6, 0.8]), "gamma": np.array([0.5, 0.6, 0.7])},
    "y": {"C": np.array([0.7, 2.0, 0.5]), "gamma": np.array([0.6, 0.5, 0.8])},
}
SCALE: dict[str, Any] = {"n_params": [1e7, 1e8], "tokens": [1e9, 4e9]}
MIXTURES = dirichlet_design(3, 8, seed=0)
NOISE = 0.003
UNIFORM = np.full(3, 1 / 3)


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


def best(laws, constraints=None, **more):
    return optimize(laws, 7e9, 1.5e11, constraints, **more)


@pytest.fixture(scope="module")
def optimum(laws):
    return best(laws)


def batch(optimum, runs, **more):
    return next_runs(optimum, runs, **{"count": 4, "noise": NOISE, **more})


def run_at(n_params, tokens, weights):
    """One run with its checkpoints as inputs [1, r]."""
    return {
        "n_params": np.full((1, len(tokens)), n_params),
        "tokens": np.array([tokens]),
        "weights": np.tile(weights, (1, len(tokens), 1)),
    }


def test_what_a_run_tells_is_gauss_newton_information(laws, runs, optimum):
    with jax.enable_x64(True):
        problem = pose(laws, runs)
        beliefs, _ = believe(problem, laws, noise=NOISE)
        g = run_gradients(problem, beliefs.z, run_at(1e8, [2e9, 4e9], np.eye(3)[0]))
        after = update(beliefs, g[0])
        root = criterion_roots(problem, beliefs, optimum, UNIFORM)["regret"]
        gained = float(reductions(beliefs, root, g)[0])
        fall = float(expected(beliefs.covariance, root) - expected(after.covariance, root))
    information = np.einsum("mrp,mrq->mpq", g[0], g[0]) / (2 * NOISE**2)
    direct = np.linalg.inv(np.linalg.inv(beliefs.covariance) + information)
    np.testing.assert_allclose(after.covariance, direct, rtol=1e-6, atol=1e-9)
    assert gained == pytest.approx(fall, rel=1e-8) and gained > 0


def test_gradients_of_a_run_are_those_of_the_prediction(laws, runs):
    h, step = np.array([0.2, 0.3, 0.5]), 1e-6
    with jax.enable_x64(True):
        problem = pose(laws, runs)
        z = believe(problem, laws, noise=NOISE)[0].z
        g = np.asarray(run_gradients(problem, z, run_at(1e8, [2e9], h)))[0, :, 0]  # [m, P]
        for i, law in enumerate(laws):
            for p in range(g.shape[1]):
                moved = [
                    replace(law, params=problem.natural(z[i].at[p].add(s * step))) for s in (1, -1)
                ]
                above, below = (f.predict(dict(n_params=1e8, tokens=2e9, weights=h)) for f in moved)
                assert g[i, p] == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-8)


def test_expected_regret_and_variance_are_those_of_draws(laws, runs, optimum):
    """Parameters drawn from the beliefs, each with its own h*, judged by the truth."""
    w = np.array([0.5, 0.5])
    with jax.enable_x64(True):
        problem = pose(laws, runs)
        beliefs, _ = believe(problem, laws, noise=1e-4)
        roots = criterion_roots(problem, beliefs, optimum, UNIFORM)
        found = {name: float(expected(beliefs.covariance, root)) for name, root in roots.items()}
        root = np.linalg.cholesky(np.asarray(beliefs.covariance))
        draws = np.random.default_rng(0).standard_normal((400, *beliefs.z.shape))
        z = jnp.asarray(np.asarray(beliefs.z) + np.einsum("mpq,smq->smp", root, draws))
        law, (n, d) = ADDITIVE, problem.units

        def act(z):
            stacked = StackedLaws(jax.vmap(lambda x: law.from_working(x, 3))(z), None, law)
            return optimal_weights(stacked, {"n_params": 7e9 / n, "tokens": 1.5e11 / d}, w)

        weights = jax.jit(jax.vmap(act))(z)
        true = StackedLaws(jax.vmap(lambda x: law.from_working(x, 3))(beliefs.z), None, law)
        x = {"n_params": 7e9 / n, "tokens": 1.5e11 / d}
        loss = jax.vmap(lambda h: weighted_loss(true, x, jnp.asarray(w), h))
        regret = float(jnp.mean(loss(weights)) - loss(jnp.asarray(optimum.h)[None])[0])
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


def test_regret_falls_with_every_run_and_faster_than_at_random(optimum, runs):
    by = {name: batch(optimum, runs, criterion=name) for name in ("regret", "variance", "random")}
    for found in by.values():
        assert len(found) == 4 and np.all(np.diff(found.regret) < 0)
        assert np.all(np.abs(found.weights.sum(1) - 1) < 1e-12)
    assert by["regret"].regret[-1] < by["random"].regret[-1]
    assert by["variance"].spread[-1] < by["random"].spread[-1]
    again = batch(optimum, runs)
    np.testing.assert_array_equal(again.weights, by["regret"].weights)
    assert again.after == coverage(np.vstack([np.unique(MIXTURES, axis=0), again.weights]))


def test_the_first_choice_is_the_best_of_all_by_brute_force(optimum, runs):
    pool = dirichlet_design(3, 12, seed=5)
    first = batch(optimum, runs, count=1, candidates=pool, sizes=[(1e8, 4e9)])
    falls = [
        np.diff(batch(optimum, runs, count=1, candidates=[h] * 12, sizes=[(1e8, 4e9)]).regret)[0]
        for h in pool
    ]
    np.testing.assert_allclose(first.weights[0], pool[np.argmin(falls)])


def test_space_filling_takes_the_farthest(optimum, runs):
    pool = dirichlet_design(3, 12, seed=6)
    found = batch(
        optimum, runs, criterion="space-filling", candidates=pool, count=1, sizes=[(1e8, 4e9)]
    )
    gaps = [np.linalg.norm(MIXTURES - h, axis=1).min() for h in pool]
    np.testing.assert_allclose(found.weights[0], pool[np.argmax(gaps)])


def test_near_duplicates_are_refused_unless_noise_dominates(optimum, runs):
    old = {"candidates": MIXTURES, "sizes": [(1e8, 4e9)]}
    with pytest.raises(ValueError, match="8 of 8 candidates are near-duplicates"):
        batch(optimum, runs, **old)
    assert len(batch(optimum, runs, repeats=True, **old)) == 4
    noisy = batch(optimum, runs, **{**old, "noise": 1.0})
    assert len(noisy) == 4 and "near-duplicates are allowed" in noisy.notes[0]
    other = batch(optimum, runs, **{**old, "sizes": [(2e8, 4e9)], "count": 8})
    assert len(np.unique(other.weights, axis=0)) == 8  # another size: none is a duplicate


def test_the_batch_keeps_to_its_budget_constraints_and_sizes(laws, runs, optimum):
    sizes = [(1e7, 1e9), (1e8, 2e9)]
    limits = Constraints(
        minimum={"web": 0.2}, maximum={"w_code": 0.3}, linear=["web <= 2 * code", "books >= code"]
    )
    found = batch(best(laws, limits), runs, flops=4e18, count=None, sizes=sizes)
    assert found.flops.sum() <= 4e18 < found.flops.sum() + 1.2e18 + 1e9
    assert set(zip(found.n_params, found.tokens, strict=True)) <= set(sizes)
    web, code, books = found.weights.T
    assert np.all(web >= 0.2 - 1e-6) and np.all(code <= 0.3 + 1e-6)
    assert np.all(web <= 2 * code + 1e-6) and np.all(books >= code - 1e-6)
    with pytest.raises(ValueError, match="pays no run"):
        batch(optimum, runs, flops=1e10)


def test_candidates_fill_the_feasible_set(laws):
    """Corners of a polytope with an equality are found, and combinations of them are feasible."""
    limits = Constraints(linear=["web = 2 * code"], maximum={"books": 0.4})
    shape = problem_of(best(laws, limits)).shape
    edges = corners(shape, 0)
    np.testing.assert_allclose(np.sort(edges[:, 2]), [0.0, 0.4], atol=1e-9)
    found = candidate_mixtures(edges, np.array([0.5, 0.25, 0.25]), 0)
    assert len(given_mixtures(found, shape)) == len(found) > 1000
    np.testing.assert_allclose(corners(problem_of(best(laws)).shape, 0), np.eye(3))


def test_directions_out_of_the_active_set_still_count(laws, runs):
    """The expected regret is not 0 if bounds hold two of three weights."""
    held = best(laws, Constraints(minimum={"web": 0.9}), target_weights={"y": 1.0})
    found = batch(held, runs, count=2)
    assert found.optimum.h[0] == pytest.approx(0.9)
    assert found.regret[0] > found.regret[-1] > 0


def test_directions_that_a_row_holds_do_not_count(laws, runs):
    free = best(laws, target_weights={"y": 1.0})
    limits = Constraints(linear=["web = 2 * code", "books = 0.4"])
    held = best(laws, limits, target_weights={"y": 1.0})
    assert batch(held, runs, count=1).regret[0] < 1e-9 < batch(free, runs, count=1).regret[0]


def test_laws_with_other_inputs_are_planned_for(runs):
    """Available tokens of the big run are those of the candidates."""
    law = repeated(ADDITIVE)
    params = {**POWERS, **MIXES["x"], "R_D_star": 5.0, "R_N_star": 5.0}
    stock = {"web": 1e10, "code": 2e9, "books": 1e9}
    given: dict[str, Any] = {"domains": DOMAINS, "mixtures": MIXTURES, "targets": ["x"], **SCALE}
    laws = true_laws(law, params, **given)
    table = simulate_laws(laws, mixtures=MIXTURES, unique=stock, **SCALE)
    limited = best(laws, Constraints(available=stock))
    found = batch(limited, table, count=2)
    assert np.all(np.diff(found.regret) < 0)
    assert not np.allclose(found.regret, batch(best(laws), table, count=2).regret)


def test_laws_of_the_own_weight_and_log_residuals(runs):
    given: dict[str, Any] = {"domains": DOMAINS, "mixtures": MIXTURES, **SCALE}
    params = {"E": 2.0, "B": 30.0, "beta": 0.2, "gamma": 0.05}
    laws = true_laws(get_law("ge"), dict.fromkeys(DOMAINS, params), targets=DOMAINS, **given)
    table = simulate_laws(laws, mixtures=MIXTURES, **SCALE)
    log = FittedLaws(law.with_report(residual="log") for law in laws)
    for some in (laws, log):
        found = batch(best(some), table, count=2)
        assert np.all(np.diff(found.regret) < 0)


def test_runs_are_joined_to_laws_by_name(optimum, runs):
    names = [*runs.frame.columns]
    swapped = replace(runs, frame=runs.frame[names[::-1]], domains=runs.domains[::-1])
    found = batch(optimum, swapped)
    np.testing.assert_allclose(found.weights, batch(optimum, runs).weights)
    assert found.domains == DOMAINS and list(found.rows()[0])[2:] == ["w_web", "w_code", "w_books"]


def test_noise_is_read_off_the_residuals(laws, optimum):
    mixtures = dirichlet_design(3, 60, seed=1)
    noisy = simulate_laws(laws, mixtures=mixtures, noise=0.01, **SCALE)
    found = batch(optimum, noisy, noise=None, count=1)
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
        ({"sizes": [(0.0, 1e9)]}, "above 0"),
    ],
)
def test_refused(optimum, runs, more, message):
    with pytest.raises(ValueError, match=message):
        batch(optimum, runs, **more)


def test_candidates_must_meet_the_constraints(laws, runs):
    limited = best(laws, Constraints(minimum={"web": 0.5}))
    with pytest.raises(ValueError, match="none of 2 candidates meets the constraints"):
        batch(limited, runs, candidates=vertices(3)[1:])


def test_runs_of_other_domains_are_refused(optimum):
    params = {"E": 1.0, "C": np.ones(2), "gamma": np.ones(2)}
    given = {"domains": ("web", "math"), "targets": ["x"], **SCALE}
    other = simulate(ADDITIVE_FIXED_ND, params, mixtures=dirichlet_design(2, 9, seed=0), **given)
    with pytest.raises(ValueError, match="domain 'books' is not in both"):
        batch(optimum, other)


def test_beliefs_of_refits_are_their_spread():
    """The regret before is about what the refits' own optima cost under the fitted laws."""
    mixtures = dirichlet_design(3, 14, seed=0)
    noisy = simulate_laws(truth(mixtures), mixtures=mixtures, noise=0.004, **SCALE)
    laws = fit(noisy, ADDITIVE, restarts=8)
    ensemble, optimum = bootstrap(laws, noisy, resamples=100), best(laws)
    found = next_runs(optimum, noisy, count=2, ensemble=ensemble)
    with jax.enable_x64(True):
        chosen, _ = solve_refits(optimum, ensemble.stacked)
    x = {name: np.repeat(v, len(chosen)) for name, v in optimum.inputs.items()}
    cost = laws.predict({**x, "weights": chosen}).to_numpy() @ optimum.w - optimum.objective
    assert found.regret[0] == pytest.approx(cost.mean())
    assert np.all(np.diff(found.regret) <= 1e-12)
