"""``jaxmix report``: a page and its summary, and what it refuses."""

import re

import pytest


def test_page_and_json(run, study, tmp_path):
    out = tmp_path / "report.html"
    result = run("report", study.law, study.runs, "--out", out, "--resamples", 0, "--json")
    found = result.json
    assert result.status == 0 and found["bytes"] == out.stat().st_size < 3e6
    assert sum(found["weights"].values()) == pytest.approx(1)
    assert found["n_params"] == 3e8 and found["tokens"] == 1e10 and found["gains"] is None
    assert "no refits" in result.err
    assert "<title>additive law of runs.csv</title>" in out.read_text()


def test_a_law_without_sizes_names_no_budget(run, study, tmp_path):
    law, out = tmp_path / "law.json", tmp_path / "report.html"
    rows = ("--where", "n_params == 3e8 and tokens == 1e10", "--restarts", "4")
    assert run("fit", study.runs, "--law", "ye-m4", *rows, "--out", law).status == 0
    big = ("--n-params", "7B", "--tokens", "150B")
    held = run("report", law, study.runs, *big, "--out", out, "--resamples", 0, "--json").json
    assert held["n_params"] is None and held["tokens"] is None and not held["held_out_mre"]
    page = out.read_text()
    assert (
        "parameters as run (300M) and tokens as run (10B)" in page
        and "the best mixture is the same at every size" in page
    )
    shown = run("optimize", law, *big)
    assert "mixture for N as run (3e+08)" in shown.out and "does not read N and D" in shown.err


@pytest.mark.slow
def test_budget_baseline_and_law_comparison(run, study, tmp_path):
    out = tmp_path / "report.html"
    options = ("--n-params", "7B", "--tokens", "150B", "--target-weights", "loss_web=1")
    more = ("--baseline", "even:web=0.5,code=0.5", "--laws", "chinchilla", "--resamples", 0)
    result = run("report", study.law, study.runs, "--out", out, *options, *more)
    assert "Train on" in result.out and "7B parameters" in result.out
    html = out.read_text()
    assert "even" in html and "scored on that one (N = 3e+08)" in html
    assert not re.search(r"(?:src|href)=\"https?:", html)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--n-params", "0"), "is not a positive number"),
        (("--target-weights", "q=1"), "unknown target 'q'"),
        (("--baseline", "a:web=0.5"), "baseline 'a' is no mixture"),
        (("--baseline", "a:web=1", "--baseline", "a:code=1"), "'a' is given twice"),
        (("--where", "n_params <"), "n_params <"),
        (("--group", "web + cod <= 1"), "unknown domain 'cod'"),
        (("--laws", "additve"), "unknown law 'additve'"),
    ],
)
def test_refuses(refused, study, tmp_path, options, message):
    out = tmp_path / "report.html"
    said = refused("report", study.law, study.runs, "--out", out, "--resamples", 2000, *options)
    assert message in said and not out.exists()


def test_refuses_files(refused, study, tmp_path):
    out = tmp_path / "report.html"
    assert "no such file" in refused("report", tmp_path / "no.json", study.runs, "--out", out)
    assert "not a law file" in refused("report", study.runs, study.runs, "--out", out)
    assert "named twice" in refused("report", study.law, study.runs, "--out", study.runs)
