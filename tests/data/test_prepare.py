"""From a recipe to streams on disk: counts, no leaks, no work done twice."""

import dataclasses
import hashlib
import json
import pathlib
import zipfile

import numpy as np
import pytest

from jaxmix.data import (
    RECIPES,
    Archive,
    DataError,
    Domain,
    Recipe,
    damage,
    extract,
    open_corpus,
    plan_corpus,
    prepare,
    prepare_plan,
    prepared,
    preparing,
    survey,
)
from jaxmix.data.corpus import FORMAT
from tests.data import pictures

CALLS = []
OURS = f'{{"format": {FORMAT}}}'


def read(archive: zipfile.ZipFile):
    """Every member is a document."""
    CALLS.append(archive.filename)
    return [archive.read(name).decode() for name in sorted(archive.namelist())]


@pytest.fixture
def recipe(cache, monkeypatch, texts) -> Recipe:
    """A recipe named tiny, its archives downloaded already."""
    CALLS.clear()
    (cache / "downloads").mkdir(parents=True)

    def domain(name: str, **facts) -> Domain:
        path = cache / "downloads" / f"{name}-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for i, text in enumerate([*texts[name], *texts[name][:5]]):
                archive.writestr(f"{i}.txt", text)
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        return Domain(name, (Archive(name, "1", sha, 0.1, "MIT"),), read, "words", **facts)

    domains = (domain("greek"), domain("latin", scarce=True), domain("rare", target_only=True))
    made = Recipe("tiny", "for tests", domains)
    monkeypatch.setitem(RECIPES, "tiny", made)
    return made


def documents(corpus, name: str, split: str) -> list[str]:
    """The texts of a stream, by its ends of text."""
    tokens = np.fromfile(corpus.path / f"{name}.{split}.bin", np.uint16)
    ends = np.flatnonzero(tokens == corpus.tokenizer.end)
    assert tokens.size == 0 or ends[-1] == tokens.size - 1
    return [corpus.tokenizer.decode(part) for part in np.split(tokens, ends + 1)[:-1]]


def test_every_document_is_in_one_split_once(recipe, texts):
    corpus = prepare("tiny", tokenizer="bpe-300")
    for name in corpus.targets:
        train, heldout = (documents(corpus, name, split) for split in ("train", "heldout"))
        assert sorted(train + heldout) == sorted(texts[name])
        assert not set(train) & set(heldout)
        assert heldout and bool(train) == (name != "rare")


def test_counts_licenses_and_hashes_are_recorded(recipe, texts):
    corpus = prepare("tiny", tokenizer="bpe-300")
    info = corpus.info["domains"]["latin"]
    assert info["license"] == "MIT" and info["source"] == "latin 1" and info["scarce"]
    assert info["repeats"] == 5
    size = sum(len(text.encode()) for text in texts["latin"])
    assert info["train"]["bytes"] + info["heldout"]["bytes"] == size
    for split in ("train", "heldout"):
        path = corpus.path / f"latin.{split}.bin"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == info[split]["sha256"]
        tokens = np.fromfile(path, np.uint16)
        assert tokens.size == info[split]["tokens"]
        assert corpus.token_bytes[tokens].sum() == info[split]["bytes"]
    assert corpus.info["tokenizer"]["sha256"] == corpus.tokenizer.hash


def test_no_string_of_api_docs_is_in_both_splits(cache, monkeypatch, wheel):
    def model(service: int) -> dict:
        own = [{"documentation": f"Text {service}.{i}"} for i in range(90)]
        return {"shapes": [*own, *({"documentation": f"Shared {i}"} for i in range(40))]}

    files = {f"botocore/data/s{s}/2020/service-2.json": model(s) for s in range(20)}
    data = pathlib.Path(wheel(files).filename).read_bytes()
    archive = Archive("apis", "1", hashlib.sha256(data).hexdigest(), 0.1, "MIT")
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / archive.filename).write_bytes(data)
    domain = Domain("apis", (archive,), extract.api_docs, "")
    monkeypatch.setitem(RECIPES, "apis", Recipe("apis", "", (domain,)))
    corpus = prepare("apis", tokenizer="bytes")
    splits = [documents(corpus, "apis", split) for split in ("train", "heldout")]
    lines = [line for split in splits for text in split for line in text.split("\n")]
    assert len(lines) == len(set(lines)) == 20 * 90 + 40


