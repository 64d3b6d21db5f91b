"""Proposals keep to what the runs support, unless the user says otherwise."""

import numpy as np
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.fitting.hull import hull_distance
from jaxmix.laws import JOINT
from jaxmix.mixtures import Constraints, optimize, optimize_many

from .conftest import fitted, joint_params

BUDGET = (7e9, 1.5e11)
NARROW = 0.3 * np.random.default_rng(3).dirichlet(np.ones(3), 12) + [0.2, 0.3, 0.2]


def laws_of(mixtures: np.ndarray):
    k = mixtures.shape[1]
    return fitted(JOINT, joint_params(4, 2, k), "abcd"[:k], "ab", mixtures)


@pytest.fixture(scope="module")
def narrow():
    return laws_of(NARROW)


def test_range_and_hull_hold_and_cost_something(narrow) -> None:
    free, box, hull = (
        optimize(narrow, *BUDGET, Constraints(within=w)) for w in (None, "range", "hull")
    )
    assert np.all(box.h >= NARROW.min(0) - 1e-9) and np.all(box.h <= NARROW.max(0) + 1e-9)
    assert hull_distance(NARROW, hull.h) < 1e-6 < hull_distance(NARROW, free.h)
    assert free.objective < box.objective < hull.objective
    assert any("outside the weights that were run" in note for note in free.notes)
    assert free.status == "proven minimum of the law" and hull.status == "proven optimal"


def test_the_hull_of_many_domains_is_its_best_mixture() -> None:
    """Against the best of many mixtures inside."""
    mixtures = np.random.default_rng(5).dirichlet(np.full(4, 8.0), 9)
    laws = laws_of(mixtures)
    found = optimize(laws, *BUDGET, Constraints(within="hull"))
    inside = np.random.default_rng(6).dirichlet(np.full(9, 0.3), 4000) @ mixtures
    x = {"n_params": BUDGET[0], "tokens": BUDGET[1], "weights": inside}
    assert found.objective <= laws.predict(x).to_numpy().mean(1).min() + 1e-6


def test_unused_domains_and_flat_directions_stay_as_run() -> None:
    seen = np.random.default_rng(7).dirichlet(np.ones(2), 8)
    mixtures = np.c_[seen[:, :1] * [0.4, 0.6], seen[:, 1:], np.zeros(8)]
    laws = laws_of(mixtures)
    found = optimize(laws, *BUDGET)
    assert found.h[3] == 0.0 and found.h[1] == pytest.approx(1.5 * found.h[0], abs=1e-6)
    assert any("d was never trained on" in note for note in found.notes)
    many = optimize_many(laws, [1e9, 7e9], [1e10, 1e11])
    assert many.h[:, 1] == pytest.approx(1.5 * many.h[:, 0], abs=1e-6)
    free = optimize(laws, *BUDGET, Constraints(within="anywhere"))
    assert free.objective < found.objective


def test_the_user_comes_first() -> None:
    mixtures = np.c_[np.random.default_rng(7).dirichlet(np.ones(2), 8), np.zeros(8)]
    laws = laws_of(mixtures)
    for within in (None, "range"):
        asked = optimize(laws, *BUDGET, Constraints(minimum={"c": 0.2}, within=within))
        assert asked.h[2] == pytest.approx(0.2)
        capped = Constraints(available={"a": 1e10}, max_epochs=1, within=within)
        assert optimize(laws, *BUDGET, capped).h[0] <= 1e10 / BUDGET[1] + 1e-9


def test_one_mixture_is_the_answer() -> None:
    found = optimize(laws_of(np.tile([0.4, 0.35, 0.25], (5, 1))), *BUDGET)
    assert found.h == pytest.approx([0.4, 0.35, 0.25])
    assert any("all rows have one mixture" in note for note in found.notes)


def test_limits_outside_the_range_are_explained(narrow) -> None:
    with pytest.raises(JaxmixError, match=r"the least run.*--within anywhere"):
        optimize(narrow, *BUDGET, Constraints(linear=["a + b >= 0.99"], within="range"))
    with pytest.raises(JaxmixError, match="within is 'rang'"):
        Constraints(within="rang")  # type: ignore[arg-type]
