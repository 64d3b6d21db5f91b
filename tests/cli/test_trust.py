"""``jaxmix trust``: what it refuses before any refit; what it prints is in ``test_limits``."""

import json
from pathlib import Path

import pytest

from jaxmix.errors import JaxmixError

BUDGET = ("--n-params", "1e8", "--tokens", "1e10", "--resamples", "50")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--baseline", "proportional"), "needs column unique_a"),
        (("--baseline", "mine:a=0.5"), "baseline 'mine' is no mixture"),
        (("--baseline", "mine:q=1"), "unknown domain 'q'"),
        (("--baseline", "uniform", "--baseline", "uniform"), "'uniform' is given twice"),
        (("--target-weights", "q=1"), "unknown target 'q'"),
        (("--min", "a=0.7,b=0.7"), "no mixture meets a>=0.7"),
        (("--level", "1"), "'--level'"),
        (("--where", "n_params >"), "n_params >"),
    ],
)
def test_bad_input_is_refused_before_the_refits(refused, three, monkeypatch, options, message):
    monkeypatch.setattr("jaxmix.fitting.bootstrap", lambda *_, **__: pytest.fail("refitted"))
    assert message in refused("trust", three.law, three.runs, *BUDGET, *options)


def test_what_only_the_rows_tell_is_one_line(refused, three):
    law = ("trust", three.law, three.runs, *BUDGET)
    assert "method noise needs repeats of runs" in refused(*law, "--method", "noise")


def test_a_target_of_weight_0_costs_nothing(run, refused, three, tmp_path, monkeypatch):
    """Its law is not convex and not of these rows, or it has no fit at all."""
    tried = []

    def bootstrap(laws, *_, **__):
        tried.append(laws.targets)
        raise JaxmixError("fitted on other rows")

    monkeypatch.setattr("jaxmix.fitting.bootstrap", bootstrap)
    held = json.loads(Path(three.law).read_text())
    held["targets"]["b"]["params"]["gamma"]["a"] = 2.0
    (tmp_path / "bent.json").write_text(json.dumps(held))
    held["targets"]["b"]["params"]["E"] = "nan"
    (tmp_path / "none.json").write_text(json.dumps(held))
    alone = ("--target-weights", "a=1,b=0,c=0")  # c was never fitted
    found = run("optimize", three.law, *BUDGET[:4], *alone, "--json").json
    for name in ("bent", "none"):
        law = tmp_path / f"{name}.json"
        other = run("optimize", law, *BUDGET[:4], *alone, "--json").json
        assert other["proven"] and other["starts"] == 1
        assert other["weights"] == found["weights"], name
        more = ("--count", "1", "--resamples", "0", "--json")
        assert run("next", law, three.runs, *BUDGET[:4], *alone, *more).status == 0
    refused("trust", tmp_path / "bent.json", three.runs, *BUDGET, *alone)
    assert tried == [("a", "b"), ("a",)]  # what cannot be refitted is left out, if it may be
