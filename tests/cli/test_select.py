"""``jaxmix select``: one JSON object, a command that applies the choice, one line for refusals."""

import json
import shlex

import pytest

from jaxmix.cli.fit import command
from jaxmix.fitting import load_laws
from jaxmix.runs import read_runs

FEW = ("--restarts", 1, "--folds", 2, "--residual", "log", "--by", "mixtures", "--outer", "none")
LAWS = ("--laws", "chinchilla", "--targets", "web")


@pytest.fixture(scope="module")
def found(study, tmp_path_factory):
    """The command run once: its exit status, what it printed, and the file it wrote."""
    import contextlib
    import io

    from jaxmix.cli import main

    out = tmp_path_factory.mktemp("choice") / "choice.json"
    printed, said = io.StringIO(), io.StringIO()
    more = ("--burn-in", "0,0.2", "--where", "n_params > 2e7", "--pull-to", "web=0.5,code=0.5")
    words = ("select", study.runs, *LAWS, *FEW, *more, "--out", out, "--json")
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        status = main([str(word) for word in words])
    return status, printed.getvalue(), said.getvalue(), out


def test_json_is_one_object_and_the_file_holds_the_same(found):
    status, printed, said, out = found
    assert status == 0 and printed.count("\n") == 1
    summary = json.loads(printed)
    assert summary == json.loads(out.read_text())
    assert [r["law"] for r in summary["rows"]] == ["chinchilla", "chinchilla"]
    assert {r["burn_in"] for r in summary["rows"]} == {0.0, 0.2}
    first = summary["rows"][0]
    assert set(first["error"]) == set(first["regret"]) == {"mixtures"}
    assert first["mean_error"] > 0 and first["n_parameters"] == 5
    assert {s["kind"] for s in summary["splits"]} == {"mixtures"}
    assert summary["pull"]["reference"] == {"web": 0.5, "code": 0.5}
    assert all(line.startswith("note: ") for line in said.splitlines())


def test_the_command_fits_the_choice(found, study):
    summary = json.loads(found[1])
    words = shlex.split(summary["command"])
    assert words[:3] == ["jaxmix", "fit", study.runs]
    assert words[words.index("--residual") + 1] == "log"
    assert words[words.index("--targets") + 1] == "web"
    asked = command.make_context("fit", words[2:]).params
    rows = read_runs(study.runs, where=asked["where"])
    assert len(rows) == (45 if summary["choice"]["burn_in"] == 0 else 30)


def test_fit_reads_the_choice(found, study, refused, tmp_path):
    out = found[-1]
    summary = json.loads(out.read_text())
    asked = command.make_context("fit", [study.runs, "--choice", str(out), "--out", "x"]).params
    by_hand = command.make_context("fit", shlex.split(summary["command"])[2:]).params
    assert {**asked, "out": None} == {**by_hand, "out": None}
    more = ["--residual", "loss", "--out", "x"]  # what is given comes first
    assert command.make_context("fit", [study.runs, "--choice", str(out), *more]).params[
        "residual"
    ] == "loss"  # fmt: skip
    for text, message in (
        ("", "is empty"),
        ("{}", "lacks 'fit'"),
        ('{"fit": {"x": 1}}', "holds no"),
    ):
        (tmp_path / "bad.json").write_text(text)
        bad = ("--choice", tmp_path / "bad.json", "--out", tmp_path / "law.json")
        assert message in refused("fit", study.runs, *bad)


def test_what_is_shared_is_chosen_and_fitted(run, study, tmp_path):
    choice, law = tmp_path / "choice.json", tmp_path / "law.json"
    asked = ("--laws", "chinchilla", "--share", "1", "--burn-in", 0, "--size-floor", 0)
    assert run("select", study.runs, *FEW, *asked, "--out", choice).status == 0
    fitted = run("fit", study.runs, "--choice", choice, "--restarts", 1, "--out", law)
    assert "drawn to the means over 2 targets, strength 1" in fitted.err
    assert all(set(f.report.share.values()) == {1.0} for f in load_laws(law))


def test_people_get_tables_reasons_and_the_command_whole(run, study):
    few = ("--burn-in", "0,0.01", "--where", "n_params > 2e7")
    result = run("select", study.runs, *LAWS, *FEW, *few)
    assert result.status == 0
    assert "picked chinchilla, log" in result.out and "the uniform mixture, no law" in result.out
    last = result.out.splitlines()[-1]
    assert last.startswith("jaxmix fit ") and last.endswith("--out law.json")
    assert "note: left out: chinchilla, log, burn-in 0.01: fits the very rows" in result.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--by", "sizes"), "unknown split 'sizes': choose among size, any-size"),
        (("--by", ","), "'' is not a kind; write size,mixtures"),
        (("--share", "-1"), "'-1' is not a strength; write auto or 0,0.1,1"),
        (("--burn-in", "ten"), "'ten' is not a share; write 0,0.1,0.25"),
        (("--burn-in", "10"), "burn-in must be shares from 0 to below 1"),
        (("--size-floor", "small"), "'small' is not a size; write auto or 0,85M"),
        (("--by", "size", "--size-floor", "1B"), "cannot hold out by size"),
        (("--residual", "square"), "residual 'square' is unknown"),
        (("--laws", "additiv"), "unknown law 'additiv'"),
        (("--targets", "wed"), "unknown target 'wed'"),
        (("--pull-to", "even"), "'even' is not uniform, proportional or"),
        (("--pull-to", "proportional"), "needs column unique_web"),
        (("--pull-to", "webb=1"), "unknown domain 'webb'"),
        (("--pull-to", "web=x"), "is not name=number"),
        (("--by", "size", "--pull-to", "uniform"), "splits by mixtures or range; add one"),
        (("--outer", "range", "--by", "size"), "outer split 'range' is not one of by"),
        (("--by", "size", "--where", "n_params < 2e7"), "it has 1 size at hand and needs three"),
    ],
)
def test_bad_input_is_refused_before_any_fit(refused, study, more, message):
    said = refused("select", study.runs, "--laws", "additive", *more)
    assert message in said
