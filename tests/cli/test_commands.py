"""score, predict, optimize, compare and laws: their JSON, their tables, and what they refuse."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxmix.files import file_hash
from jaxmix.fitting.files import load_laws
from jaxmix.fitting.scores import score
from jaxmix.laws import LAWS
from jaxmix.runs import read_runs


def test_score_json(run, study):
    result = run("score", study.law, study.runs, "--json")
    expected = score(load_laws(study.law), read_runs(study.runs))
    assert result.status == 0 and set(result.json) == {"targets", "mean_mre"}
    for name, target in result.json["targets"].items():
        want = expected[name]
        assert target == {
            "mre": want.mre, "r2": want.r2, "spearman": want.spearman, "rows": want.rows
        }  # fmt: skip
    mean = sum(s.mre for s in expected.values()) / 2
    assert result.json["mean_mre"] == pytest.approx(mean, rel=1e-12)


def test_score_table_and_where(run, study):
    result = run("score", study.law, study.runs, "--where", "n_params == 1e7")
    assert "Spearman" in result.out and "mean" in result.out and " 15 " in result.out


def test_what_is_not_finite_is_null(run, study):
    where = "n_params == 1e7 and tokens == 1e9 and w_web == 1"
    target = run("score", study.law, study.runs, "--where", where, "--json").json["targets"]["web"]
    assert target["rows"] == 1 and target["r2"] is None and target["spearman"] is None


def test_score_leaves_out_targets_that_the_table_lacks(run, study, tmp_path):
    frame = pd.read_csv(study.runs).drop(columns="loss_code")
    frame.to_csv(tmp_path / "runs.csv", index=False)
    result = run("score", study.law, tmp_path / "runs.csv", "--json")
    assert list(result.json["targets"]) == ["web"] and "target code has no loss" in result.err


POINTS = "w_code,run,tokens,n_params,label,w_web\n0.3,q,1e12,7e9,x,0.7\n1,p,1e10,1e8,y,0\n"


def test_predict_json_is_in_the_order_of_the_points(run, study, tmp_path):
    (tmp_path / "points.csv").write_text(POINTS)
    result = run("predict", study.law, tmp_path / "points.csv", "--json")
    rows = result.json["rows"]
    assert set(result.json) == {"rows"} and [row["run"] for row in rows] == ["q", "p"]
    for law in load_laws(study.law):
        want = law.predict(
            dict(n_params=[7e9, 1e8], tokens=[1e12, 1e10], weights=[[0.7, 0.3], [0.0, 1.0]])
        )
        np.testing.assert_array_equal([row[f"pred_{law.target}"] for row in rows], want)


def test_predict_csv_adds_columns(run, study, tmp_path):
    (tmp_path / "points.csv").write_text(POINTS)
    result = run("predict", study.law, tmp_path / "points.csv")
    header, *rows = csv.reader(io.StringIO(result.out))
    assert header == [*POINTS.split("\n")[0].split(","), "pred_web", "pred_code"]
    assert [row[4] for row in rows] == ["x", "y"]
    done = run("predict", study.law, tmp_path / "points.csv", "--out", tmp_path / "out.csv")
    assert done.out == "" and (tmp_path / "out.csv").read_text() == result.out


def test_intervals_of_predict_and_score(run, refused, three, tmp_path):
    quick = ("--interval", "0.9", "--resamples", "50")
    given = (*quick, "--runs", three.runs)
    row, *_ = run("predict", three.law, three.runs, *given, "--json").json["rows"]
    assert row["low_a"] < row["pred_a"] < row["high_a"]
    target = run("score", three.law, three.runs, *given, "--json").json["targets"]["a"]
    assert 0.8 < target["coverage"] <= 1 and 0 < target["half_width"] < 0.2
    assert "half width" in run("score", three.law, three.runs, *given).out
    # By default the rows of the fit are those of the file that the law names, if it is unchanged.
    law, runs = tmp_path / "law.json", tmp_path / "runs.csv"
    runs.write_bytes(Path(three.runs).read_bytes())
    origin = {"runs": str(runs), "runs_sha256": file_hash(runs)}
    load_laws(three.law).save(law, provenance=origin)
    again, *_ = run("predict", law, three.runs, *quick, "--json").json["rows"]
    assert again == row
    runs.write_text(runs.read_text() + "\n")
    assert "has changed since" in refused("predict", law, three.runs, *quick)
    runs.unlink()
    assert "is not there; name it with --runs" in refused("predict", law, three.runs, *quick)
    assert "does not say what runs" in refused("score", three.law, three.runs, *quick)


def test_predict_without_runs_or_for_a_law_without_mixtures(run, study, tmp_path):
    scale = ("--domains", "a,b", "--targets", "x", "--mixtures", "2", "--n-params", "1e7")
    options = ("--out", tmp_path / "r.csv", "--truth", tmp_path / "t.json")
    assert run("simulate", "--law", "chinchilla", *scale, *options).status == 0
    (tmp_path / "points.csv").write_text("n_params,tokens,w_other\n1e9,1e10,1\n")
    result = run("predict", tmp_path / "t.json", tmp_path / "points.csv", "--json")
    (row,) = result.json["rows"]
    assert row["run"] is None and row["pred_x"] > 0


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (POINTS.replace("w_code", "w_text"), "column 'w_code' is missing"),
        (POINTS.replace("0.3,q", "0.9,q"), "the weights sum to 1.6"),
        (POINTS.replace("7e9", "many"), "'many' is not a number"),
    ],
)
def test_predict_refuses_bad_points(refused, study, tmp_path, points, message):
    (tmp_path / "points.csv").write_text(points)
    out = tmp_path / "out.csv"
    assert message in refused("predict", study.law, tmp_path / "points.csv", "--out", out)
    assert not out.exists()


def test_optimize_json(run, study):
    budget = ("--n-params", "7B", "--tokens", "150e9")
    result = run("optimize", study.law, *budget, "--json")
    found = result.json
    assert {"weights", "predicted", "objective", "gap", "active"} <= set(found)
    assert set(found["weights"]) == {"web", "code"}
    assert sum(found["weights"].values()) == pytest.approx(1)
    weights = list(found["weights"].values())
    for law in load_laws(study.law):
        want = float(law.predict(dict(n_params=7e9, tokens=150e9, weights=weights)))
        assert found["predicted"][law.target] == pytest.approx(want, rel=1e-9)
    assert found["objective"] == pytest.approx(sum(found["predicted"].values()) / 2)
    assert found["proven"] is True and 0 <= found["gap"] < 1e-6
    assert "note" in result.err


def test_optimize_bounds_and_weights_in_either_spelling(run, study):
    limit = ("--n-params", "inf", "--tokens", "inf")
    low = run("optimize", study.law, *limit, "--json", "--target-weights", "loss_web=2,code=0")
    bound = ("--max", "w_web=0.25", "--target-weights", "web=1")
    high = run("optimize", study.law, *limit, "--json", *bound).json
    assert low.json["weights"]["web"] > 0.5 and high["weights"]["web"] == pytest.approx(0.25)
    assert high["active"] and all(isinstance(label, str) for label in high["active"])
    pinned = run("optimize", study.law, *limit, "--json", "--pin", "w_code=0.4").json["weights"]
    assert pinned == pytest.approx({"web": 0.6, "code": 0.4})


def test_optimize_table(run, study):
    result = run("optimize", study.law, "--n-params", "1e8", "--tokens", "1e10", "--min", "web=0.9")
    assert "web>=0.9" in result.out and "proven optimal" in result.out


BUDGET = ("--n-params", "1e8", "--tokens", "1e10")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--n-params", "7X", "--tokens", "1"), "'7X' is not a positive number"),
        (("--n-params", "0", "--tokens", "1"), "not a positive number"),
        (("--n-params", "1e8"), "missing option '--tokens'"),
        ((*BUDGET, "--min", "wbe=0.1"), "unknown domain 'wbe'; nearest: web"),
        ((*BUDGET, "--min", "web"), "'web' is not name=number"),
        ((*BUDGET, "--min", "web=0.1", "--min", "web=0.2"), "'web' is given twice"),
        ((*BUDGET, "--min", "web=0.1,w_web=0.2"), "'web' is given twice"),
        ((*BUDGET, "--min", "web=0.9,code=0.3"), "no mixture meets web>=0.9 and code>=0.3"),
        ((*BUDGET, "--pin", "web=0.9", "--max", "web=0.95"), "'web' has a minimum or maximum"),
        ((*BUDGET, "--target-weights", "q=1"), "unknown target 'q'"),
        ((*BUDGET, "--target-weights", "web=0"), "not all of them 0"),
    ],
)
def test_optimize_refuses(refused, study, arguments, message):
    assert message in refused("optimize", study.law, *arguments)


def test_optimize_needs_a_law_of_mixtures(run, refused, tmp_path):
    options = ("--out", tmp_path / "r.csv", "--truth", tmp_path / "t.json")
    run("simulate", "--law", "chinchilla", "--n-params", "1e7", *options)
    assert "does not look at the mixture" in refused("optimize", tmp_path / "t.json", *BUDGET)


@pytest.mark.parametrize("command", ["score", "predict"])
def test_law_files_that_are_none(refused, study, tmp_path, command):
    assert "not a law file" in refused(command, study.runs, study.runs)
    assert "no such file" in refused(command, tmp_path / "absent.json", study.runs)
    assert "cannot be read" in refused(command, tmp_path, study.runs)


def test_compare_json(run, study):
    selections = ("--train", "n_params < 2e8", "--test", "n_params > 2e8", "--restarts", 8)
    laws = ("--laws", "chinchilla,additive")
    result = run("compare", study.runs, *laws, *selections, "--json")
    rows = result.json["rows"]
    names = [(row["law"], row["target"]) for row in rows]
    assert names == [(law, t) for law in ("chinchilla", "additive") for t in ("web", "code")]
    means = result.json["means"]
    assert means["additive"]["test_mre"] < 1.0 < means["chinchilla"]["test_mre"]
    assert [m["n_parameters"] for m in means.values()] == [5, 9]
    assert rows[0]["train_rows"] == 45 and rows[0]["test_rows"] == 15
    text = run("compare", study.runs, *laws, *selections).out
    assert "scores by target" in text and "mean over targets" in text


@pytest.mark.parametrize(
    ("laws", "train", "test", "message"),
    [
        ("additive,nosuch", "tokens > 0", "tokens > 0", "unknown law 'nosuch'"),
        ("additive", "tokens > 1e15", "tokens > 0", "leaves none"),
        ("additive", "tokens > 0", "tokns > 0", "no such column"),
    ],
)
def test_compare_refuses(refused, study, laws, train, test, message):
    options = ("--laws", laws, "--train", train, "--test", test)
    assert message in refused("compare", study.runs, *options)


def test_laws(run):
    found = run("laws", "--json").json["laws"]
    assert list(found) == list(LAWS) and found["joint"]["n_parameters"] == "5 + 4k"
    text = run("laws").out
    assert all(name in text for name in LAWS) and "eq. (5)" in text
