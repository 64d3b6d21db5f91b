"""The lanes: results that do not know which lane, batch, order or device they came from."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.solvers import multistart
from jaxmix.fitting.solvers.gauss_newton import GaussNewton
from jaxmix.fitting.solvers.lanes import BOTTOM, COLD, POLISH, WARM, Jobs, run_lanes
from jaxmix.fitting.solvers.lbfgs import LBFGS
from jaxmix.fitting.solvers.multistart import run_jobs
from jaxmix.fitting.solvers.newton import Newton
from jaxmix.laws import ADDITIVE_FIXED_N, JOINT, N_PARAMS, Law, Parameter

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


class _State(NamedTuple):
    z: Any
    value: Any
    iterations: Any
    done: Any
    failed: Any
    stage: Any
    left: Any


@dataclass(frozen=True)
class Halving:
    """Halves its distance to the observed losses' mean; as many steps as its key says."""

    def init(self, objective, z, key, stage):
        left = jax.random.randint(key, (), 1, 30)
        no = jnp.zeros((), bool)
        return _State(z, jnp.sum(z), jnp.zeros((), jnp.int32), no, no, jnp.asarray(stage), left)

    def step(self, objective, rows, state):
        z = 0.5 * (state.z + jnp.log(jnp.mean(rows.losses)))
        steps = state.iterations + 1
        bad = ~jnp.all(jnp.isfinite(z))
        done = bad | (steps >= state.left + 100 * state.stage)
        return state._replace(z=z, iterations=steps, done=done, failed=bad)


CONSTANT = Law(
    "constant", (Parameter("E"),), lambda p, x: p["E"] + 0.0 * x["n_params"], (N_PARAMS,)
)
TOY = Objective(CONSTANT, 1)
FITS = 3


def toy_rows():
    losses = jnp.array([[2.0, 2.0], [3.0, 3.0], [4.0, 5.0]])
    return Rows({"n_params": jnp.ones(2)}, {}, losses, jnp.full((FITS, 2), 0.5))


def toy_jobs(count, seed=0):
    rng = np.random.default_rng(seed)
    keys = jax.random.split(jax.random.key(seed), count)
    stages = rng.choice([COLD, WARM, POLISH, BOTTOM], count)
    z = jnp.asarray(rng.normal(size=(count, 1)))
    return Jobs(z, jnp.asarray(rng.integers(0, FITS, count)), keys, jnp.asarray(stages))


def pick(jobs, order):
    return jax.tree.map(lambda x: x[np.asarray(order)], jobs)


