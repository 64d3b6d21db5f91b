"""What a finished run of an image family makes of held-out pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxmix.data import Corpus, image_of, patches_of, spaced
from jaxmix.errors import JaxmixError
from jaxmix.models import TextConfig, VisionConfig, predict_patches, write_captions
from jaxmix.studies.domains import targets_of
from jaxmix.studies.families import Built
from jaxmix.studies.plan import Study, build, load_plan
from jaxmix.studies.run import wave_folder
from jaxmix.training import load_final

CAPTION = 16  # tokens that are written


@dataclass(frozen=True)
class FinishedRun:
    """A trained model with what it was trained on.

    Attributes:
        run: its name.
        study: that it is of.
        corpus: its data.
        built: its model.
        params: its final parameters.
    """

    run: str
    study: Study
    corpus: Corpus
    built: Built
    params: Any


@dataclass(frozen=True)
class Look:
    """A held-out picture and what a model makes of it.

    Attributes:
        target: domain that it is from.
        picture: as the model sees it, uint8 [S, S, 3].
        caption: that it has.
        written: that the model writes.
        expected: the same picture as the model expects it, patch by patch in reading order, each
            from the true ones before it; the first is given, and so are mean and contrast of every
            patch. None for models that predict no patches.
    """

    target: str
    picture: np.ndarray
    caption: str
    written: str
    expected: np.ndarray | None = None


def finished_run(folder: Path, run: str | None = None, corpus: Corpus | None = None) -> FinishedRun:
    """The model that a run left in a study's folder.

    Args:
        folder: of `jaxmix train`, or of a study that kept final parameters.
        run: its name; None for the only one, or the first.
        corpus: its data, where they are open already.

    Raises:
        JaxmixError: there is no plan, no such run, or no parameters.
    """
    plan = load_plan(Path(folder) / "plan.json")
    name = run or plan.runs[0].run
    waves = [wave for wave in plan.waves if name in [one.run for one in wave.runs]]
    if not waves:
        names = [one.run for one in plan.runs]
        some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise JaxmixError(f"{folder}: no run '{name}'; it holds {some}")
    corpus = corpus or plan.study.corpus.open()
    if corpus.hash != plan.corpus_hash:
        raise JaxmixError(f"{folder}: was trained on other data than {corpus.path}")
    built = build(plan.study, waves[0].preset, corpus)
    params = load_final(wave_folder(Path(folder), waves[0]), built.model, name)
    return FinishedRun(name, plan.study, corpus, built, params)


def look(found: FinishedRun, count: int = 8, targets: Sequence[str] | None = None) -> list[Look]:
    """Lets a model write captions for held-out pictures, and predict their patches if it can.

    Args:
        found: a run of an image family.
        count: pictures of every target, evenly spaced.
        targets: domains of captioned pictures; None for all.

    Raises:
        JaxmixError: the model reads no pictures, or a target is not one of captioned pictures.
    """
    corpus = found.corpus
    if isinstance(found.built.config, TextConfig):
        raise JaxmixError(f"run {found.run} is of a text model, which sees no pictures")
    known = [
        name
        for name in targets_of(found.study, corpus)
        if name in corpus.illustrated and corpus.documents(name, "heldout").are_pairs
    ]
    if not known:
        raise JaxmixError(
            f"{corpus.name} has no captioned pictures that run {found.run} could read"
        )
    for name in targets or ():
        if name not in known:
            raise JaxmixError(
                f"'{name}' is no target of captioned pictures; known: {', '.join(known)}"
            )
    return [one for name in targets or known for one in _of_target(found, name, count)]


def _of_target(found: FinishedRun, target: str, count: int) -> list[Look]:
    config, corpus = found.built.config, found.corpus
    assert not isinstance(config, TextConfig)
    documents, tokenizer = corpus.documents(target, "heldout"), corpus.tokenizer
    pairs = [documents[int(i)] for i in spaced(count, len(documents))]
    count = len(pairs)
    patches = patches_of([picture for picture, _ in pairs], config.grid)
    written = write_captions(config, found.params, patches, tokenizer.end, CAPTION)
    expected: Sequence[np.ndarray | None] = [None] * count
    if isinstance(config, VisionConfig):
        expected = _expected(config, found.params, patches)
    return [
        Look(
            target,
            image_of(patches[i], config.grid),
            tokenizer.decode(pairs[i][1]),
            tokenizer.decode(np.asarray(written[i])),
            expected[i],
        )
        for i in range(count)
    ]


def _expected(config: VisionConfig, params: Any, patches: np.ndarray) -> list[np.ndarray]:
    """Pictures of predicted patches, with the true patches' mean and contrast."""
    batch = {"patches": patches, "prefix": np.ones(len(patches), np.int32)}
    found = np.asarray(predict_patches(config, params, batch))
    true = patches[:, 1:].astype(np.float32)
    mean, contrast = true.mean(-1, keepdims=True), true.std(-1, keepdims=True)
    pixels = np.rint((mean + contrast * found).clip(0, 255)).astype(np.uint8)
    whole = np.concatenate([patches[:, :1], pixels], axis=1)
    return [image_of(one, config.grid) for one in whole]
