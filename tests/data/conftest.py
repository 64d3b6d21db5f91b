"""A cache of its own for every test, small wheels, and one small corpus of two domains and more."""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from jaxmix.data import Corpus, prepare, write_texts

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]


def sentences(seed: int, count: int, words: list[str]) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words, 40)) + f" {seed}.{i}." for i in range(count)]


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The folder that JAXMIX_CACHE names."""
    path = tmp_path / "cache"
    monkeypatch.setenv("JAXMIX_CACHE", str(path))
    return path


@pytest.fixture
def wheel(tmp_path) -> Callable[[Mapping[str, object]], zipfile.ZipFile]:
    """``wheel({"a/b.json": {...}})``: an open archive; what is no text or bytes becomes JSON."""

    def make(files: Mapping[str, object]) -> zipfile.ZipFile:
        path = tmp_path / "made.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, held in files.items():
                whole = isinstance(held, str | bytes)
                archive.writestr(name, held if whole else json.dumps(held))
        return zipfile.ZipFile(path)

    return make


@pytest.fixture(scope="session")
def texts() -> dict[str, list[str]]:
    """Documents by domain."""
    return {
        "greek": sentences(1, 300, WORDS),
        "latin": sentences(2, 200, [word[::-1] for word in WORDS]),
        "rare": sentences(3, 60, [word.upper() for word in WORDS]),
    }


@pytest.fixture(scope="session")
def corpus(tmp_path_factory, texts) -> Corpus:
    """Training domains greek and latin, target-only rare; bpe-300."""
    root = tmp_path_factory.mktemp("corpus")
    folder = write_texts(root / "mine", ((d, text) for d, held in texts.items() for text in held))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXMIX_CACHE", str(root / "cache"))
        return prepare(folder, tokenizer="bpe-300", target_only=["rare"])
