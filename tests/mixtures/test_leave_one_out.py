"""What leaving a mixture out does to the optimum, against fits of the rows that are left."""

import numpy as np
import pytest

from jaxmix.fitting import FittedLaws, fit, simulate
from jaxmix.fitting.uncertainty.clusters import mixture_labels
from jaxmix.laws import ADDITIVE
from jaxmix.mixtures import LeaveOneOut, dirichlet_design, leave_one_out, optimize, vertices
from jaxmix.runs import RunTable

BUDGET = 1e10, 1e12


@pytest.fixture(scope="module")
def study() -> tuple[RunTable, FittedLaws]:
    """Noise of five Huber thresholds: without a mixture most rows cross the kink."""
    truth = {"E": 1.5, "A": 300.0, "alpha": 0.33, "B": 900.0, "beta": 0.3}
    truth |= {"C": [1.2, 0.7, 1.0], "gamma": [0.4, 0.6, 0.5]}
    runs = simulate(
        ADDITIVE,
        {name: np.asarray(value, float) for name, value in truth.items()},
        domains=("a", "b", "c"),
        mixtures=np.concatenate([vertices(3), dirichlet_design(3, 9, seed=1)]),
        n_params=[1e7, 1e8, 1e9, 1e10],
        tokens=[1e9, 1e10, 1e11, 1e12],
        targets=("x",),
        noise=5e-3,
        seed=3,
    )
    return runs, fit(runs, "additive", restarts=32)


@pytest.fixture(scope="module")
def without(study: tuple[RunTable, FittedLaws]) -> LeaveOneOut:
    runs, laws = study
    return leave_one_out(optimize(laws, *BUDGET), runs)


def test_moves_are_those_of_fits_without_the_mixture(study, without) -> None:
    runs, labels = study[0], mixture_labels(study[0].weights)
    most = np.argsort(-without.distance)[[0, 1, 2, 6]]
    moved = []
    for label in most:
        laws = fit(runs.select(labels != label), "additive", restarts=16)
        moved.append(optimize(laws, *BUDGET).h - without.base)
    moves = without.h[most] - without.base
    assert np.abs(moved).max() > 0.01
    assert np.corrcoef(np.ravel(moved), moves.ravel())[0, 1] > 0.95
    assert np.ravel(moved) @ moves.ravel() / np.sum(moves**2) == pytest.approx(1.0, abs=0.15)


def test_the_additive_law_has_one_optimum(without) -> None:
    assert without.spread < 0.1 * without.distance.max()
    assert np.abs(without.base - without.optimum.h).max() < 1e-4


def test_a_law_with_more_optima_says_how_far_they_lie_apart(study, without) -> None:
    """One size leaves a joint law open at other sizes."""
    runs = study[0].where("n_params < 2e7")
    joint = leave_one_out(optimize(fit(runs, "joint", restarts=32), *BUDGET), runs)
    assert joint.spread > 10 * without.spread
