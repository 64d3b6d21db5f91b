"""Limits on a mixture: the same options with the same meaning in every command."""

import re

import pandas as pd
import pytest
import yaml

from jaxmix.fitting import load_laws
from jaxmix.fitting.simulate import random_truth, true_laws
from jaxmix.laws import get_law
from jaxmix.mixtures import Constraints, optimize
from jaxmix.runs import read_points

BUDGET = ("--n-params", "7e9", "--tokens", "150B")
GIVEN = ("--group", "a + b <= 0.3", "--max", "c=0.9", "--min", "w_b=0.1", "--available", "b=10B")


@pytest.fixture(scope="module")
def kept() -> dict:
    return {}


@pytest.fixture
def refit_once(kept, monkeypatch) -> None:
    """Commands of this module share the refits of the first."""
    from jaxmix import fitting

    bootstrap = fitting.bootstrap

    def once(*args, **options):
        if not kept:
            kept["refits"] = bootstrap(*args, **options)
        return kept["refits"]

    monkeypatch.setattr(fitting, "bootstrap", once)


def proposals(run, three, tmp_path):
    """Every command that proposes, judges, plans, reports or exports, and what it proposes."""
    law, runs = three.law, three.runs
    yield "trust", run("trust", law, runs, *BUDGET, *GIVEN, "--resamples", 50, "--json")
    page = ("--out", tmp_path / "r.html", "--resamples", 0, "--json")
    yield "report", run("report", law, runs, *BUDGET, *GIVEN, *page)
    yield "next", run("next", law, runs, *BUDGET, *GIVEN, "--count", 2, "--json")
    yield "optimize", run("optimize", law, *BUDGET, *GIVEN, "--json")


def obeys(weights):
    a, b, c = (weights[d] for d in "abc")
    return a + b <= 0.3 + 1e-9 and c <= 0.9 + 1e-9 and b >= 0.1 - 1e-9 and b <= 40 / 150 + 1e-9


def test_commands_agree_and_obey(run, three, refit_once, tmp_path) -> None:
    limits = Constraints(
        linear=["a + b <= 0.3"], maximum={"c": 0.9}, minimum={"b": 0.1}, available={"b": 10e9}
    )
    best = optimize(load_laws(three.law), 7e9, 150e9, limits).weights
    assert obeys(best)
    for name, result in proposals(run, three, tmp_path):
        assert result.status == 0, (name, result.err)
        assert result.json["weights"] == best, name
    exported = run("export", three.law, *BUDGET, *GIVEN, "--format", "yaml")
    assert yaml.safe_load(exported.out)["weights"] == pytest.approx(best, abs=1e-6)
    out = tmp_path / "next.csv"
    more = ("--count", 2, "--criterion", "random", "--out", out)
    assert run("next", three.law, three.runs, *BUDGET, *GIVEN, *more).status == 0
    points = read_points(out, ["a", "b", "c"])
    front = run("pareto", three.law, *BUDGET, *GIVEN, "--points", 3, "--json").json["points"]
    mixtures = [dict(zip("abc", h, strict=True)) for h in points.weights]
    assert all(obeys(mixture) for mixture in [*mixtures, *(point["weights"] for point in front)])
    flops = ("--flops", 1e21, "--sizes", "1B,100B", "--json")
    (plan,) = run("budget", three.law, *GIVEN, *flops).json["plans"]
    assert plan["weights"]["a"] + plan["weights"]["b"] <= 0.3 + 1e-9
    assert plan["weights"]["b"] * plan["tokens"] <= 4 * 10e9 * (1 + 1e-6)


def test_trust_says_how_sure_that_is(run, three, refit_once, tmp_path) -> None:
    baselines = ("--baseline", "uniform", "--baseline", "mine:a=0.5,b=0.5")
    asked = ("trust", three.law, three.runs, *BUDGET, *GIVEN, *baselines, "--resamples", 50)
    found = run(*asked, "--json").json
    assert list(found["gains"]) == ["uniform", "mine"]
    gain = found["gains"]["mine"]
    assert gain["corrected"] == pytest.approx(gain["predicted"] - gain["optimism"])
    for name, (low, high) in found["intervals"].items():
        assert low <= found["weights"][name] <= high
    assert found["resampling"]["unit"] == "mixture" and found["resampling"]["units"] == 14
    assert found["noise"]["a"]["floor"] is None
    assert set(found["discrepancy"]) == set(found["losses"]) == {"a", "b"}
    shown = run(*asked, "--out", tmp_path / "weights.csv")
    rows = pd.read_csv(tmp_path / "weights.csv", index_col="domain")
    assert rows["low"].to_dict() == pytest.approx({d: i[0] for d, i in found["intervals"].items()})
    assert "model error" in shown.out and "50 wild refits over 14 mixtures" in shown.out


@pytest.fixture(scope="module")
def repeats(tmp_path_factory) -> str:
    """A law file of a law that knows repetition."""
    law = get_law("additive+repetition")
    drawn = random_truth(law, 2, 3, count=2)
    scale = {"mixtures": [[0.5, 0.5]], "n_params": [1e8], "tokens": [1e10]}
    params = dict(zip(("web", "code"), drawn, strict=True))
    path = tmp_path_factory.mktemp("repeats") / "law.json"
    names = ("web", "code")
    true_laws(law, params, domains=names, targets=names, **scale).save(path)
    return str(path)


