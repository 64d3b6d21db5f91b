"""Every solver against SciPy on the same objective: two easy problems with noise."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jaxmix.fitting import simulate
from jaxmix.fitting.objective import Objective
from jaxmix.fitting.problem import make_problem, random_starts
from jaxmix.fitting.solvers.gauss_newton import GaussNewton
from jaxmix.fitting.solvers.hopping import BasinHopping, perturb
from jaxmix.fitting.solvers.lanes import BOTTOM, COLD, POLISH, WARM, Jobs, run_lanes
from jaxmix.fitting.solvers.lbfgs import LBFGS
from jaxmix.fitting.solvers.newton import Newton
from jaxmix.fitting.solvers.reference import JaxoptLBFGS
from jaxmix.laws import ADDITIVE, CHINCHILLA

STARTS = 16
TRUTHS = {
    CHINCHILLA: {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 1500.0, "beta": 0.33},
    ADDITIVE: {
        **{"E": 1.2, "A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34},
        **{"C": [3.0, 1.0, 2.0], "gamma": [0.5, 0.6, 0.4]},
    },
}
MIXTURES = [
    *([0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.6, 0.4, 0.0], [0.0, 0.4, 0.6]),
    *([0.5, 0.0, 0.5], [0.4, 0.3, 0.3], [0.3, 0.2, 0.5]),
]


@dataclass(frozen=True)
class Easy:
    """One problem, its starts, and the best value that SciPy finds."""

    objective: Objective
    rows: object
    jobs: Jobs
    best: float


def scipy_best(objective, rows, starts):
    """Best of least squares with the same Huber loss, from every start."""
    residuals = jax.jit(lambda z: objective.residuals(z, rows))
    jacobian = jax.jit(lambda z: -objective.linearize(z, rows)[1].T)
    best = np.inf
    for z in starts:
        found = optimize.least_squares(
            lambda z: np.asarray(residuals(z)),
            z,
            lambda z: np.asarray(jacobian(z)),
            bounds=objective.law.bounds(objective.k),
            loss="huber",
            f_scale=objective.delta,
            x_scale="jac",
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
            max_nfev=400,
        )
        best = min(best, found.cost / len(rows.losses))
    return best


@pytest.fixture(scope="module", params=[CHINCHILLA, ADDITIVE], ids=lambda law: law.name)
def easy(request):
    law = request.param
    runs = simulate(
        law,
        TRUTHS[law],
        domains=["a", "b", "c"],
        mixtures=MIXTURES if law is ADDITIVE else MIXTURES[:3],
        n_params=[1e7, 1e8, 1e9],
        tokens=[1e9, 1e10, 1e11],
        targets=["x"],
        noise=0.002,
    )
    with jax.enable_x64(True):
        objective = Objective(law, 3, delta=1e-2)
        problem = make_problem(runs, law, ("x",), objective, "equal")
        z, keys = random_starts(
            objective, problem.scales, jax.random.key(0), jnp.asarray(0), count=STARTS
        )
        jobs = Jobs(z, jnp.zeros(STARTS, int), keys, jnp.full(STARTS, COLD))
        best = scipy_best(objective, problem.rows.of_fit(0), np.asarray(z)[:6])
        yield Easy(objective, problem.rows, jobs, best)


def reaches(found, easy, share):
    """The best start is at SciPy's optimum, and so is this share of them all."""
    values = np.asarray(found.value)
    assert values.min() == pytest.approx(easy.best, rel=1e-4)
    assert np.mean(values < easy.best * (1 + 1e-2)) >= share
    low, high = easy.objective.law.bounds(3)
    assert (found.z >= low).all() and (found.z <= high).all() and not np.any(found.failed)


