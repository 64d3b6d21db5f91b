"""``jaxmix extrapolate``: a table at one budget, which other commands fit and optimize."""

import pytest

from jaxmix.runs import read_runs

BUDGET = ("--n-params", "1B", "--tokens", "30B")


def test_the_table_is_fitted_and_optimized_in_the_ordinary_way(run, study, tmp_path):
    at, law = tmp_path / "at.csv", tmp_path / "law.json"
    words = ("extrapolate", study.runs, *BUDGET, "--share-steps", "all", "--residual", "log")
    found = run(*words, "--out", at, "--json").json
    assert (found["rows"], found["targets"]) == (5, ["web", "code"])
    assert found["out"] == str(at) and any("step laws: mean" in note for note in found["notes"])
    table = read_runs(at)
    assert set(table.n_params) == {1e9} and set(table.tokens) == {3e10}
    truth = run("predict", study.law, at, "--json").json["rows"]
    assert table.losses(["web"])[0] == pytest.approx([r["pred_web"] for r in truth], rel=0.01)
    assert run("fit", at, "--law", "ye-m4", "--restarts", 8, "--out", law).status == 0
    best = run("optimize", law, *BUDGET, "--json").json
    assert best["gap"] < 1e-6 and set(best["predicted"]) == {"web", "code"}


def test_text_says_what_was_written(run, study, tmp_path):
    at = tmp_path / "at.csv"
    where = ("--where", "n_params < 2e8", "--targets", "web")
    result = run("extrapolate", study.runs, *BUDGET, *where, "--out", at)
    assert result.out == f"{at}: 5 mixtures, 1 target\n"
    assert "note: size laws: mean relative error" in result.err


def test_bad_input_is_one_line(refused, study, tmp_path):
    out = ("--out", tmp_path / "at.csv")
    words = ("extrapolate", study.runs, *BUDGET)
    assert "the rows determine no loss" in refused(*words, *out, "--where", "n_params < 2e7")
    assert "positive and finite" in refused("extrapolate", study.runs, *BUDGET[:3], "inf", *out)
    assert "unknown target" in refused(*words, *out, "--targets", "wep")
    assert "named twice" in refused(*words, "--out", study.runs)
    assert not (tmp_path / "at.csv").exists()
