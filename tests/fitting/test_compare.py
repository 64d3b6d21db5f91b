"""Several laws fitted on one selection and scored on another."""

import numpy as np
import pytest

from jaxmix.fitting.scores import score
from jaxmix.fitting.selection.compare import compare, shared_rows
from jaxmix.fitting.simulate import simulate
from jaxmix.laws import ADDITIVE, CHINCHILLA
from jaxmix.runs import write_runs

TRUTH = {"E": 1.5, "A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34}
TRUTH |= {"C": [3.0, 1.0], "gamma": [0.5, 0.6]}
TRAIN, TEST = "n_params < 2e8", "n_params > 2e8"


@pytest.fixture(scope="module")
def runs():
    mixtures = np.array([[1, 0], [0.8, 0.2], [0.5, 0.5], [0.3, 0.7], [0, 1.0]])
    scale = {"n_params": [1e7, 3e7, 1e8, 3e8], "tokens": [1e9, 3e9, 1e10]}
    names = {"domains": ["a", "b"], "targets": ["x"]}
    return simulate(ADDITIVE, TRUTH, mixtures=mixtures, **names, **scale, noise=0.001)


def test_each_law_is_scored_on_both_selections(runs):
    found = compare(runs, ["chinchilla", ADDITIVE], TRAIN, TEST, restarts=8)
    assert [(r.law, r.target, r.n_parameters) for r in found.rows] == [
        ("chinchilla", "x", 5),
        ("additive", "x", 9),
    ]
    assert (found.rows[0].train.rows, found.rows[0].test.rows) == (45, 15)
    assert found.rows[1].test == score(found.fits["additive"], runs.where(TEST))["x"]
    chinchilla, additive = found.means()
    assert additive.test_mre < 1.0 < chinchilla.test_mre
    assert additive.train_mre == found.rows[1].train.mre


def test_a_file_is_read_once_for_each_selection(runs, tmp_path):
    path = tmp_path / "runs.csv"
    write_runs(runs, path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1].replace("n3-m4", "bad").replace("1e", "-1e")]))
    found = compare(path, [CHINCHILLA], TRAIN, f"{TEST} and run != 'bad-r0'", restarts=2)
    assert found.rows[0].test.rows == 15 and any("kept 45" in note for note in found.notes)


def test_progress_names_the_law(runs):
    seen = set()
    compare(runs, ["chinchilla"], TRAIN, TEST, restarts=2, progress=lambda law, *_: seen.add(law))
    assert seen <= {"chinchilla"}


@pytest.mark.parametrize("laws", [[], ["additive", ADDITIVE]])
def test_laws_are_named_once(runs, laws):
    with pytest.raises(ValueError, match="each law once"):
        compare(runs, laws, TRAIN, TEST)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("tokens > 0", TEST, '15 rows are both .*--train "\\(tokens > 0\\) and not'),
        ("n_params < 2e8", "n_params > 5e7", '15 rows are both .*--test "\\(n_params > 5e7\\) and'),
    ],
)
def test_rows_that_are_fitted_are_not_scored(runs, train, test, message):
    with pytest.raises(ValueError, match=message):
        compare(runs, ["chinchilla"], train, test)


def test_checkpoints_of_one_run_may_be_on_both_sides(runs):
    assert shared_rows(runs.where("tokens < 5e9"), runs.where("tokens > 5e9")) == 0
    assert shared_rows(runs, runs.where("run == 'n0-m0-r0'")) == 3