def test_available_tokens_enter_a_law_that_knows_repetition(run, repeats, tmp_path) -> None:
    stock = ("--available", "w_code=5B")
    found = run("optimize", repeats, *BUDGET, *stock, "--json").json
    point = {"run": "x", "n_params": 7e9, "tokens": 150e9, "unique_code": 5e9}
    point |= {f"w_{name}": weight for name, weight in found["weights"].items()}
    rows = (",".join(map(str, row)) for row in (point, point.values()))
    (tmp_path / "point.csv").write_text("\n".join(rows) + "\n")
    (row,) = run("predict", repeats, tmp_path / "point.csv", "--json").json["rows"]
    for name, loss in found["predicted"].items():
        assert row[f"pred_{name}"] == pytest.approx(loss, rel=1e-9)
    column = run("optimize", repeats, *BUDGET, "--at", "unique_code=5e9", "--json").json
    assert column["weights"] == found["weights"]
    capped = run("optimize", repeats, *BUDGET, "--unique", "code=5B", "--max-epochs", 2, "--json")
    assert capped.json["weights"]["code"] <= 10 / 150 + 1e-9
    assert capped.json["objective"] >= found["objective"]
    (plan,) = run("budget", repeats, "--flops", 1e21, *stock, "--json").json["plans"]
    assert plan["epochs"]["code"] == pytest.approx(plan["weights"]["code"] * plan["tokens"] / 5e9)


def test_available_tokens_cap_the_epochs_of_other_laws(run, study) -> None:
    given = ("--unique", "w_code=5B", "--max-epochs", "4", "--linear", "web - code <= 0.9")
    found = run("optimize", study.law, *BUDGET, *given, "--json").json
    assert found["weights"]["code"] == pytest.approx(20 / 150, abs=1e-12)
    assert found["active"] == ["code<=4 epochs"]
    (worth,) = found["worth"].values()
    assert worth.startswith("one more epoch of code is worth 0.0")
    table = run("optimize", study.law, *BUDGET, *given)
    assert worth in table.out and "code<=4 epochs" in table.out
    assert run("optimize", study.law, *BUDGET, "--available", "code=inf", "--json").status == 0


def test_a_decay_of_repeated_tokens_may_be_assumed(run, refused, study, repeats) -> None:
    given = ("--available", "code=5B", "--r-star", "15.39")
    result = run("optimize", study.law, *BUDGET, *given, "--json")
    found = result.json
    assert "assumed, not fitted on these runs: R_D_star = 15.39" in result.err
    assert found["weights"]["code"] > 20 / 150 and found["inputs"]["unique"][1] == 5e9
    assert "has its own" in refused("optimize", repeats, *BUDGET, *given)
    assert "needs --available" in refused("optimize", study.law, *BUDGET, "--r-star", 4)
    assert "no such option" in refused("trust", study.law, study.runs, *BUDGET, *given)


def test_labels_read_as_typed(run, study) -> None:
    given = ("--group", "code + web/2 <= 0.6", "--min", "web=0.05")
    found = run("optimize", study.law, *BUDGET, *given, "--json").json
    assert found["active"] == ["code + web/2 <= 0.6"] and found["converged"]
    assert found["weights"]["code"] == pytest.approx(0.2, abs=1e-9)


def test_guard_prior_and_worst_case(run, study) -> None:
    laws = load_laws(study.law)
    guard = ("--guard", "loss_web=0.001", "--reference", "web=0.9,code=0.1")
    found = run("optimize", study.law, *BUDGET, *guard, "--json").json
    x = {"n_params": 7e9, "tokens": 150e9, "weights": [0.9, 0.1]}
    most = float(laws["web"].predict(x)) + 0.001
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
    assert table.status == 0
    assert "loss of web" in table.out and "target weight of code" in table.out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--group", "web+cod<=0.3"), "unknown domain 'cod'; nearest: code"),
        (("--group", "web+code"), "compares nothing"),
        (("--linear", "web*code<=0.3"), "multiplies weights"),
        (("--available", "code=lots"), "'code=lots' is not name=tokens"),
        (("--available", "cod=1B"), "unknown domain 'cod'; nearest: code"),
        (("--unique", "code=1B,web=1B"), "must give 142 more epochs"),
        (("--unique", "code=1B", "--max-epochs", "web=3"), "available"),
        (("--max-epochs", "3"), "give --available"),
        (("--prior", "uniform"), "--prior needs --kl-max"),
        (("--guard", "web=0.1"), "give --reference"),
        (("--guard", "wbe=0.1", "--reference", "uniform"), "unknown target 'wbe'; nearest: web"),
        (("--reference", "proportional"), "needs --available of web, code too"),
        (("--prior", "web:1"), "is not uniform, proportional or web=0.7,code=0.3"),
        (("--linear", "web>=0.7", "--linear", "code>=0.4"), "web>=0.7 and code>=0.4 together"),
        (("--pull", "-1"), "'--pull'"),
        (("--kl-max", "0"), "'--kl-max'"),
        (("--worst-case", "gap"), "give --reference"),
        (("--guard", "web=0,code=0", "--reference", "uniform", "--max", "code=0.2"), "misses code"),
        (("--at", "learning_rate=1"), "has no input 'learning_rate'"),
    ],
)
def test_bad_limits_are_refused_in_one_line(refused, study, given, message) -> None:
    assert re.search(re.escape(message), refused("optimize", study.law, *BUDGET, *given))


def test_available_tokens_need_a_finite_budget(refused, study) -> None:
    given = ("--n-params", "7e9", "--tokens", "inf", "--unique", "code=1B")
    assert "D = inf" in refused("optimize", study.law, *given)
