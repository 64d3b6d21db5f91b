"""Tokenizers: lossless, deterministic, and with a length in bytes for every token."""

import numpy as np
import pytest

from jaxmix.data.tokenizer import END_OF_TEXT, load_tokenizer, train_tokenizer, vocab_of

TRICKY = [
    "plain text",
    "naïve Ωmega 漢字 🙂 \u202e עברית",
    "\t tabs\r\n\n\n  and   spaces \x00\x1f",
    f"a {END_OF_TEXT} written in a text <|endoftext|>",
    "",
    " ",
]


@pytest.fixture(scope="module", params=["bytes", "bpe-300"])
def tokenizer(request, texts):
    return train_tokenizer(request.param, [t for held in texts.values() for t in held])


@pytest.mark.parametrize("seed", range(30))
def test_many_texts_of_any_characters_are_encoded_as_one_by_one(tokenizer, seed):
    rng = np.random.default_rng(seed)
    common = " \n\n\t'stredvml.,;-_AZ09"
    rare = "\r\x0b\x0c\x1c\x1f\x00\x7f\x85\xa0é’漢\u2028²Ⅷ\u0301🙂"
    weights = np.array([10.0] * len(common) + [seed % 3 / 2] * len(rare))
    letters = rng.choice([*common, *rare], size=(50, 60), p=weights / weights.sum())
    texts = ["".join(row) for row in letters]
    for text, ids in zip(texts, tokenizer.encode_many(texts), strict=True):
        assert ids.tolist() == tokenizer.encode(text)


@pytest.mark.parametrize("text", TRICKY)
def test_any_text_comes_back_and_its_bytes_are_counted(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.token_bytes[ids].sum() == len(text.encode())
    assert tokenizer.end not in ids
    assert all(0 <= i < tokenizer.vocab_size for i in ids)


def test_many_texts_are_encoded_as_one_by_one(tokenizer):
    assert [list(ids) for ids in tokenizer.encode_many(TRICKY)] == [
        tokenizer.encode(text) for text in TRICKY
    ]


def test_end_of_text_has_no_bytes_and_is_left_out(tokenizer):
    assert tokenizer.token_bytes.shape == (tokenizer.vocab_size,)
    assert tokenizer.token_bytes.dtype == np.int32
    assert np.flatnonzero(tokenizer.token_bytes == 0).tolist() == [tokenizer.end]
    ids = [*tokenizer.encode("one"), tokenizer.end, *tokenizer.encode("two")]
    assert tokenizer.decode(ids) == "onetwo"


def test_saved_tokenizer_is_the_same(tokenizer):
    again = load_tokenizer(tokenizer.dumps())
    assert (again.name, again.hash, again.end) == (tokenizer.name, tokenizer.hash, tokenizer.end)
    assert again.encode(TRICKY[3]) == tokenizer.encode(TRICKY[3])


def test_trained_twice_it_is_byte_identical(texts):
    first, second = (train_tokenizer("bpe-400", texts["greek"]) for _ in range(2))
    assert first.dumps() == second.dumps()
    assert first.hash == second.hash != train_tokenizer("bpe-400", texts["latin"]).hash


def test_sizes():
    assert vocab_of("bytes") is None
    assert vocab_of("bpe-70000") == 70000
