"""simulate and import: the run tables they write, and what they refuse."""

import pathlib

import numpy as np
import pytest

from jaxmix.fitting.files import load_laws
from jaxmix.runs import read_runs


def files(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


SMALL = ("--n-params", "10M,1e8", "--tokens", "1B,2e9,4e9", "--mixtures", "3")


def simulate(run, folder, *more):
    out = ("--out", folder / "runs.csv", "--truth", folder / "truth.json")
    result = run("simulate", "--law", "additive", *SMALL, *more, *out, "--json")
    assert result.status == 0
    return result.json, read_runs(folder / "runs.csv")


def test_simulate_writes_a_table_and_its_truth(run, tmp_path):
    found, table = simulate(run, tmp_path, "--domains", "w_web,code", "--targets", "2")
    assert found["rows"] == len(table) == 18 and found["runs"] == 6
    assert table.domains == ("web", "code") and table.targets == ("t1", "t2")
    assert sorted(set(table.n_params)) == [1e7, 1e8]
    scores = run("score", tmp_path / "truth.json", tmp_path / "runs.csv", "--json").json
    assert scores["mean_mre"] < 1e-12
    assert run("predict", tmp_path / "truth.json", tmp_path / "runs.csv", "--json").status == 0
    budget = ("--n-params", "1B", "--tokens", "1T")
    assert run("optimize", tmp_path / "truth.json", *budget, "--json").status == 0


def test_the_seed_decides_and_noise_is_relative(run, tmp_path):
    tables = [simulate(run, tmp_path, "--noise", "0.01", "--seed", s)[1] for s in (1, 1, 2)]
    losses = [table.losses() for table in tables]
    np.testing.assert_array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])


def test_designs_and_a_given_truth(run, tmp_path):
    _, first = simulate(run, tmp_path, "--design", "grid", "--steps", "3")
    assert len(np.unique(first.weights, axis=0)) == 10
    again = ("--from", tmp_path / "truth.json", "--design", "vertices", "--replicates", "2")
    result = run("simulate", *again, *SMALL, "--out", tmp_path / "b.csv", "--json")
    assert result.json["runs"] == 3 * 2 * 2
    second = read_runs(tmp_path / "b.csv")
    assert second.targets == tuple(f.target for f in load_laws(tmp_path / "truth.json"))
    assert (second.weights.max(1) == 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--law", "nosuch"), "unknown law"),
        (("--domains", "0"), "count from 1"),
        (("--available", "d9=1B"), "unknown domain 'd9'"),
        (("--domains", "a,a"), "once"),
        (("--design", "star"), "'--design'"),
        (("--n-params", "1e7,x"), "'x' is not a finite positive number"),
        (("--tokens", "inf"), "finite"),
        (("--noise", "-1"), "'--noise'"),
        (("--law", "ge", "--targets", "z"), "own weight"),
        (("--from", "absent.json"), "absent.json: no such file"),
    ],
)
def test_simulate_refuses(refused, tmp_path, arguments, message):
    assert message in refused("simulate", *arguments, "--out", tmp_path / "runs.csv")
    assert files(tmp_path) == []


def test_simulate_writes_two_different_files(refused, tmp_path):
    out = tmp_path / "x.json"
    assert "named twice" in refused("simulate", "--out", out, "--truth", out)


RATIOS = "run,name,web,code\nr1,a,0.25,0.75\nr2,b,1,0\n"
METRICS = "run_id,acc,bpb\nr2,0.5,1.2\nr1,0.4,1.1\n"
SCALE = ("--n-params", "1M", "--tokens", "1B")


def two(folder, first, second):
    (folder / "a.csv").write_text(first)
    (folder / "b.csv").write_text(second)
    return folder / "a.csv", folder / "b.csv"


def test_import_olmix(run, tmp_path):
    out = tmp_path / "runs.csv"
    paths = two(tmp_path, RATIOS, METRICS)
    result = run("import", "olmix", *paths, *SCALE, "--targets", "bpb", "--out", out)
    assert result.status == 0 and "2 rows of 2 runs, 2 domains, 1 target" in result.out
    table = read_runs(out)
    np.testing.assert_array_equal(table.losses(["bpb"]), [[1.1, 1.2]])
    np.testing.assert_array_equal(table.n_params, [1e6, 1e6])


