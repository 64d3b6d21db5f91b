"""next, sample-size and domains on the command line."""

import json

import pandas as pd
import pytest

from jaxmix.runs import read_points, read_runs

BIG = ("--n-params", "7B", "--tokens", "150B")


def test_next_writes_a_plan(run, study, tmp_path):
    out = tmp_path / "next.csv"
    limits = ("--flops", "1e19", "--count", "3", "--sizes", "10M=1B,50M=2B", "--noise", "0.01")
    found = run("next", study.law, study.runs, *BIG, *limits, "--out", out, "--json").json
    assert len(found["runs"]) == 3 and len(found["regret"]) == 4
    assert found["regret"][0] > found["regret"][-1] > 0 and found["flops"] <= 1e19
    assert found["coverage"]["after"]["farthest"] <= found["coverage"]["before"]["farthest"]
    points = read_points(out, ["web", "code"])
    assert points.frame.to_dict("records") == found["runs"]
    assert list(points.frame) == ["n_params", "tokens", "w_web", "w_code"]


def test_next_shows_the_runs(run, study):
    shown = run("next", study.law, study.runs, *BIG, "--count", "2", "--criterion", "random")
    assert shown.status == 0 and "2 runs by random" in shown.out
    assert "near-duplicates refused" in shown.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a limit of the batch: --flops"),
        (("--flops", "1e9"), "pays no run"),
        (("--count", "3", "--sizes", "50M"), "write 50M=1B"),
        (("--count", "3", "--min", "wb=0.1"), "unknown domain 'wb'"),
        (("--count", "3", "--criterion", "best"), "is not one of"),
    ],
)
def test_next_refuses(refused, study, arguments, message):
    assert message in refused("next", study.law, study.runs, *BIG, *arguments)


def test_next_does_not_write_over_its_input(refused, study):
    limit = ("--count", "2", "--out", study.runs)
    assert "named twice" in refused("next", study.law, study.runs, *BIG, *limit)


STUDY = ("--law", "additive-fixed-nd", "--domains", "2", "--sizes", "1e8", "--checkpoints", "1")


def test_sample_size_prints_the_curve_and_the_answer(run, tmp_path):
    small = ("--truths", "3", "--restarts", "8", "--mixtures", "24,12,6", "--noise", "0")
    found = run("sample-size", *STUDY, *small, "--json").json
    assert [row["mixtures"] for row in found["curve"]] == [6, 12, 24]
    assert found["mixtures"] in (6, 12) and found["curve"][-1]["share_met"] == 1.0
    assert (found["n_params"], found["tokens"]) == (1e9, 1e10)
    shown = run("sample-size", *STUDY, *small, "--out", tmp_path / "curve.jsonl")
    assert f"{found['mixtures']} mixtures are enough" in shown.out
    rows = (tmp_path / "curve.jsonl").read_text().splitlines()
    assert [json.loads(row) for row in rows] == found["curve"]
    assert "least that is needed" in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mixtures", "3"), "3 mixtures are too few"),
        (("--mixtures", "a"), "write 10,20,40"),
        (("--law", "nosuch"), "unknown law"),
    ],
)
def test_sample_size_refuses(refused, arguments, message):
    assert message in refused("sample-size", *STUDY, *arguments)


def test_domains_change_a_table(run, study, tmp_path):
    out = [tmp_path / f"{i}.csv" for i in range(4)]
    assert run("domains", "add", study.runs, "math", "--out", out[0], "--json").json["rows"] == 60
    split = run("domains", "split", out[0], "code", "py=0.4,c=0.6", "--out", out[1])
    assert split.status == 0 and "not told apart" in split.err
    assert read_runs(out[1]).domains == ("web", "py", "c", "math")
    assert run("domains", "merge", out[1], "py,c", "code", "--out", out[2]).status == 0
    removed = run("domains", "remove", out[2], "math", "--out", out[3])
    assert "60 of 60 rows kept" in removed.err
    old, new = pd.read_csv(study.runs), pd.read_csv(out[3])
    pd.testing.assert_frame_equal(new.reindex(columns=old.columns), old)


def test_domains_refuse(refused, study, tmp_path):
    out = ("--out", tmp_path / "new.csv")
    assert "unknown domain 'boks'" in refused("domains", "remove", study.runs, "boks", *out)
    assert "sum 1" in refused("domains", "split", study.runs, "web", "a=0.5,b=0.1", *out)
    assert "named twice" in refused("domains", "add", study.runs, "x", "--out", study.runs)
    assert not (tmp_path / "new.csv").exists()
