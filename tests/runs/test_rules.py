"""The contract's rules on rows, and the table that comes of them."""

import numpy as np
import pytest

from jaxmix.runs import RunTableError, read_runs

COLUMNS = ["run", "n_params", "tokens", "w_a", "w_b", "loss_a", "sem_a", "tokenizer", "flags"]
CELLS = ["r1", "1e6", "1e8", "0.25", "0.75", "3.5", "0.1", "bytes", ""]
GOOD = dict(zip(COLUMNS, CELLS, strict=True))


def table_text(*changes, columns=COLUMNS):
    rows = [{**GOOD, "tokens": f"{i}e8", **change} for i, change in enumerate(changes, start=1)]
    lines = [",".join(columns), *(",".join(row[name] for name in columns) for row in rows)]
    return "\n".join(lines) + "\n"


def read(tmp_path, *changes, columns=COLUMNS, **options):
    path = tmp_path / "runs.csv"
    path.write_text(table_text(*changes, columns=columns))
    return read_runs(path, **options)


def message(tmp_path, *changes, **options):
    with pytest.raises(RunTableError) as caught:
        read(tmp_path, *changes, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("n_params", "70 mil", "'70 mil' is not a number; write a number such as 1e9 or 70M"),
        ("n_params", "-70M", "'-70M' is not a number"),
        ("loss_a", "3k", "'3k' is not a number"),
        ("tokens", "1e8 tokens", "'1e8 tokens' is not a number"),
        ("w_a", "half", "'half' is not a number"),
        ("loss_a", "diverged", "'diverged' is not a number"),
        ("sem_a", "?", "'?' is not a number"),
        ("n_params", "", "is empty or not a number"),
        ("tokens", "nan", "is empty or not a number"),
        ("n_params", "0", "0 must be positive and finite"),
        ("tokens", "-1e8", "-100000000 must be positive and finite"),
        ("tokens", "inf", "inf must be positive and finite"),
        ("w_a", "", "is empty or not a number; write 0"),
        ("w_a", "-0.1", "-0.1 is not a weight"),
        ("w_a", "inf", "inf is not a weight"),
        ("loss_a", "0", "0 must be positive and finite"),
        ("loss_a", "-2", "-2 must be positive"),
        ("loss_a", "inf", "inf must be positive"),
        ("sem_a", "-1", "-1 is not a standard error"),
        ("sem_a", "inf", "inf is not a standard error"),
        ("run", " ", "is empty; name the run"),
    ],
)
def test_bad_cell_names_column_and_line(tmp_path, column, cell, expected):
    text = message(tmp_path, {}, {column: cell}, {})
    assert f"column {column!r}, line 3: {expected}" in text
    kept = read(tmp_path, {}, {column: cell, "flags": "bad"}, {}, where="flags == ''")
    assert len(kept) == 2
    assert kept.notes == ("where \"flags == ''\" kept 2 of 3 rows",)


@pytest.mark.parametrize("cell", ["", "NaN", "NA", "null"])
def test_missing_losses_stay(tmp_path, cell):
    table = read(tmp_path, {"loss_a": cell}, {"sem_a": cell})
    np.testing.assert_array_equal(table.losses(), [[np.nan, 3.5]])
    np.testing.assert_array_equal(table.sems(["loss_a"]), [[0.1, np.nan]])


