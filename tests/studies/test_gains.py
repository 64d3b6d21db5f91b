"""Gains: paired differences, and targets that count more than others."""

import math

import pytest

from jaxmix.runs import read_runs
from jaxmix.studies import final_losses, gain, measured_gains

LOSSES = {("a", 0): 2.0, ("a", 1): 2.2, ("b", 0): 2.1, ("b", 1): 2.32, ("c", 0): 1.0}


def test_a_gain_is_paired_by_seed():
    found = gain(LOSSES, "a", "b")
    assert found.mean == pytest.approx(0.11)
    assert found.sem == pytest.approx(0.01)
    assert found.noise > 10 * found.sem
    assert found.loss == pytest.approx(2.1)
    assert found.is_clear and not gain(LOSSES, "b", "a").is_clear


def test_one_seed_has_no_error_and_is_never_clear():
    found = gain(LOSSES, "c", "a")
    assert found.mean == 1.0 and math.isnan(found.sem) and not found.is_clear


def test_final_losses_weigh_targets():
    table = read_runs(
        {
            "run": ["r", "r", "s"],
            "mixture": ["a", "a", "b"],
            "seed": [0, 0, 0],
            "n_params": [1e5] * 3,
            "tokens": [1e5, 2e5, 2e5],
            "loss_x": [4.0, 3.0, 2.0],
            "loss_y": [5.0, 5.0, 4.0],
        },
        source="test",
    )
    assert final_losses(table, {"x": 3, "y": 1}) == {("a", 0): 3.5, ("b", 0): 2.5}
    (over,) = measured_gains(table, "b", ["a"], ["y"]).values()
    assert (over.mean, over.loss) == (1.0, 4.0)
