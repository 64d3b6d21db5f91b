"""Records of a vision model: one picture, its caption, and how much of it is seen at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .augment import Geometry, patches_of
from .draws import mixed, uniforms
from .errors import DataError
from .store import Documents


@dataclass(frozen=True)
class Captioned:
    """Pictures with captions, one a record.

    The arrays of n records: `patches` uint8 [n, K, P]; `prefix` [n], the patches that see one
    another, 1 to K - 1; `tokens` [n, S], the caption behind a start marker; `targets` [n, S], the
    caption and its end; `counted` [n, S], 1 where there is a target.

    Attributes:
        documents: a picture and a text each.
        geometry: of the pictures.
        slots: tokens S that are predicted of a caption at most; longer ones are cut.
        end: the end-of-text token, which is also the start marker.
        kind: type of the tokens.
        count: of the documents, from the first; None for all.
    """

    documents: Documents
    geometry: Geometry
    slots: int
    end: int
    kind: np.dtype
    count: int | None = None

    @classmethod
    def of(
        cls,
        documents: Documents,
        geometry: Geometry,
        slots: int,
        end: int,
        kind: np.dtype,
        what: str,
    ) -> Captioned:
        """Checks that every document is a picture and its caption.

        Args:
            documents: of one side of a domain.
            geometry: of the pictures.
            slots: tokens of a caption.
            end: the end-of-text token.
            kind: type of the tokens.
            what: names the domain in messages.

        Raises:
            DataError: one is not.
        """
        if not documents.are_pairs:
            raise DataError(
                f"{what}: a vision model reads pictures with one caption each, and some of its "
                "documents are pages; train a multimodal one, or leave the domain out"
            )
        if slots < 1:
            raise DataError(
                f"{what}: no place for a caption behind {geometry.patches} patches; choose a "
                "greater length"
            )
        return cls(documents, geometry, slots, end, kind)

    def __len__(self) -> int:
        return len(self.documents) if self.count is None else self.count

    def take(self, indices: np.ndarray, draws: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The records of these indices; `draws` decide crops, mirroring and prefixes."""
        found = [self.documents[int(i)] for i in indices]
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