def same(found, expected):
    for name, a, b in zip(found._fields, found, expected, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_each_job_runs_to_its_own_end():
    jobs = toy_jobs(23)
    found = run_lanes(Halving(), TOY, toy_rows(), jobs, groups=2, width=3)
    steps = jax.vmap(lambda key: jax.random.randint(key, (), 1, 30))(jobs.key) + 100 * jobs.stage
    np.testing.assert_array_equal(found.iterations, steps)
    assert not found.failed.any()
    goal = np.log([2.0, 3.0, 4.5])[np.asarray(jobs.fit)]
    expected = goal + (np.asarray(jobs.z)[:, 0] - goal) * 0.5 ** np.asarray(steps)
    np.testing.assert_allclose(found.z[:, 0], expected, rtol=1e-12, atol=1e-15)
    for job in (0, 7, 22):
        rows = toy_rows().of_fit(jobs.fit[job])
        np.testing.assert_allclose(found.value[job], TOY.value(found.z[job], rows), rtol=1e-14)


@pytest.mark.parametrize(("groups", "width"), [(1, 1), (3, 2), (4, 16)])
def test_lanes_do_not_matter(groups, width):
    """More lanes than jobs and fewer, groups that fall idle."""
    jobs = toy_jobs(11)
    found = run_lanes(Halving(), TOY, toy_rows(), jobs, groups=groups, width=width)
    same(found, run_lanes(Halving(), TOY, toy_rows(), jobs, groups=2, width=4))


def test_neither_order_nor_company_matters():
    jobs = toy_jobs(13)
    whole = run_lanes(Halving(), TOY, toy_rows(), jobs, groups=2, width=2)
    order = np.random.default_rng(0).permutation(13)
    same(
        run_lanes(Halving(), TOY, toy_rows(), pick(jobs, order), groups=2, width=2),
        pick(whole, order),
    )
    some = [12, 3, 3, 0, *range(9)]
    again = run_lanes(Halving(), TOY, toy_rows(), pick(jobs, some), groups=2, width=2)
    same(again, pick(whole, some))
    one = run_lanes(Halving(), TOY, toy_rows(), pick(jobs, [5]), groups=2, width=2)
    same(one, pick(whole, [5]))


def test_a_failed_start_says_so_and_leaves_the_others_alone():
    jobs = toy_jobs(13)
    whole = run_lanes(Halving(), TOY, toy_rows(), jobs, groups=2, width=2)
    bad = [0, 5, 12]
    broken = jobs._replace(z=jobs.z.at[np.array(bad)].set(jnp.nan))
    found = run_lanes(Halving(), TOY, toy_rows(), broken, groups=2, width=2)
    assert np.flatnonzero(found.failed).tolist() == bad
    assert np.isposinf(found.value[np.array(bad)]).all()
    rest = np.setdiff1d(np.arange(13), bad)
    same(pick(found, rest), pick(whole, rest))


# --- real solvers, whose arithmetic batching could change ----------------------------------------

OBJECTIVE = Objective(ADDITIVE_FIXED_N, 3)


def real_rows(k=3, p=20):
    """Two fits."""
    rng = np.random.default_rng(0)
    n, d, h = *np.exp(rng.normal(size=(2, p))), rng.dirichlet(np.ones(k), p)
    bias = 1.0 / (h**0.5 @ rng.uniform(1, 2, (k, 2))).T  # [2, p]
    losses = (2.0 + 0.3 * n**-0.3 + 0.5 * d**-0.4 + bias) * np.exp(0.002 * rng.normal(size=(2, p)))
    x = {name: jnp.asarray(v) for name, v in (("n_params", n), ("tokens", d), ("weights", h))}
    return Rows(x, {}, jnp.asarray(losses), jnp.full((2, p), 1.0 / p))


def real_jobs(count, objective=OBJECTIVE):
    rng = np.random.default_rng(1)
    z = jnp.asarray(rng.normal(0.0, 0.5, (count, objective.law.count(objective.k))))
    keys = jax.random.split(jax.random.key(0), count)
    return Jobs(z, jnp.arange(count) % 2, keys, jnp.full(count, COLD))


EIGHT = tuple(jax.devices())  # a default run takes the first CPU device alone
SOLVERS = (GaussNewton(max_iterations=(60,) * 4), LBFGS(max_iterations=60))


by_solver = pytest.mark.parametrize(
    "solver",
    [SOLVERS[0], pytest.param(SOLVERS[1], marks=pytest.mark.slow)],
    ids=lambda s: type(s).__name__,
)


@by_solver
def test_solvers_are_bit_equal_in_any_batch(solver):
    jobs = real_jobs(9)
    wide = run_lanes(solver, OBJECTIVE, real_rows(), jobs, groups=2, width=8)
    assert np.isfinite(wide.value).all()
    same(run_lanes(solver, OBJECTIVE, real_rows(), jobs, groups=3, width=2), wide)
    order = np.arange(9)[::-1]
    same(
        run_lanes(solver, OBJECTIVE, real_rows(), pick(jobs, order), groups=2, width=8),
        pick(wide, order),
    )


@pytest.mark.slow
@pytest.mark.parametrize("solver", [*SOLVERS, Newton(20)], ids=lambda s: type(s).__name__)
def test_solvers_are_bit_equal_in_the_batches_of_the_search(monkeypatch, solver):
    """Large enough for XLA to split matrix products; it does so otherwise in batches of one."""
    monkeypatch.setattr(multistart, "cores", lambda: 2)
    objective = Objective(JOINT, 7)
    rows, jobs = real_rows(7, 1089), real_jobs(20, objective)
    whole = run_jobs(solver, objective, rows, jobs)
    for some in ([3], range(6), [*range(7, 19), 2]):
        same(run_jobs(solver, objective, rows, pick(jobs, some)), pick(whole, some))


@pytest.mark.parametrize("solver", [SOLVERS[0], Newton(20)], ids=lambda s: type(s).__name__)
def test_lapack_is_given_one_matrix_at_a_time_on_a_cpu(solver):
    """Batches that several threads hand to XLA's pool can wait for one another for ever."""
    lowered = run_lanes.lower(solver, OBJECTIVE, real_rows(), real_jobs(9), groups=2, width=4)
    size = OBJECTIVE.law.count(OBJECTIVE.k)
    calls = [line for line in lowered.as_text().splitlines() if "@lapack" in line]
    shapes = {s for line in calls for s in re.findall(r"tensor<([\dx]+)xf64>", line)}
    assert shapes and shapes <= {f"{size}x{size}", f"1x{size}x{size}", f"{size}", f"{size}x1"}


@pytest.mark.slow
@pytest.mark.parametrize("solver", [*SOLVERS, Newton(20)], ids=lambda s: type(s).__name__)
def test_devices_do_not_matter_at_real_size(solver):
    objective = Objective(JOINT, 7)
    rows, jobs = real_rows(7, 1089), real_jobs(20, objective)
    same(run_jobs(solver, objective, rows, jobs, EIGHT), run_jobs(solver, objective, rows, jobs))


@by_solver
def test_a_start_that_is_not_finite_fails_alone(solver):
    jobs = real_jobs(9)
    whole = run_lanes(solver, OBJECTIVE, real_rows(), jobs, groups=2, width=8)
    broken = jobs._replace(z=jobs.z.at[4].set(jnp.nan))
    found = run_lanes(solver, OBJECTIVE, real_rows(), broken, groups=2, width=8)
    assert np.flatnonzero(found.failed).tolist() == [4]
    assert found.iterations[4] == 1 and np.isposinf(found.value[4])
    rest = np.delete(np.arange(9), 4)
    same(pick(found, rest), pick(whole, rest))


@pytest.mark.parametrize("count", [1, 9])
def test_devices_do_not_matter(count):
    """Eight devices: fewer jobs than devices, and an uneven split."""
    assert len(jax.devices()) == 8
    solver, jobs = SOLVERS[0], real_jobs(9)
    whole = run_lanes(solver, OBJECTIVE, real_rows(), jobs, groups=2, width=8)
    found = run_jobs(solver, OBJECTIVE, real_rows(), pick(jobs, range(count)), EIGHT)
    assert found.z.shape == (count, OBJECTIVE.law.count(3))
    same(found, pick(whole, range(count)))


def test_devices_share_the_jobs_of_many_fits():
    jobs = toy_jobs(61)
    whole = run_lanes(Halving(), TOY, toy_rows(), jobs, groups=2, width=4)
    same(run_jobs(Halving(), TOY, toy_rows(), jobs, EIGHT), whole)


@pytest.mark.parametrize("count", [5, 16, 61])
def test_threads_do_not_matter(monkeypatch, count):
    """Too few jobs for a second thread, exactly enough for two, and uneven shares."""
    jobs = toy_jobs(count)
    whole = run_lanes(Halving(), TOY, toy_rows(), jobs, groups=2, width=8)
    for cores in (1, 2, 3, 7):
        monkeypatch.setattr(multistart, "cores", lambda cores=cores: cores)
        same(run_jobs(Halving(), TOY, toy_rows(), jobs), whole)


def test_threads_share_one_compiled_program(monkeypatch, compiled):
    monkeypatch.setattr(multistart, "cores", lambda: 3)
    solver = GaussNewton(max_iterations=(7,) * 4)  # used nowhere else
    jobs = real_jobs(24)
    found = run_jobs(solver, OBJECTIVE, real_rows(), jobs)
    assert sum("run_lanes" in name for name in compiled()) == 1
    same(found, run_lanes(solver, OBJECTIVE, real_rows(), jobs, groups=2, width=8))