def test_second_time_nothing_is_read(recipe, monkeypatch):
    first = prepare("tiny", tokenizer="bpe-300")
    count = len(CALLS)
    monkeypatch.setattr(preparing, "_make", lambda *_: pytest.fail("made again"))
    for path in (first.path.parent.parent / "downloads").iterdir():
        path.unlink()
    assert prepare("tiny", tokenizer="bpe-300").hash == first.hash
    assert len(CALLS) == count
    assert sorted(p.name for p in first.path.iterdir()) == sorted(
        ["corpus.json", "tokenizer.json"]
        + [f"{d}.{split}.bin" for d in first.targets for split in ("train", "heldout")]
    )


@pytest.mark.parametrize("stage", ["_extract", "_tokenize"])
def test_interrupted_try_is_taken_up_again(recipe, monkeypatch, stage, cache):
    whole = getattr(preparing, stage)
    done = []

    def interrupted(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arguments[0])
        return whole(*arguments)

    monkeypatch.setattr(preparing, stage, interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare("tiny", tokenizer="bpe-300")
    assert not list((cache / "corpora").glob("*/corpus.json"))
    monkeypatch.setattr(preparing, stage, whole)
    resumed = prepare("tiny", tokenizer="bpe-300")
    assert len(CALLS) == 3  # no archive was read twice
    fresh = cache / "fresh"
    fresh.mkdir()
    (cache / "downloads").rename(fresh / "downloads")
    monkeypatch.setenv("JAXMIX_CACHE", str(fresh))
    assert prepare("tiny", tokenizer="bpe-300").hash == resumed.hash


def test_tokenizer_and_cap_make_other_corpora(recipe):
    whole = prepare("tiny", tokenizer="bpe-300")
    capped = prepare("tiny", tokenizer="bpe-300", max_bytes=20_000)
    assert len({whole.path, capped.path, plan_corpus("tiny", tokenizer="bytes").path}) == 3
    assert 15_000 < capped.info["domains"]["greek"]["train"]["bytes"] <= 20_000
    held = [documents(corpus, "greek", "heldout") for corpus in (whole, capped)]
    assert held[0] == held[1]


def test_progress_counts_up_to_its_total(recipe):
    seen = []
    prepare("tiny", tokenizer="bytes", progress=lambda *step: seen.append(step))
    assert [done for done, _ in seen] == list(range(1, seen[-1][1] + 1))


def test_damaged_corpus_says_so(recipe):
    corpus = prepare("tiny", tokenizer="bpe-300")
    stream = corpus.path / "greek.train.bin"
    stream.write_bytes(stream.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"greek.train.bin: is missing or cut short; delete"):
        open_corpus("tiny").train("greek", 8)
    tokenizer = corpus.path / "tokenizer.json"
    tokenizer.write_text(json.dumps(json.loads(tokenizer.read_text())))
    with pytest.raises(DataError, match=r"its tokenizer.json was changed"):
        open_corpus("tiny")
    for text, message in [("{", "is damaged"), ("{}", "another version"), (OURS, "is damaged")]:
        (corpus.path / "corpus.json").write_text(text)
        with pytest.raises(DataError, match=message):
            open_corpus(corpus.path)
    (corpus.path / "corpus.json").write_text("{}")
    with pytest.raises(DataError, match="'tiny' is not a prepared corpus"):
        open_corpus("tiny")


SPOILT = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "another kind": lambda data: b"[1, 2]",
    "changed": lambda data: data[:100] + b"7" * 40 + data[140:],
}


FILES = ("corpus.json", "tokenizer.json", "a.heldout.arrayrecord", "a.train.index", "t.train.bin")


