"""Writing is lossless, and all or nothing."""

import numpy as np
import pandas as pd
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.runs import read_runs, write_runs


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet([0.5, 0.5, 0.5], size=40)
    frame = pd.DataFrame(
        {
            "run": [f"{i:03d}" for i in range(40)],
            "n_params": np.exp(rng.normal(20, 5, 40)),
            "tokens": np.exp(rng.normal(25, 9, 40)),
            "w_a": weights[:, 0],
            "w_b": weights[:, 1],
            "w_c": weights[:, 2],
            "loss_a": np.where(np.arange(40) == 3, np.nan, rng.gamma(2, 1, 40)),
            "loss_b": np.exp(rng.normal(0, 100, 40)),
            "flags": ['a,"b"\nc', *[""] * 39],
            "seed": np.arange(40.0),
        }
    )
    return read_runs(frame)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet", "t.jsonl", "t"])
def test_round_trip_is_bit_equal(tmp_path, table, name):
    write_runs(table, tmp_path / name)
    back = read_runs(tmp_path / name)
    pd.testing.assert_frame_equal(back.frame, table.frame, check_exact=True, check_dtype=False)
    assert (back.domains, back.targets, back.notes) == (table.domains, table.targets, table.notes)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_written_without_run_column_reads_the_same(tmp_path):
    table = read_runs(pd.DataFrame({"n_params": [1], "tokens": [2], "loss": [0.1]}))
    write_runs(table, tmp_path / "t.csv")
    assert list(read_runs(tmp_path / "t.csv").frame["run"]) == ["row1"]


def test_failure_leaves_the_old_file(tmp_path, table, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(JaxmixError, match=r"t\.csv: cannot be written \(No space left"):
        write_runs(table, path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_no_such_folder(tmp_path, table):
    with pytest.raises(JaxmixError, match="cannot be written"):
        write_runs(table, tmp_path / "absent" / "t.csv")
    (tmp_path / "file").write_text("x")
    with pytest.raises(JaxmixError, match="cannot be written"):
        write_runs(table, tmp_path / "file" / "t.csv")
