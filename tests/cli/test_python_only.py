"""What was Python only: presets, the path of an optimum, its influences, critical ratios."""

import numpy as np
import pandas as pd
import pytest

from jaxmix.fitting import fit
from jaxmix.fitting.files import load_laws
from jaxmix.mixtures import Constraints, critical_ratio
from jaxmix.models import PRESETS
from jaxmix.runs import read_runs

BIG = ("--n-params", "1e8", "--tokens", "1e10")


def test_presets(run, tmp_path):
    rows = run("presets", "--family", "vision", "--json", "--out", tmp_path / "p.csv").json
    names = [one["name"] for one in rows["presets"]]
    assert names == [p.name for p in PRESETS.values() if p.family == "vision"]
    by_name = {one["name"]: one for one in rows["presets"]}
    assert by_name["lvm-tiny-24"]["n_params"] == 25512  # as in the example table
    assert list(pd.read_csv(tmp_path / "p.csv")["name"]) == names


def test_the_path_is_made_of_optima(run, study, tmp_path):
    plot, out = tmp_path / "path.png", tmp_path / "path.csv"
    limits = ("--max", "web=0.7")
    words = ("optimize", study.law, *BIG, *limits, "--path", "linear", "--factors", "1,10,inf")
    found = run(*words, "--plot", plot, "--out", out, "--json").json["path"]
    assert [one["n_params"] for one in found] == [1e8, 1e9, None]
    big = ("--n-params", "1e9", "--tokens", "1e11")
    one = run("optimize", study.law, *big, *limits, "--json").json
    assert found[1]["weights"] == pytest.approx(one["weights"], abs=1e-7)
    assert plot.stat().st_size > 5000 and list(pd.read_csv(out)["tokens"])[:2] == [1e10, 1e11]
    shown = run(*words)
    assert "1B" in shown.out and shown.err.startswith("note: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--factors", "1,2"), "--factors belongs to --path"),
        (("--plot", "x.png"), "--plot belongs to --path"),
        (("--path", "linear", "--factors", "-1"), "'-1' is not a factor; write 1,10,100,inf"),
        (("--path", "up"), "'up' is not one of 'fixed-n'"),
        (("--path", "log", "--plot", "x.doc"), "end the name of this file in .png"),
        (("--path", "log", "--baseline", "uniform"), "--baseline compares at one budget"),
        (("--path", "log", "--min", "web=0.7,code=0.7"), "web>=0.7"),
    ],
)
def test_wrong_words_of_a_path(refused, study, words, said):
    assert said in refused("optimize", study.law, *BIG, *words)


def test_a_path_begins_at_a_finite_budget(refused, study):
    budget = ("--n-params", "inf", "--tokens", "1e10")
    assert "give finite ones" in refused("optimize", study.law, *budget, "--path", "sqrt")


def test_influence_is_that_of_a_fit_without_the_mixture(run, three):
    words = ("trust", three.law, three.runs, *BIG, "--resamples", "50", "--within", "range")
    answer = run(*words, "--influence", "--json").json
    found = answer["influence"]
    assert len(found) == 14 and all(one["rows"] == 4 for one in found)
    far = [one["distance"] for one in found]
    assert far == sorted(far, reverse=True) and far[0] > 0
    assert all(abs(sum(one["moves"].values())) < 1e-6 for one in found)
    table = run(*words, "--influence").out
    assert "without a mixture the optimum moves" in table and found[0]["run"] in table
    assert 0 <= answer["influence_spread"] < 1 and "optima of equally good fits" in table
    # The same by a fit of its own without the mixture that matters most.
    runs, limits = read_runs(three.runs), Constraints(within="range")
    (row,) = np.flatnonzero(runs.frame["run"] == found[0]["run"])[:1]
    others = np.abs(runs.weights - runs.weights[row]).max(1) > 1e-6
    again = fit(runs.select(others), "additive", restarts=16).optimize(1e8, 1e10, limits)
    best = load_laws(three.law).optimize(1e8, 1e10, limits)
    moved = {d: again.weights[d] - w for d, w in best.weights.items()}
    assert found[0]["moves"] == pytest.approx(moved, abs=0.02)


LINE = ("--target", "web", "--limit", "3.6", "--old", "web=1", "--new", "code=1")


def test_critical_ratios_are_those_of_python(run, study):
    words = ("critical-ratio", study.law, *LINE, "--tokens", "1e9,1e11", "--n-params", "1e8")
    found = run(*words, "--json").json
    law = load_laws(study.law)["web"]
    own = critical_ratio(law, 3.6, {"web": 1}, {"code": 1}, [1e9, 1e11], n_params=1e8)
    assert [one["ratio"] for one in found["ratios"]] == pytest.approx([o.ratio for o in own])
    assert 0 < own[0].ratio < own[1].ratio <= 1
    shown = run(*words)
    assert f"{own[0].ratio:.3f}" in shown.out and shown.out.count("\n") < 8
    capped = run(*words, "--max", "code=0.05", "--json").json["ratios"]
    assert [one["ratio"] for one in capped] == pytest.approx([0.05, 0.05], abs=1e-6)


def test_the_interval_of_a_critical_ratio(run, three):
    ends = ("--old", "a=0.7,b=0.1,c=0.2", "--new", "a=0.1,b=0.7,c=0.2")
    line = ("--target", "a", *ends, "--tokens", "1e10")
    words = ("critical-ratio", three.law, *line, "--limit", "2.65", "--interval", "0.9")
    result = run(*words, "--runs", three.runs, "--resamples", "50", "--json")
    (found,) = result.json["ratios"]
    assert 0 < found["low"] <= found["ratio"] <= found["high"] < 1
    assert found["high"] - found["low"] < 0.5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target", "wbe"), "unknown target 'wbe'; nearest: web"),
        (("--new", "code=0.5"), "new mixture's weights sum to 0.5"),
        (("--new", "web=1"), "--old and --new are one mixture"),
        (("--limit", "0"), "'0' is not a positive number"),
        (("--tokens", "-1"), "is not a finite positive number"),
        (("--guard", "code=0.1"), "give --reference"),
    ],
)
def test_wrong_words_of_a_critical_ratio(refused, study, words, said):
    assert said in refused("critical-ratio", study.law, *LINE, "--tokens", "1e9", *words)
