"""What a run table says of itself, and what it is read from."""

import pandas as pd
import pytest

from jaxmix.runs import RunTableError, read_points, read_runs

COLUMNS = {
    "run": ["p", "p", "q"],
    "n_params": [1.5e6, 1.5e6, 2e9],
    "tokens": [1e8, 2e8, 2e8],
    "w_web": [0.5, 0.5, 1.0],
    "w_code": [0.5, 0.5, 0.0],
    "loss_web": [3.0, 2.9, 2.5],
}


def test_tables_of_every_kind_are_the_same(tmp_path):
    frame = pd.DataFrame(COLUMNS)
    frame.to_csv(tmp_path / "t.csv", index=False)
    runs = read_runs(tmp_path / "t.csv")
    for other in (frame, COLUMNS, str(tmp_path / "t.csv"), runs):
        pd.testing.assert_frame_equal(read_runs(other).frame, runs.frame)
    assert read_runs(runs) is runs and len(read_runs(runs, where="tokens > 1e8")) == 2
    assert read_runs(frame, source="mine").source == "mine"
    for other in (frame, COLUMNS, runs):
        points = read_points(other, ["code", "w_web"])
        assert points.weights.tolist() == [[0.5, 0.5], [0.5, 0.5], [0, 1]]
    assert read_points(COLUMNS).domains == ("web", "code")
    with pytest.raises(RunTableError, match=r"no such file"):
        read_runs(tmp_path / "absent.csv")


def test_summary_and_repr():
    runs = read_runs(COLUMNS, source="/data/<mine>.csv")
    facts = (
        "rows: 3 of 2 runs; sizes: 1.5M, 2B; tokens: 100M to 200M; mixtures: 2; domains (2): web"
    )
    assert repr(runs).startswith(f"RunTable('<mine>.csv'; {facts}, code; targets (1): web)")
    assert runs.summary().splitlines()[2].split() == ["rows", "3", "of", "2", "runs"]
    assert "/data/&lt;mine&gt;.csv: 3 rows" in runs._repr_html_()
    assert "note" in read_runs({**COLUMNS, "w_code": [0.5, 0.504, 0]}).summary()
    wide = read_runs(COLUMNS | {f"loss_{'x' * 40}{i}": 1.0 for i in range(99)}, source="y" * 300)
    assert len(repr(wide)) < 400
    assert "rows: 0" in repr(runs.select(runs.tokens < 0))
