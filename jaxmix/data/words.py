"""Tokenizing much text: every word once, and the rest of its occurrences from a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

# GPT-2's splitting into words, for ASCII. No word reaches over a line's end that stands between
# two printed characters: text is cut there, so that a foreign letter slows down one line only.
_WORD = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\t-\r A-Za-z0-9]+"
    r"|[\t-\r ]+(?![^\t-\r ])|[\t-\r ]+"
)
_CUT = re.compile(r"(?<=[!-~]\n)(?=[!-~])")

_LONG = 32  # characters; what is longer hardly comes again

EncodeBatch = Callable[[list[str]], Iterable[Sequence[int]]]


class WordTable:
    """Token ids of the words seen so far.

    Args:
        encode: texts to their ids; a text's ids are its words' ids, one word after the other.
        kind: dtype of ids.
    """

    def __init__(self, encode: EncodeBatch, kind: np.dtype) -> None:
        self._encode, self._kind = encode, kind
        self._known: dict[str, bytes] = {}

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of every text, [n] each: the same that `encode` itself gives."""
        split = [self._words(text) for text in texts]
        new = set().union(*split) - self._known.keys()
        self._learn(new)
        known = self._known.__getitem__
        found = [np.frombuffer(b"".join(map(known, words)), self._kind) for words in split]
        for line in new:
            if len(line) > _LONG:
                del self._known[line]
        return found

    def _words(self, text: str) -> list[str]:
        """Words of a text; a line that is not ASCII is left whole."""
        if text.isascii():
            return _WORD.findall(text)
        words: list[str] = []
        for line in _CUT.split(text):
            words += _WORD.findall(line) if line.isascii() else [line]
        return words

    def _learn(self, words: set[str]) -> None:
        new = sorted(words)
        for word, ids in zip(new, self._encode(new), strict=True):
            self._known[word] = np.array(ids, self._kind).tobytes()
