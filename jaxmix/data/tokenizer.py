"""Tokenizers: raw bytes, a byte-level BPE trained on the corpus, or the user's tokenizer.json.

Tokenizers have a `name` (`bytes`, `bpe-N`, or `unigram-N` and the like of the user's), a `hash`
(sha256 of the definition), a `vocab_size` that includes end-of-text, the id `end` of end-of-text,
the `dtype` of token streams, and `token_bytes`, the bytes of text behind every token id, int32
[vocab_size] (0 for end-of-text). The first two kinds restore any text exactly.
"""

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxmix.files import json_fault

from .errors import DataError, clip, hint

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


class JsonTokenizer:
    """A tokenizer of the `tokenizers` package: a trained BPE, or one from the user's own file.

    If the tokenizer splits texts into words as GPT-2 does, each word is encoded once, and further
    occurrences come from a table.

    Args:
        model: the tokenizer of the package.
        text: its definition in JSON.
        end: its end-of-text token; None to find it.

    Raises:
        DataError: it has no token of this name, or no end-of-text token is found.
    """

    def __init__(self, model: Any, text: str, end: str | None = None) -> None:
        model.encode_special_tokens = True  # the end-of-text mark, if it is in a text, is text
        model.no_truncation()
        model.no_padding()
        self._model, self._text = model, text
        self._vocabulary: dict[str, int] = model.get_vocab()
        # Ids may have gaps, and models need a row for every id up to the last.
        self.vocab_size = 1 + max(self._vocabulary.values())
        self.end = self._vocabulary[_end_token(text, self._vocabulary, end)]
        self.dtype = np.dtype("<u2" if self.vocab_size <= 1 << 16 else "<u4")
        self.hash = hashlib.sha256(text.encode()).hexdigest()
        definition = json.loads(text)
        kind = definition["model"].get("type") or "bpe"
        self.name = f"{kind.lower()}-{self.vocab_size}"
        self._has_words = _splits_like_gpt2(definition)
        self._is_byte_level = '"ByteLevel"' in json.dumps(definition.get("decoder"))
        self._known: dict[str, bytes] = {}

    @functools.cached_property
    def token_bytes(self) -> np.ndarray:
        """Bytes of text behind every token id, int32 [vocab_size]; 0 for special tokens.

        A decoder that is not byte-level may join tokens with spaces or drop some; then the bytes
        are those that a token adds behind a letter.
        """
        found = np.zeros(self.vocab_size, np.int32)
        added = self._model.get_added_tokens_decoder()
        before = next((i for t, i in self._vocabulary.items() if t in ("a", "▁a", "Ġa")), None)
        for token, i in self._vocabulary.items():
            if re.fullmatch("<0x[0-9A-F]{2}>", token):
                found[i] = 1
            elif i in added:
                found[i] = 0 if added[i].special else len(token.encode())
            elif self._is_byte_level:
                found[i] = len(token)  # one character per byte
            else:
                found[i] = self._added_bytes(before, i)
        found[self.end] = 0
        return found

    def _added_bytes(self, before: int | None, i: int) -> int:
        """Bytes of text that token i adds behind another one."""
        if before is None:
            return len(self._decoded([i]))
        return max(len(self._decoded([before, i])) - len(self._decoded([before])), 0)

    def _decoded(self, ids: list[int]) -> bytes:
        return self._model.decode(ids, skip_special_tokens=False).encode()

    def encode(self, text: str) -> list[int]:
        """See `ByteTokenizer`."""
        return self._model.encode(text, add_special_tokens=False).ids

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of several texts, [n] each, as `encode` gives them, but faster."""
        if not self._has_words:
            encoded = self._model.encode_batch_fast(list(texts), add_special_tokens=False)
            return [np.array(one.ids, self.dtype) for one in encoded]
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


Tokenizer = ByteTokenizer | JsonTokenizer


# What published tokenizers call the token behind a document.
_ENDS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]", "[SEP]")


def _end_token(text: str, vocabulary: Mapping[str, int], end: str | None) -> str:
    """The name of the end-of-text token."""
    if end is not None:
        if end not in vocabulary:
            raise DataError(f"its vocabulary has no token '{end}'; {hint(end, _special(text))}")
        return end
    found = next((token for token in _ENDS if token in vocabulary), None)
    if found is None:
        some = ", ".join(_special(text)[:8]) or "none"
        raise DataError(
            f"its end-of-text token is not known (special tokens: {clip(some, 120)}); name it "
            "behind the file, as FILE.json:<eos>"
        )
    return found


def _special(text: str) -> list[str]:
    """The special tokens of a definition in JSON."""
    return [one["content"] for one in json.loads(text).get("added_tokens") or ()]


def _splits_like_gpt2(definition: Mapping[str, Any]) -> bool:
    """Whether a tokenizer cuts texts into the words of `_WORD`, and encodes each by itself."""
    splitter = definition.get("pre_tokenizer") or {}
    plain = splitter.get("type") == "ByteLevel" and splitter.get("use_regex", True)
    plain = plain and not splitter.get("add_prefix_space", True)
    others = [one for one in definition.get("added_tokens") or () if not one.get("special")]
    return bool(plain and not others and definition.get("normalizer") is None)


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
            f"tokenizer '{name}': name bytes, or bpe-N with N of at least 257, such as bpe-4096, "
            "or a tokenizer.json file"
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
    return JsonTokenizer(model, model.to_str())


def read_own(path: str | Path) -> Tokenizer:
    """The tokenizer in a file of the `tokenizers` package.

    Args:
        path: FILE.json, or FILE.json:TOKEN with the name of its end-of-text token. The default is
            the `eos_token` of a tokenizer_config.json beside it, or a usual name.

    Raises:
        DataError: the file cannot be read, or its end-of-text token is not known.
    """
    file, end = _parted(str(path))
    try:
        return load_tokenizer(file.read_text(encoding="utf-8"), end or _configured_end(file))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); check --tokenizer") from None
    except UnicodeDecodeError:
        raise DataError(f"{file}: is not UTF-8; give a tokenizer.json") from None
    except DataError as error:
        raise DataError(f"{file}: {error}") from None


def is_own(name: str) -> bool:
    """Whether the name of a tokenizer is that of a file.

    >>> is_own("bpe-4096"), is_own("gpt2/tokenizer.json"), is_own("t.json:<eos>")
    (False, True, True)
    """
    return _parted(name)[0].suffix == ".json" or Path(name).is_file()


def absolute_tokenizer(name: str) -> str:
    """The name of a tokenizer that means the same in every folder."""
    file, end = _parted(name)
    return f"{file.resolve()}{':' + end if end else ''}" if is_own(name) else name


def _parted(name: str) -> tuple[Path, str | None]:
    """The file, and the end-of-text token behind it, if there is one."""
    before, colon, end = name.partition(".json:")
    return (Path(f"{before}.json"), end) if colon else (Path(name), None)


def _configured_end(file: Path) -> str | None:
    """The `eos_token` of the file that Hugging Face writes beside a tokenizer.json."""
    try:
        held = json.loads(file.with_name("tokenizer_config.json").read_text(encoding="utf-8"))
        end = held.get("eos_token")
        return end["content"] if isinstance(end, dict) else end
    except (OSError, ValueError, AttributeError, KeyError):
        return None


def load_tokenizer(text: str, end: str | int | None = None) -> Tokenizer:
    """The tokenizer that `dumps` wrote, or that a file of the `tokenizers` package defines.

    Args:
        text: its definition.
        end: its end-of-text token, by name or id; None to find it.

    Raises:
        DataError: the text does not define a tokenizer, or its end-of-text token is not known.
    """
    if text == ByteTokenizer().dumps():
        return ByteTokenizer()
    import tokenizers

    try:
        json.loads(text)
        model = tokenizers.Tokenizer.from_str(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"its tokenizer cannot be read ({json_fault(error)})") from None
    except Exception as error:  # the package raises no narrower class
        said = re.sub(r" at line \d+ column \d+", "", str(error))
        raise DataError(f"its tokenizer cannot be read ({clip(said)})") from None
    return JsonTokenizer(model, text, model.id_to_token(end) if isinstance(end, int) else end)
