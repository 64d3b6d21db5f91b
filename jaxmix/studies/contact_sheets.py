"""Pictures for contact sheets: held-out ones, with captions and predictions of a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmix.data import image_of, is_captioned, patches_of, spaced
from jaxmix.errors import JaxmixError
from jaxmix.models import TextConfig, VisionConfig, predict_patches, write_captions
from jaxmix.studies.finished import FinishedRun
from jaxmix.studies.study import targets_of

CAPTION = 16  # tokens that are written


@dataclass(frozen=True)
class CaptionedPicture:
    """A held-out picture, with the model's caption and prediction.

    Attributes:
        target: domain of the picture.
        picture: the picture as the model sees it, uint8 [S, S, 3].
        caption: its caption.
        written: the caption that the model wrote.
        expected: the picture as the model predicts it, patch by patch in reading order, each from
            the true ones before it; the first patch is given, and so are mean and contrast of every
            patch. None if the model predicts no patches.
    """

    target: str
    picture: np.ndarray
    caption: str
    written: str
    expected: np.ndarray | None = None


def caption_pictures(
    found: FinishedRun, count: int = 8, targets: Sequence[str] | None = None
) -> list[CaptionedPicture]:
    """Lets a model write captions for held-out pictures, and predict their patches if it can.

    Args:
        found: a run of an image family.
        count: number of pictures per target, evenly spaced.
        targets: domains of captioned pictures; None for all.

    Raises:
        JaxmixError: the model reads no pictures, or a target has no captioned pictures.
    """
    corpus = found.corpus
    if isinstance(found.built.config, TextConfig):
        raise JaxmixError(f"run {found.run} is of a text model, which sees no pictures")
    known = [name for name in targets_of(found.study, corpus) if is_captioned(corpus, name)]
    if not known:
        raise JaxmixError(
            f"{corpus.name} has no captioned pictures that run {found.run} could read"
        )
    for name in targets or ():
        if name not in known:
            raise JaxmixError(
                f"'{name}' is not a target of captioned pictures; known: {', '.join(known)}"
            )
    return [one for name in targets or known for one in _of_target(found, name, count)]


def _of_target(found: FinishedRun, target: str, count: int) -> list[CaptionedPicture]:
    config, corpus = found.built.config, found.corpus
    assert not isinstance(config, TextConfig)
    documents, tokenizer = corpus.documents(target, "heldout"), corpus.tokenizer
    pairs = [documents[int(i)] for i in spaced(count, len(documents))]
    patches = patches_of([picture for picture, _ in pairs], config.grid)
    written = write_captions(config, found.params, patches, tokenizer.end, CAPTION)
    expected: Sequence[np.ndarray | None] = [None] * len(pairs)
    if isinstance(config, VisionConfig):
        expected = _expected(config, found.params, patches)
    return [
        CaptionedPicture(
            target,
            image_of(patches[i], config.grid),
            tokenizer.decode(caption),
            tokenizer.decode(np.asarray(written[i])),
            expected[i],
        )
        for i, (_, caption) in enumerate(pairs)
    ]


def _expected(config: VisionConfig, params: Any, patches: np.ndarray) -> list[np.ndarray]:
    """Pictures of predicted patches, with mean and contrast of the true patches."""
    batch = {"patches": patches, "prefix": np.ones(len(patches), np.int32)}
    found = np.asarray(predict_patches(config, params, batch))
    true = patches[:, 1:].astype(np.float32)
    mean, contrast = true.mean(-1, keepdims=True), true.std(-1, keepdims=True)
    pixels = np.rint((mean + contrast * found).clip(0, 255)).astype(np.uint8)
    whole = np.concatenate([patches[:, :1], pixels], axis=1)
    return [image_of(one, config.grid) for one in whole]
