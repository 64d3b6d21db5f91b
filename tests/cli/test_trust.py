"""``jaxmix trust``: what it refuses before any refit; what it prints is in ``test_limits``."""

import pytest

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
