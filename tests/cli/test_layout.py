"""Tables: at any width every cell is whole and every column is there, and --out has the rows."""

import json
import pathlib
import re

import numpy as np
import pandas as pd
import pytest

from jaxmix.cli.tables import Table, table
from jaxmix.fitting.simulate import true_laws
from jaxmix.laws import ADDITIVE
from jaxmix.mixtures import dirichlet_design

LONG = [f"common_crawl_part_{i:02d}_high_quality" for i in range(40)]


def lines(made: Table, width: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is printed of a table in a terminal of so many columns."""
    from jaxmix.cli import common

    common.show(made)
    printed = capsys.readouterr().out.splitlines()[1:]  # without the title
    assert max(map(len, printed)) <= width
    return printed


@pytest.mark.parametrize("width", [30, 40, 80, 140])
@pytest.mark.parametrize("k", [3, 17, 40])
def test_no_number_is_cut_and_no_column_is_dropped(k, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    made = table("front", "point", *LONG[:k], "loss of the target")
    for i in range(3):
        made.add_row(f"p{i}", *(f"{i}.{j:04d}" for j in range(k)), f"1.444{i}")
    printed = lines(made, width, capsys)
    cells = re.findall(r"(?<![\w.])\d\.\d{4}(?!\d)", "\n".join(printed))
    assert sorted(cells) == sorted(cell for row in made.rows for cell in row[1:])
    whole = "".join(re.sub(r"[\s─]", "", line) for line in printed)
    if width > 80:
        assert all(name in whole for name in LONG[:k])


def test_a_table_that_fits_stays_and_words_are_wrapped(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    made = table("scores", "target", "law", "MRE %", text=("law",), rows=[("web", "additive", "1")])
    assert [line.split() for line in lines(made, 80, capsys)][::2] == [
        ["target", "law", "MRE", "%"], ["web", "additive", "1"],
    ]  # fmt: skip
    monkeypatch.setenv("COLUMNS", "40")
    made = table("laws", "name", "formula", text=("formula",), rows=[("a", "E + A/N^alpha " * 9)])
    assert "\n".join(lines(made, 40, capsys)).count("alpha") == 9


def test_a_table_of_many_columns_is_turned_around(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    made = table("mixtures", "run", *LONG[:17], rows=[[f"r{i}", *["0.5000"] * 17] for i in (1, 2)])
    printed = lines(made, 80, capsys)
    assert len(printed) == 19 and printed[0].split() == ["run", "r1", "r2"]
    assert printed[2].split() == [LONG[0], "0.5000", "0.5000"]


BUDGET = ("--n-params", "1B", "--tokens", "20B")


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> pathlib.Path:
    """A law of 17 domains with long names."""
    k, path = 17, tmp_path_factory.mktemp("many") / "law.json"
    powers = {"E": 1.5, "A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34}
    params = {
        t: {**powers, "C": np.roll(np.linspace(1, 3, k), i), "gamma": np.full(k, 0.5)}
        for i, t in enumerate(("a", "b"))
    }
    scale = {"mixtures": dirichlet_design(k, 40, seed=1), "n_params": [1e8], "tokens": [1e9]}
    true_laws(ADDITIVE, params, domains=LONG[:k], targets=("a", "b"), **scale).save(path)
    return path


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize(
    "command",
    [("pareto", "--points", "2", *BUDGET), ("optimize", *BUDGET), ("budget", "--flops", "1e21")],
)
def test_commands_show_every_weight_in_a_narrow_terminal(run, many, command, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    name, *options = command
    found, printed = (run(name, many, *options, *more) for more in (["--json"], []))
    assert found.status == printed.status == 0
    wide = max(len(line) for line in printed.out.splitlines() if "─" in line)
    assert wide <= width
    point = (found.json.get("points") or found.json.get("plans") or [found.json])[-1]
    shown = [f"{h:.3f}" if name == "pareto" else f"{h:.4f}" for h in point["weights"].values()]
    assert all(printed.out.count(text) >= shown.count(text) for text in shown)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_rows_are_written_by_the_ending_of_the_name(run, study, tmp_path, suffix):
    out = tmp_path / f"front.{suffix}"
    result = run("pareto", study.law, *BUDGET, "--points", "3", "--out", out, "--json")
    rows = read_frame(out)
    for i, point in enumerate(result.json["points"]):
        for domain, weight in point["weights"].items():
            assert rows[f"w_{domain}"][i] == pytest.approx(weight, abs=1e-15)
    assert run("predict", study.law, out, "--json").status == 0  # a front is a table of points


def read_frame(path: pathlib.Path) -> pd.DataFrame:
    if path.suffix == ".jsonl":
        return pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


TWO = ("--train", "n_params < 2e7", "--test", "n_params > 2e7", "--restarts", "4")


@pytest.mark.parametrize(
    ("command", "columns"),
    [
        (("score", "LAW", "RUNS"), {"target", "mre", "rows"}),
        (("predict", "LAW", "RUNS"), {"w_a", "pred_a"}),
        (("optimize", "LAW", *BUDGET), {"domain", "weight"}),
        (("next", "LAW", "RUNS", *BUDGET, "--count", "2", "--resamples", "0"), {"w_a", "tokens"}),
        (("budget", "LAW", "--flops", "1e21"), {"flops", "n_params", "w_a", "loss_a"}),
        (("compare", "RUNS", "--laws", "additive", *TWO), {"law", "test_mre", "baseline"}),
        (("laws",), {"name", "formula"}),
    ],
)
def test_every_command_with_a_table_writes_its_rows(run, three, tmp_path, command, columns):
    names = {"LAW": three.law, "RUNS": three.runs}
    out = tmp_path / "rows.csv"
    result = run(*(names.get(word, word) for word in command), "--out", out)
    assert result.status == 0, result.err
    assert columns <= set(pd.read_csv(out).columns)


def test_a_file_that_cannot_be_written_is_refused_before_the_work(refused, study, tmp_path):
    wrong = refused("pareto", study.law, *BUDGET, "--out", tmp_path / "front.xlsx")
    assert "end the name of this file in .csv" in wrong
    assert "does not exist" in refused("score", "x", "y", "--out", tmp_path / "no" / "f.csv")
