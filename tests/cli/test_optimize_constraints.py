"""The options of ``jaxmix optimize`` and ``jaxmix pareto`` that constrain a mixture."""

import pytest

from jaxmix.fitting.files import load_laws
from jaxmix.mixtures import constraints, optimize_within

BUDGET = ("--n-params", "7e9", "--tokens", "150B")


def test_availability_in_words(run, study) -> None:
    given = ("--unique", "w_code=5B", "--max-epochs", "4", "--linear", "web - code <= 0.9")
    found = run("optimize", study.law, *BUDGET, *given, "--json").json
    limits = constraints(["web", "code"], unique_tokens={"code": 5e9}, linear=["web-code<=0.9"])
    want = optimize_within(load_laws(study.law), 7e9, 150e9, limits)
    assert found["weights"] == pytest.approx(want.mixture, abs=1e-9)
    assert found["weights"]["code"] == pytest.approx(20 / 150, abs=1e-12)
    assert found["active"] == ["code<=4 epochs"]
    assert found["worth"][0].startswith("one more epoch of code is worth 0.0")
    table = run("optimize", study.law, *BUDGET, *given)
    assert found["worth"][0] in table.out and "code<=4 epochs" in table.out


def test_labels_read_as_typed(run, study) -> None:
    given = ("--group", "code + web/2 <= 0.6", "--min", "web=0.05")
    found = run("optimize", study.law, *BUDGET, *given, "--json").json
    assert found["active"] == ["code + web/2 <= 0.6"] and found["converged"]
    assert found["weights"]["code"] == pytest.approx(0.2, abs=1e-9)


def test_guard_prior_and_worst_case(run, study) -> None:
    laws = load_laws(study.law)
    guard = ("--guard", "loss_web=0.001", "--reference", "web=0.9,code=0.1")
    found = run("optimize", study.law, *BUDGET, *guard, "--json").json
    most = float(laws[0].predict(dict(n_params=7e9, tokens=150e9, weights=[0.9, 0.1]))) + 0.001
    assert found["predicted"]["web"] == pytest.approx(most, abs=1e-9)
    assert found["active"] == ["web<=reference+0.001"]
    near = ("--prior", "web=0.8,code=0.2", "--kl-max", "0.01")
    assert run("optimize", study.law, *BUDGET, *near, "--json").json["active"] == ["KL<=0.01"]
    even = run("optimize", study.law, *BUDGET, "--worst-case", "loss", "--json").json
    assert even["predicted"]["web"] == pytest.approx(even["predicted"]["code"], abs=1e-9)
    mix = ("--reference", "proportional", "--unique", "web=900B,code=100B", "--worst-case", "gap")
    gap = run("optimize", study.law, *BUDGET, *mix, "--json").json
    assert gap["objective"] <= 1e-9


def test_pareto_json_and_table(run, study) -> None:
    given = (*BUDGET, "--points", "4", "--max", "code=0.6")
    found = run("pareto", study.law, *given, "--json").json
    assert found["proven"] and len(found["points"]) == 4
    losses = [point["losses"]["web"] for point in found["points"]]
    assert losses == sorted(losses)
    assert all(point["weights"]["code"] <= 0.6 for point in found["points"])
    table = run("pareto", study.law, *given)
    assert table.status == 0 and "loss web" in table.out and "weight code" in table.out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--group", "web+cod<=0.3"), "unknown domain 'cod'; nearest: code"),
        (("--group", "web+code"), "compares nothing"),
        (("--linear", "web*code<=0.3"), "multiplies weights"),
        (("--unique", "code=lots"), "not a positive number"),
        (("--unique", "code=1B,web=1B"), "must give 142 more epochs"),
        (("--max-epochs", "code=3"), "needs its unique tokens"),
        (("--max-epochs", "3"), "give --unique"),
        (("--prior", "uniform"), "does nothing by itself"),
        (("--guard", "web=0.1"), "give --reference"),
        (("--guard", "wbe=0.1", "--reference", "uniform"), "unknown target 'wbe'; nearest: web"),
        (("--reference", "proportional", "--guard", "web=0.1"), "needs --unique of web, code"),
        (("--prior", "web:1"), "not name=number"),
        (("--linear", "web>=0.7", "--linear", "code>=0.4"), "web>=0.7 and code>=0.4 together"),
        (("--pull", "-1"), "pull is -1"),
        (("--worst-case", "gap"), "reference"),
        (("--guard", "web=0,code=0", "--reference", "uniform", "--max", "code=0.2"), "misses code"),
    ],
)
def test_bad_constraints_are_refused_in_one_line(refused, study, given, message) -> None:
    assert message in refused("optimize", study.law, *BUDGET, *given)


def test_availability_needs_a_finite_budget(refused, study) -> None:
    given = ("--n-params", "7e9", "--tokens", "inf", "--unique", "code=1B")
    assert "D = inf" in refused("optimize", study.law, *given)
