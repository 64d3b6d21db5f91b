"""From a folder of one's own pictures to a fitted law, by the command line; and what it refuses."""

import json
import shutil

import pytest

from jaxmix.runs import read_runs
from tests.data import pictures
from tests.data.test_folder_corpus import CATS, own_folder
from tests.training.pictures_toys import compile_quickly

SMALL = ("--checkpoints", "2", "--batch", "8", "--held-windows", "8")
MULTIMODAL = ("nmm-tiny-16", 64, ("cats", "guides", "notes", "web"))
VISION = ("lvm-tiny-16", 32, ("cats", "web"))


@pytest.fixture(scope="module", autouse=True)
def quick_programs():
    compile_quickly(True)
    yield
    compile_quickly(False)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Folders `mine`, of all kinds of domains with two bad rows, and `manuals`, of its pages."""
    root = tmp_path_factory.mktemp("own")
    mine, manuals = own_folder(root / "mine"), root / "manuals"
    shutil.copytree(mine / "figures", manuals / "figures")
    pages = (mine / "guides.jsonl").read_text().replace("cats/", "figures/")
    for folder in (mine, manuals):
        (folder / "guides.jsonl").write_text(pages)
    (mine / "cats" / "3.png").write_text("no picture")
    rows = (mine / "cats" / "captions.csv").read_text()
    (mine / "cats" / "captions.csv").write_text(f"{rows}gone.png,,a cat that went\n")
    return root


@pytest.fixture(scope="module")
def corpora(given, tmp_path_factory):
    """Both of them prepared; JAXMIX_CACHE points there while this file runs."""
    from jaxmix.data import prepare

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXMIX_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("mine", "manuals"):
            prepare(given / name, tokenizer="bytes")
        yield


def test_prepare_says_what_is_there_and_what_was_left_out(run, given, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXMIX_CACHE", str(tmp_path))
    made = run("data", "prepare", given / "mine", "--tokenizer", "bytes", "--picture-size", "32")
    assert made.status == 0 and made.err == ""
    said = "".join(made.out.split())  # long paths may be wrapped anywhere
    source = given / "mine" / "cats" / "captions.csv"
    assert "cats:1skipped,becauseoneisnotapicture(PNG,JPEG" in said
    assert f"suchas{source}:5" in said
    assert f"becauseonenamesafilethatisnotthere,suchas{source}:{CATS + 2}" in said
    shown = run("data", "show", "mine", "--json").json["domains"]
    assert {name: row["pictures"] for name, row in shown.items()} == {
        "cats": CATS - 1, "guides": 60, "notes": 0, "web": 40
    }  # fmt: skip
    counts = sorted(found["count"] for found in shown["cats"]["skipped"].values())
    assert counts == [1, 1] and shown["web"]["skipped"] == {}


@pytest.mark.slow
@pytest.mark.parametrize("family", [MULTIMODAL, VISION], ids=["nmm", "lvm"])
def test_a_study_from_plan_to_fit(run, corpora, tmp_path, family):
    preset, length, domains = family
    folder, tokens = tmp_path / "study", 4 * 8 * length
    designs = ("--design", "uniform", "--design", "vertices", "--length", length)
    options = ("--corpus", "mine", "--size", f"{preset}={tokens}", *designs, *SMALL)
    planned = run("study", "plan", folder, *options, "--json")
    assert planned.status == 0, planned.err
    assert planned.json["runs"] == 1 + len(domains)
    assert planned.json["sizes"][0]["seconds"] > 0
    done = run("study", "run", folder)
    assert done.status == 0 and f"{2 * (1 + len(domains))} rows written" in done.out
    assert "rows" in run("study", "table", folder, "--out", tmp_path / "runs.csv").out
    table = read_runs(tmp_path / "runs.csv")
    assert set(table.domains) == set(table.targets) == set(domains)
    law = tmp_path / "law.json"
    options = ("--law", "ye-m2", "--restarts", "4", "--out", law)
    fitted = run("fit", tmp_path / "runs.csv", *options)
    assert fitted.status == 0, fitted.err
    scored = run("score", law, tmp_path / "runs.csv", "--json").json
    assert set(scored["targets"]) == set(domains) and scored["mean_mre"] < 20


@pytest.mark.slow
@pytest.mark.parametrize("family", [MULTIMODAL, VISION], ids=["nmm", "lvm"])
def test_one_run(run, corpora, tmp_path, family):
    preset, length, _ = family
    options = ("--corpus", "mine", "--weights", "cats=0.8,web=0.2", "--tokens", 4 * 8 * length)
    more = (*SMALL, "--length", length, "--remat", "full", "--fsdp", "2")
    done = run("train", preset, *options, *more, "--out", tmp_path / "one")
    assert done.status == 0, done.err
    table = read_runs(tmp_path / "one" / "runs.csv")
    assert table.tokens.tolist() == [16 * length, 32 * length]
    assert dict(zip(table.domains, table.weights[0], strict=True)) == {"cats": 0.8, "web": 0.2}
    assert json.loads((tmp_path / "one" / "waves" / f"{preset}-0" / "done.json").read_text())


@pytest.mark.parametrize(
    ("corpus", "options", "message"),
    [
        ("manuals", ("--size", "lvm-tiny-16=1M"), "manuals has no domain that vision models can"),
        ("manuals", ("--size", "tiny-16=1M"), "manuals has no domain that text models can read"),
        ("mine", ("--size", "lvm-tiny-16=1M", "--domains", "guides"), "known: cats, web"),
        ("mine", ("--size", "tiny-16=1M", "--domains", "cats"), "known: notes"),
        ("mine", ("--size", "nmm-tiny-16=1M", "--length", "16"), "choose longer rows or larger"),
        ("mine", ("--size", "lvm-tiny-16=1M", "--length", "16"), "choose a greater length"),
        ("mine", ("--size", "lvm-tiny-16=1M", "--forbid-repeat"), "it would repeat"),
        (
            "mine",
            ("--size", "nmm-tiny-16=1M", "--size", "lvm-tiny-24=1M"),
            "of one family, not nmm-tiny-16 (multimodal), lvm-tiny-24 (vision)",
        ),
        ("mine", ("--size", "nmm-tiny-15=1M"), "unknown preset 'nmm-tiny-15'; nearest: nmm-tiny-"),
        ("mine", ("--size", "nmm-tiny-16=1M", "--picture-size", "64"), "is no recipe"),
    ],
)
def test_bad_plans_are_refused_and_leave_nothing(
    refused, corpora, tmp_path, corpus, options, message
):
    folder = tmp_path / "study"
    said = refused("study", "plan", folder, "--corpus", corpus, "--design", "uniform", *options)
    assert message in said and not folder.exists()


def test_bad_runs_are_refused_and_leave_nothing(refused, corpora, tmp_path):
    options = ("--tokens", "8K", *SMALL, "--out", tmp_path / "one")

    def said(preset, corpus, weights, *more):
        given = ("--corpus", corpus, "--weights", weights)
        return refused("train", preset, *given, *options, *more)

    assert "for vision models; known: cats, web" in said("lvm-tiny-16", "mine", "notes=1")
    assert "for text models; known: none" in said("tiny-16", "manuals", "guides=1")
    assert "a row 8 positions" in said("nmm-tiny-16", "mine", "cats=1", "--length", "8")
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("cats/captions.csv", b"file,text\n0.png,x\n", "captions.csv:1: has no column 'caption'"),
        ("cats/captions.csv", None, "cats: has pictures and no captions; add captions.csv"),
        ("web/001.tar", b"no tar", "001.tar: is not a tar file or is cut short"),
        ("guides.jsonl", b'{"texts": [], "images": ["a"]}', "guides.jsonl:1: 0 texts beside 1"),
        ("figures/5.png", b"text", None),
    ],
)
def test_a_bad_folder_is_refused_in_one_line(
    run, refused, given, tmp_path, monkeypatch, name, data, message
):
    monkeypatch.setenv("JAXMIX_CACHE", str(tmp_path / "cache"))
    folder = shutil.copytree(given / "mine", tmp_path / "mine")
    (folder / name).unlink() if data is None else (folder / name).write_bytes(data)
    arguments = ("data", "prepare", folder, "--tokenizer", "bytes")
    if message:
        assert message in refused(*arguments)
    else:
        assert "guides: 1 skipped, because one is no" in " ".join(run(*arguments).out.split())


def test_too_many_bad_pictures_stop_it(refused, given, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXMIX_CACHE", str(tmp_path / "cache"))
    folder = shutil.copytree(given / "mine", tmp_path / "mine")
    for i in range(10, 20):
        (folder / "cats" / f"{i}.png").write_bytes(pictures.noise(i)[:100])
    said = refused("data", "prepare", folder, "--tokenizer", "bytes")
    assert "domain 'cats':" in said and "documents are unusable, most often because" in said
    assert "cats/captions.csv:12" in said and "fix or remove them" in said
