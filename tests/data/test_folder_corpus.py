"""Corpora from a folder with domains of all kinds, good ones and bad ones."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxmix.data import (
    Corpus,
    DataError,
    is_captioned,
    open_captioned,
    open_rows,
    plan_corpus,
    prepare,
)
from jaxmix.models import PatchGrid
from tests.data import pictures

GRID = PatchGrid(16, 8)
SPLITS = ("train", "heldout")
CATS, WEB, GUIDES, NOTES = 60, 40, 30, 50


def pixels(seed: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(pictures.noise(seed))))


def encoded(seed: int, kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels(seed)).save(out, kind)
    return out.getvalue()


def own_folder(path: Path) -> Path:
    """A folder of captioned images, shards, pages as in OBELICS, and text, one domain each."""
    (path / "cats" / "small").mkdir(parents=True)
    rows = ["file,author,caption"]
    for i in range(CATS):
        name = f"small/{i}.jpg" if i % 10 == 9 else f"{i}.png"
        data = encoded(i, "JPEG") if name.endswith("jpg") else pictures.noise(i)
        (path / "cats" / name).write_bytes(data)
        rows.append(f'{name},me,"cat no. {i}, ""sitting"""')
    (path / "cats" / "captions.csv").write_text("\n".join(rows) + "\n")
    write_shards(path / "web")
    (path / "figures").mkdir()
    write_pages(path)
    (path / "notes").mkdir()
    for i, text in enumerate(pictures.texts(4, NOTES)):
        (path / "notes" / f"{i}.md").write_text(text)
    return path


