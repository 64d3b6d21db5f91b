"""Schedules of budgets, corners, and the map from target mixtures to optimal ones."""

import numpy as np
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.mixtures import (
    Constraints,
    corners,
    fixed_point_map,
    grid_design,
    js_distance,
    optimize,
    optimize_many,
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
    with pytest.raises(JaxmixError, match="choose one of fixed-n"):
        schedule("cubic", 1, 1, [1])  # type: ignore[arg-type]


def test_paths_reach_their_limit(joint3) -> None:
    for kind in ("fixed-n", "fixed-d", "linear", "sqrt"):
        path = optimize_many(joint3, *schedule(kind, 1e8, 1e10, [1, 1e9, 1e60], limit=True))
        assert path.h[2] == pytest.approx(path.h[3], abs=1e-8)
        assert np.abs(path.h[0] - path.h[3]).max() > 1e-3
        assert path.to_frame()["n_params"].tolist() == path.n_params.tolist()
    with pytest.raises(JaxmixError, match=r"different numbers: \[2, 3\]"):
        optimize_many(joint3, [1, 2], [1, 2, 3])


def test_corners_are_each_target_alone(joint3) -> None:
    found = corners(joint3, 1.3e9, 1e10)
    assert [best.h.tolist() for best in found[1:]] == found.h[1:].tolist()
    assert np.array_equal(found.target_weights, np.eye(3))
    for b, target in enumerate("abc"):
        alone = optimize(joint3, 1.3e9, 1e10, target_weights={target: 1})
        assert found[b].h == pytest.approx(alone.h, abs=1e-9)
        assert found[b].objective == pytest.approx(alone.predicted[target], rel=1e-12)
    assert corners(joint3, 1.3e9, 1e10, Constraints(maximum={"a": 0.1})).h[0, 0] == 0.1


def test_fixed_point_map_goes_by_name(joint3) -> None:
    grid = grid_design(3, 4, 0.1)
    one = fixed_point_map(joint3, 1.3e9, 1e10, grid)
    two = fixed_point_map(joint3[::-1], 1.3e9, 1e10, grid)
    assert one.optima.h == pytest.approx(two.optima.h, abs=1e-9)
    assert one.distance.dtype == np.float64
    assert one.distance == pytest.approx(
        [float(js_distance(w, h)) for w, h in zip(grid, one.optima.h, strict=True)], abs=1e-4
    )
    with pytest.raises(JaxmixError, match="differ in: c"):
        fixed_point_map(joint3[:2], 1.3e9, 1e10, grid)
