"""Published runs: optima no worse than the best known, and predictions as good as reported.

The figures come from the tables' authors or from long searches by other means; the bounds are
theirs. Where jaxmix does better, the bound is what it reaches.
"""

import csv

import numpy as np
import pytest

from jaxmix.fitting import fit, mean_mre, score
from jaxmix.runs import read_runs

RESTARTS = 128


@pytest.fixture(scope="module")
def redpajama(public_runs):
    return read_runs(public_runs / "redpajama_70M-410M.csv", where="flags == ''")


@pytest.mark.parametrize("restarts", [32])
def test_chinchilla(public_runs, restarts):
    """The 240 points of the replication of Besiroglu et al. (arXiv 2404.10102)."""
    runs = read_runs(public_runs / "chinchilla_epoch.csv", where="epoch_excluded == 0")
    (found,) = fit(runs, "chinchilla", residual="log", restarts=restarts)
    assert found.report.rows == 240
    assert 240 * found.report.objective == pytest.approx(0.00101827402, rel=1e-6)
    assert float(found.params["E"]) == pytest.approx(1.81722, abs=2e-4)
    assert float(found.params["alpha"]) == pytest.approx(0.34731, abs=2e-4)
    assert float(found.params["beta"]) == pytest.approx(0.36717, abs=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "target", "best"),
    [
        ("additive", "github", 2.01163e-5),
        ("joint", "github", 1.74611e-5),
        ("additive", "pile_weighted_mean", 1.03038e-5),
        ("joint", "pile_weighted_mean", 9.2720e-6),
    ],
)
def test_redpajama_optima(redpajama, law, target, best):
    (found,) = fit(redpajama, law, targets=[target], restarts=RESTARTS)
    assert found.report.rows == 1089
    assert found.report.objective <= best


def with_groups(runs, folder, grouping):
    """The table with losses ``group_<name>``: means of columns, weighed by validation tokens."""
    groups = {}
    with open(folder / "mixinglaws_valid_weights.csv") as file:
        for row in csv.DictReader(file):
            groups.setdefault(row[grouping], []).append((row["column"], float(row["valid_weight"])))
    frame = runs.frame.copy()
    for name, members in groups.items():
        columns, weights = zip(*members, strict=True)
        frame[f"loss_group_{name}"] = np.average(frame[list(columns)], axis=1, weights=weights)
    table = read_runs(frame, source=runs.source)
    return table, ["pile_weighted_mean", *(f"group_{name}" for name in groups)]


@pytest.mark.slow
def test_redpajama_410m_from_smaller_models(redpajama, public_runs):
    table, targets = with_groups(redpajama, public_runs, "group_notebook")
    assert len(targets) == 6
    sizes = np.unique(table.n_params)
    assert len(sizes) == 4
    train, test = (table.where(f"n_params {op} {sizes[-1]}") for op in ("<", "=="))
    found = fit(train, "additive", targets=targets, residual="log", restarts=RESTARTS)
    assert mean_mre(score(found, test)) <= 0.65


@pytest.mark.slow
def test_regmix_ranks_unseen_mixtures(public_runs):
    runs = read_runs(public_runs / "regmix_1M_train512_test256.csv")
    train, test = (runs.where(f"split == '{name}'") for name in ("train", "test"))
    assert (len(train), len(test), len(train.domains)) == (512, 256, 17)
    (found,) = fit(train, "additive-fixed-nd", targets=["pile_cc"], restarts=RESTARTS)
    assert score([found], test)["pile_cc"].spearman >= 0.992
