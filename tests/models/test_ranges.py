"""Ranges of keys: the pictures of the docstrings are the masks that the code builds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.models import key_pairs
from jaxmix.models import ranges as module
from jaxmix.models.attention import causal_attention, ranged_attention
from jaxmix.models.ranges import KeyRanges, key_mask, prefix_ranges
from tests.models.toys import program

KINDS = ("text", "patch", "padding", "row")


def drawn(docstring):
    """The mask of an ASCII picture, and the name of each of its rows."""
    rows = [line.split() for line in docstring.splitlines()]
    rows = [row for row in rows if set(row[-1:]) <= {"x", "."} and set(row[:2]) & set(KINDS)]
    return np.array([[c == "x" for c in row[2:]] for row in rows]), [row[:2] for row in rows]


def ranges_of(documents, length):
    """From the rule: causal, whole pictures, documents apart; a document is [(kind, size), ...]."""
    start, end, at = list(range(length)), list(range(1, length + 1)), 0
    for document in documents:
        first = at
        for kind, size in document:
            for t in range(at, at + size):
                start[t], end[t] = first, at + size if kind == "patch" else t + 1
            at += size
    return KeyRanges(jnp.array([start]), jnp.array([end]))


DOCUMENTS = [[("text", 2)], [("patch", 3), ("text", 2)]]


def test_the_picture_of_packed_documents_is_the_mask():
    picture, names = drawn(module.__doc__)
    kinds = [kind for document in DOCUMENTS for kind, size in document for _ in range(size)]
    assert [kind for _, kind in names] == kinds + ["padding"] * 2
    assert picture.shape == (9, 9)
    np.testing.assert_array_equal(key_mask(*ranges_of(DOCUMENTS, 9))[0], picture)


def test_the_picture_of_a_prefix_is_the_mask():
    picture, _ = drawn(prefix_ranges.__doc__)
    assert picture.shape == (4, 4)
    np.testing.assert_array_equal(key_mask(*prefix_ranges(jnp.array([2]), 4))[0], picture)


@pytest.mark.parametrize("prefix", [0, 1])
def test_a_prefix_of_one_is_causal(prefix):
    mask = key_mask(*prefix_ranges(jnp.array([prefix]), 5))[0]
    np.testing.assert_array_equal(mask, np.tril(np.ones((5, 5), bool)))


def test_pairs_are_those_of_the_mask():
    ranges = ranges_of(DOCUMENTS, 9)
    assert key_pairs(*ranges) == int(key_mask(*ranges).sum()) == drawn(module.__doc__)[0].sum()
    narrow = (np.asarray(x).astype(np.int16).repeat(4000, 0) for x in ranges)
    assert key_pairs(*narrow) == 4000 * key_pairs(*ranges)


QKV = tuple(np.random.default_rng(0).normal(size=(3, 1, 9, 2, 4)).astype(np.float32))


def attention(ranges):
    return np.asarray(program(ranged_attention, *QKV, *ranges)(*QKV, *ranges))


def test_attention_keeps_to_its_ranges():
    ranges = ranges_of(DOCUMENTS, 9)
    seen, found = np.asarray(key_mask(*ranges))[0], attention(ranges)
    for head in range(2):
        q, k, v = (x[0, :, head] for x in QKV)
        shares = np.where(seen, np.exp(q @ k.T / 2), 0)
        wanted = shares / shares.sum(1, keepdims=True) @ v
        np.testing.assert_allclose(found[0, :, head], wanted, rtol=1e-4, atol=1e-6)


def test_causal_ranges_are_causal_attention():
    found = attention(prefix_ranges(jnp.zeros(1, int), 9))
    wanted = program(causal_attention, *QKV)(*QKV)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_empty_ranges_see_themselves_and_have_slopes():
    start, end = ranges_of(DOCUMENTS, 9)
    empty = KeyRanges(start, end.at[0, 7:].set(0))
    np.testing.assert_array_equal(attention(empty), attention(KeyRanges(start, end)))
    slope = jax.grad(lambda q: ranged_attention(q, *QKV[1:], *empty).sum())
    assert np.isfinite(program(slope, QKV[0])(QKV[0])).all()