def write_shards(folder: Path) -> None:
    """Two tars; captions are texts in the one and JSON in the other."""
    folder.mkdir()
    for number in range(2):
        with tarfile.open(folder / f"{number:03}.tar", "w") as tar:
            for i in range(number, WEB, 2):
                caption = f"web picture {i}"
                text = {".txt": caption} if number else {".json": json.dumps({"caption": caption})}
                files = {".webp": encoded(500 + i, "WEBP"), ".cls": b"7"}
                for suffix, data in {**files, **{k: v.encode() for k, v in text.items()}}.items():
                    info = tarfile.TarInfo(f"{i:04}{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))


def write_pages(path: Path) -> None:
    """Pages of two pictures each; the first one of some is a cat of the other domain."""
    lines = []
    for i in range(GUIDES):
        (path / "figures" / f"{i}.png").write_bytes(pictures.noise(900 + i))
        first = f"cats/{i}.png" if i < 5 else f"figures/{i}.png"
        texts = [f"guide {i}, which begins", None, f"and goes on for {i} words", None]
        lines.append({"texts": texts, "images": [None, first, None, f"figures/{i}.png"], "url": ""})
    (path / "guides.jsonl").write_text("\n".join(map(json.dumps, lines)))


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    return own_folder(tmp_path_factory.mktemp("own") / "mine")


@pytest.fixture(scope="module")
def corpus(given, tmp_path_factory) -> Corpus:
    """Kept at the size that the pictures have, so that their pixels stay as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXMIX_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare(given, tokenizer="bytes", picture_size=20)


@pytest.fixture
def folder(given, tmp_path, cache) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(given, tmp_path / "mine"))


def documents(corpus: Corpus, name: str, side: str) -> list[list[str | bytes]]:
    """Texts, and pictures as their pixels."""
    held = corpus.documents(name, side)
    parts = [[np.asarray(part) for part in held[i]] for i in range(len(held))]
    decode = corpus.tokenizer.decode
    return [[decode(p) if p.ndim == 1 else p.tobytes() for p in found] for found in parts]


def test_domains_are_what_lies_in_the_folder(corpus):
    assert corpus.domains == ("cats", "guides", "notes", "web")
    assert corpus.illustrated == {"cats", "guides", "web"} and corpus.picture_size == 20
    facts = {name: corpus.info["domains"][name] for name in corpus.domains}
    counts = {n: sum(f[side]["documents"] for side in SPLITS) for n, f in facts.items()}
    assert counts == {"cats": CATS, "guides": GUIDES, "notes": NOTES, "web": WEB}
    held = {n: sum(facts[n][s]["pictures"] for s in SPLITS) for n in corpus.illustrated}
    assert held == {"cats": CATS, "guides": 2 * GUIDES, "web": WEB}
    assert not any(facts[name]["skipped"] for name in corpus.illustrated)
    assert [is_captioned(corpus, name) for name in corpus.domains] == [True, False, False, True]


def test_every_document_is_there_once_and_as_it_was(corpus):
    found = {n: [d for s in SPLITS for d in documents(corpus, n, s)] for n in corpus.illustrated}
    captions = {text: picture for picture, text in found["cats"]}
    assert captions.keys() == {f'cat no. {i}, "sitting"' for i in range(CATS)}
    for i in range(8):
        assert captions[f'cat no. {i}, "sitting"'] == pixels(i).tobytes()
    assert {text for _, text in found["web"]} == {f"web picture {i}" for i in range(WEB)}
    pages = {page[0]: page for page in found["guides"]}
    for i in (2, 20):
        first, second = pixels(i if i < 5 else 900 + i), pixels(900 + i)
        text = (f"guide {i}, which begins", f"and goes on for {i} words")
        assert pages[text[0]] == [text[0], first.tobytes(), text[1], second.tobytes()]


def test_a_picture_of_two_domains_is_in_one_split(corpus):
    shown = {
        side: {
            part
            for name in corpus.illustrated
            for document in documents(corpus, name, side)
            for part in document
            if isinstance(part, bytes)
        }
        for side in SPLITS
    }
    assert shown["heldout"] and not shown["train"] & shown["heldout"]
    assert all(documents(corpus, name, "heldout") for name in corpus.illustrated)


@pytest.mark.parametrize("side", SPLITS)
def test_both_families_read_it(corpus, side):
    rows = [open_rows(corpus, name, side, 64, GRID).take(np.arange(1)) for name in corpus.domains]
    shapes = [{key: (value.shape, value.dtype) for key, value in row.items()} for row in rows]
    assert all(one == shapes[0] for one in shapes)
    has_pictures = [bool(row["is_patch"].any()) for row in rows]
    assert has_pictures == [True, True, False, True]
    for name in ("cats", "web"):
        records = open_captioned(corpus, name, side, 24, GRID)
        assert records.take(np.arange(2))["patches"].shape == (2, 4, 192)
    with pytest.raises(DataError, match="domain 'guides': a vision model reads"):
        open_captioned(corpus, "guides", side, 24, GRID)


def test_other_spellings_give_the_same_documents(corpus, folder):
    rows = ({"file": f"{i}.png", "caption": f"cat {i}"} for i in range(CATS) if i % 10 != 9)
    (folder / "cats" / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "cats" / "captions.csv").unlink()
    pages = [json.loads(line) for line in (folder / "guides.jsonl").read_text().splitlines()]
    parts = [
        {"parts": [{"text": t} if t else {"image": i} for t, i in zip(*both, strict=True)]}
        for both in ((page["texts"], page["images"]) for page in pages)
    ]
    (folder / "guides.jsonl").write_text("\n".join(map(json.dumps, parts)))
    other = prepare(folder, tokenizer="bytes", picture_size=20)
    for side in SPLITS:
        assert all(str(text).startswith("cat ") for _, text in documents(other, "cats", side))
    both = [
        sorted(repr(d) for side in SPLITS for d in documents(one, "guides", side))
        for one in (corpus, other)
    ]
    assert both[0] == both[1]


def test_a_changed_picture_makes_another_corpus(folder):
    before = plan_corpus(folder).path
    assert plan_corpus(folder).path == before != plan_corpus(folder, picture_size=64).path
    (folder / "figures" / "7.png").write_bytes(pictures.noise(12345))
    after = plan_corpus(folder).path
    assert after != before
    (folder / "cats" / "captions.csv").write_text("file,caption\n0.png,x\n")
    assert plan_corpus(folder).path != after


def test_a_domain_of_pictures_may_be_a_target_only(folder):
    corpus = prepare(folder, tokenizer="bytes", target_only=["cats"])
    assert corpus.domains == ("guides", "notes", "web") and "cats" in corpus.targets
    assert len(corpus.documents("cats", "heldout")) == CATS
    with pytest.raises(DataError, match=r"no training domain 'cats' \(it is target-only\)"):
        open_rows(corpus, "cats", "train", 64, GRID)
    cats = {picture for picture, _ in documents(corpus, "cats", "heldout")}
    trained = {part for page in documents(corpus, "guides", "train") for part in page}
    assert not cats & trained and len(documents(corpus, "guides", "heldout")) >= 5


def test_a_picture_that_is_none_is_counted_and_named(folder):
    for i in (3, 7):
        (folder / "cats" / f"{i}.png").write_text("this is text, not a picture")
    (folder / "cats" / "8.png").unlink()
    corpus = prepare(folder, tokenizer="bytes")
    skipped = corpus.info["domains"]["cats"]["skipped"]
    assert [found["count"] for found in skipped.values()] == [2, 1]
    no_picture, not_there = skipped
    assert no_picture.startswith("is not a picture (PNG, JPEG,")
    source = folder / "cats" / "captions.csv"
    assert skipped[no_picture]["examples"] == [f"{source}:5", f"{source}:9"]
    assert skipped[not_there]["examples"] == [f"{source}:10"]
    assert sum(len(corpus.documents("cats", side)) for side in SPLITS) == CATS - 3
    # A page with one of these pictures is left out as a whole.
    assert corpus.info["domains"]["guides"]["skipped"][no_picture]["count"] == 1


def test_too_many_bad_pictures_stop_it(folder, cache):
    for i in range(10, 18):
        (folder / "cats" / f"{i}.png").write_bytes(pictures.noise(i)[:200])
    message = r"domain 'cats': 8 of 60 documents are unusable, .* one is damaged or cut short .such"
    with pytest.raises(DataError, match=message) as error:
        prepare(folder, tokenizer="bytes")
    assert f"{folder / 'cats' / 'captions.csv'}:12" in str(error.value)
    assert not list((cache / "corpora").glob("mine*"))


def spoil(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("cats/captions.csv", "file,text\n0.png,x\n", r"captions.csv:1: has no column 'caption' "),
        ("cats/captions.csv", "file,caption\n", "domain 'cats': holds no documents; add some"),
        ("cats/captions.csv", "file,caption\n0.png,\n", "1 of 1 documents are unusable"),
        ("cats/captions.csv", "file,caption\n0.png,x\n", "1 different documents are too alike"),
        ("cats/captions.jsonl", "{}", "has captions.csv and captions.jsonl; keep one"),
        ("web/002.tar", "no tar", r"002.tar: is not a tar file or is cut short"),
        ("cats.txt", "text", "domain 'cats' occurs twice; keep one"),
        ("guides.jsonl", '{"texts": ["a"], "images": []}', "guides.jsonl:1: 1 texts beside 0 ima"),
        ("notes/x.jsonl", '{"body": "x"}', "x.jsonl:1: has no text in field 'text'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder, name, text, message):
    spoil(folder, name, text)
    with pytest.raises(DataError, match=message) as error:
        prepare(folder, tokenizer="bytes")
    assert "\n" not in str(error.value)
