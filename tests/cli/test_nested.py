"""``--law nested`` through the commands that take it, and the line with which others refuse it."""

import json

import pytest

N, D = 1e9, 3e10
POINT = f"run,n_params,tokens,w_web,w_code\nbig,{N},{D},0.6,0.4\n"


@pytest.fixture(scope="module")
def law(study, tmp_path_factory):
    """A file of nested laws of both targets."""
    from jaxmix.cli import main

    path = tmp_path_factory.mktemp("nested") / "nested.json"
    words = ("fit", study.runs, "--law", "nested", "--restarts", "8", "--out", str(path))
    assert main(list(words)) == 0
    return path


def test_fit_reports_every_stage(run, study, tmp_path):
    out = tmp_path / "law.json"
    words = ("fit", study.runs, "--law", "nested", "--share-steps", "none", "--share-sizes", "none")
    more = ("--mixture-law", "ye-m4", "--targets", "web", "--held-out", "n_params > 2e8")
    found = run(*words, *more, "--restarts", 8, "--out", out, "--json").json
    assert (found["law"], found["mixture_law"], found["share_steps"]) == ("nested", "ye-m4", "none")
    web = found["targets"]["web"]
    assert web["rows"] == 45 and web["curves"] == 15 and web["held_out_rows"] == 15
    assert 0 < web["step_mre"] < 0.1 and web["held_out_mre"] < 1
    assert len(web["parameters"]["beta"]) == len(found["curves"]["n_params"]) == 15
    saved = json.loads(out.read_text())
    assert saved["provenance"]["where"] == "not (n_params > 2e8)"
    assert saved["law"]["mixture_law"]["name"] == "ye-m4" and saved["law"]["share_sizes"] == "none"


def test_score_predict_and_optimize_take_the_file(run, study, law, tmp_path):
    scores = run("score", law, study.runs, "--where", "n_params > 2e8", "--json").json
    assert set(scores["targets"]) == {"web", "code"} and scores["mean_mre"] < 1
    points = tmp_path / "points.csv"
    points.write_text(POINT)
    (row,) = run("predict", law, points, "--json").json["rows"]
    words = ("optimize", law, "--n-params", N, "--tokens", D)
    best = run(*words, "--json").json
    held = run(*words, "--pin", "web=0.6", "--json").json
    assert row["run"] == "big"
    for target in ("web", "code"):  # the same law at that budget
        assert held["predicted"][target] == pytest.approx(row[f"pred_{target}"], rel=1e-9)
    assert best["objective"] <= held["objective"] and best["gap"] < 1e-6
    assert {"weights", "predicted", "objective", "gap", "active"} <= set(best)


def test_compare_lists_it_beside_other_laws(run, study):
    words = ("compare", study.runs, "--laws", "nested,chinchilla", "--targets", "web")
    split = ("--train", "n_params < 2e8", "--test", "n_params > 2e8", "--restarts", 8)
    found = run(*words, *split, "--json").json
    assert [row["law"] for row in found["rows"]] == ["nested", "chinchilla"]
    assert found["means"]["nested"]["n_parameters"] == (30 + 3) + (10 + 1) + 4
    assert all(row["test_rows"] == 15 for row in found["rows"])
    assert found["means"]["nested"]["test_mre"] < 1 < found["means"]["chinchilla"]["test_mre"]


def test_laws_lists_it(run):
    assert "nested" in run("laws").out and "ye-implicit-S" in run("laws").out
    assert {"nested", "ye-implicit-S"} == set(run("laws", "--json").json["more"])


def test_what_does_not_go_with_it_is_one_line(refused, study, law, tmp_path):
    budget = ("--n-params", N, "--tokens", D)
    for words in (("trust", law, study.runs, *budget), ("pareto", law, *budget)):
        assert "holds nested laws" in refused(*words) and "fit additive or joint" in refused(*words)
    out = ("--out", tmp_path / "law.json")
    plain = ("fit", study.runs, "--law", "additive", "--share-steps", "all", *out)
    assert "--share-steps goes with --law nested" in refused(*plain)
    wrong = ("fit", study.runs, "--law", "nested", "--mixture-law", "joint", *out)
    assert "looks at the weights only" in refused(*wrong)
    assert "jaxmix fit --law nested" in refused("select", study.runs, "--laws", "nested")
    few = ("fit", study.runs, "--law", "nested", "--share-steps", "none", *out)
    assert "enough checkpoints" in refused(*few, "--where", "tokens < 5e9")
