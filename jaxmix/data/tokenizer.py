"""Tokenizers: raw bytes, or a byte-level BPE trained on the corpus. Both are lossless.

Tokenizers have a `name` (`bytes` or `bpe-N`), a `hash` (sha256 of the definition), a `vocab_size`
that includes end-of-text, the id `end` of end-of-text, the `dtype` of token streams, and
`token_bytes`, the bytes of text behind every token id, int32 [vocab_size] (0 for end-of-text).
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .errors import DataError, clip

END_OF_TEXT = "<|endoftext|>"

# GPT-2's splitting into words, for ASCII. No word spans the end of a line between two printed
# characters. Text is cut there, so that a foreign letter slows down one line only.
_WORD = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\t-\r A-Za-z0-9]+"
    r"|[\t-\r ]+(?![^\t-\r ])|[\t-\r ]+"
)
_CUT = re.compile(r"(?<=[!-~]\n)(?=[!-~])")
_LONG = 32  # characters; longer words hardly occur again


class ByteTokenizer:
    """One id per byte, and one for end-of-text.

    >>> ByteTokenizer().decode(ByteTokenizer().encode("né"))
    'né'
    """

    name = "bytes"
    vocab_size = 257
    end = 256
    dtype = np.dtype("<u2")

    def __init__(self) -> None:
        self.hash = hashlib.sha256(self.dumps().encode()).hexdigest()
        self.token_bytes = np.array([1] * 256 + [0], np.int32)

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without end-of-text."""
        return list(text.encode())

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of several texts, [n] each."""
        return [np.frombuffer(text.encode(), np.uint8) for text in texts]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, without end-of-text; broken characters at the ends are replaced."""
        return bytes(i for i in map(int, ids) if i != self.end).decode(errors="replace")

    def dumps(self) -> str:
        """Its definition, which `load_tokenizer` reads."""
        return '{"type": "bytes"}\n'


class BpeTokenizer:
    """A byte-level BPE with GPT-2's splitting into words; it restores any text exactly.

    Words are encoded once, and further occurrences come from a table.
    """

    def __init__(self, model: Any, text: str) -> None:
        model.encode_special_tokens = True  # the end-of-text mark, if it is in a text, is text
        self._model, self._text = model, text
        self.vocab_size: int = model.get_vocab_size()
        self.name = f"bpe-{self.vocab_size}"
        self.end: int = model.token_to_id(END_OF_TEXT)
        self.dtype = np.dtype("<u2" if self.vocab_size <= 1 << 16 else "<u4")
        self.hash = hashlib.sha256(text.encode()).hexdigest()
        self._known: dict[str, bytes] = {}
        self.token_bytes = np.zeros(self.vocab_size, np.int32)
        for token, i in model.get_vocab().items():
            self.token_bytes[i] = 0 if i == self.end else len(token)  # one character per byte

    def encode(self, text: str) -> list[int]:
        """See `ByteTokenizer`."""
        return self._model.encode(text, add_special_tokens=False).ids

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of several texts, [n] each, as `encode` gives them, but faster."""
        split = [_words(text) for text in texts]
        new = sorted(set().union(*split) - self._known.keys())
        encoded = self._model.encode_batch_fast(new, add_special_tokens=False)
        for word, one in zip(new, encoded, strict=True):
            self._known[word] = np.array(one.ids, self.dtype).tobytes()
        known = self._known.__getitem__
        found = [np.frombuffer(b"".join(map(known, words)), self.dtype) for words in split]
        for word in new:
            if len(word) > _LONG:
                del self._known[word]
        return found

    def decode(self, ids: Iterable[int]) -> str:
        """See `ByteTokenizer`."""
        return self._model.decode([int(i) for i in ids], skip_special_tokens=True)

    def dumps(self) -> str:
        """The JSON of the `tokenizers` package."""
        return self._text


Tokenizer = ByteTokenizer | BpeTokenizer


def _words(text: str) -> list[str]:
    """The words of a text; a line that is not ASCII stays whole."""
    if text.isascii():
        return _WORD.findall(text)
    words: list[str] = []
    for line in _CUT.split(text):
        words += _WORD.findall(line) if line.isascii() else [line]
    return words


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
    """Trains a tokenizer of this name; the same texts in the same order give the same bytes.

    Args:
        name: `bytes` or `bpe-N`; N counts the 256 bytes and end-of-text.
        texts: texts to train a BPE on.

    Raises:
        DataError: the name is unknown, or there is too little text for so many merges.
    """
    size = vocab_of(name)
    if size is None:
        return ByteTokenizer()
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    model = tokenizers.Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore
    model.decoder = decoders.ByteLevel()  # type: ignore
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
            f"tokenizer '{name}': this text yields no more than {found} entries; name "
            f"bpe-{found}, a smaller one, or bytes"
        )
    return BpeTokenizer(model, model.to_str())


def load_tokenizer(text: str) -> Tokenizer:
    """The tokenizer that `dumps` wrote.

    Raises:
        DataError: the text does not define a tokenizer.
    """
    if text == ByteTokenizer().dumps():
        return ByteTokenizer()
    import tokenizers

    try:
        model = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the package raises no narrower class
        raise DataError(f"its tokenizer cannot be read ({clip(error)})") from None
    return BpeTokenizer(model, text)
