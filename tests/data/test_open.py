"""How a prepared corpus is named."""

import pytest

from jaxmix.data import DataError, open_corpus, prepare, prepared, write_texts


@pytest.fixture
def folder(tmp_path, cache, texts):
    pairs = ((name, text) for name in ("greek", "latin") for text in texts[name])
    return write_texts(tmp_path / "mine", pairs)


def test_by_folder_name_and_tokenizer(folder):
    one, two = (prepare(folder, tokenizer=name) for name in ("bytes", "bpe-300"))
    for spelling in (two.path, str(two.path), two.path.name, "mine-bpe-300"):
        assert open_corpus(spelling).hash == two.hash
    assert prepared() == sorted([one.path, two.path])
    with pytest.raises(DataError, match="'mine' is prepared in several ways; name one: mine-b"):
        open_corpus("mine")


def test_a_longer_name_is_not_meant(folder):
    prepare(folder, tokenizer="bytes", name="mine-too")
    with pytest.raises(DataError, match=r"'mine' is not a prepared corpus \(mine-too-bytes"):
        open_corpus("mine")


def test_where_nothing_is_prepared(cache):
    with pytest.raises(DataError, match=r"there are none.*jaxmix data prepare text-mini"):
        open_corpus("text-mini")
