"""Cutting and packing: nothing is lost, nothing overlaps, little is wasted."""

import numpy as np
import pytest

from jaxmix.data.packing import cut, packed
from jaxmix.data.store import PICTURE

PATCHES = 4


def spans(piece):
    return [(s.index, s.first, s.last, s.is_picture) for s in piece.parts]


def test_a_captioned_picture_is_one_piece_that_ends_with_a_target():
    (piece,) = cut(7, [PICTURE, 5], PATCHES, 32)
    assert piece.document == 7
    assert spans(piece) == [(0, 0, 4, True), (1, 0, 5, False), (None, 0, 1, False)]
    assert piece.positions == 4 + 5 + 1 - 1


def test_text_at_the_start_gets_a_marker_before_it():
    (piece,) = cut(0, [3, PICTURE, 2], PATCHES, 32)
    assert [s[0] for s in spans(piece)] == [None, 0, 1, 2, None]


@pytest.mark.parametrize("length", [6, 9, 17])
def test_every_token_is_predicted_once_and_no_picture_is_cut(length):
    parts = [13, PICTURE, PICTURE, 4, PICTURE, 21]
    pieces = list(cut(0, parts, PATCHES, length))
    assert all(piece.positions <= length for piece in pieces)
    seen = {index: [] for index, size in enumerate(parts) if size != PICTURE}
    for piece in pieces:
        for place, span in enumerate(piece.parts):
            if span.is_picture:
                assert (span.first, span.last) == (0, PATCHES)
            elif span.index is not None:
                first = span.first + (place == 0)  # the first of a piece is not predicted
                seen[span.index] += range(first, span.last)
    for index, tokens in seen.items():
        lost = set(range(parts[index])) - set(tokens)
        assert len(tokens) == len(set(tokens))
        # Only where a picture did not fit does a piece begin with text that nothing predicts.
        assert len(lost) <= 1


def test_a_document_that_ends_in_pictures_predicts_its_end():
    pieces = list(cut(0, [PICTURE, 2, PICTURE], PATCHES, 8))
    assert [piece.positions for piece in pieces] == [6 - 1, 5 - 1]


def test_pieces_of_pictures_alone_are_left_out():
    assert not any(
        all(span.is_picture for span in piece.parts) for piece in cut(0, [PICTURE] * 5, PATCHES, 10)
    )


def test_packing_fills_rows_and_keeps_every_piece():
    rng = np.random.default_rng(0)
    pieces = [p for i in range(3000) for p in cut(i, [PICTURE, int(rng.integers(2, 14))], 16, 128)]
    rows = packed(pieces, 128)
    used = [sum(piece.positions for piece in row) for row in rows]
    assert max(used) <= 128
    assert sorted(piece.document for row in rows for piece in row) == list(range(3000))
    assert 1 - sum(used) / (128 * len(rows)) < 0.02
    assert packed(pieces, 128) == rows


def test_rows_are_filled_exactly_where_that_is_possible():
    """Of 7, 6, 5, 4 into 11, the longest that fits would leave a place behind 6 + 4."""
    pieces = [next(iter(cut(i, [PICTURE, n], 1, 11))) for i, n in enumerate([6, 5, 4, 3])]
    rows = packed(pieces, 11)
    assert [[piece.positions for piece in row] for row in rows] == [[7, 4], [6, 5]]
