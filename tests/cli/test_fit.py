"""``jaxmix fit``: what it writes and prints, and everything it refuses in one line."""

import itertools
import json

import pytest

from jaxmix.files import file_hash
from jaxmix.fitting.files import load_laws
from jaxmix.runs import read_runs

FEW = ("--restarts", 8)
SMALL = ("--where", "n_params < 2e8")  # one number of rows, so that programs are compiled once


def fit(run, study, out, *more):
    return run("fit", study.runs, "--law", "additive", "--out", out, *FEW, *more)


def test_json_is_one_object_and_the_law_file_loads(run, study, tmp_path):
    out = tmp_path / "law.json"
    result = fit(run, study, out, *SMALL, "--json")
    assert result.status == 0 and result.out.count("\n") == 1
    found = result.json
    assert (found["law"], found["out"], found["domains"]) == ("additive", str(out), ["web", "code"])
    laws = load_laws(out)
    assert tuple(found["targets"]) == laws.targets == ("web", "code")
    for name, target in found["targets"].items():
        assert target["objective"] == laws[name].report.objective
        assert target["rows"] == 45 and target["restarts"] == 8 and target["train_mre"] < 0.2
        assert set(target["parameters"]["C"]) == {"web", "code"}
        assert target["parameters"]["E"] == float(laws[name].params["E"])
        assert {"agreeing", "gradient_norm", "condition", "at_bound"} <= set(target)


def test_table_on_stdout_notes_on_stderr(run, study, tmp_path):
    result = fit(run, study, tmp_path / "law.json", *SMALL)
    assert result.status == 0
    assert result.out.startswith("additive fits 45 rows of 2 targets to ")
    assert "web" in result.out and "condition" not in result.out and "law.json" in result.out
    assert "note: " not in result.out and "kept 45 of 60 rows" in result.err
    assert all(line.startswith("note: ") for line in result.err.splitlines())


def test_rows_held_out_are_not_fitted(run, study, tmp_path):
    out = tmp_path / "law.json"
    found = fit(run, study, out, "--held-out", "n_params > 2e8", "--json").json["targets"]["web"]
    assert (found["rows"], found["held_out_rows"]) == (45, 15)
    assert json.loads(out.read_text())["provenance"]["where"] == "not (n_params > 2e8)"
    scored = [
        run("score", out, study.runs, *more).err for more in ([], ["--where", "n_params > 2e8"])
    ]
    assert "45 of 60 rows took part in the fit" in scored[0] and "took part" not in scored[1]
    assert fit(run, study, out, *SMALL, "--held-out", "n_params > 2e8").status == 0
    assert json.loads(out.read_text())["provenance"]["where"] == "n_params < 2e8"
    both = ("--where", "tokens > 2e9", "--held-out", "tokens > 2e9")
    assert "leaves none" in run("fit", study.runs, "--law", "additive", "--out", out, *both).err


def test_options_reach_the_fit(run, study, tmp_path):
    out = tmp_path / "law.json"
    more = ("--residual", "log", "--delta", "0.01", "--seed", "3", "--targets", "loss_web")
    assert list(fit(run, study, out, *more, "--json").json["targets"]) == ["web"]
    (law,) = load_laws(out)
    assert (law.report.residual, law.report.delta, law.report.restarts) == ("log", 0.01, 8)
    provenance = json.loads(out.read_text())["provenance"]
    assert provenance["runs"] == study.runs and provenance["seed"] == 3
    assert provenance["runs_sha256"] == file_hash(study.runs)


OWN = """import jaxmix.laws as laws
P = laws.Parameter
LAW = laws.Law(
    "mine",
    (P("E"), P("c", "domain"), P("B"), P("beta"), P("s")),
    lambda p, x: p["E"] + x["weights"] @ p["c"] + p["B"] * (x["tokens"] / 1e9) ** -p["beta"]
    + p["s"] * (x["learning_rate"] * 1e3 - 1) ** 2,
    inputs=(laws.TOKENS, laws.WEIGHTS, laws.Input("learning_rate", default=1e-3)),
)
"""


