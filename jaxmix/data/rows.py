"""Rows of an early-fusion model: documents of text and pictures, packed into a fixed length.

A row has T positions; each holds a text token or a patch of a picture. The arrays of a row::

    tokens     [T]     ids of text, 0 at patches and padding
    targets    [T]     the text token that follows
    counted    [T]     1 if it does follow, in the same document
    patches    [T, P]  raw pixels, 0 at text
    is_patch   [T]     1 at patches
    key_start  [T]     a position sees keys key_start up to but not including key_end:
    key_end    [T]     its document up to itself, and the whole of its own picture

The last token of a document is only a target and takes no position. A document that begins with
text begins with an end-of-text token, as in a text stream.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from jaxmix.errors import JaxmixError

from .augment import Geometry, patches_of
from .corpus import TokenWindows
from .draws import mixed
from .packing import Piece, cut, packed
from .store import Documents
from .workers import spread

Row = dict[str, np.ndarray]
_KEPT = 65_536  # rows without their patches, about ten bytes a position


def _empty(length: int, kind: np.dtype) -> Row:
    """A row of padding: every position sees itself."""
    positions = np.arange(length, dtype=np.int16 if length < 2**15 else np.int32)
    row = {name: np.zeros(length, np.uint8) for name in ("counted", "is_patch")}
    row |= {name: np.zeros(length, kind) for name in ("tokens", "targets")}
    return row | {"key_start": positions.copy(), "key_end": positions + 1}


@dataclass(frozen=True)
class TextRows:
    """Rows of text alone, from windows of a token stream.

    Attributes:
        windows: windows of the stream.
        geometry: how pictures in the rows of other domains are cut.
        end: the end-of-text token, which begins a document here.
    """

    windows: TokenWindows
    geometry: Geometry
    end: int

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, indices: np.ndarray, draws: np.ndarray | None = None) -> Row:
        """Rows of these indices, each array [n, T, ...]."""
        tokens = self.windows.take(indices)["tokens"]
        n, length = tokens.shape[0], self.windows.length
        row = {k: np.tile(v, (n, 1)) for k, v in _empty(length, tokens.dtype).items()}
        starts = tokens[:, :-1] == self.end
        begun = np.where(starts, np.arange(length), 0)
        return {
            **row,
            "tokens": tokens[:, :-1],
            "targets": tokens[:, 1:],
            "counted": np.ones_like(row["counted"]),
            "key_start": np.maximum.accumulate(begun, axis=1).astype(row["key_start"].dtype),
            "patches": np.zeros((n, length, self.geometry.patch_dim), np.uint8),
        }


@dataclass(frozen=True)
class _Placed:
    """A picture in a row: the position of its first patch, its document and its part of that."""

    position: int
    document: int
    part: int


@dataclass(frozen=True)
class PackedRows:
    """Rows of documents with pictures.

    Attributes:
        documents: the documents that are packed.
        geometry: how pictures are cut.
        rows: the pieces of documents in every row.
        length: positions T of a row.
        end: the end-of-text token.
        kind: dtype of the tokens.
    """

    documents: Documents
    geometry: Geometry
    rows: tuple[tuple[Piece, ...], ...]
    length: int
    end: int
    kind: np.dtype

    @classmethod
    def of(
        cls, documents: Documents, geometry: Geometry, length: int, end: int, kind: np.dtype
    ) -> "PackedRows":
        """Packs documents; those longer than a row are cut, but never inside a picture.

        Raises:
            JaxmixError: a single picture does not fit into a row.
        """
        if geometry.patches + 1 > length:
            raise JaxmixError(
                f"a picture has {geometry.patches} patches and a row {length} positions; choose "
                "longer rows or larger patches"
            )
        each = (cut(i, documents.parts(i), geometry.patches, length) for i in range(len(documents)))
        pieces = [piece for found in each for piece in found]
        return cls(documents, geometry, packed(pieces, length), length, end, kind)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def waste(self) -> float:
        """Share of the positions that are padding."""
        used = sum(piece.positions for row in self.rows for piece in row)
        return 1 - used / (self.length * max(len(self), 1))

    def take(self, indices: np.ndarray, draws: np.ndarray | None = None) -> Row:
        """Rows of these indices, each array [n, T, ...]; `draws` augment their pictures."""
        found = [self._row(int(i)) for i in indices]
        out = {name: np.stack([row[name] for row, _ in found]) for name in found[0][0]}
        shape = (len(found), self.length, self.geometry.patch_dim)
        out["patches"] = np.zeros(shape, np.uint8)
        placed = [(n, at) for n, (_, pictures) in enumerate(found) for at in pictures]
        if placed:
            self._fill(out["patches"], placed, draws)
        return out

    def _fill(
        self, patches: np.ndarray, placed: Sequence[tuple[int, _Placed]], draws: np.ndarray | None
    ) -> None:
        pictures = self._pictures([at for _, at in placed])
        chance = None
        if draws is not None:
            own = np.array([(at.position + 1) << 32 for _, at in placed], np.uint64)
            chance = mixed(draws[[n for n, _ in placed]] + own)
        flip = self.documents.index.flip[[at.document for _, at in placed]]
        made = patches_of(pictures, self.geometry, chance, flip)
        for (n, at), picture in zip(placed, made, strict=True):
            patches[n, at.position : at.position + self.geometry.patches] = picture

    def _pictures(self, placed: Sequence[_Placed]) -> list[Image.Image]:
        """Decoded pictures; every document is read once, and only what is asked for decoded."""
        wanted: dict[int, list[int]] = {}
        for at in placed:
            wanted.setdefault(at.document, []).append(at.part)
        found = spread(
            lambda of: self.documents.take(*of), [*wanted.items()], self.geometry.image_size
        )
        of_document = {i: iter(parts) for i, parts in zip(wanted, found, strict=True)}
        return [next(of_document[at.document]) for at in placed]

    @functools.cached_property
    def _row(self) -> Callable[[int], tuple[Row, tuple[_Placed, ...]]]:
        """Makes all of a row but its patches; many rows are kept, because they are small."""
        return functools.lru_cache(_KEPT)(self._make)

    def _make(self, i: int) -> tuple[Row, tuple[_Placed, ...]]:
        row, pictures, position = _empty(self.length, self.kind), [], 0
        for piece in self.rows[i]:
            pictures += self._lay(row, piece, position)
            position += piece.positions
        return row, tuple(pictures)

    def _lay(self, row: Row, piece: Piece, start: int) -> list[_Placed]:
        """Writes a piece into a row; returns its pictures."""
        ids, patch, pictures = self._sequence(piece, start)
        stop = start + piece.positions
        here = slice(start, stop)
        text = ~patch
        row["tokens"][here] = np.where(text, ids, 0)[:-1]
        row["targets"][here] = np.where(text, ids, 0)[1:]
        row["counted"][here] = text[1:]
        row["is_patch"][here] = patch[:-1]
        row["key_start"][here] = start
        for at in pictures:
            row["key_end"][at.position : at.position + self.geometry.patches] = (
                at.position + self.geometry.patches
            )
        return pictures

    def _sequence(self, piece: Piece, start: int) -> tuple[np.ndarray, np.ndarray, list[_Placed]]:
        """Ids and whether each is a patch, [positions + 1], and the pictures."""
        ids, marks, pictures = [], [], []
        for part in piece.parts:
            if part.index is None:
                found = np.array([self.end], self.kind)
            elif part.is_picture:
                pictures.append(_Placed(start + sum(map(len, ids)), piece.document, part.index))
                found = np.zeros(self.geometry.patches, self.kind)
            else:
                (text,) = self.documents.take(piece.document, (part.index,))
                found = text[part.first : part.last]
            ids.append(found)
            marks.append(np.full(len(found), part.is_picture))
        return np.concatenate(ids), np.concatenate(marks), pictures
