"""``jaxmix data``: prepare, list and show, on a small folder."""

import json

import numpy as np
import pytest

from jaxmix.cli.training import corpus_spec
from jaxmix.data.tokenizer import train_tokenizer


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXMIX_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "mine"
    path.mkdir()
    for name in ("web", "code", "odd"):
        lines = (json.dumps({"text": f"{name} {i} " + "word " * 30}) for i in range(40))
        (path / f"{name}.jsonl").write_text("\n".join(lines))
    return path


def test_prepare_then_show_then_list(run, folder):
    made = run("data", "prepare", folder, "--tokenizer", "bytes", "--target-only", "odd")
    assert made.status == 0 and made.err == ""
    assert "target only" in made.out and "web" in made.out
    again = run("data", "prepare", folder, "--tokenizer", "bytes", "--target-only", "odd", "--json")
    assert again.status == 0 and again.err.endswith("nothing was done\n")
    assert again.json["made"] is False and again.json["name"] == "mine"
    shown = run("data", "show", "mine", "--json").json
    assert shown["hash"] == again.json["hash"]
    assert shown["tokenizer"]["vocab_size"] == 257
    assert list(shown["domains"]) == ["code", "web", "odd"]
    odd = shown["domains"]["odd"]
    assert odd["train_tokens"] == 0 and odd["documents"] == 40 and odd["role"] == "target only"
    assert odd["bytes_per_token"] == pytest.approx(1, abs=0.01)
    listed = run("data", "list", "--json").json
    assert listed["prepared"] == [shown["path"]]
    assert "mine-bytes-" in run("data", "list").out


def test_a_damaged_corpus_is_listed_and_made_anew(run, refused, folder):
    arguments = ("data", "prepare", folder, "--tokenizer", "bytes")
    path = run(*arguments, "--json").json["path"]
    stream = f"{path}/web.train.bin"
    with open(stream, "r+b") as file:
        file.write(b"\0\0\1\0")
    mended = run(*arguments, "--json")
    assert mended.json["made"] is True
    assert f"{stream}: its content was changed; it was made anew" in mended.err
    with open(f"{path}/corpus.json", "w") as file:
        file.write('{"format"')
    listed = run("data", "list")
    assert listed.status == 0 and f"note: {path}/corpus.json: is damaged" in listed.err
    assert "corpus.json: is damaged" in refused("data", "show", "mine")
    assert run(*arguments).status == 0 and run("data", "show", "mine").status == 0


def test_what_is_left_out_is_said_by_domain(run, folder):
    lines = [json.dumps({"text": f"web {i % 30} " + "word " * 30}) for i in range(40)]
    (folder / "web.jsonl").write_text("\n".join([*lines, "{", '{"text": ""}']))
    made = run("data", "prepare", folder, "--tokenizer", "bytes", "--max-bytes", "4K")
    said = " ".join(made.out.split())
    assert made.status == 0 and "web: 1 skipped, because one is not JSON, such as" in said
    assert "web.jsonl:41 (of 42 documents)" in said
    assert "web: 10 of 42 documents dropped as exact copies" in said
    assert "web: 1 of 42 documents dropped without text" in said
    assert "of 42 documents left out by --max-bytes" in said and "code: 0" not in said
    web = run("data", "show", "mine", "--json").json["domains"]["web"]
    assert (web["read"], web["repeats"], web["blank"]) == (42, 10, 1)


def test_list_knows_the_recipes(run, folder):
    listed = run("data", "list", "--json").json
    recipes = {one["name"]: one for one in listed["recipes"]}
    assert set(recipes) >= {"text-mini", "text"} and listed["prepared"] == []
    mini = recipes["text-mini"]
    assert mini["prepared"] == [] and 50 < mini["megabytes"] < 60
    roles = {domain["name"]: domain["role"] for domain in mini["domains"]}
    assert roles["scripture"] == "target only" and roles["world_facts"] == "train, scarce"
    assert all(domain["license"] for domain in mini["domains"])
    text = run("data", "list").out
    assert "GPL-3.0" in text and "No corpus is prepared yet" in text


def test_cap_is_read_with_its_unit(run, folder):
    arguments = ("data", "prepare", folder, "--tokenizer", "bytes", "--json", "--max-bytes")
    capped = run(*arguments, "1K").json["domains"]
    assert capped["web"]["train_tokens"] < 1100


def test_domains_by_name_with_an_own_tokenizer(run, folder, tmp_path):
    own = train_tokenizer("bpe-300", [f"web {i} word" for i in range(40)])
    (tmp_path / "own.json").write_text(own.dumps())
    documents = [[i, i + 1, own.end] for i in range(200)]
    np.save(tmp_path / "ids.npy", np.array(documents))
    pairs = f"web={folder / 'web.jsonl'},more={folder / 'code.jsonl'}"
    named = ("--domain", pairs, "--domain", f"ids=tokens:{tmp_path / 'ids.npy'}")
    arguments = ("data", "prepare", *named, "--tokenizer", tmp_path / "own.json")
    made = run(*arguments, "--name", "named", "--target-only", "ids", "--json").json
    assert made["tokenizer"]["name"] == "bpe-300" and made["domains"]["ids"]["documents"] == 200
    assert list(made["domains"]) == ["web", "more", "ids"]
    assert made["domains"]["more"]["documents"] == 40
    refused = run(*arguments)
    assert refused.status == 2 and "name the corpus with --name" in refused.err


def test_a_recipe_takes_an_own_tokenizer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"corpus": "text-mini", "tokenizer": "own.json:<eos>", "max_bytes": 5}
    spec = corpus_spec({**given, "picture_size": None})
    assert spec.tokenizer == f"{tmp_path / 'own.json'}:<eos>"


def test_bad_input_is_refused_in_one_line(refused, folder):
    assert "domain 'web' is in the folder and given" in refused(
        "data", "prepare", folder, "--domain", "web=x.txt"
    )
    assert "x.txt: no such file" in refused("data", "prepare", folder, "--domain", "new=x.txt")
    assert "name a recipe or a folder, or domains" in refused("data", "prepare")
    assert "recipe 'text' is fixed" in refused("data", "prepare", "text", "--domain", "a=b")
    assert "'web' is not domain=source" in refused("data", "prepare", "--domain", "web")
    assert "nearest: text-mini" in refused("data", "prepare", "text-mni")
    assert "nearest: code" in refused("data", "prepare", folder, "--target-only", "cod")
    assert "jaxmix data prepare nothing" in refused("data", "show", "nothing")
    assert "leave it out" in refused("data", "prepare", folder, "--max-bytes", "inf")
    assert "name bytes, or bpe-N" in refused("data", "prepare", folder, "--tokenizer", "gpt2")
    (folder / "web.jsonl").write_text("{}")
    assert "web.jsonl:1" in refused("data", "prepare", folder, "--tokenizer", "bytes")
