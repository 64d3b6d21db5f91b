"""One corpus of one's own, of three domains, tokenized as bytes; trains in seconds."""

import numpy as np
import pytest

from jaxmix.data import Corpus, prepare
from jaxmix.studies import CorpusSpec, Design, Size, Study

ALPHABETS = {"low": "abcde ", "high": "vwxyz ", "mixed": "abvwyz "}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Corpus:
    """Training domains low and high; mixed is a target only."""
    root = tmp_path_factory.mktemp("study")
    (root / "mine").mkdir()
    rng = np.random.default_rng(0)
    for name, letters in ALPHABETS.items():
        lines = ["".join(rng.choice(list(letters), 200)) for _ in range(300)]
        folder = root / "mine" / name
        folder.mkdir()
        for i, line in enumerate(lines):
            (folder / f"{i:03}.txt").write_text(line)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXMIX_CACHE", str(root / "cache"))
        return prepare(root / "mine", tokenizer="bytes", target_only=["mixed"])


@pytest.fixture
def study(corpus) -> Study:
    """Two mixtures at one size, two seeds, two checkpoints."""
    return Study(
        CorpusSpec(str(corpus.path)),
        (Size("tiny-16", 4 * 8 * 32),),
        designs=(Design("uniform"),),
        mixtures={"mostly-low": {"low": 0.75, "high": 0.25}},
        seeds=(0, 1),
        checkpoints=2,
        batch=8,
        length=32,
        held_windows=8,
    )
