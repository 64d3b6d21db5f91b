"""Designs: sums, minima, counts, seeds, and how well they cover the simplex."""

import math

import numpy as np
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.mixtures import coverage, dirichlet_design, grid_design, one_out, uniform, vertices


def on_simplex(mixtures: np.ndarray, minimum: float = 0.0) -> bool:
    exact = np.abs(mixtures.sum(1) - 1.0) < 4e-16
    return bool(np.all(exact) and np.all(mixtures >= minimum - 1e-15))


@pytest.mark.parametrize("k", [1, 2, 3, 8, 17])
def test_plain_designs(k: int) -> None:
    assert uniform(k).shape == (1, k) and on_simplex(uniform(k))
    assert vertices(k).shape == (k, k) and on_simplex(vertices(k))
    if k > 1:
        left_out = one_out(k)
        assert on_simplex(left_out) and np.all(np.diag(left_out) == 0)
        assert np.allclose(left_out[0, 1:], 1 / (k - 1), atol=1e-15)
    else:
        with pytest.raises(JaxmixError, match="at least two"):
            one_out(k)


@pytest.mark.parametrize(("k", "steps", "minimum"), [(3, 7, 0.1), (4, 5, 0.0), (1, 3, 0.0)])
def test_grid(k: int, steps: int, minimum: float) -> None:
    grid = grid_design(k, steps, minimum)
    assert len(grid) == math.comb(steps + k - 1, k - 1) == len(np.unique(grid.round(12), axis=0))
    assert on_simplex(grid, minimum)
    if k > 1:
        values = np.unique(grid[:, 0].round(12))
        assert np.allclose(np.diff(values), (1 - k * minimum) / steps)


def test_grid_takes_a_minimum_for_each_domain() -> None:
    grid = grid_design(3, 4, [0.0, 0.1, 0.2])
    assert np.allclose(grid.min(0), [0.0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((3, 4, 0.5), "sum to 1.5"), ((3, 0, 0.0), "one step"), ((17, 20, 0.0), "points")],
)
def test_grid_refuses(arguments: tuple, message: str) -> None:
    with pytest.raises(JaxmixError, match=message):
        grid_design(*arguments)


def test_dirichlet_is_the_same_for_a_seed() -> None:
    one, two = (dirichlet_design(5, 40, seed=s, minimum=0.02) for s in (3, 3))
    assert np.array_equal(one, two) and on_simplex(one, 0.02)
    assert not np.array_equal(one, dirichlet_design(5, 40, seed=4, minimum=0.02))


def test_dirichlet_draws_around_a_mean() -> None:
    mean = [6.0, 3.0, 1.0, 0.0]
    near = dirichlet_design(4, 4000, seed=0, concentration=20, mean=mean)
    assert np.allclose(near.mean(0), [0.6, 0.3, 0.1, 0.0], atol=0.01)
    assert np.all(near[:, 3] == 0) and on_simplex(near)
    wide = dirichlet_design(4, 4000, seed=0, concentration=0.05, mean=mean)
    assert on_simplex(wide) and wide.var() > near.var()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": [1, 2]}, "3 non-negative weights"),
        ({"mean": [0, 0, 0]}, "3 non-negative weights"),
        ({"concentration": 0.0}, "must be positive"),
        ({"minimum": 0.4}, "sum to 1.2"),
    ],
)
def test_dirichlet_refuses(arguments: dict, message: str) -> None:
    with pytest.raises(JaxmixError, match=message):
        dirichlet_design(3, 4, seed=0, **arguments)


def test_coverage_sees_finer_designs_and_duplicates() -> None:
    coarse, fine = coverage(grid_design(3, 3)), coverage(grid_design(3, 9))
    assert fine.farthest < coarse.farthest and fine.typical < coarse.typical
    assert coarse.closest == pytest.approx(math.sqrt(2) / 3)
    assert coverage(np.vstack([vertices(3), vertices(3)[:1]])).closest == 0
    assert coverage(uniform(3)).farthest == pytest.approx(math.sqrt(2 / 3))