def test_import_regmix(run, tmp_path):
    mixtures = "index,train_the_pile_a,train_the_pile_b\n1,0.4,0.6\n2,1,0\n"
    losses = "index,metric/the_pile_a_val_loss\n2,3.5\n1,3.1\n"
    paths, out = two(tmp_path, mixtures, losses), tmp_path / "runs.csv"
    result = run("import", "regmix", *paths, *SCALE, "--run-prefix", "x", "--out", out, "--json")
    assert result.json["rows"] == 2 and result.json["targets"] == ["a"]
    assert list(read_runs(out).frame["run"]) == ["x1", "x2"]


def test_import_mixinglaws(run, tmp_path):
    lines = "/a/x_5-0.25-0.75/100 v.valid.Code.bin 3.5\n/a/x_6-1-0/100 v.valid.Code.bin 3.6\n"
    (tmp_path / "70M.txt").write_text(lines)
    options = ("--domains", "web,code", "--tokens-per-step", "1e6", "--out", tmp_path / "runs.csv")
    result = run("import", "mixinglaws", tmp_path / "70M.txt", *options, "--json")
    assert result.json["domains"] == ["web", "code"] and result.json["rows"] == 2
    np.testing.assert_array_equal(read_runs(tmp_path / "runs.csv").tokens, [1e8, 1e8])


def test_import_columns(run, refused, tmp_path):
    file, out = tmp_path / "theirs.csv", tmp_path / "runs.csv"
    file.write_text('id,"N, total",mix/web,mix/code,eval/a.b\nr1,70M,60%,40%,3.1\nr2,7e7,1,0,3.0\n')
    amounts = ("--rename", "N, total=n_params", "--tokens", "20B", "--run", "id")
    asked = ("import", "columns", file, *amounts, "--weights", "mix/*")
    result = run(*asked, "--losses", "eval/*", "--out", out, "--json")
    assert result.json["domains"] == ["web", "code"] and result.json["targets"] == ["a_b"]
    table = read_runs(out)
    assert table.n_params.tolist() == [7e7, 7e7] and table.tokens.tolist() == [2e10, 2e10]
    assert "--losses: no column is 'val/*'" in refused(*asked, "--losses", "val/*", "--out", out)
    assert "'N' is not old=new" in refused(*asked, "--rename", "N", "--out", out)


def test_a_column_is_renamed_wherever_a_table_is_read(run, refused, study, tmp_path):
    """Also in a table of points, which has no ids and one column of its old name."""
    theirs, law = tmp_path / "theirs.csv", study.law
    header, _, rows = pathlib.Path(study.runs).read_text().partition("\n")
    header = header.replace("n_params", "N").replace("run", "id").replace("w_web", "a=b")
    theirs.write_text(f"{header}\n{rows}")
    names = ("--rename", "N=n_params", "--rename", "id=run", "--rename", "a=b=w_web")
    for command in ("score", "predict"):
        renamed, plain = (
            run(command, law, *t, "--json") for t in ((theirs, *names), (study.runs,))
        )
        assert renamed.status == 0 and renamed.json == plain.json
    text = refused("score", law, theirs, *names[2:])
    assert "rename 'N' if that is it: --rename N=n_params" in text
    assert "column 'M', for 'n_params', is missing" in refused(
        "score", law, theirs, "--rename", "M=n_params"
    )
    assert "'n_params' is given twice" in refused("score", law, theirs, *names, *names[:2])


def test_import_refuses(refused, tmp_path):
    paths, out = two(tmp_path, RATIOS, METRICS.replace("r2", "r9")), tmp_path / "runs.csv"
    assert "not in" in refused("import", "olmix", *paths, *SCALE, "--out", out)
    assert "missing option '--tokens'" in refused(
        "import", "olmix", *paths, "--n-params", "1M", "--out", out
    )
    assert "named twice" in refused("import", "olmix", *paths, *SCALE, "--out", paths[0])
    assert "no such command" in refused("import", "nosuch")
    assert files(tmp_path) == ["a.csv", "b.csv"]
