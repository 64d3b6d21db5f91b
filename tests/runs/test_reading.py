"""Structural faults of files: each gives one line that says where and what to do."""

import gzip

import numpy as np
import pandas as pd
import pytest

from jaxmix.runs import RunTableError, read_runs

HEADER = "run,n_params,tokens,w_a,w_b,loss_a,loss_b,flags\n"
ROW = "r1,1e6,1e8,0.25,0.75,3.5,2.5,\n"


def write(tmp_path, data, name="runs.csv"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def message(path, **options):
    with pytest.raises(RunTableError) as caught:
        read_runs(path, **options)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text
    return text


def test_small_table(tmp_path):
    table = read_runs(write(tmp_path, HEADER + ROW + "r2,2e6,2e8,1,0,,2.25,late\n"))
    assert (table.domains, table.targets, len(table)) == (("a", "b"), ("a", "b"), 2)
    np.testing.assert_array_equal(table.n_params, [1e6, 2e6])
    np.testing.assert_array_equal(table.tokens, [1e8, 2e8])
    np.testing.assert_array_equal(table.weights, [[0.25, 0.75], [1, 0]])
    np.testing.assert_array_equal(table.losses(["loss_b", "a"]), [[2.5, 2.25], [3.5, np.nan]])
    assert table.sems() is None and table.notes == ()
    assert list(table.frame["flags"]) == ["", "late"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf\n"])
def test_empty_file(tmp_path, data):
    assert "the file is empty" in message(write(tmp_path, data))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (HEADER, "a header but no rows"),
        (HEADER + ",,,,,,,\n,,,,,,,\n", "every row is empty"),
        (HEADER.encode() + b"r1\0,1\n", "line 2 holds NUL bytes"),
        (HEADER.encode("utf-16"), "NUL bytes"),
        (HEADER.encode() + b"\n\xff\xfe,1\n", "line 3 holds the byte 0xff"),
        (gzip.compress(b"run,tokens" * 9, mtime=0), "holds"),
        (HEADER + ROW + "r2,1e6,1e8\n", "line 3 has 3 fields, but the header has 8"),
        (HEADER + ROW + ROW.replace("\n", ",9\n"), "line 3 has 9 fields"),
        (HEADER + ROW + '"r2,1e6\n', "line 3: unexpected end of data; repair the quotes"),
        ("n_params,tokens,loss,tokens\n1,2,3,4\n", "column 'tokens' stands twice"),
        ("n_params,token,loss\n1,2,3\n", "column 'tokens' is missing; rename 'token'"),
        ("params,tokens,loss\n1,2,3\n", "column 'n_params' is missing; rename 'params'"),
        ("n_params,D,loss\n1,2,3\n", "column 'tokens' is missing; rename 'D'"),
        ("x,tokens,loss\n1,2,3\n", "column 'n_params' is missing; add it"),
        ("n_params,tokens,los\n1,2,3\n", "no loss column; name one loss_<target>"),
        ("n_params,tokens,loss,w_\n1,2,3,1\n", "column 'w_' names no domain"),
        ("n_params,tokens,loss,loss_loss\n1,2,3,1\n", "name one target"),
        ("n_params;tokens;loss\n1;2;3\n", "line 1 has no comma"),
    ],
)
def test_structure(tmp_path, data, expected):
    assert expected in message(write(tmp_path, data))


def test_no_such_file_and_folder(tmp_path):
    assert "no such file" in message(tmp_path / "absent.csv")
    assert "cannot be read" in message(tmp_path)


def test_empty_rows_are_dropped_and_lines_stay_true(tmp_path):
    rows = HEADER + ROW + "\n,,,,,,,\n" + ROW.replace("r1", "r2") + "\n\n"
    assert read_runs(write(tmp_path, rows)).notes == ("2 empty rows dropped",)
    bad = HEADER + '"r\n1",1e6,1e8,0.25,0.75,3.5,2.5,\n\nr2,x,1e8,0.25,0.75,3.5,2.5,\n'
    assert "column 'n_params', line 5: 'x' is not a number" in message(write(tmp_path, bad))


