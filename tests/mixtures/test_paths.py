import numpy as np
import pytest

from jaxmix.mixtures import (
    corners,
    fixed_point_map,
    grid_design,
    js_distance,
    optimal_path,
    optimize,
    schedule,
)


@pytest.mark.parametrize(
    ("kind", "n", "d"),
    [
        ("fixed-n", [1e8, 1e8, 1e8], [1e10, 1e12, np.inf]),
        ("fixed-d", [1e8, 1e10, np.inf], [1e10, 1e10, 1e10]),
        ("linear", [1e8, 1e10, np.inf], [1e10, 1e12, np.inf]),
        ("sqrt", [1e8, 1e10, np.inf], [1e10, 1e11, np.inf]),
        ("log", [1e8, 1e10, np.inf], [1e10, 1.25e10, np.inf]),
    ],
)
def test_schedules(kind, n: list, d: list) -> None:
    got_n, got_d = schedule(kind, 1e8, 1e10, [1, 100], limit=True)
    assert got_n == pytest.approx(n) and got_d == pytest.approx(d)


def test_unknown_schedule() -> None:
    with pytest.raises(ValueError, match="choose one of fixed-n"):
        schedule("cubic", 1, 1, [1])  # type: ignore[arg-type]


def test_paths_reach_their_limit(joint3) -> None:
    for kind in ("fixed-n", "fixed-d", "linear", "sqrt"):
        path = optimal_path(joint3, *schedule(kind, 1e8, 1e10, [1, 1e9, 1e60], limit=True))
        assert path.weights[2] == pytest.approx(path.weights[3], abs=1e-8)
        assert np.abs(path.weights[0] - path.weights[3]).max() > 1e-3
    with pytest.raises(ValueError, match="N has 2 points along the path, D 3"):
        optimal_path(joint3, [1, 2], [1, 2, 3])


def test_corners_are_each_target_alone(joint3) -> None:
    found = corners(joint3, 1.3e9, 1e10)
    assert np.array_equal(found.target_weights, np.eye(3))
    for b, target in enumerate("abc"):
        alone = optimize(joint3, 1.3e9, 1e10, target_weights={target: 1})
        assert found[b].weights == pytest.approx(alone.weights, abs=1e-9)
        assert found[b].objective == pytest.approx(alone.predicted[target], rel=1e-12)


def test_fixed_point_map_goes_by_name(joint3) -> None:
    grid = grid_design(3, 4, 0.1)
    one = fixed_point_map(joint3, 1.3e9, 1e10, grid)
    two = fixed_point_map(joint3[::-1], 1.3e9, 1e10, grid)
    assert one.optima.weights == pytest.approx(two.optima.weights, abs=1e-9)
    assert one.distance.dtype == np.float64
    assert one.distance == pytest.approx(
        [float(js_distance(w, h)) for w, h in zip(grid, one.optima.weights, strict=True)], abs=1e-4
    )
    with pytest.raises(ValueError, match="differ in: c"):
        fixed_point_map(joint3[:2], 1.3e9, 1e10, grid)