@pytest.mark.parametrize(
    ("solver", "share"),
    [
        pytest.param(GaussNewton(), 0.75, id="gauss-newton"),
        pytest.param(LBFGS(), 0.25, id="lbfgs"),
        pytest.param(BasinHopping(LBFGS(), hops=3), 0.4, id="basin-hopping"),
        pytest.param(
            BasinHopping(GaussNewton(), hops=2), 0.75, id="hopping-gauss", marks=pytest.mark.slow
        ),
    ],
)
def test_solvers_reach_the_optimum_of_scipy(easy, solver, share):
    found = run_lanes(solver, easy.objective, easy.rows, easy.jobs, groups=2, width=8)
    reaches(found, easy, share)


@pytest.mark.slow
def test_jaxopt_reaches_it_too(easy):
    found = JaxoptLBFGS().run(easy.objective, easy.rows, easy.jobs)
    reaches(found, easy, 0.1)


@pytest.mark.parametrize("easy", [CHINCHILLA], ids=["chinchilla"], indirect=True)
def test_newton_finishes_what_gauss_newton_began(easy):
    """To a gradient of rounding size, which implicit derivatives need."""
    rough = GaussNewton(max_iterations=(60,) * 4)
    first = run_lanes(rough, easy.objective, easy.rows, easy.jobs, groups=2, width=8)
    good = np.argsort(np.asarray(first.value), kind="stable")[:8]
    jobs = Jobs(*(x[good] for x in (first.z, easy.jobs.fit, easy.jobs.key)), jnp.full(8, POLISH))
    found = run_lanes(Newton(), easy.objective, easy.rows, jobs, groups=1, width=8)
    assert (np.asarray(found.value) <= np.asarray(first.value)[good] * (1 + 1e-12)).all()
    best = int(np.argmin(found.value))
    assert float(found.value[best]) == pytest.approx(easy.best, rel=1e-6)
    rows = easy.rows.of_fit(0)
    gradient = jax.jit(jax.grad(easy.objective.value))(found.z[best], rows)
    assert np.abs(gradient).max() < 1e-12


def test_a_chain_keeps_the_best_it_saw_and_makes_every_hop(easy):
    plain, hopped = (
        run_lanes(solver, easy.objective, easy.rows, easy.jobs, groups=2, width=8)
        for solver in (LBFGS(), BasinHopping(LBFGS(), hops=3))
    )
    assert (np.asarray(hopped.value) <= np.asarray(plain.value) * (1 + 1e-6)).all()
    assert (np.asarray(hopped.iterations) >= np.asarray(plain.iterations) + 3).all()
    assert (np.asarray(hopped.iterations) <= 4 * LBFGS().max_iterations).all()


@pytest.mark.parametrize("easy", [CHINCHILLA], ids=["chinchilla"], indirect=True)
def test_stages_set_how_long_gauss_newton_works(easy):
    stages = jnp.array([COLD, WARM, POLISH, BOTTOM] * 2)
    jobs = Jobs(*(x[:8] for x in easy.jobs[:3]), stages)
    solver = GaussNewton(max_iterations=(7, 5, 3, 2), patience=(1000,) * 4)
    found = run_lanes(solver, easy.objective, easy.rows, jobs, groups=1, width=8)
    assert np.asarray(found.iterations).tolist() == [7, 5, 3, 2] * 2


@pytest.mark.parametrize("easy", [ADDITIVE], ids=["additive"], indirect=True)
def test_kicks_are_of_two_kinds_and_stay_within_bounds(easy):
    low, high = easy.objective.law.bounds(3)
    z = jnp.asarray(high) - 0.1
    keys = jax.random.split(jax.random.key(0), 400)
    perturbed = jax.jit(jax.vmap(lambda key: perturb(easy.objective, key, z)))(keys)
    assert (perturbed >= low).all() and (perturbed <= high).all() and (perturbed == high).any()
    moved = np.mean(np.asarray(perturbed) != np.asarray(z), axis=1)
    everywhere = moved == 1.0
    assert 0.35 < everywhere.mean() < 0.65 and moved[~everywhere].mean() < 0.3
