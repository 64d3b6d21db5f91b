"""Cutting documents into pieces and packing pieces into rows, from their lengths alone."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .store import PICTURE


@dataclass(frozen=True)
class Span:
    """Part of a part of a document.

    Attributes:
        index: index of the part in its document; None for an end-of-text token.
        first: its first token.
        last: the token behind its last one; for a picture, the number of patches.
        is_picture: whether it is a whole picture.
    """

    index: int | None
    first: int
    last: int
    is_picture: bool = False

    @property
    def size(self) -> int:
        """Number of tokens or patches."""
        return self.last - self.first


@dataclass(frozen=True)
class Piece:
    """The part of one document that is in one row."""

    document: int
    parts: tuple[Span, ...]

    @property
    def positions(self) -> int:
        """Positions that it takes: its last token is only a target."""
        return sum(part.size for part in self.parts) - 1


_END = Span(None, 0, 1)


def cut(document: int, parts: Sequence[int], patches: int, length: int) -> Iterator[Piece]:
    """The pieces of a document, each of at most `length` positions.

    Text is cut at the end of a row, and neighbors share one token; pictures are not cut. Pieces
    without text to predict are left out.

    Args:
        document: index of the document.
        parts: number of tokens of each part, PICTURE for a picture.
        patches: number of patches of a picture.
        length: positions of a row.

    >>> [piece.positions for piece in cut(0, [PICTURE, 5], patches=4, length=16)]
    [9]
    >>> [piece.positions for piece in cut(0, [20], patches=4, length=16)]
    [16, 5]
    """
    held: list[Span] = []
    room = length + 1
    for span in _spans(parts, patches):
        while span.size:
            if span.is_picture and span.size >= room:  # nothing could be predicted after it
                yield from _piece(document, held)
                held, room = [], length + 1
            taken = Span(span.index, span.first, min(span.last, span.first + room), span.is_picture)
            held.append(taken)
            room -= taken.size
            span = Span(span.index, taken.last, span.last, span.is_picture)
            if not room:
                yield from _piece(document, held)
                # The last token is seen again, to predict the one behind it.
                held, room = [Span(taken.index, taken.last - 1, taken.last)], length
    yield from _piece(document, held)


def _spans(parts: Sequence[int], patches: int) -> Iterator[Span]:
    """A document with an end-of-text token behind it, and one before it if it begins with text."""
    if parts and parts[0] != PICTURE:
        yield _END
    for index, size in enumerate(parts):
        yield Span(index, 0, patches, True) if size == PICTURE else Span(index, 0, size)
    yield _END


def _piece(document: int, held: list[Span]) -> Iterator[Piece]:
    if any(not span.is_picture for i, span in enumerate(held) if i or span.size > 1):
        yield Piece(document, tuple(held))


def packed(pieces: Sequence[Piece], length: int) -> tuple[tuple[Piece, ...], ...]:
    """Packs pieces into rows of `length` positions, each as full as the remaining sizes allow.

    A row takes the longest piece for which the remaining sizes can fill the rest of the row best.
    The same pieces give the same rows.
    """
    waiting: dict[int, list[Piece]] = defaultdict(list)
    for piece in reversed(pieces):
        waiting[piece.positions].append(piece)
    sizes = sorted(waiting, reverse=True)
    sums = _sums(sizes, length)
    rows: list[tuple[Piece, ...]] = []
    while sizes:
        row: list[Piece] = []
        room = length
        while (fill := _most(sums, room)) > 0:
            size = next(n for n in sizes if n <= room and n + _most(sums, room - n) == fill)
            row.append(waiting[size].pop())
            room -= size
            if not waiting[size]:
                sizes.remove(size)
                sums = _sums(sizes, length)
        rows.append(tuple(row))
    return tuple(rows)


def _sums(sizes: Sequence[int], most: int) -> int:
    """Totals up to `most` that are sums of these sizes, each used any number of times, as bits."""
    found, mask = 1, (2 << most) - 1
    for size in sizes:
        step = size
        while step <= most:  # 1, 2, 4, ... of them are added
            found |= (found << step) & mask
            step *= 2
    return found


def _most(sums: int, room: int) -> int:
    """The greatest total that fits."""
    return (sums & ((2 << room) - 1)).bit_length() - 1