@pytest.mark.parametrize(
    ("name", "how"),
    [(name, how) for name in FILES for how in SPOILT if how != "changed" or name in FILES[1::2]]
    + [("t.train.bin", "changed")],
)
def test_a_damaged_file_is_named_and_preparing_again_mends_it(cache, name, how):
    texts = pictures.source("t", pictures.texts(1, 30))
    plan = pictures.plan(pictures.source("a", [pictures.pair(i) for i in range(30)]), texts)
    corpus = prepare_plan(plan)
    path = corpus.path / name
    path.write_bytes(SPOILT[how](path.read_bytes()))
    assert damage(corpus.path, content=True).startswith(f"{corpus.path}")
    if (name, how) == ("t.train.bin", "changed"):
        return  # only its hash tells
    with pytest.raises(DataError, match=r"delete .* and prepare it again") as error:
        open_corpus(plan.path).check(content=True)
    assert name in str(error.value) and "\n" not in str(error.value)
    assert prepare_plan(plan).hash == corpus.hash
    assert damage(corpus.path, content=True) == ""


def test_one_damaged_corpus_does_not_hide_the_others(recipe):
    whole, other = (prepare("tiny", tokenizer=name) for name in ("bytes", "bpe-300"))
    (other.path / "corpus.json").write_text("")
    assert open_corpus("tiny").path == whole.path and prepared() == [whole.path]
    opened, damages = survey()
    assert [one.path for one in opened] == [whole.path]
    assert len(damages) == 1 and damages[0].startswith(str(other.path / "corpus.json"))
    with pytest.raises(DataError, match=r"corpus.json: is damaged .*; delete"):
        open_corpus("tiny-bpe-300")


@pytest.mark.parametrize("name", ["greek.split.json", "tokenizer.json", "latin.train.jsonl"])
def test_a_damaged_rest_of_an_interrupted_try_is_made_anew(recipe, monkeypatch, name):
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare("tiny", tokenizer="bpe-300")
    path = plan_corpus("tiny", tokenizer="bpe-300").path
    partial = path.with_name(f"{path.name}.partial")
    for path in partial.glob("*.counts.json"):
        path.unlink()
    (partial / name).write_text('{"re')
    assert len(prepare("tiny", tokenizer="bpe-300").domains) == 2


def test_description_does_not_make_another_corpus_but_content_does(recipe, monkeypatch):
    path = plan_corpus("tiny").path
    first = recipe.domains[0]
    archive = dataclasses.replace(first.archives[0], license="other")
    changes = {"about": "new words", "archives": (archive,)}, {"target_only": True}
    paths = []
    for change in changes:
        domains = (dataclasses.replace(first, **change), *recipe.domains[1:])
        monkeypatch.setitem(RECIPES, "tiny", dataclasses.replace(recipe, domains=domains))
        paths.append(plan_corpus("tiny").path)
    assert paths[0] == path != paths[1]


def test_recipes_pin_every_archive():
    for made in RECIPES.values():
        for archive in made.archives:
            assert len(archive.sha256) == 64 and archive.license and archive.megabytes > 0
    for made in (RECIPES["text-mini"], RECIPES["text"]):
        assert sum(domain.target_only for domain in made.domains) == 1
        assert [d.name for d in made.domains if d.scarce] == ["world_facts"]
    assert 50 < RECIPES["text-mini"].megabytes < 60


@pytest.mark.slow
def test_text_mini_for_real(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXMIX_CACHE", str(tmp_path))
    corpus = prepare("text-mini", tokenizer="bpe-1024")
    assert corpus.domains == ("api_docs", "dictionary", "code_python", "code_cpp", "world_facts")
    assert corpus.targets == (*corpus.domains, "scripture")
    assert all(count > 2_500_000 for count in corpus.train_tokens.values())
    assert all(count > 64_000 for count in corpus.heldout_tokens.values())
    expected = {"api_docs": 7309, "dictionary": 5410, "code_python": 1438, "code_cpp": 1280}
    for name, count in {**expected, "world_facts": 256, "scripture": 1189}.items():
        splits = [set(documents(corpus, name, split)) for split in ("train", "heldout")]
        assert not splits[0] & splits[1]
        assert len(splits[0] | splits[1]) == count
    again = json.loads((corpus.path / "tokenizer.json").read_text())
    assert len(again["model"]["vocab"]) == 1024
