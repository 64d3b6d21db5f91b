"""Tables of other tools by pattern: names, amounts, encodings, and what their faults say."""

import json

import numpy as np
import pandas as pd
import pytest

from jaxmix.runs import RunTableError, import_columns, read_runs, write_runs

THEIRS = """name,size,D,ratio_web,ratio_my.code,eval/web,eval/code/py,loss_train,base_loss_old
a,70M,1B,60%,40%,3.1,2.1,9,2.5
b,"1,000M",2e9,20%,80%,3.0,2.0,9,2.5
"""
PATTERNS = {"n_params": "size", "weights": ["ratio_*"], "losses": ["eval/*"]}


@pytest.fixture
def theirs(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text(THEIRS)
    return path


def test_patterns_name_domains_and_targets(theirs):
    table = import_columns(theirs, run="name", tokens="D", **PATTERNS)
    assert table.domains == ("web", "my_code") and table.targets == ("web", "code_py")
    assert table.n_params.tolist() == [7e7, 1e9] and table.tokens.tolist() == [1e9, 2e9]
    np.testing.assert_allclose(table.weights, [[0.6, 0.4], [0.2, 0.8]])
    assert list(table.frame["run"]) == ["a", "b"]
    assert table.notes == ("columns left out: loss_train",)


def test_patterns_of_names_that_are_right_already():
    frame = {"n_params": 1e6, "tokens": 1e9, "w_a": 0.5, "w_b": 0.5, "loss_x": 3.0, "loss": 9.0}
    table = import_columns(pd.DataFrame(frame, index=[0]), weights=["w_*"], losses=["loss_*"])
    assert table.domains == ("a", "b") and table.targets == ("x",)
    assert table.notes[0] == "columns left out: loss"


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_base_losses_are_carried(theirs, tmp_path, suffix):
    table = import_columns(theirs, run="name", tokens="20B", **PATTERNS)
    assert "base_loss_old" in table.frame and "base_loss_old" not in table.targets
    write_runs(table, tmp_path / f"runs.{suffix}")
    again = read_runs(tmp_path / f"runs.{suffix}")
    assert again.frame["base_loss_old"].tolist() == [2.5, 2.5] and again.tokens[0] == 2e10


def test_a_frame_and_a_file_are_one(theirs):
    frame = pd.read_csv(theirs)
    one, other = (import_columns(t, tokens="20B", **PATTERNS).frame for t in (frame, theirs))
    pd.testing.assert_frame_equal(one, other)


def test_without_ids_a_mixture_at_a_size_is_a_run():
    frame = {"N": 1e6, "D": [1e8, 2e8, 1e8, 1e8], "x": [0.5, 0.5, 1, 1], "loss": [3, 2, 4, 4.1]}
    frame["y"] = [0.5, 0.5, 0, 0]
    table = import_columns(pd.DataFrame(frame), n_params="N", tokens="D", weights=["x,y"])
    assert list(table.frame["run"]) == ["run1", "run1", "run2", "run2-2"]
    assert table.notes[-1].startswith("no run column: 3 runs, one for each mixture and N, and one")


SEMICOLONS = "id;N;D;w_a;w_b;val\n1;1.000.000;1e8;25,5;74,5;3,5\n02;1e6;1,5B;50;50;3,25\n"


@pytest.mark.parametrize(
    "data",
    [
        SEMICOLONS.encode(),
        SEMICOLONS.encode("utf-8-sig"),
        SEMICOLONS.encode("utf-16"),
        SEMICOLONS.replace("\n", "\r\n").encode(),
        SEMICOLONS.replace(";", "\t").encode(),
        SEMICOLONS.replace("1.000.000", "1000000").replace(",", ".").replace(";", ",").encode(),
    ],
)
def test_what_spreadsheets_write(tmp_path, data):
    path = tmp_path / "theirs.csv"
    path.write_bytes(data)
    table = import_columns(path, run="id", n_params="N", tokens="D", losses=["val"])
    assert list(table.frame["run"]) == ["1", "02"] and table.tokens.tolist() == [1e8, 1.5e9]
    assert table.n_params.tolist() == [1e6, 1e6] and table.losses().tolist() == [[3.5, 3.25]]
    assert table.weights.tolist() == [[0.255, 0.745], [0.5, 0.5]]


@pytest.mark.parametrize("as_list", [False, True])
def test_nested_records(tmp_path, as_list):
    record = {"N": 1e6, "D": "1B", "mix": {"web": 0.5, "a/b": 0.5}, "eval": {"web": {"loss": 3.5}}}
    records = [record, {**record, "D": "2e9", "bins": [1, 2]}]
    path = tmp_path / "theirs.json"
    lines = "\n".join(map(json.dumps, records))
    path.write_text(json.dumps(records, indent=1) if as_list else lines)
    options = {"weights": ["mix.*"], "losses": ["eval.*.loss"], "n_params": "N", "tokens": "D"}
    table = import_columns(path, **options)
    assert table.domains == ("web", "a_b") and table.targets == ("web",) and len(table) == 2
    assert table.notes[0] == "columns of lists left out: bins"
    pd.DataFrame(records).to_parquet(tmp_path / "theirs.parquet")
    again = import_columns(tmp_path / "theirs.parquet", **options)
    assert again.domains == table.domains and again.tokens.tolist() == table.tokens.tolist()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_params": "sise"}, r"no column 'sise'; .* as 70M, with --n-params \(nearest: size\)"),
        ({"tokens": "tokens"}, r"no column 'tokens'; .* with --tokens, or .* \(is it 'D'\?\)"),
        ({"weights": ["rat/*"]}, r"--weights: no column is 'rat/\*'; known: name"),
        ({"losses": ["eval/w*", "eval/co*/py"]}, None),
        ({"run": "nam"}, r"--run: no column 'nam'; nearest: name"),
        ({"weights": ["ratio_web", "ratio_my*"]}, None),
        ({"losses": ["name"]}, r"column 'name', line 2: 'a' is not a number"),
    ],
)
def test_faults_name_the_option(theirs, options, expected):
    given = {"tokens": "D", **PATTERNS, **options}
    if expected is None:
        assert len(import_columns(theirs, **given)) == 2
        return
    with pytest.raises(RunTableError, match=rf"theirs\.csv: {expected}"):
        import_columns(theirs, **given)


def test_names_that_collide_are_refused_and_can_be_given():
    frame = pd.DataFrame({"x/y": [0.5], "x.y": 0.5, "n_params": 1e6, "tokens": 1e9, "loss": 3.0})
    with pytest.raises(RunTableError, match=r"both domain 'y'; pass --rename 'x\.y=w_OTHER'"):
        import_columns(frame, weights=["x*"])
    table = import_columns(frame, {"w_other": "x.y"}, weights=["x*"])
    assert set(table.domains) == {"y", "other"}
