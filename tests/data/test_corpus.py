"""Reading a prepared corpus: windows, held-out windows, limits and errors."""

import numpy as np
import pytest

from jaxmix.data import DataError, TokenWindows


def test_windows_cover_the_stream_and_share_one_token():
    windows = TokenWindows(np.arange(23, dtype=np.uint16), 5)
    assert len(windows) == 4
    taken = windows.take(np.array([3, 0, 0]))["tokens"]
    assert taken.dtype == np.uint16
    assert taken.tolist() == [[*range(15, 21)], [*range(6)], [*range(6)]]


@pytest.mark.parametrize(("size", "count"), [(0, 0), (5, 0), (6, 1), (10, 1), (11, 2)])
def test_only_whole_windows_count(size, count):
    assert len(TokenWindows(np.arange(size), 5)) == count


def test_training_windows_are_the_stream(corpus):
    windows = corpus.train("greek", 16)
    assert len(windows) == (corpus.train_tokens["greek"] - 1) // 16
    taken = windows.take(np.arange(len(windows)))["tokens"]
    stream = np.fromfile(corpus.path / "greek.train.bin", np.uint16)
    assert np.array_equal(taken[:, :-1].ravel(), stream[: taken.shape[0] * 16])
    assert np.array_equal(taken[:, 1:].ravel(), stream[1 : taken.shape[0] * 16 + 1])
    with pytest.raises(IndexError):
        windows.take(np.array([len(windows)]))


def test_heldout_windows_are_fixed_and_evenly_spaced(corpus):
    first, again = (corpus.heldout("rare", 16, 20)["tokens"] for _ in range(2))
    assert first.shape == (20, 17) and np.array_equal(first, again)
    stream = np.fromfile(corpus.path / "rare.heldout.bin", np.uint16)
    assert np.array_equal(first[0], stream[:17])
    total = (stream.size - 1) // 16
    step = np.lib.stride_tricks.sliding_window_view(stream, 17)[::16][:total]
    where = [int(np.flatnonzero((step == row).all(1))[0]) for row in first]
    assert np.diff(where).max() - np.diff(where).min() <= 1
    assert where[-1] >= total - total // 20 - 2


def test_heldout_gives_all_there_are(corpus):
    taken = corpus.heldout("greek", 16, 10**9)["tokens"]
    assert taken.shape[0] == (corpus.heldout_tokens["greek"] - 1) // 16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.train("grek", 8), "no training domain 'grek'; nearest: greek"),
        (lambda c: c.train("rare", 8), r"'rare' \(it is target-only\)"),
        (lambda c: c.heldout("web", 8, 1), "no target 'web'; known: greek, latin, rare"),
        (lambda c: c.train("greek", 10**7), "a window takes 10000001; choose a shorter"),
    ],
)
def test_what_is_not_there_is_refused(corpus, call, message):
    with pytest.raises(DataError, match=message):
        call(corpus)


def test_bits_per_byte_can_be_counted(corpus):
    tokens = corpus.heldout("greek", 16, 50)["tokens"]
    counted = corpus.token_bytes[tokens[0]].sum()
    ids = [int(i) for i in tokens[0]]
    assert counted == len(corpus.tokenizer.decode(ids).encode())


def test_it_says_what_it_is(corpus):
    assert repr(corpus) == "Corpus('mine', bpe-300, domains=['greek', 'latin'])"
    assert len(corpus.hash) == 16
