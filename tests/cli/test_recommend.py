"""recommend on the command line, and mixtures of one's own."""

import json

import pytest

BIG = ("--n-params", "1B", "--tokens", "40B")
FAST = ("--law", "additive", "--resamples", "50")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return tmp_path_factory.mktemp("page") / "report.html"


def test_a_table_goes_in_and_a_mixture_comes_out(run, three, page) -> None:
    rows = page.with_name("mixture.jsonl")
    own = ("--candidate", "mine:a=0.2,b=0.3,c=0.5", "--report", page, "--out", rows)
    result = run("recommend", three.runs, *BIG, *FAST, *own, "--json")
    found = result.json
    written = [json.loads(line) for line in rows.read_text().splitlines()]
    assert {row["domain"]: row["recommended"] for row in written} == found["weights"]
    assert result.status == 0 and sum(found["weights"].values()) == pytest.approx(1.0)
    assert set(found["weights"]) == set(found["law_optimum"]) == set("abc")
    for name in ("uniform", "best run", "mine"):
        gain = found["gain"][name]
        assert gain["low"] <= gain["estimate"] <= gain["high"]
        assert set(found["gain_by_target"][name]) == {"a", "b"}
    assert found["law"] == "additive" and found["rows"] == 56 and found["next"]
    assert all(f"note: {note}" in result.err for note in found["notes"])
    headline = "Train on"
    text = page.read_text()
    assert headline in text and "What the law alone would choose" in text


def test_people_get_a_headline_first(run, three) -> None:
    shown = run("recommend", three.runs, *BIG, *FAST, "--max", "a=0.3").out
    assert shown.startswith("Train on ") and "most run" in shown and "next: " in shown


def test_what_it_refuses(refused, three) -> None:
    assert "--at gives inputs of a law" in refused("recommend", three.runs, *BIG, "--at", "x=1")
    assert "unknown domain" in refused("recommend", three.runs, *BIG, "--max", "z=0.3")
    assert "no mixture" in refused("recommend", three.runs, *BIG, "--candidate", "me:a=0.2,b=0.2")


def test_a_mixture_of_ones_own_stands_beside_the_optimum(run, three) -> None:
    own = ("--candidate", "mine:a=0.9,b=0.05,c=0.05")
    result = run("optimize", three.law, *BIG, *own, "--json")
    mine = result.json["candidates"]["mine"]["predicted"]
    assert set(mine) == {"a", "b"}
    if mine["a"] < result.json["predicted"]["a"] - 1e-3:
        assert "worse than the mine mixture on a by" in result.err
    assert "mine" in run("optimize", three.law, *BIG, *own).out


def test_the_region_is_an_option_everywhere(run, three) -> None:
    inside = run("optimize", three.law, *BIG, "--within", "range", "--json").json
    assert inside["constraints"]["within"] == "range"
    assert inside["objective"] >= run("optimize", three.law, *BIG, "--json").json["objective"]


def test_trust_and_report_make_the_same_recommendation(run, three, tmp_path) -> None:
    given = (three.law, three.runs, *BIG, "--resamples", "50", "--json")
    trust = run("trust", *given).json
    report = run("report", *given, "--out", tmp_path / "page.html").json["recommendation"]
    assert trust["recommended"] == report["weights"] and trust["next"] == report["next"]
    assert report["law_optimum"] == pytest.approx(
        run("optimize", three.law, *BIG, "--json").json["weights"], abs=1e-6
    )
    written = tmp_path / "found.json"
    written.write_text(json.dumps(report))
    exported = run("export", written, "--format", "yaml").out
    assert all(name in exported for name in "abc")
