"""Example tables: what the list says is what the copies hold."""

import pandas as pd
import pytest

import jaxmix as jm


def test_the_list_tells_what_a_copy_holds(run, tmp_path):
    (listed,) = run("examples", "list", "--json").json.values()
    assert set(listed) == {"text", "multimodal", "vision"}
    for name, said in listed.items():
        out = tmp_path / f"{name}.csv"
        assert run("examples", "copy", name, "--out", out, "--json").json["rows"] == said["rows"]
        runs = jm.read_runs(str(out))
        assert (len(runs), list(runs.domains)) == (said["rows"], said["domains"])
        assert list(runs.targets) == said["targets"]
        pd.testing.assert_frame_equal(runs.frame, jm.load_example(name).frame)


def test_the_list_fits_a_narrow_terminal(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("examples", "list").out.splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) <= 40


def test_a_copy_overwrites_only_what_is_named(run, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("examples", "copy", "vision").status == 0
    assert "vision.csv: exists already" in refused("examples", "copy", "vision")
    assert run("examples", "copy", "vision", "--out", "vision.csv").status == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("vison",), "is not one of 'text', 'multimodal', 'vision'"),
        ((), "missing argument 'NAME'"),
        (("text", "--out", "runs.xlsx"), "end the name of this file in .csv"),
        (("text", "--out", "no/runs.csv"), "does not exist; make it first"),
    ],
)
def test_wrong_words_of_copy(refused, words, said):
    assert said in refused("examples", "copy", *words)
