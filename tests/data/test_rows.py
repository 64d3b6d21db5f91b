"""Rows hold what their documents say, and say which positions may see which."""

import copy
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from jaxmix.data import (
    DataError,
    MixtureSource,
    open_captioned,
    open_rows,
    prepare_plan,
    store,
    workers,
)
from jaxmix.data.draws import keyed
from jaxmix.data.store import PICTURE
from tests.data import pictures


class Grid(SimpleNamespace):
    def __hash__(self) -> int:
        return self.image_size


GRID = Grid(image_size=16, patch_size=8, patches=4, patch_dim=192)
LENGTH = 64


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXMIX_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare_plan(pictures.three_domains())


def rows(corpus, name, side="train", **options):
    return open_rows(corpus, name, side, LENGTH, GRID, **options)


def everything(records):
    return records.take(np.arange(len(records)))


def test_domains_have_rows_of_one_shape(corpus):
    taken = [rows(corpus, name).take(np.arange(3)) for name in corpus.domains]
    shapes = [{k: (v.shape, v.dtype) for k, v in one.items()} for one in taken]
    assert shapes[0] == shapes[1] == shapes[2]
    assert shapes[0]["patches"] == ((3, LENGTH, 192), np.uint8)


@pytest.mark.parametrize("name", ["captions", "pages"])
def test_every_token_of_every_document_is_a_target_once(corpus, name):
    batch, documents = everything(rows(corpus, name)), corpus.documents(name, "train")
    counted = batch["counted"].astype(bool)
    found = np.sort(batch["targets"][counted])
    held = [
        part for i in range(len(documents)) for part in documents[i] if isinstance(part, np.ndarray)
    ]
    ends = np.full(len(documents), corpus.tokenizer.end)
    assert np.array_equal(found, np.sort(np.concatenate([*held, ends])))


def test_inputs_and_targets_are_neighbors(corpus):
    batch = everything(rows(corpus, "pages"))
    counted = batch["counted"].astype(bool)
    follows = counted[:, :-1] & ~batch["is_patch"][:, 1:].astype(bool)
    same = batch["key_start"][:, :-1] == batch["key_start"][:, 1:]
    here = follows & same
    assert here.sum() > 500
    assert np.array_equal(batch["targets"][:, :-1][here], batch["tokens"][:, 1:][here])


def test_a_picture_is_seen_whole_and_text_up_to_itself(corpus):
    batch = rows(corpus, "pages").take(np.arange(4))
    places = np.arange(LENGTH)
    for row in range(4):
        patch = batch["is_patch"][row].astype(bool)
        assert (batch["key_end"][row][~patch] == places[~patch] + 1).all()
        ends = batch["key_end"][row][patch].reshape(-1, 4)
        assert (ends == ends[:, :1]).all()
        assert (ends[:, 0] == places[patch].reshape(-1, 4)[:, -1] + 1).all()
        assert (batch["key_start"][row] <= places).all()


def test_patches_are_those_of_the_document(corpus):
    packed = rows(corpus, "captions")
    piece = packed.rows[2][1]
    start = packed.rows[2][0].positions
    batch = packed.take(np.array([2]))
    assert batch["is_patch"][0, start : start + 4].all()
    picture = corpus.documents("captions", "train")[piece.document][0]
    from jaxmix.data import patches_of

    assert np.array_equal(batch["patches"][0, start : start + 4], patches_of([picture], GRID)[0])
    assert not batch["patches"][0][~batch["is_patch"][0].astype(bool)].any()


def test_text_rows_keep_documents_apart(corpus):
    batch = rows(corpus, "text").take(np.arange(20))
    end, start = corpus.tokenizer.end, batch["key_start"]
    for t in range(1, LENGTH):
        begins = batch["tokens"][:, t] == end
        assert (start[begins, t] == t).all()
        assert (start[~begins, t] == start[~begins, t - 1]).all()
    assert (batch["tokens"] == end).any()


def test_chance_moves_the_patches_and_nothing_else(corpus):
    packed, where = rows(corpus, "captions"), np.arange(5)
    plain, one, two = (
        packed.take(where, chance) for chance in (None, keyed("a", 0, 5), keyed("b", 0, 5))
    )
    for name in plain:
        assert np.array_equal(one[name], plain[name]) == (name != "patches")
        assert np.array_equal(one[name], two[name]) == (name != "patches")
    assert np.array_equal(packed.take(where, keyed("a", 0, 5))["patches"], one["patches"])


def test_two_pictures_of_a_row_are_cropped_apart(corpus):
    same = pictures.plan(
        pictures.source("a", [pictures.page(i, 3) for i in range(30)]),
    )
    assert same.picture_size == 20
    packed = rows(corpus, "pages")
    batch = packed.take(np.arange(8), np.full(8, 7, np.uint64))  # one draw for all rows
    first = [batch["patches"][i][batch["is_patch"][i].astype(bool)] for i in range(8)]
    assert len({one.tobytes() for one in first}) == 8


