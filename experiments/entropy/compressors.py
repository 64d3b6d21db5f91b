"""Upper bounds on the entropy of held-out text that no model was asked for: general compressors.

The tokens of the held-out side are turned back to bytes and compressed, alone and after training
text of the same domain: the additional bytes are what the text costs whoever knows the training
text. Both bound its entropy from above.
"""

import bz2
import lzma
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxmix.data import Corpus

HELD, KNOWN = 300_000, 3_000_000  # tokens of held-out and of training text, at most
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 26}]


def bounds(corpus: Corpus) -> Iterator[dict[str, Any]]:
    """Bits per byte of every target of text by each compressor."""
    for target in corpus.targets:
        held = _bytes(corpus, target, "heldout", HELD)
        row = {"target": target, "bytes": len(held)}
        row["xz"] = 8 * _xz(held) / len(held)
        row["bz2"] = 8 * len(bz2.compress(held, 9)) / len(held)
        known = _bytes(corpus, target, "train", KNOWN) if target in corpus.domains else b""
        row["known_bytes"] = len(known)
        row["xz_after_training_text"] = (
            8 * (_xz(known + held) - _xz(known)) / len(held) if known else float("nan")
        )
        yield row


def _xz(data: bytes) -> int:
    return len(lzma.compress(data, lzma.FORMAT_RAW, filters=_FILTERS))


def _bytes(corpus: Corpus, name: str, side: str, most: int) -> bytes:
    """The text of the first so many tokens; documents follow one another."""
    tokens = corpus.windows(name, side, 128).tokens[:most]
    return corpus.tokenizer.decode(np.asarray(tokens)).encode()
