"""The records that image families train on, made from the splits of a domain."""

import functools
from dataclasses import dataclass

import numpy as np

from .augment import Geometry, patches_of
from .corpus import Corpus
from .draws import mixed, uniforms
from .errors import DataError
from .rows import PackedRows, TextRows
from .store import Documents
from .tokenizer import Tokenizer
from .workers import spread


@dataclass(frozen=True)
class Captioned:
    """Pictures with captions, one per record, for a vision model.

    The arrays of n records: `patches` uint8 [n, K, P]; `prefix` [n], the number of patches that see
    one another, 1 to K - 1; `tokens` [n, S], the caption behind a start marker; `targets` [n, S],
    the caption and its end; `counted` [n, S], 1 if there is a target.

    Attributes:
        documents: documents of a picture and a text each.
        geometry: how pictures are cut.
        slots: most tokens S of a caption that are predicted; longer captions are cut.
        end: the end-of-text token, which is also the start marker.
        kind: dtype of the tokens.
    """

    documents: Documents
    geometry: Geometry
    slots: int
    end: int
    kind: np.dtype

    def __len__(self) -> int:
        return len(self.documents)

    def take(self, indices: np.ndarray, draws: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The records of these indices; `draws` decide crops, mirroring and prefixes."""
        found = spread(
            self.documents.__getitem__, [int(i) for i in indices], self.geometry.image_size
        )
        chance = mixed(np.asarray(indices, np.uint64)) if draws is None else draws
        prefix = 1 + np.floor((self.geometry.patches - 1) * uniforms(chance, 6)[:, 5])
        flip = self.documents.index.flip[indices]
        patches = patches_of([picture for picture, _ in found], self.geometry, draws, flip)
        captions = self._captions([caption for _, caption in found])
        return {"patches": patches, "prefix": prefix.astype(np.int32), **captions}

    def _captions(self, captions: list[np.ndarray]) -> dict[str, np.ndarray]:
        shape = (len(captions), self.slots)
        tokens, targets = np.full(shape, self.end, self.kind), np.full(shape, self.end, self.kind)
        counted = np.zeros(shape, np.uint8)
        for i, caption in enumerate(captions):
            n = min(len(caption), self.slots)
            targets[i, :n] = caption[:n]
            tokens[i, 1 : n + 1] = caption[: min(n, self.slots - 1)]
            counted[i, : n + 1] = 1
        return {"tokens": tokens, "targets": targets, "counted": counted}


def open_rows(
    corpus: Corpus,
    name: str,
    split: str,
    length: int,
    geometry: Geometry,
) -> PackedRows | TextRows:
    """Rows of an early-fusion model, from a domain of text or one with pictures.

    Args:
        corpus: the corpus to read.
        name: name of the domain.
        split: "train" or "heldout".
        length: positions of a row.
        geometry: how pictures are cut.

    Raises:
        DataError: there is no such domain, or no whole row in it.
        JaxmixError: a picture does not fit into a row.
    """
    if name not in corpus.illustrated:
        windows = corpus.windows(name, split, length)
        return TextRows(windows, geometry, corpus.tokenizer.end)
    return _packed(corpus.documents(name, split), geometry, length, corpus.tokenizer)


def open_captioned(
    corpus: Corpus,
    name: str,
    split: str,
    length: int,
    geometry: Geometry,
) -> Captioned:
    """Captioned pictures of a vision model; the arguments are those of `open_rows`.

    A record has `length` positions: the patches, and behind them the tokens of the caption.

    Raises:
        DataError: there is no such domain, it has pages, or `length` leaves no room for captions.
    """
    where, documents = f"corpus {corpus.name}: domain '{name}'", corpus.documents(name, split)
    if not documents.are_pairs:
        raise DataError(
            f"{where}: a vision model reads pictures with one caption each, and some of its "
            "documents are pages; train a multimodal model, or leave the domain out"
        )
    if length <= geometry.patches:
        raise DataError(
            f"{where}: no room for a caption behind {geometry.patches} patches; choose a greater "
            "length"
        )
    tokenizer, slots = corpus.tokenizer, length - geometry.patches
    return Captioned(documents, geometry, slots, tokenizer.end, tokenizer.dtype)


def is_captioned(corpus: Corpus, name: str) -> bool:
    """Whether every document of a domain is one picture and its caption."""
    return name in corpus.illustrated and corpus.documents(name, "heldout").are_pairs


@functools.lru_cache(maxsize=64)
def _packed(
    documents: Documents, geometry: Geometry, length: int, tokenizer: Tokenizer
) -> PackedRows:
    """Packing takes time, and every wave of a study asks for the same rows."""
    return PackedRows.of(documents, geometry, length, tokenizer.end, tokenizer.dtype)
