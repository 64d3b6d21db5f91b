"""Tokenizers: raw bytes, or a byte-level BPE trained on the corpus itself. Both are lossless."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from .errors import DataError, clip
from .words import WordTable

END_OF_TEXT = "<|endoftext|>"


def token_dtype(vocab_size: int) -> np.dtype:
    """The dtype of a token stream: uint16 where it holds every id, else uint32."""
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


class Tokenizer(Protocol):
    """Text to token ids and back.

    Attributes:
        name: `bytes` or `bpe-N`.
        hash: sha256, in hexadecimal, of what defines it.
        vocab_size: number of ids, end-of-text included.
        end: id of end-of-text.
        token_bytes: bytes of text behind every id, int32 [vocab_size]; 0 for end-of-text.
    """

    name: str
    hash: str
    vocab_size: int
    end: int
    token_bytes: np.ndarray

    def encode(self, text: str) -> list[int]:
        """Ids of a text; without end-of-text."""
        ...

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of several texts, [n] each: those of `encode`, sooner."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; end-of-text is left out."""
        ...

    def dumps(self) -> str:
        """What `load_tokenizer` reads."""
        ...


class ByteTokenizer:
    """One id a byte, and one for end-of-text.

    >>> ByteTokenizer().decode(ByteTokenizer().encode("né"))
    'né'
    """

    name = "bytes"
    vocab_size = 257
    end = 256

    def __init__(self) -> None:
        self.hash = hashlib.sha256(self.dumps().encode()).hexdigest()
        self.token_bytes = np.array([1] * 256 + [0], np.int32)

    def encode(self, text: str) -> list[int]:
        """The bytes of a text."""
        return list(text.encode())

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The bytes of several texts."""
        return [np.frombuffer(text.encode(), np.uint8) for text in texts]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of bytes; broken characters at the ends are replaced."""
        return bytes(i for i in map(int, ids) if i != self.end).decode(errors="replace")

    def dumps(self) -> str:
        """Its whole definition."""
        return '{"type": "bytes"}\n'


class BpeTokenizer:
    """A byte-level BPE with GPT-2's splitting into words; any text comes back exactly."""

    def __init__(self, model: Any, text: str) -> None:
        model.encode_special_tokens = True  # the mark of the end, written in a text, is text
        self._model = model
        self._text = text
        self.vocab_size: int = model.get_vocab_size()
        self.name = f"bpe-{self.vocab_size}"
        self.end: int = model.token_to_id(END_OF_TEXT)
        self.hash = hashlib.sha256(text.encode()).hexdigest()
        self._words = WordTable(self._encode_batch, token_dtype(self.vocab_size))
        self.token_bytes = np.zeros(self.vocab_size, np.int32)
        for token, i in model.get_vocab().items():
            self.token_bytes[i] = 0 if i == self.end else len(token)  # a character a byte

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        return self._model.encode(text, add_special_tokens=False).ids

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of several texts."""
        return self._words.encode(texts)

    def _encode_batch(self, texts: list[str]) -> list[list[int]]:
        found = self._model.encode_batch_fast(texts, add_special_tokens=False)
        return [one.ids for one in found]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; broken characters at the ends are replaced."""
        return self._model.decode([int(i) for i in ids], skip_special_tokens=True)

    def dumps(self) -> str:
        """The JSON of the `tokenizers` package."""
        return self._text


def vocab_of(name: str) -> int | None:
    """The N of `bpe-N`, or None for `bytes`.

    Raises:
        DataError: the name is neither, or N does not hold every byte and end-of-text.

    >>> vocab_of("bpe-1024")
    1024
    """
    if name == "bytes":
        return None
    found = re.fullmatch(r"bpe-(\d{1,7})", name)
    if not found or int(found[1]) < 257:
        raise DataError(
            f"tokenizer '{name}': name bytes, or bpe-N with N of at least 257, such as bpe-4096"
        )
    return int(found[1])


def train_tokenizer(name: str, texts: Iterable[str]) -> Tokenizer:
    """A tokenizer of this name; the same texts in the same order give the same bytes.

    Args:
        name: `bytes` or `bpe-N`; N counts the 256 bytes and end-of-text.
        texts: what a BPE is trained on.

    Raises:
        DataError: the name is unknown, or the texts are too few for so many merges.
    """
    size = vocab_of(name)
    if size is None:
        return ByteTokenizer()
    model = _blank_bpe()
    from tokenizers import pre_tokenizers, trainers

    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(texts, trainer)
    found = model.get_vocab_size()
    if found != size:
        raise DataError(
            f"tokenizer '{name}': this text yields {found} entries and no more; name bpe-{found}, "
            "a smaller one, or bytes"
        )
    return BpeTokenizer(model, model.to_str())


def _blank_bpe() -> Any:
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers

    model = tokenizers.Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore
    model.decoder = decoders.ByteLevel()  # type: ignore
    return model


def load_tokenizer(text: str) -> Tokenizer:
    """The tokenizer that `dumps` wrote.

    Raises:
        DataError: the text is not of a tokenizer.
    """
    if text == ByteTokenizer().dumps():
        return ByteTokenizer()
    import tokenizers

    try:
        model = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the package raises no narrower class
        raise DataError(f"its tokenizer cannot be read ({clip(error)})") from None
    return BpeTokenizer(model, text)
