"""A corpus of two domains of random letters, and a barely trained study of it."""

import pathlib
from collections.abc import Mapping

import numpy as np
import pytest

from jaxmix.data import Corpus, prepare, write_texts
from jaxmix.studies import CorpusSpec, Size, Study, make_plan, run_plan


def train(root: pathlib.Path, mixtures: Mapping[str, Mapping[str, float]], tokens: int) -> Corpus:
    """Writes texts, cache and study below a folder; every run keeps its parameters."""
    rng = np.random.default_rng(0)
    letters = {"low": list("abcde    "), "high": list("vwxyz    ")}
    texts = ((d, "".join(rng.choice(held, 300))) for d, held in letters.items() for _ in range(60))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXMIX_CACHE", str(root / "cache"))
        corpus = prepare(write_texts(root / "texts", texts), tokenizer="bytes", name="mine")
    study = Study(
        CorpusSpec(str(corpus.path)),
        (Size("tiny-16", tokens),),
        mixtures=mixtures,
        checkpoints=2,
        batch=4,
        length=64,
        held_windows=4,
        overrides={"depth": 1},
    )
    plan = make_plan(study, corpus)
    (root / "study").mkdir()
    plan.save(root / "study" / "plan.json")
    run_plan(plan, root / "study", corpus=corpus, keep_final=True)
    return corpus
