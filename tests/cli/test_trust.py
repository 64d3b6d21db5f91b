"""``jaxmix trust``: what it prints, and what it refuses before any refit."""

import pytest

BUDGET = ("--n-params", "1e8", "--tokens", "1e10", "--resamples", "50")


def test_json_holds_the_set_and_the_gains(run, three):
    baselines = ("--baseline", "uniform", "--baseline", "mine:a=0.5,b=0.5", "--group", "a+b<=0.9")
    result = run("trust", three.law, three.runs, *BUDGET, *baselines, "--json")
    found = result.json
    assert sum(found["weights"].values()) == pytest.approx(1)
    assert list(found["gains"]) == ["uniform", "mine"]
    gain = found["gains"]["mine"]
    assert gain["corrected"] == pytest.approx(gain["predicted"] - gain["optimism"])
    for name, (low, high) in found["intervals"].items():
        assert low <= found["weights"][name] <= high
    assert found["resampling"]["unit"] == "mixture" and found["resampling"]["units"] == 14
    assert found["noise"]["a"]["floor"] is None
    assert set(found["discrepancy"]) == set(found["losses"]) == {"a", "b"}
    shown = run("trust", three.law, three.runs, *BUDGET, *baselines)
    assert "model error" in shown.out and "50 wild refits over 14 mixtures" in shown.out


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
