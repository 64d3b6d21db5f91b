"""From a side of a domain to the records of an image family."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from .augment import Geometry
from .captioned import Captioned
from .corpus import Corpus
from .errors import DataError
from .order import spaced
from .rows import PackedRows, TextRows
from .store import Documents
from .tokenizer import token_dtype


def open_rows(
    corpus: Corpus,
    name: str,
    side: str,
    length: int,
    geometry: Geometry,
    unique_tokens: int | None = None,
) -> PackedRows | TextRows:
    """Rows of an early-fusion model, from a domain of text or one with pictures.

    Args:
        corpus: that is read.
        name: of the domain.
        side: "train" or "heldout".
        length: positions of a row.
        geometry: of the pictures.
        unique_tokens: only so many positions, for studies of repetition.

    Raises:
        DataError: there is no such domain, no whole row in it, or fewer unique tokens.
        JaxmixError: a picture does not fit into a row.
    """
    end = corpus.tokenizer.end
    if name not in corpus.illustrated:
        windows = corpus.windows(name, side, length, unique_tokens)
        return TextRows(windows, geometry, end)
    kind = token_dtype(corpus.tokenizer.vocab_size)
    rows = _packed(corpus.documents(name, side), geometry, length, end, kind)
    wanted = _records(corpus, name, len(rows), length, unique_tokens)
    # Evenly spaced: packing puts long documents into the first rows.
    chosen = tuple(rows.rows[i] for i in spaced(wanted, len(rows)))
    return dataclasses.replace(rows, rows=chosen)


def open_captioned(
    corpus: Corpus,
    name: str,
    side: str,
    length: int,
    geometry: Geometry,
    unique_tokens: int | None = None,
) -> Captioned:
    """Captioned pictures of a vision model; arguments as of `open_rows`.

    A record has `length` positions: the patches, and behind them the tokens of the caption.

    Raises:
        DataError: there is no such domain, it has pages, no place for captions is left, or it has
            fewer unique tokens.
    """
    kind = token_dtype(corpus.tokenizer.vocab_size)
    what = f"corpus {corpus.name}: domain '{name}'"
    slots, end = length - geometry.patches, corpus.tokenizer.end
    found = Captioned.of(corpus.documents(name, side), geometry, slots, end, kind, what)
    wanted = _records(corpus, name, len(found), length, unique_tokens)
    return dataclasses.replace(found, count=wanted)


def is_captioned(corpus: Corpus, name: str) -> bool:
    """Whether every document of a domain is one picture and its caption."""
    return name in corpus.illustrated and corpus.documents(name, "heldout").are_pairs


def _records(corpus: Corpus, name: str, there: int, length: int, unique: int | None) -> int:
    """Records of so many unique tokens."""
    wanted = there if unique is None else unique // length
    if not 0 < wanted <= there:
        raise DataError(
            f"corpus {corpus.name}: domain '{name}' has {there * length} training tokens in "
            f"records of {length}, not {unique}; ask for other unique tokens"
        )
    return wanted


@functools.lru_cache(maxsize=64)
def _packed(
    documents: Documents, geometry: Geometry, length: int, end: int, kind: np.dtype
) -> PackedRows:
    """Packing takes a moment, and every wave of a study asks for the same rows."""
    return PackedRows.of(documents, geometry, length, end, kind)
