"""Scores: the paper's relative error, R², rank correlation, and joining by name."""

import numpy as np
import pytest
from scipy import stats

from jaxmix.fitting.fitted import DataRange, FitReport, FittedLaw
from jaxmix.fitting.inputs import read_inputs
from jaxmix.fitting.scores import (
    Score,
    average_ranks,
    mean_mre,
    score,
    score_arrays,
    spearman,
    unscored,
)
from jaxmix.laws import ADDITIVE_FIXED_ND, CHINCHILLA, GE
from jaxmix.runs import RunTableError, read_runs

N_D = {"n_params": [1e8, 1e8, 1e8], "tokens": [1e9, 2e9, 4e9]}


def fitted(law, params, target="x", domains=("a", "b")):
    data = DataRange((1e8, 1e8), (1e9, 4e9), np.eye(len(domains)))
    arrays = {name: np.asarray(value, np.float64) for name, value in params.items()}
    return FittedLaw(law, target, domains, arrays, data, FitReport(0.0, 0.0, 3, 1, 1))


def table(**columns):
    return read_runs({**N_D, **columns}, source="t")


def linear():
    """1 + 1 / (h_a + 2 h_b)."""
    return fitted(ADDITIVE_FIXED_ND, {"E": 1.0, "C": [1.0, 2.0], "gamma": [1.0, 1.0]})


def test_scores_by_hand():
    runs = table(w_b=[0.0, 1.0, 0.5], w_a=[1.0, 0.0, 0.5], loss_x=[2.0, 1.6, np.nan])
    found = score([linear()], runs)["x"]
    assert found.rows == 2 and found.diverged == 0
    assert found.mre == pytest.approx(100 * (0.0 + 0.1 / 1.6) / 2)
    assert found.r2 == pytest.approx(1 - 0.01 / 0.08)
    assert found.spearman == 1.0


def test_ranks_and_correlation_agree_with_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 60) / 3.0, rng.integers(0, 9, 60) / 7.0
    np.testing.assert_array_equal(average_ranks(a), stats.rankdata(a))
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, rel=1e-12)


def test_nothing_to_score_is_not_a_number():
    none = score_arrays(np.array([1.0]), np.array([np.nan]))
    assert none.rows == 0 and np.isnan([none.mre, none.r2, none.spearman]).all()
    one = score_arrays(np.array([1.1]), np.array([1.0]))
    assert one.mre == pytest.approx(10.0) and np.isnan([one.r2, one.spearman]).all()


def test_rows_where_the_law_diverges_are_left_out_and_counted():
    ge = fitted(GE, {"E": 1.0, "B": 0.0, "beta": 1.0, "gamma": 1.0}, target="a")
    runs = table(w_a=[0.5, 1.0, 0.0], w_b=[0.5, 0.0, 1.0], loss_a=[2.0, 1.0, 5.0])
    found = score([ge], runs)["a"]
    assert (found.mre, found.rows, found.diverged) == (0.0, 2, 1)


def test_a_law_without_mixtures_scores_any_domains():
    law = fitted(CHINCHILLA, {"E": 2.0, "A": 0.0, "alpha": 1.0, "B": 0.0, "beta": 1.0})
    runs = table(w_q=[1.0, 1.0, 1.0], loss_x=[2.0, 2.0, 4.0])
    assert score([law], runs)["x"].mre == pytest.approx(50 / 3)


def test_domains_join_by_name():
    runs = table(w_b=[0.25] * 3, w_unused=[0.0] * 3, w_a=[0.75] * 3, loss_x=[2.0] * 3)
    np.testing.assert_array_equal(
        read_inputs(runs, ADDITIVE_FIXED_ND, ["a", "b"])["weights"], [[0.75, 0.25]] * 3
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"w_a": [1.0] * 3, "loss_x": [2.0] * 3}, "column 'w_b' is missing"),
        (
            {"w_a": [0.5] * 3, "w_b": [0.25] * 3, "w_z": [0.25] * 3, "loss_x": [2.0] * 3},
            "column 'w_z', row 1: weight 0.25 on a domain the law does not know",
        ),
        ({"w_a": [0.5] * 3, "w_b": [0.5] * 3, "loss_y": [2.0] * 3}, "unknown target 'x'"),
    ],
)
def test_tables_that_do_not_fit_the_law(columns, message):
    with pytest.raises(RunTableError, match=message):
        score([linear()], table(**columns))


def test_targets_without_losses():
    runs = table(w_a=[1.0] * 3, w_b=[0.0] * 3, loss_x=[2.0] * 3)
    other = fitted(ADDITIVE_FIXED_ND, linear().params, target="y")
    assert unscored([linear(), other], runs) == ("y",)
    with pytest.raises(RunTableError, match=r"no loss of the law's targets \(y\); it has x"):
        unscored([other], runs)


def test_mean_mre_leaves_out_targets_without_rows():
    scores = {"a": Score(1.0, 0, 0, 2), "b": Score(3.0, 0, 0, 2), "c": Score(np.nan, 0, 0, 0)}
    assert mean_mre(scores) == 2.0
    assert np.isnan(mean_mre([]))