def test_a_law_with_an_input_of_its_own(run, refused, study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(OWN)
    frame = read_runs(study.runs).frame.drop(columns="loss_code")
    frame["learning_rate"] = [5e-4, 1e-3, 2e-3, 1e-3] * 15
    frame["loss_web"] += 0.1 * (frame["learning_rate"] * 1e3 - 1) ** 2
    frame.to_csv("runs.csv", index=False)
    result = run("fit", "runs.csv", "--law", "mine.py:LAW", "--out", "law.json", "--json", *FEW)
    (target,) = result.json["targets"].values()
    assert target["parameters"]["s"] == pytest.approx(0.1, rel=0.2)
    rows = run("predict", "law.json", "runs.csv", "--json").json["rows"]
    assert rows[0]["pred_web"] != rows[1]["pred_web"]
    budget = ("optimize", "law.json", "--n-params", "1e9", "--tokens", "1e10", "--json")
    usual, high = (run(*budget, *more).json for more in ((), ("--at", "learning_rate=3e-3")))
    rise = high["predicted"]["web"] - usual["predicted"]["web"]
    assert rise == pytest.approx(4 * target["parameters"]["s"], rel=1e-6)
    assert "nearest: learning_rate" in refused(*budget, "--at", "learning_rat=1")
    assert "'--at': 'x' is not name=number" in refused(*budget, "--at", "x")


def good_rows():
    scales = itertools.product((1e6, 3e6, 1e7), (1e7, 2e7, 4e7, 8e7))
    rows = ["run,n_params,tokens,w_a,w_b,loss_x"]
    for (n, d), (j, a) in itertools.product(scales, enumerate((0.1, 0.3, 0.5, 0.7, 0.9))):
        loss = 1.5 + 1 / (2 * a**0.4 + 1.2 * (1 - a) ** 0.6) + 30 / n**0.3 + 60 / d**0.3
        rows.append(f"m{j}-{n:.0f},{n:.0f},{d:.0f},{a},{1 - a:.1f},{loss:.6f}")
    return rows


def spoiled():
    rows = good_rows()
    text = "\n".join(rows) + "\n"
    first = rows[1]
    loss = first.rsplit(",", 1)[1]
    return {
        "empty": ("", "the file is empty"),
        "header only": (rows[0] + "\n", "a header but no rows"),
        "binary": ("\x00\x01\x02PNG\r\n\x1a", "binary"),
        "negative weight": (text.replace("0.1,0.9", "-0.1,1.1", 1), "column 'w_a', line 2"),
        "sum": (text.replace("0.1,0.9", "0.4,0.9", 1), "the weights sum to 1.3"),
        "text": (text.replace(loss, "three", 1), "'three' is not a number"),
        "no tokens": (text.replace("tokens", "toks", 1), "column 'tokens' is missing"),
        "zero": (text.replace(",1000000,", ",0,", 1), "0 must be positive"),
        "conflict": (text + first.rsplit(",", 1)[0] + ",9.5\n", "remove one row"),
        "no loss": ("\n".join(r.rsplit(",", 1)[0] for r in rows), "no loss column"),
        "few rows": ("\n".join(rows[:4]) + "\n", "row"),
        "schedules": (
            "\n".join([rows[0] + ",schedule", *(r + f",s{i % 2}" for i, r in enumerate(rows[1:]))]),
            "--pool schedule",
        ),
    }


@pytest.mark.parametrize("case", spoiled())
def test_bad_tables_are_one_line_and_leave_no_file(refused, tmp_path, case):
    content, message = spoiled()[case]
    table, out = tmp_path / "runs.csv", tmp_path / "law.json"
    table.write_text(content)
    error = refused("fit", table, "--law", "additive", "--out", out, *FEW)
    assert message in error and not out.exists()


def test_the_good_table_is_accepted(tmp_path):
    (tmp_path / "runs.csv").write_text("\n".join(good_rows()) + "\n")
    assert len(read_runs(tmp_path / "runs.csv")) == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--law", "nosuch"), "unknown law 'nosuch'"),
        (("--law", "no.py:LAW"), "no.py: no such file"),
        (("--law", "additive", "--targets", "wbe"), "unknown target 'wbe'; nearest: web"),
        (("--law", "additive", "--where", "n_params <"), "where"),
        (("--law", "additive", "--where", "n_params < 3"), "leaves none of 60 rows"),
        (("--law", "additive", "--solver", "magic"), "unknown solver 'magic': choose one of"),
        (("--law", "additive", "--restarts", "0"), "'--restarts'"),
        (("--law", "additive", "--delta", "x"), "'--delta'"),
        (("--law", "additive", "--residual", "x"), "'--residual'"),
        (("--law", "additive", "--pool", "color"), "'--pool'"),
        (("--law", "additive", "--nope"), "no such option '--nope'"),
        ((), "missing option '--law'"),
    ],
)
def test_bad_options_are_one_line(refused, study, tmp_path, arguments, message):
    out = tmp_path / "law.json"
    assert message in refused("fit", study.runs, "--out", out, *arguments)
    assert not out.exists()


@pytest.mark.parametrize("out", ["absent/law.json", "", "file.txt/law.json"])
def test_outputs_are_checked_before_anything_else(refused, tmp_path, out):
    (tmp_path / "file.txt").write_text("x")
    error = refused("fit", tmp_path / "absent.csv", "--law", "joint", "--out", tmp_path / out)
    assert "absent.csv: no such file" not in error


def test_inputs_are_never_overwritten(refused, study):
    error = refused("fit", study.runs, "--law", "joint", "--out", study.runs)
    assert "named twice" in error


@pytest.mark.parametrize("name", ["absent.csv", ""])
def test_an_absent_table_or_a_folder(refused, tmp_path, name):
    refused("fit", tmp_path / name, "--law", "joint", "--out", tmp_path / "law.json")
    assert list(tmp_path.iterdir()) == []