def test_line_ends_byte_order_mark_and_spaces(tmp_path):
    text = ("\ufeff" + HEADER.replace(",tokens", ", tokens") + ROW).replace("\n", "\r\n")
    table = read_runs(write(tmp_path, text))
    assert len(table) == 1 and table.notes == ("spaces around column names were removed",)


def test_ids_stay_text(tmp_path):
    text = "run,n_params,tokens,loss,seed,hash\n007,1,2,3,1,1_0\n12e3,1,2,3,2,1_1\n"
    table = read_runs(write(tmp_path, text))
    assert list(table.frame["run"]) == ["007", "12e3"]
    assert list(table.frame["hash"]) == ["1_0", "1_1"]
    assert table.frame["seed"].dtype == np.float64


def test_tsv(tmp_path):
    path = write(tmp_path, (HEADER + ROW).replace(",", "\t"), "runs.tsv")
    assert len(read_runs(path)) == 1


def test_jsonl(tmp_path):
    rows = (
        '{"run": 3, "n_params": 1e6, "tokens": 1e8, "loss": 3.5, "note": "7"}\n\n'
        '{"run": "b", "n_params": 1e6, "tokens": 1e8, "loss": null}\n{}\n'
    )
    table = read_runs(write(tmp_path, rows, "runs.jsonl"))
    assert list(table.frame["run"]) == ["3", "b"] and list(table.frame["note"]) == ["7", ""]
    assert table.notes == ("1 empty row dropped",) and np.isnan(table.losses()[0, 1])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("{", "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        ('{"tokens": [1]}', "column 'tokens', line 2: holds a list"),
        ('{"tokens": 1, "tokens": 2}', "line 2: column 'tokens' stands twice"),
        ('{"n_params": 1, "tokens": "x", "loss": 1}', "column 'tokens', line 2: 'x' is not a num"),
        ('{"n_params": 1, "loss": 1}', "column 'tokens', line 2: is empty"),
        ("[" * 100_000, "line 2 is not JSON"),
    ],
)
def test_jsonl_faults(tmp_path, row, expected):
    good = '{"n_params": 1, "tokens": 2, "loss": 3}\n'
    assert expected in message(write(tmp_path, good + row + "\n", "runs.jsonl"))


def test_parquet(tmp_path):
    frame = pd.DataFrame(
        {
            "run": [1, 2],
            "n_params": pd.array([10, 20], dtype="Int64"),
            "tokens": [1e8, 2e8],
            "loss_a": [1.5, None],
            "flags": ["x", None],
            "ok": [True, False],
        }
    )
    frame.to_parquet(tmp_path / "runs.parquet")
    table = read_runs(tmp_path / "runs.parquet", where="ok or flags == ''")
    assert list(table.frame["run"]) == ["1", "2"] and list(table.frame["flags"]) == ["x", ""]
    frame.assign(tokens=[1e8, 0]).to_parquet(tmp_path / "bad.parquet")
    assert "column 'tokens', row 2: 0 must be positive" in message(tmp_path / "bad.parquet")
    assert "not a readable Parquet" in message(write(tmp_path, HEADER + ROW, "text.parquet"))


def test_frames(tmp_path):
    frame = pd.DataFrame({"n_params": [1, 2], "tokens": [3, 4], "loss": [1.0, -1.0]})
    with pytest.raises(RunTableError, match=r"^<frame>: column 'loss', row 2: -1 must be positive"):
        read_runs(frame)
    with pytest.raises(RunTableError, match=r"^mine: no rows"):
        read_runs(frame.iloc[:0], source="mine")
    indexed = frame.assign(run=["a", "b"]).set_index("run")
    assert list(read_runs(indexed, where="loss > 0").frame["run"]) == ["a"]
    assert "run" not in frame.columns
