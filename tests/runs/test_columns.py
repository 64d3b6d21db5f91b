"""Tables with other column names: what a mapping changes, and what its faults say."""

import json

import numpy as np
import pandas as pd
import pytest

from jaxmix.runs import RunTableError, import_columns, read_mapping, read_runs

THEIRS = """id,N,D,web,code,"val, web",tokens,note
7,1e6,1e8,0.25,0.75,3.5,12,a
07,2e6,1e8,0.5,0.5,NA,13,b
"""
MAPPING = {
    "run": "id",
    "n_params": "N",
    "tokens": "D",
    "tokens_old": "tokens",
    "w_web": "web",
    "w_code": "code",
    "loss_web": "val, web",
}


@pytest.fixture
def theirs(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text(THEIRS)
    return path


def test_a_mapped_table_is_the_one_with_the_contracts_names(theirs, tmp_path):
    table = import_columns(theirs, MAPPING, where="n_params < 3e6")
    assert list(table.frame["run"]) == ["7", "07"]
    assert (table.domains, table.targets) == (("web", "code"), ("web",))
    header = "run,n_params,tokens,w_web,w_code,loss_web,tokens_old,note"
    (tmp_path / "ours.csv").write_text("\n".join([header, *THEIRS.splitlines()[1:]]))
    pd.testing.assert_frame_equal(table.frame, read_runs(tmp_path / "ours.csv").frame)


def test_numbers_as_ids_are_text_in_every_format(tmp_path):
    frame = pd.DataFrame({"id": [7, 8], "N": 1e6, "D": 1e8, "loss": [3.5, 3.4]})
    frame.to_parquet(tmp_path / "runs.parquet")
    mapping = read_mapping("run=id,n_params=N,tokens=D")
    table = import_columns(tmp_path / "runs.parquet", mapping)
    assert list(table.frame["run"]) == ["7", "8"]
    np.testing.assert_array_equal(table.losses(), [[3.5, 3.4]])


def test_a_mapping_in_a_file(theirs, tmp_path):
    path = tmp_path / "map.json"
    path.write_text(json.dumps(MAPPING))
    assert read_mapping(str(path)) == MAPPING
    path.write_text('{"tokens": 3}')
    with pytest.raises(RunTableError, match=r"map\.json: write one object of strings"):
        read_mapping(str(path))
    path.write_text("{")
    with pytest.raises(RunTableError, match=r"map\.json: not JSON"):
        read_mapping(str(path))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"w_web": "wep"}, "column 'wep', for 'w_web', is missing; nearest: web"),
        ({"w_web": "code"}, "column 'code' is given two names"),
        ({"tokens_old": "note"}, "'tokens', for 'D', is a column already; .* tokens_old=tokens"),
        ({"w_web": "note", "note_old": "web"}, "column 'note', line 2: 'a' is not a number"),
        ({"n_params": "D", "D2": "N", "tokens": "id", "run": "note"}, None),
    ],
)
def test_faults_name_the_files_own_columns(theirs, change, expected):
    mapping = {**MAPPING, **change}
    if expected is None:  # names may trade places
        assert import_columns(theirs, mapping).n_params.tolist() == [1e8, 1e8]
        return
    with pytest.raises(RunTableError, match=rf"theirs\.csv: {expected}"):
        import_columns(theirs, mapping)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("n_params", "'n_params' is not name=column"), ("a=b,a=c", "'a' is given twice")],
)
def test_faults_of_a_mapping(given, expected):
    with pytest.raises(RunTableError, match=expected):
        read_mapping(given)
