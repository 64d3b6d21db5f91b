"""Corpora with pictures: splits without leaks, bad documents counted, interruptions survived."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from jaxmix.data import DataError, Document, Picture, illustrated, prepare_plan
from jaxmix.data.handed import is_handed
from tests.data import pictures


def hashes(corpus, name, side):
    documents = corpus.documents(name, side)
    return {part.tobytes() for i in range(len(documents)) for part in documents[i]}


def test_no_picture_and_no_caption_is_in_both_splits(cache):
    shared = [pictures.pair(i, f"thing {i}") for i in range(80)]
    again = [pictures.pair(500 + i, f"Thing {i}") for i in range(40)]  # captions that were there
    seen = [Document((d.parts[0], f"other {i}"), d.keys, "") for i, d in enumerate(shared[40:])]
    plan = pictures.plan(pictures.source("a", shared), pictures.source("b", again + seen))
    corpus = prepare_plan(plan)
    both = [hashes(corpus, n, "train") for n in "ab"], [hashes(corpus, n, "heldout") for n in "ab"]
    train, heldout = (set.union(*splits) for splits in both)
    assert heldout and not train & heldout
    texts = [
        {corpus.tokenizer.decode(d[1]).lower() for n in "ab" for d in corpus.documents(n, side)}
        for side in ("train", "heldout")
    ]
    assert not texts[0] & texts[1]


def test_pictures_are_kept_at_the_asked_size(cache):
    big = [
        Document((Picture(pictures.noise(i, 90, 60), ""), f"n {i}"), frozenset(), "")
        for i in range(20)
    ]
    corpus = prepare_plan(pictures.plan(pictures.source("a", big), size=32))
    assert corpus.documents("a", "train")[0][0].size == (32, 48)
    assert corpus.picture_size == 32


def test_bad_documents_are_counted_and_named(cache):
    good = [pictures.pair(i) for i in range(100)]
    broken = Document((Picture(b"no picture", "x"), "a caption"), frozenset(), "x.png")
    empty = Document((Picture(pictures.noise(999), "y"), "  "), frozenset(), "y.png")
    corpus = prepare_plan(pictures.plan(pictures.source("a", [broken, *good, empty])))
    skipped = corpus.info["domains"]["a"]["skipped"]
    assert sum(one["count"] for one in skipped.values()) == 2
    assert sorted(one["examples"][0] for one in skipped.values()) == ["x.png", "y.png"]
    total = sum(corpus.info["domains"]["a"][side]["documents"] for side in ("train", "heldout"))
    assert total == 100


def test_text_that_is_no_unicode_is_skipped(cache):
    broken = Document((Picture(pictures.noise(1), "x"), "half \ud83d"), frozenset(), "x.jsonl:3")
    good = [pictures.pair(i) for i in range(50)]
    corpus = prepare_plan(pictures.plan(pictures.source("a", [broken, *good])))
    (skipped,) = corpus.info["domains"]["a"]["skipped"].items()
    assert "surrogate" in skipped[0] and skipped[1]["examples"] == ["x.jsonl:3"]


def test_too_many_bad_documents_stop_it(cache):
    broken = [Document((Picture(b"x", ""), f"{i}"), frozenset(), f"{i}.png") for i in range(20)]
    plan = pictures.plan(pictures.source("a", [pictures.pair(i) for i in range(100)] + broken))
    with pytest.raises(DataError, match=r"domain 'a': 20 of 120 documents are unusable"):
        prepare_plan(plan)
    assert not plan.path.exists()


def test_an_interruption_is_taken_up(cache, monkeypatch):
    plan = pictures.three_domains()

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(illustrated, "_write", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare_plan(plan)
    calls = []
    monkeypatch.setattr(illustrated, "shrunk", lambda *a: calls.append(a))
    assert prepare_plan(plan).hash and not calls  # the spool was there


def test_the_same_data_gives_the_same_corpus(cache, tmp_path, monkeypatch):
    first = prepare_plan(pictures.three_domains()).hash
    monkeypatch.setenv("JAXMIX_CACHE", str(tmp_path / "other"))
    assert prepare_plan(pictures.three_domains()).hash == first


def test_a_target_has_an_empty_training_side_with_all_its_counts(cache):
    target = pictures.source("t", [pictures.pair(i + 500) for i in range(20)], target_only=True)
    plan = pictures.plan(pictures.source("a", [pictures.pair(i) for i in range(40)]), target)
    facts = prepare_plan(plan).info["domains"]["t"]
    assert [facts["train"][k] for k in ("documents", "pictures", "bytes", "tokens")] == [0] * 4
    assert facts["heldout"]["documents"] == 20


def test_words_that_say_left_or_right_forbid_mirroring(cache):
    captions = ["an arrow left", "a cat", "turn Right now", "rotate counterclockwise", "brightness"]
    documents = [pictures.pair(i, f"{captions[i % 5]} {i}") for i in range(100)]
    corpus = prepare_plan(pictures.plan(pictures.source("a", documents, flip=True)))
    for side in ("train", "heldout"):
        held = corpus.documents("a", side)
        for i in range(len(held)):
            caption = corpus.tokenizer.decode(held[i][1])
            assert held.index.flip[i] == any(w in caption for w in ("cat", "brightness"))


HANDED = """
undo|redo variant|flag of japan|pirate flag|one o’clock|clock time four|mantelpiece clock|stopwatch
waxing crescent moon|first quarter moon face|back arrow|chevron double up|skip next|rewind 10|reply
fast-forward button|trending up|sort ascending|greater than|copyleft|roman numeral 4|keycap 3
alpha b box|format bold|4k|t-shirt|heavy dollar sign|leo|treble clef|check mark|man walking
world map|logout|login|signal cellular 1|1st place medal|currency yen|code tags|help circle
aws network vpc|google plus
"""


def test_directions_signs_and_writing_are_not_mirrored_and_things_are():
    handed = HANDED.strip().replace("\n", "|").split("|")
    assert [one for one in handed if not is_handed(one)] == []
    free = ("woman detective", "cat face", "thumbs up", "sailboat", "anchor off outline", "bank")
    assert not any(map(is_handed, free))


def test_one_cap_holds_for_texts_and_pictures(cache):
    plan = pictures.plan(
        pictures.source("a", [pictures.pair(i) for i in range(200)]), max_bytes=20_000
    )
    corpus = prepare_plan(plan)
    facts = corpus.info["domains"]["a"]
    assert 5 < facts["train"]["documents"] < 20 and facts["heldout"]["documents"] > 3


def test_the_temporary_files_are_gone(cache):
    corpus = prepare_plan(pictures.three_domains())
    kinds = {path.suffix for path in corpus.path.iterdir()}
    assert kinds == {".json", ".bin", ".arrayrecord", ".index"}
    info = json.loads((corpus.path / "corpus.json").read_text())
    assert info["domains"]["pages"]["pictures"] is True


def test_a_missing_file_is_named(cache):
    corpus = prepare_plan(pictures.three_domains())
    (corpus.path / "pages.train.index").unlink()
    with pytest.raises(DataError, match=r"pages\.train\.arrayrecord: is missing; delete"):
        corpus.documents("pages", "train")


def test_gray_and_transparent_pictures_are_read(cache):
    def encoded(mode):
        out = io.BytesIO()
        pixels = np.random.default_rng(len(mode)).integers(0, 255, (20, 20), np.uint8)
        Image.fromarray(pixels).convert(mode).save(out, "PNG")
        return out.getvalue()

    odd = [Document((Picture(encoded(m), m), f"in {m}"), frozenset(), m) for m in ("L", "LA", "P")]
    corpus = prepare_plan(
        pictures.plan(pictures.source("a", [*odd, *map(pictures.pair, range(30))]))
    )
    shapes = {
        (d[0].mode, d[0].size) for s in ("train", "heldout") for d in corpus.documents("a", s)
    }
    assert shapes == {("RGB", (20, 20))}
