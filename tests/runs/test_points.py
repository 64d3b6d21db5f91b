"""Points to predict at."""

import numpy as np
import pytest

from jaxmix.runs import RunTableError, read_points

HEADER = "run,n_params,tokens,w_b,w_a,w_c,label\n"


def read(tmp_path, rows, domains=("a", "w_b"), header=HEADER):
    path = tmp_path / "points.csv"
    path.write_text(header + rows)
    return read_points(path, domains)


def test_points_keep_the_order_of_domains(tmp_path):
    points = read(tmp_path, "p1,1e9,2e10,0.25,0.75,0,x\np1,1e9,2e10,0.251,0.75,,y\n")
    assert points.domains == ("a", "b") and points.runs == ("p1", "p1") and len(points) == 2
    np.testing.assert_array_equal(points.weights[0], [0.75, 0.25])
    np.testing.assert_array_equal(points.n_params, [1e9, 1e9])
    np.testing.assert_array_equal(points.tokens, [2e10, 2e10])
    assert points.notes == ("weights of 1 row renormalized (sums 1.001 to 1.001)",)


def test_points_without_runs_or_domains(tmp_path):
    points = read(tmp_path, "1e9,2e10\n", (), "n_params,tokens\n")
    assert points.runs == (None,) and points.weights.shape == (1, 0)


@pytest.mark.parametrize(
    ("rows", "domains", "expected"),
    [
        ("p,1,2,0.5,0.5,0,x\n", ("a", "b", "d"), "column 'w_d' is missing; rename 'w_c'|add it"),
        (
            "p,1,2,0.5,0.5,0,x\np,1,2,0.4,0.5,0.1,x\n",
            ("a", "b"),
            "column 'w_c', line 3: weight 0.1",
        ),
        ("p,0,2,0.5,0.5,0,x\n", ("a", "b"), "column 'n_params', line 2: 0 must be positive"),
        ("p,1,,0.5,0.5,0,x\n", ("a", "b"), "column 'tokens', line 2: is empty"),
        ("p,1,2,0.5,x,0,x\n", ("a", "b"), "column 'w_a', line 2: 'x' is not a number"),
        ("p,1,2,0.5,,0,x\n", ("a", "b"), "column 'w_a', line 2: is empty"),
        ("p,1,2,1.5,-0.5,0,x\n", ("a", "b"), "column 'w_a', line 2: -0.5 is not a weight"),
        ("p,1,2,0.5,0.6,0,x\n", ("a", "b"), "line 2: the weights sum to 1.1"),
    ],
)
def test_faults(tmp_path, rows, domains, expected):
    with pytest.raises(RunTableError, match=expected):
        read(tmp_path, rows, domains)


def test_missing_columns(tmp_path):
    with pytest.raises(RunTableError, match="'tokens' is missing; rename 'token'"):
        read(tmp_path, "1,2\n", (), "n_params,token\n")


def test_frame():
    import pandas as pd

    frame = pd.DataFrame({"n_params": [1e9], "tokens": [0], "w_a": [1]})
    with pytest.raises(RunTableError, match="column 'tokens', row 1"):
        read_points(frame, ["a"])