def test_weight_sums(tmp_path):
    text = message(tmp_path, {}, {"w_a": "0.27"})
    assert "columns 'w_a to w_b', line 3: the weights sum to 1.02, not 1 within 0.01" in text
    assert "the weights sum to 1.0099, not 1 within 0.005" in message(tmp_path, {"w_a": "0.2599"})
    table = read(tmp_path, {}, {"w_a": "0.254"}, {"w_a": "0.247"})
    assert table.notes == ("weights of 2 rows renormalized (sums 0.997 to 1.004)",)
    np.testing.assert_allclose(table.weights.sum(axis=1), 1, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(table.weights[0], [0.25, 0.75])


@pytest.mark.parametrize(
    ("rows", "fits", "sums"),
    [
        ([[0.33, 0.33, 0.33], [0.67, 0.22, 0.1]], True, "0.99 to 0.99"),
        ([[0.33, 0.33, 0.33], [0.123456, 0.5, 0.376544]], True, "0.99 to 0.99"),
        ([[0.33, 0.33, 0.31], [0.67, 0.22, 0.1]], False, "0.97, not 1 within 0.01"),
        ([[0.5, 0.4, 0.0], [0.67, 0.22, 0.11]], False, "0.9, not 1 within 0.01"),
        ([[0.3, 0.3, 0.3], [0.5, 0.4, 0.1]], True, "0.9 to 0.9"),
        ([[0.5, 0.4], [0.5, 0.5]], False, "0.9, not 1 within 0.005"),
        ([[0.03] * 30], True, "0.9 to 0.9"),
        ([[0.333, 0.333, 0.333]], True, "0.999 to 0.999"),
        ([[0, 1, 1], [0, 0, 1]], False, "sum to 2, not 1"),
    ],
)
def test_the_tolerance_of_a_sum_follows_from_the_decimals(rows, fits, sums):
    rows = np.array(rows, dtype=float)
    columns = {f"w_{i}": column for i, column in enumerate(rows.T)}
    columns |= {"n_params": [1e6] * len(rows), "tokens": [1e8] * len(rows), "loss": 3.0}
    if not fits:
        with pytest.raises(RunTableError, match=sums):
            read_runs(columns)
        return
    table = read_runs(columns)
    assert sums in table.notes[-1] and "renormalized" in table.notes[-1]
    np.testing.assert_allclose(table.weights.sum(axis=1), 1, rtol=0, atol=1e-15)


def test_negative_weights_within_rounding_are_zero(tmp_path):
    edges = ({"w_a": "-5.55e-17", "w_b": "1.0"}, {"w_a": "1.000000001", "w_b": "-1e-9"})
    table = read(tmp_path, *edges)
    np.testing.assert_array_equal(table.weights, [[0, 1], [1, 0]])
    assert table.notes == () and not np.signbit(table.weights).any()
    assert "column 'w_a', line 3: -1e-06 is not" in message(tmp_path, {}, {"w_a": "-1e-6"})


@pytest.mark.parametrize("cells", [("25", "75"), ("33", "66"), ("24.9", "75.2")])
def test_percentages_are_shares(tmp_path, cells):
    table = read(tmp_path, dict(zip(("w_a", "w_b"), cells, strict=True)))
    assert "weights are percentages" in table.notes[0]
    np.testing.assert_allclose(table.weights, [[0.25, 0.75]], atol=0.09)
    assert table.weights.sum() == 1
    text = message(tmp_path, {}, {"w_a": "25", "w_b": "75"})
    assert "line 3: the weights sum to 100, not 1 within 0.01; divide percentages by 100" in text
    signs = read(tmp_path, {"w_a": "25%", "w_b": "75%"}, {})
    assert signs.notes == () and (signs.weights == [0.25, 0.75]).all()


def test_sizes_are_read_as_options_read_them(tmp_path):
    columns = [*COLUMNS, "unique_a", "n_params_total"]
    rows = [
        {"n_params": "70M", "tokens": "1.1B", "unique_a": "20b", "n_params_total": "0.1B"},
        {"n_params": "1e9", "tokens": "2e10", "unique_a": "", "n_params_total": "1.2e9"},
    ]
    table = read(tmp_path, *rows, columns=columns)
    assert table.n_params.tolist() == [7e7, 1e9] and table.tokens.tolist() == [1.1e9, 2e10]
    assert table.frame["unique_a"].iloc[0] == 2e10
    assert table.frame["n_params_total"].tolist() == [1e8, 1.2e9]
    few = read(tmp_path, *rows, columns=columns, where="n_params <= 70M and tokens in (1.1B, 2)")
    assert few.n_params.tolist() == [7e7]
    frame = {"n_params": ["70M", "1b"], "tokens": ["2T", 1e9], "w_a": 1.0, "loss": [3.0, 2.5]}
    assert read_runs(frame).n_params.tolist() == [7e7, 1e9]
    path = tmp_path / "runs.jsonl"
    path.write_text('{"n_params": "70M", "tokens": "1B", "w_a": 1, "unique_a": "3B", "loss": 3}\n')
    assert read_runs(path).frame["unique_a"].tolist() == [3e9]
    grouped = read_runs({"n_params": ["70,000,000"], "tokens": ["1,000M"], "w_a": 1.0, "loss": 3.0})
    assert grouped.n_params[0] == 7e7 and grouped.tokens[0] == 1e9


def test_vertices_are_legal_and_untouched(tmp_path):
    table = read(tmp_path, {"w_a": "0", "w_b": "1"}, {"w_a": "1", "w_b": "0"})
    np.testing.assert_array_equal(table.weights, [[0, 1], [1, 0]])
    assert table.notes == ()


def test_no_run_and_no_weights(tmp_path):
    columns = ["n_params", "tokens", "loss_a"]
    table = read(tmp_path, {}, {"tokens": "1e8"}, {"loss_a": "9"}, columns=columns)
    assert list(table.frame["run"]) == ["row1", "row2", "row3"]
    assert table.notes == ("no run column; every row is its own run",)
    assert table.weights.shape == (3, 0) and table.domains == ()
    kept = read(tmp_path, {}, {}, {"loss_a": "9"}, columns=columns, where="loss_a > 5")
    assert list(kept.frame["run"]) == ["row3"]


def test_duplicates(tmp_path):
    same = {"tokens": "1e8"}
    table = read(tmp_path, same, {}, {**same, "flags": "other"}, {**same, "loss_a": "3.50"})
    assert len(table) == 2 and table.notes == ("2 identical duplicate rows dropped",)
    text = message(tmp_path, same, {}, {**same, "loss_a": "3.6"})
    assert "column 'loss_a', line 4: run 'r1' at 100000000 tokens has 3.6 here" in text
    assert "3.5 on line 2; give replicates their own run id" in text
    assert "column 'w_a', line 3" in message(tmp_path, same, {**same, "w_a": "0.251"})
    assert "column 'loss_a', line 3" in message(tmp_path, same, {**same, "loss_a": ""})
    blank = {**same, "loss_a": ""}
    assert len(read(tmp_path, blank, blank)) == 1
    assert len(read(tmp_path, same, {**same, "run": "r2"})) == 2


def test_pooling(tmp_path):
    mixed = ({}, {}, {"tokenizer": "bpe"})
    text = message(tmp_path, *mixed)
    assert "column 'tokenizer', line 4: 'bpe' differs from 'bytes' on line 2" in text
    assert "--where" in text and "--pool tokenizer" in text
    assert len(read(tmp_path, *mixed, where="tokenizer == 'bytes'")) == 2
    pooled = read(tmp_path, *mixed, pool=["tokenizer"])
    assert pooled.notes == ("rows of 2 values of tokenizer pooled",)
    assert "pool 'tokeniser' is unknown" in message(tmp_path, *mixed, pool=["tokeniser"])


def test_where_that_leaves_nothing(tmp_path):
    text = message(tmp_path, {}, {}, where="tokens > 1e12")
    assert "where 'tokens > 1e12' leaves none of 2 rows" in text
    with pytest.raises(RunTableError, match="leaves none of 2 rows"):
        read(tmp_path, {}, {}).where("tokens > 1e12")


def test_target_without_values(tmp_path):
    columns = [*COLUMNS, "loss_b"]
    table = read(tmp_path, {"loss_b": ""}, {"loss_b": ""}, columns=columns)
    assert table.targets == ("a",) and table.notes == ("target b has no loss and is left out",)
    assert table.losses().shape == (1, 2)
    with pytest.raises(RunTableError, match="target 'b' has no loss in these 2 rows"):
        table.losses(["b"])
    with pytest.raises(RunTableError, match="unknown target 'aa'"):
        table.losses(["aa"])
    empty = read(tmp_path, {"loss_a": ""}, {"loss_a": ""})
    assert empty.targets == ()
    with pytest.raises(RunTableError, match="no target has a loss"):
        empty.losses()


def test_select_and_where(tmp_path):
    table = read(tmp_path, {"flags": "x"}, {"loss_a": ""}, {"flags": "x"})
    some = table.where("flags == 'x' and run == 'r1'")
    np.testing.assert_array_equal(some.tokens, [1e8, 3e8])
    assert list(some.frame.index) == [0, 1]
    none = table.select(np.array([False, True, False]))
    assert none.targets == () and none.notes[-1] == "target a has no loss and is left out"
    for mask in (np.array([0, 1]), np.array([True]), np.array([1.0, 0.0, 1.0])):
        with pytest.raises(RunTableError, match=r"must be bool of shape \(3,\)"):
            table.select(mask)


def test_arrays_are_copies(tmp_path):
    table = read(tmp_path, {})
    for array in (table.tokens, table.weights, table.losses()):
        array[:] = 0
    assert table.tokens[0] == 1e8 and table.weights[0, 0] == 0.25 and table.losses()[0, 0] == 3.5


def test_sems_of_some_targets(tmp_path):
    table = read(tmp_path, {"loss_b": "2"}, columns=[*COLUMNS, "loss_b"])
    np.testing.assert_array_equal(table.sems(), [[0.1], [np.nan]])
    assert table.sems(["b"]) is None
