"""A prepared corpus on disk: token streams, read as windows, and documents with pictures."""

import contextlib
import functools
import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxmix.files import file_hash, json_fault

from .errors import DataError, clip, hint
from .order import spaced
from .paths import corpora
from .store import Documents, content_hash
from .tokenizer import Tokenizer, load_tokenizer

SPLITS = ("train", "heldout")
FORMAT = 5  # raise this if extraction, splits or files change, so that corpora are made again


@dataclass(frozen=True)
class TokenWindows:
    """Windows of `length` + 1 tokens, `length` apart, over one flat stream; any one at any time.

    Neighbors share one token, so that every token but the first is predicted once.

    Attributes:
        tokens: the stream, [n].
        length: number of tokens that a window predicts.
    """

    tokens: np.ndarray
    length: int

    def __len__(self) -> int:
        return max(self.tokens.size - 1, 0) // self.length

    @functools.cached_property
    def _windows(self) -> np.ndarray:
        """All windows, a view [windows, length + 1]."""
        size = self.tokens.itemsize
        shape, strides = (len(self), self.length + 1), (self.length * size, size)
        return np.lib.stride_tricks.as_strided(
            np.asarray(self.tokens), shape, strides, writeable=False
        )

    def take(self, indices: np.ndarray, draws: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The windows of these indices: `tokens` [n, length + 1], uint16 or uint32."""
        return {"tokens": self._windows[indices]}


class Corpus:
    """A corpus in a folder that `prepare` wrote.

    Attributes:
        path: the folder.
        info: all of `corpus.json`: sources, licenses, hashes and counts.
        name: name of the recipe, or of the folder that it was made from.
        hash: 16 hexadecimal digits of the content: equal streams have equal hashes.
        tokenizer: see `Tokenizer`.
        domains: names of the training domains.
        targets: names of all domains with a held-out split: training domains, then target-only.
        illustrated: names of the domains that have pictures; the others are token streams.
        picture_size: shorter side of the pictures in pixels, None if there are none.
        train_tokens: tokens by training domain.
        heldout_tokens: tokens by target.
    """

    def __init__(self, path: Path, info: dict[str, Any], tokenizer: Tokenizer) -> None:
        self.path, self.info, self.tokenizer = path, info, tokenizer
        self.name: str = info["name"]
        held = info["domains"]
        self.domains = tuple(name for name in held if not held[name]["target_only"])
        self.targets = (*self.domains, *(name for name in held if held[name]["target_only"]))
        self.illustrated = frozenset(name for name in held if held[name]["pictures"])
        self.picture_size: int | None = info["picture_size"]
        self._opened: dict[tuple[str, str], Documents] = {}
        self.train_tokens = {name: held[name]["train"]["tokens"] for name in self.domains}
        self.heldout_tokens = {name: held[name]["heldout"]["tokens"] for name in self.targets}

    def __repr__(self) -> str:
        return f"Corpus({self.name!r}, {self.tokenizer.name}, domains={list(self.domains)})"

    @functools.cached_property
    def hash(self) -> str:
        """Hash of tokenizer and streams."""
        held = self.info["domains"].items()
        hashes = [(name, found[split]["sha256"]) for name, found in held for split in SPLITS]
        text = json.dumps([self.tokenizer.hash, sorted(hashes)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def token_bytes(self) -> np.ndarray:
        """Bytes of text behind every token id, int32 [vocab]; 0 for end-of-text."""
        return self.tokenizer.token_bytes

    def train(self, domain: str, length: int) -> TokenWindows:
        """The training windows of a domain of text; see `windows`."""
        return self.windows(domain, "train", length)

    def heldout(self, target: str, length: int, count: int) -> dict[str, np.ndarray]:
        """Held-out windows of a target of text, evenly spaced: `tokens` [count, length + 1].

        Calls with equal arguments give the same windows; see `windows`.
        """
        windows = self.windows(target, "heldout", length)
        return windows.take(spaced(count, len(windows)))

    def windows(self, name: str, split: str, length: int) -> TokenWindows:
        """The windows of one split of a domain of text.

        Args:
            name: one of `domains`, or of `targets` for the held-out split.
            split: "train" or "heldout".
            length: number of tokens that a window predicts; it holds one more.

        Raises:
            DataError: there is no such domain, it has pictures, or it has not one whole window.
        """
        self._check(name, split)
        windows = TokenWindows(self._stream(name, split), length)
        if not len(windows):
            what = "domain" if split == "train" else "target"
            raise DataError(
                f"corpus {self.name}: {what} '{name}' has {windows.tokens.size} tokens, and a "
                f"window takes {length + 1}; choose a shorter one"
            )
        return windows

    def documents(self, name: str, split: str) -> Documents:
        """The documents of a domain with pictures; all callers share what was decoded.

        Args:
            name: one of `illustrated`.
            split: "train" or "heldout".

        Raises:
            DataError: there is no such domain, or its files are missing.
        """
        self._check(name, split)
        if (name, split) not in self._opened:
            self._opened[name, split] = self._documents(name, split)
        return self._opened[name, split]

    def check(self, *, content: bool = False) -> None:
        """Checks that all files are there and whole.

        Args:
            content: read all of them and compare their hashes too.

        Raises:
            DataError: a file is missing or damaged; names it.
        """
        for name, split in itertools.product(self.targets, SPLITS):
            if name in self.illustrated:
                path = self.path / f"{name}.{split}.arrayrecord"
                self.documents(name, split)
            else:
                path = self.path / f"{name}.{split}.bin"
                self._stream(name, split)
            read = content_hash if name in self.illustrated else file_hash
            if content and read(path) != self.info["domains"][name][split]["sha256"]:
                raise self._damaged(path, "its content was changed")

    def _damaged(self, path: Path, what: str) -> DataError:
        return DataError(f"{path}: {what}; delete {self.path} and prepare it again")

    def _check(self, name: str, split: str) -> None:
        """Refuses a name that is not a domain with this split."""
        if split == "train" and name not in self.domains:
            also = " (it is target-only)" if name in self.targets else ""
            raise DataError(
                f"corpus {self.name}: no training domain '{name}'{also}; {hint(name, self.domains)}"
            )
        if name not in self.targets:
            raise DataError(f"corpus {self.name}: no target '{name}'; {hint(name, self.targets)}")

    def _documents(self, name: str, split: str) -> Documents:
        if name not in self.illustrated:
            raise DataError(f"corpus {self.name}: domain '{name}' is text without pictures")
        path = self.path / f"{name}.{split}.arrayrecord"
        if not path.is_file() or not path.with_suffix(".index").is_file():
            raise self._damaged(path, "is missing")
        found = Documents(path, self.tokenizer.dtype)
        if len(found) != self.info["domains"][name][split]["documents"]:
            raise self._damaged(path, "is cut short")
        return found

    def _stream(self, name: str, split: str) -> np.ndarray:
        if name in self.illustrated:
            raise DataError(
                f"corpus {self.name}: domain '{name}' has pictures, which text models cannot read"
            )
        count = self.info["domains"][name][split]["tokens"]
        path = self.path / f"{name}.{split}.bin"
        if not path.is_file() or path.stat().st_size != count * self.tokenizer.dtype.itemsize:
            raise self._damaged(path, "is missing or cut short")
        if not count:
            return np.zeros(0, self.tokenizer.dtype)  # an empty file cannot be mapped
        return np.memmap(path, self.tokenizer.dtype, "r")


def open_corpus(corpus: str | Path) -> Corpus:
    """Opens a corpus that was prepared before.

    Args:
        corpus: its folder; or the folder's name under `JAXMIX_CACHE`/corpora; or the corpus's name,
            with or without its tokenizer, if only one corpus has it: `text-mini-bpe-1024`.

    Raises:
        DataError: there is none, there are several, or its files are damaged.
    """
    path = _find(corpus)
    info = _info(path)
    if info.get("format") != FORMAT:
        raise DataError(f"{path}: was made by another version of jaxmix; prepare it again")
    tokenizer = _tokenizer(path, info)
    try:
        opened = Corpus(path, info, tokenizer)
        for held, split in itertools.product(info["domains"].values(), SPLITS):
            _ = [held[split][key] + 0 for key in ("documents", "bytes")]
        changed = bool(opened.hash) and tokenizer.hash != info["tokenizer"]["sha256"]
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path / "corpus.json", f"lacks {error}") from None
    if changed:
        raise DataError(f"{path}: its tokenizer.json was changed; delete it and prepare it again")
    return opened


def _tokenizer(path: Path, info: dict[str, Any]) -> Tokenizer:
    file, facts = path / "tokenizer.json", info.get("tokenizer")
    end = facts.get("end") if isinstance(facts, dict) else None
    try:
        return load_tokenizer(file.read_text(encoding="utf-8"), end)
    except (OSError, UnicodeDecodeError, DataError) as error:
        raise _damaged(file, error) from None


def prepared() -> list[Path]:
    """The folders of all prepared corpora that this version reads, by name."""
    return [path for path, info in _manifests() if info.get("format") == FORMAT]


def survey() -> tuple[list[Corpus], list[str]]:
    """All prepared corpora that this version reads, and what is wrong with those it cannot."""
    opened, damages = [], []
    for path in _folders():
        try:
            if _info(path).get("format") == FORMAT:
                opened.append(open_corpus(path))
        except DataError as error:
            damages.append(str(error))
    return opened, damages


def _folders() -> list[Path]:
    found = sorted(path.parent for path in corpora().glob("*/corpus.json"))
    return [path for path in found if path.suffix != ".partial"]


def _manifests() -> Iterator[tuple[Path, dict[str, Any]]]:
    """All folders of corpora with what is in `corpus.json`, without those where that is damaged."""
    for path in _folders():
        with contextlib.suppress(DataError):
            yield path, _info(path)


def _info(path: Path) -> dict[str, Any]:
    """The content of `corpus.json`."""
    file = path / "corpus.json"
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _damaged(file, error.strerror) from None
    except (ValueError, RecursionError) as error:
        raise _damaged(file, json_fault(error)) from None
    if not isinstance(info, dict):
        raise _damaged(file, "it holds no JSON object")
    return info


def _damaged(file: Path, why: object) -> DataError:
    folder = file.parent
    return DataError(f"{file}: is damaged ({clip(why)}); delete {folder} and prepare it again")


def _find(corpus: str | Path) -> Path:
    path = Path(corpus)
    if (path / "corpus.json").is_file():
        return path
    name = str(corpus)
    manifests = dict(_manifests())
    there = [p for p, info in manifests.items() if info.get("format") == FORMAT]
    # A corpus goes by its folder, its name, or its name with the tokenizer; a damaged one has only
    # its folder.
    names = {p: (p.name, manifests[p].get("name"), p.name.rpartition("-")[0]) for p in there}
    damaged = [p for p in _folders() if p not in manifests and f"{p.name}-".startswith(f"{name}-")]
    meant = [p for p in there if name in names[p]] or damaged[:1]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise DataError(f"'{name}' is prepared in several ways; name one: {_names(meant)}")
    raise DataError(
        f"'{name}' is not a prepared corpus ({_names(there) or 'there are none'}); make it with "
        f"jaxmix data prepare {name}"
    )


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)