def test_a_mixture_of_all_three_is_paired(corpus):
    domains = {name: rows(corpus, name) for name in corpus.domains}
    one, two = (
        MixtureSource(domains, dict(zip(corpus.domains, w, strict=True)), seed=5, batch=8)
        for w in ((0.2, 0.5, 0.3), (0.2, 0.3, 0.5))
    )
    seen = [{s[i]["patches"][r].tobytes() for i in range(10) for r in range(8)} for s in (one, two)]
    assert len(seen[0] & seen[1]) > 20  # the same crops of the same rows


def test_a_picture_that_fits_into_no_row_is_refused(corpus):
    with pytest.raises(ValueError, match="4 patches and a row 4 positions; choose longer rows"):
        open_rows(corpus, "captions", "train", 4, GRID)


def test_captioned_pictures(corpus):
    records = open_captioned(corpus, "captions", "train", 4 + 12, GRID)
    batch = records.take(np.arange(40), keyed("a", 0, 40))
    end = corpus.tokenizer.end
    for i in range(10):
        caption = corpus.documents("captions", "train")[i][1]
        n = int(batch["counted"][i].sum())
        assert n == min(len(caption) + 1, 12)
        wanted = [*caption.tolist(), end][:n]
        assert batch["targets"][i, :n].tolist() == wanted
        assert batch["tokens"][i, :n].tolist() == [end, *wanted[:-1]]
    assert set(batch["prefix"]) == {1, 2, 3}
    assert batch["patches"].shape == (40, 4, 192)


def test_held_out_records_never_change(corpus):
    records = open_captioned(corpus, "captions", "heldout", 16, GRID)
    one, two = (records.take(np.arange(len(records))) for _ in range(2))
    assert all(np.array_equal(one[k], two[k]) for k in one)


def test_pages_are_no_captions(corpus):
    with pytest.raises(DataError, match="domain 'pages': a vision model reads pictures with one"):
        open_captioned(corpus, "pages", "train", 16, GRID)
    with pytest.raises(DataError, match="no room for a caption behind 4 patches"):
        open_captioned(corpus, "captions", "train", 4, GRID)


def test_text_models_do_not_read_pictures(corpus):
    with pytest.raises(DataError, match="'pages' has pictures, which text models cannot read"):
        corpus.train("pages", 16)
    with pytest.raises(DataError, match="'text' is text without pictures"):
        corpus.documents("text", "train")


def test_lengths_of_parts_are_known_without_reading(corpus):
    documents = corpus.documents("pages", "train")
    for i in (0, 5):
        lengths = [len(part) if isinstance(part, np.ndarray) else PICTURE for part in documents[i]]
        assert documents.parts(i) == lengths


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_the_number_of_workers_changes_nothing(corpus, cores, monkeypatch):
    """Records of pictures that are large enough for threads, against those of one thread."""
    grid = Grid(image_size=64, patch_size=16, patches=16, patch_dim=768)
    domains = {
        name: open_rows(corpus, name, "train", LENGTH, grid) for name in ("captions", "pages")
    }
    pairs = {"captions": open_captioned(corpus, "captions", "train", LENGTH, grid)}
    sources = [
        MixtureSource(domains, {"captions": 0.5, "pages": 0.5}, 0, 16),
        MixtureSource(pairs, {"captions": 1.0}, 0, 16),
    ]
    monkeypatch.setattr(workers, "LEAST_SIDE", 65)
    alone = [source[step] for source in sources for step in (0, 7)]
    pool = ThreadPoolExecutor(cores)
    monkeypatch.setattr(workers, "LEAST_SIDE", 64)
    monkeypatch.setattr(workers, "_cores", lambda: cores)
    monkeypatch.setattr(workers, "_pool", lambda: pool)
    for expected, found in zip(alone, (s[step] for s in sources for step in (0, 7)), strict=True):
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert (cores > 1) == bool(pool._threads)


def test_a_picture_is_decoded_only_where_it_is_seen(corpus, monkeypatch):
    """Rows of pages with several pictures, none of which was decoded before or is kept."""
    packed = rows(corpus, "pages")
    packed = dataclasses.replace(packed, documents=copy.copy(packed.documents))
    vars(packed.documents).update(_kept={}, _left=0)
    opened, usual = [], store.Image.open
    monkeypatch.setattr(store.Image, "open", lambda data: opened.append(1) or usual(data))
    found = packed.take(np.arange(len(packed)))
    assert len(opened) == found["is_patch"].sum() // GRID.patches > len(packed.documents)
