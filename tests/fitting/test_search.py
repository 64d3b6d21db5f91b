"""The search: starts by number, lanes that keep bits, perturbations of the best, the polish."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting import fit, simulate
from jaxmix.fitting.objective import Objective
from jaxmix.fitting.problem import make_problem, random_starts
from jaxmix.fitting.solvers.gauss_newton import GaussNewton
from jaxmix.fitting.solvers.lanes import Jobs
from jaxmix.fitting.solvers.multistart import (
    SEARCHES,
    Pool,
    Search,
    lane_shape,
    polish,
    run_jobs,
    run_search,
    starts_of_search,
)
from jaxmix.laws import CHINCHILLA

TRUTH = {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 1500.0, "beta": 0.33}
OTHER = {"E": 2.1, "A": 100.0, "alpha": 0.3, "B": 900.0, "beta": 0.3}


@pytest.fixture(scope="module")
def runs():
    return simulate(
        CHINCHILLA,
        {"x": TRUTH, "y": OTHER},
        domains=["a"],
        mixtures=[[1.0]],
        n_params=[1e7, 3e7, 1e8, 3e8, 1e9],
        tokens=[1e9, 3e9, 1e10, 3e10, 1e11],
        targets=["x", "y"],
        noise=0.002,
    )


@pytest.fixture(scope="module")
def problem(runs):
    with jax.enable_x64(True):
        yield make_problem(runs, CHINCHILLA, ("x", "y"), Objective(CHINCHILLA, 1), "equal")


def starts(problem, seed, first, count, scales=None):
    z, keys = random_starts(
        problem.objective,
        problem.scales if scales is None else scales,
        jax.random.key(seed),
        jnp.asarray(first),
        count=count,
    )
    return np.asarray(z), np.asarray(jax.random.key_data(keys))


def test_a_start_is_known_by_its_number_alone(problem):
    z, keys = starts(problem, 0, 0, 12)  # [12 * 2 fits, P]
    for first, count in ((0, 3), (3, 3), (10, 2)):
        part, part_keys = starts(problem, 0, first, count)
        np.testing.assert_array_equal(part, z[2 * first : 2 * (first + count)])
        np.testing.assert_array_equal(part_keys, keys[2 * first : 2 * (first + count)])
    assert len(np.unique(z[::2], axis=0)) == 12
    only = type(problem.scales)(*(x[1:] for x in problem.scales))
    np.testing.assert_array_equal(starts(problem, 0, 0, 12, only)[0], z[1::2])
    assert (starts(problem, 1, 0, 12)[0] != z).any(1).all()


def test_lanes_come_in_one_width_so_that_results_agree_to_the_bit():
    """XLA may compile other widths with sums in another order."""
    assert {lane_shape(jobs) for jobs in range(1, 300)} == {(2, 4)}


def test_the_elite_are_distinct_and_repeated_when_few():
    values = np.array([3.0, 1.0, 2.0, 1.0 + 1e-6, np.inf, 2.0])
    z = np.arange(6.0)[:, None, None]
    pool = Pool(z, values[:, None], np.zeros((6, 1), bool))
    assert pool.elite(0, 3)[:, 0].tolist() == [1, 2, 0]
    assert pool.elite(0, 1)[:, 0].tolist() == [1]
    assert Pool(z[:2], values[:2, None], pool.failed[:2]).elite(0, 5)[:, 0].tolist() == [
        *(1, 0, 1, 0, 1),
    ]


@pytest.mark.parametrize(("restarts", "found"), [(1, 1), (5, 5), (16, 16), (20, 24)])
def test_at_least_the_restarts_asked_for_are_run_and_reported(problem, restarts, found):
    seen = []
    pool = run_search(
        SEARCHES["gauss-newton"], problem, restarts, 0, lambda done, of: seen.append((done, of))
    )
    assert pool.value.shape == (found, 2) and pool.z.shape == (found, 2, 5)
    assert seen[-1] == (2 * found, 2 * found) and seen == sorted(set(seen))


def test_the_same_seed_gives_the_same_pool_and_hopping_keeps_what_it_found(problem):
    solver = SEARCHES["pooled-hopping"].solver
    plain, again, hopped = (
        run_search(Search(solver, hop=hop), problem, 16, 3) for hop in (False, False, True)
    )
    np.testing.assert_array_equal(plain.z, again.z)
    np.testing.assert_array_equal(plain.value, again.value)
    np.testing.assert_array_equal(plain.z[:8], hopped.z[:8])  # the first half is the same
    assert (plain.z[8:] != hopped.z[8:]).any()
    assert (hopped.value.min(0) <= plain.value[:8].min(0)).all()


def test_the_finish_lowers_the_best_ends_and_leaves_the_others_alone(problem):
    early = SEARCHES["pooled-hopping"].solver
    plain, finished = (run_search(Search(early, finish=n), problem, 16, 3) for n in (0, 4))
    moved = finished.value < plain.value
    np.testing.assert_array_equal(plain.z[~moved], finished.z[~moved])
    assert (finished.value <= plain.value).all() and (moved.sum(0) <= 4).all()
    for i in range(2):
        assert set(np.flatnonzero(moved[:, i])) <= set(plain.leading(i, 4).tolist())
    best = polish(problem, finished).value.min(0)
    np.testing.assert_allclose(finished.value.min(0), best, rtol=1e-3)


@pytest.mark.parametrize("count", [1, 7, 20])
def test_a_padded_queue_runs_its_jobs_alone(problem, count):
    z, keys = starts_of_search(problem, 16, 3)
    jobs = Jobs(
        jnp.asarray(z[:, 0]),
        jnp.zeros(16, int),
        jax.random.wrap_key_data(jnp.asarray(keys[:, 0])),
        jnp.zeros(16, int),
    )
    run = partial(run_jobs, GaussNewton(), problem.objective, problem.rows)
    whole = run(jobs)
    some = run(jax.tree.map(lambda x: x[np.arange(count) % 16], jobs))
    assert some.value.shape == (count,) and np.isfinite(some.value).all()
    np.testing.assert_array_equal(some.z, whole.z[np.arange(count) % 16])


def test_the_polish_makes_nothing_worse(problem):
    pool = run_search(SEARCHES["gauss-newton"], problem, 16, 0)
    best = polish(problem, pool)
    assert (best.value.min(0) <= pool.value.min(0) * (1 + 1e-12)).all()
    gradient = jax.jit(jax.grad(problem.objective.value))
    for i in range(2):
        z = jnp.asarray(best.z[np.argmin(best.value[:, i]), i])
        assert np.abs(gradient(z, problem.rows.of_fit(i))).max() < 1e-11


def test_a_second_fit_compiles_nothing(runs, compiled):
    fit(runs, CHINCHILLA, restarts=16)
    compiled()
    fit(runs, CHINCHILLA, restarts=16, seed=1)
    assert compiled() == []
