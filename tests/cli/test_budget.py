"""``jaxmix budget``, and unique tokens in predict and simulate."""

import pytest

from jaxmix.runs import read_runs


def test_plans_as_json(run, study):
    result = run("budget", study.law, "--flops", "1e18,1e20", "--json")
    assert result.status == 0
    first, second = result.json["plans"]
    assert 6 * first["n_params"] * first["tokens"] == pytest.approx(1e18)
    assert second["objective"] < first["objective"] and sum(first["weights"].values()) == 1
    assert first["epochs"] == {} and first["tokens_per_param"] > 1


def test_scarce_data_caps_the_plan_or_counts_less_and_is_drawn(run, study, tmp_path):
    picture = tmp_path / "frontier.png"
    given = ("--available", "web=1e9", "--max", "code=0.6")
    asked = ("budget", study.law, "--flops", "1e20,1e21", *given)
    result = run(*asked, "--plot", picture)
    assert "tokens D" in result.out and "mixtures (epochs)" in result.out
    assert picture.read_bytes().startswith(b"\x89PNG")
    capped, assumed = (run(*asked, *more, "--json").json for more in ((), ("--r-star", 15.39)))
    for plan, other in zip(capped["plans"], assumed["plans"], strict=True):
        assert plan["epochs"]["web"] <= 4 + 1e-6 < other["epochs"]["web"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--flops", "lots"), "'lots' is not a finite positive number"),
        (("--flops", "1e21", "--unique", "wob=1e9"), "unknown domain 'wob'; nearest: web"),
        (("--flops", "1e21", "--r-star", "4"), "--r-star: it needs --available as well"),
        (("--flops", "1e21", "--plot", "x.txt"), "end the name of this file in .png"),
        (("--flops", "1,500"), "'1,500' is one number or several; write 1500 or 1e0,500"),
        (("--flops", "1e400"), "'1e400' is not a finite positive number"),
        (("--flops", "1e21", "--sizes", "1e9"), "smallest and the largest N"),
        (("--flops", "1e21", "--min", "web=0.7,code=0.7"), "no mixture meets web>=0.7"),
        (("--flops", "1e21", "--group", "web + cod <= 1"), "unknown domain 'cod'"),
    ],
)
def test_wrong_input_is_one_line(refused, study, arguments, message):
    assert message in refused("budget", study.law, *arguments)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("train", "tiny-64", "--corpus", "none", "--weights", "a=1", "--out", "x"), "--tokens"),
        (("study", "plan", "x", "--corpus", "none", "--size", "tiny-64=1M"), "--max-bytes"),
        (("study", "plan", "x", "--corpus", "none"), "--size tiny-64="),
        (("data", "prepare", "none"), "--max-bytes"),
    ],
)
def test_what_is_spent_is_finite(refused, command, option):
    for amount in ("inf", "1e400", "2MB"):
        name, _, start = option.partition(" ")
        text = refused(*command, name, start + amount)
        assert f"'{name}'" in text and f"'{start}{amount}' is not a" in text


def test_a_study_with_repetition_through_the_command_line(run, tmp_path):
    runs, law = tmp_path / "runs.csv", tmp_path / "law.json"
    drawn = ("--law", "additive+repetition", "--domains", "2", "--targets", "1", "--mixtures", "4")
    result = run("simulate", *drawn, "--unique", "d1=2e8", "--out", runs, "--truth", law)
    assert result.status == 0, result.err
    table = read_runs(runs)
    assert (table.frame["unique_d1"] == 2e8).all()
    assert run("score", law, runs, "--json").json["mean_mre"] < 1e-9
    predicted = run("predict", law, runs, "--json").json["rows"]
    assert [row["pred_t1"] for row in predicted] == pytest.approx(table.losses()[0].tolist())


def test_a_law_without_mixture_says_so(run, study, tmp_path):
    law = tmp_path / "law.json"
    fitted = ("--law", "chinchilla", "--targets", "web", "--restarts", 4, "--out", law)
    assert run("fit", study.runs, *fitted).status == 0
    result = run("budget", law, "--flops", "1e20", "--json")
    assert "does not look at the mixture" in result.err and result.json["notes"]
    refused = run("next", law, study.runs, "--n-params", "1B", "--tokens", "1B", "--count", 2)
    assert refused.status == 2 and "does not look at the mixture" in refused.err


def test_a_table_without_domains_has_a_budget_too(run, tmp_path):
    """The closed form of Hoffmann et al., approach 3: N and D in the ratio that the law sets."""
    scale = [(n, d) for n in (1e7, 1e8, 1e9, 1e10) for d in (1e9, 1e10, 1e11)]
    rows = [f"{n},{d},{1.7 + 400 * n**-0.34 + 410 * d**-0.28!r}\n" for n, d in scale]
    runs, law, table = (tmp_path / name for name in ("runs.csv", "law.json", "plan.csv"))
    runs.write_text("n_params,tokens,loss\n" + "".join(rows))
    assert run("fit", runs, "--law", "chinchilla", "--restarts", 4, "--out", law).status == 0
    drawn = ("--out", table, "--plot", tmp_path / "plan.png")
    result = run("budget", law, "--flops", "1e20,1e21", *drawn)
    assert result.status == 0 and "tokens D" in result.out and "mixture" not in result.out
    header, first, _ = (line.split(",") for line in table.read_text().splitlines())
    best = (0.34 * 400 / (0.28 * 410)) ** (1 / 0.62) * (1e20 / 6) ** (0.28 / 0.62)
    assert float(dict(zip(header, first, strict=True))["n_params"]) == pytest.approx(best, rel=1e-3)
