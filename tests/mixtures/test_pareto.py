"""The Pareto front against dense grids, weighted sums, and a front that no weighted sum traces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.fitting.fitted import FittedLaws
from jaxmix.laws import WEIGHTS, Law, Parameter
from jaxmix.mixtures import Constraints, grid_design, optimize, pareto
from jaxmix.mixtures.pareto import best_rows

N, D = 7e9, 1.5e11


@jax.jit
def _losses(laws: object, weights: jax.Array) -> jax.Array:
    return laws.losses({"n_params": N, "tokens": D, "weights": weights})


def grid_losses(laws: FittedLaws, steps: int = 150) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_losses(laws.stacked, jnp.asarray(grid_design(3, steps)))).T


def dominates(points: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Which points some row is below by more than rounding in every target."""
    return np.any(np.all(by[None] < points[:, None] - 1e-7, axis=2), axis=1)


@pytest.fixture(scope="module")
def front(joint3):
    return pareto(joint3, N, D, targets=["a", "b"], points=9)


def test_no_mixture_of_a_grid_dominates_the_front(joint3, front) -> None:
    assert not dominates(front.losses, grid_losses(joint3)[:, :2]).any()
    assert len(front) == 9 and front.proven
    assert np.all(np.diff(front.losses[:, 0]) > 0) and np.all(np.diff(front.losses[:, 1]) < 0)
    assert len(best_rows(front.losses)) == len(front)


def test_its_ends_are_the_targets_own_optima(joint3, front) -> None:
    for column, row in ((0, 0), (1, -1)):
        best = optimize(joint3, N, D, target_weights={"ab"[column]: 1})
        assert front.losses[row, column] == pytest.approx(best.objective, abs=1e-5)


def test_target_weights_find_the_point_again(joint3, front) -> None:
    assert front.target_weights.sum(1) == pytest.approx(np.ones(9))
    for i in (2, 4, 6):
        w = dict(zip("ab", front.target_weights[i], strict=True))
        again = optimize(joint3, N, D, target_weights=w)
        assert [again.predicted[t] for t in "ab"] == pytest.approx(front.losses[i], abs=1e-6)


def test_constraints_hold_along_the_front(joint3) -> None:
    limits = Constraints(groups={"a+b": 0.5}, guards={"c": 0.1}, reference={"c": 1.0})
    bound = pareto(joint3, N, D, limits, targets="ab", points=5)
    assert np.all(bound.h[:, :2].sum(1) <= 0.5 + 1e-9)
    points = np.vstack([np.eye(3)[2], bound.h])
    limit, *at = joint3["c"].predict({"n_params": N, "tokens": D, "weights": points})
    assert max(at) <= limit + 0.1 + 1e-9
    assert any("a+b<=0.5" in prices or "c<=reference+0.1" in prices for prices in bound.prices)


def test_three_targets(joint3) -> None:
    full = pareto(joint3, N, D, points=9)
    grid = grid_losses(joint3)
    assert len(full) >= 6 and len(best_rows(full.losses)) == len(full)
    assert not dominates(full.losses, grid).any()


# Losses 1 - h_own^2: with h = (x, 1 - x, 0) the front bends outwards, and a weighted sum only
# ever finds its ends.
BENT = Law(
    "bent",
    (Parameter("C", "domain", "real"),),
    loss=lambda p, x: 2.0 - jnp.sum(p["C"] * x["weights"] ** 2, -1),
    inputs=(WEIGHTS,),
)


def test_a_front_that_no_weighted_sum_traces(fit_of) -> None:
    laws = fit_of(BENT, {"C": [[1, 0, 0], [0, 1, 0]]}, "abc", "xy")
    front = pareto(laws, N, D, points=7)
    assert len(front) == 7 and not front.proven
    inner = front.h[1:-1]
    assert np.all(inner[:, :2] > 0.05) and inner[:, 2] == pytest.approx(0, abs=1e-6)
    assert not dominates(front.losses, grid_losses(laws)).any()


def test_what_is_no_front_is_refused(joint3) -> None:
    with pytest.raises(ValueError, match="two or more different targets"):
        pareto(joint3, N, D, targets=["a"])
    with pytest.raises(ValueError, match="unknown target 'z'"):
        pareto(joint3, N, D, targets=["a", "z"])
    with pytest.raises(ValueError, match="points is 2"):
        pareto(joint3, N, D, points=2)
    with pytest.raises(ValueError, match="no mixture meets"):
        pareto(joint3, N, D, Constraints(linear=["a + b >= 1.1"]))
