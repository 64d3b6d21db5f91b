"""Accuracies of tasks: a law of -log accuracy, and a sigmoid of the loss, both of known truths."""

import numpy as np
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.fitting import compare, fit
from jaxmix.fitting.accuracy import Link, fit_link, predicted_accuracies
from jaxmix.runs import read_runs

TRUTH = Link(0.25, 0.95, 2.6, 0.15)


def table(**more):
    """Two tasks whose losses follow a law: one is a sigmoid of its loss, one is never above .25."""
    rng = np.random.default_rng(0)
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 3e7, 5), np.geomspace(1e8, 1e9, 4)))
    loss = 1.7 + 40 * n**-0.3 + 3e3 * d**-0.45
    columns = {"run": [f"r{i}" for i in range(len(n))], "n_params": n, "tokens": d, "w_a": 1.0}
    columns |= {"loss_web": loss + 1, "loss_task_sums": loss, "metric_sums": TRUTH(loss)}
    columns |= {"chance_sums": 0.25, "metric_hard": rng.uniform(0.1, 0.25, len(n))}
    columns |= {"chance_hard": 0.25, "metric_words": np.exp(-(0.2 + 20 * n**-0.25))}
    return read_runs(columns | more)


def test_the_sigmoid_is_found_in_noise_and_refused_without_rows():
    rng, losses = np.random.default_rng(1), np.linspace(2.0, 3.4, 60)
    seen = TRUTH(losses) + rng.normal(0, 0.01, 60)
    seen[::9] = np.nan
    found = fit_link(losses, seen, 0.25)
    assert found.middle == pytest.approx(2.6, abs=0.02)
    assert found.width == pytest.approx(0.15, abs=0.02)
    assert found.ceiling == pytest.approx(0.95, abs=0.02)
    assert abs(found(np.array([99.0]))[0] - 0.25) < 1e-9  # chance, however large the loss
    for few in (losses[:3], np.full(9, 2.0)):
        with pytest.raises(JaxmixError, match="a sigmoid needs 4 with different losses"):
            fit_link(few, np.full(len(few), 0.5), 0.25)


def test_both_ways_predict_the_held_out_size():
    runs = table()
    found = compare(
        runs, ["chinchilla"], "n_params < 2e7", "n_params > 2e7", targets=["accuracy_*"], restarts=8
    )
    direct = {row.target: row for row in found.rows}
    assert set(direct) == {"accuracy_sums", "accuracy_words"}  # a pattern means no task at chance
    assert direct["accuracy_words"].test.mre < 0.1  # is a law of -log accuracy
    (two,) = found.two_step_rows  # words has no loss
    assert two.target == "accuracy_sums" and two.test.mre < 0.1 < direct["accuracy_sums"].test.mre
    laws = fit(runs, "chinchilla", targets=["task_sums", "accuracy_words"], restarts=8)
    shares = predicted_accuracies(laws, runs, runs)
    np.testing.assert_allclose(
        shares["pred_metric_sums_by_loss"], runs.frame["metric_sums"], rtol=2e-3
    )
    np.testing.assert_allclose(shares["pred_metric_words"], runs.frame["metric_words"], rtol=2e-3)


def test_rows_at_chance_are_counted_and_left_out():
    runs = table()
    with pytest.raises(JaxmixError, match=r"has 0 rows .*of 20 rows, 20 not above"):
        fit(runs, "chinchilla", targets=["accuracy_hard"])
    mixed = np.where(np.arange(20) < 6, 0.2, runs.frame["metric_sums"])
    mixed[-1] = 1.0
    laws = fit(table(metric_sums=mixed), "chinchilla", targets=["accuracy_sums"], restarts=4)
    told = "of 20 rows, 6 not above chance and 1 with no wrong answer left out"
    assert laws[0].report.rows == 13 and told in laws[0].report.notes
    assert "accuracy_sums" not in table().targets  # only what is asked for by name
    with pytest.raises(JaxmixError, match=r"column .metric_sums., row 1: 41.0 is not a"):
        table(metric_sums=41.0).losses(["accuracy_sums"])
