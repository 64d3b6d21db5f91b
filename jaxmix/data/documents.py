"""Documents of text and pictures in reading order, as extractors of pictures yield them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A picture as it was found or rendered.

    Attributes:
        data: an encoded image (PNG, JPEG, WebP, GIF, ...).
        name: its origin, for messages.
    """

    data: bytes
    name: str


@dataclass(frozen=True)
class Document:
    """Text and pictures in reading order.

    A caption pair is ``(picture, caption)``; a page is any sequence.

    Attributes:
        parts: strings and pictures, in order.
        keys: documents of any domain that share a key are in the same split, train or held-out (an
            emoji in two skin tones, a screenshot in light and dark).
        name: its origin, for messages.
    """

    parts: tuple[str | Picture, ...]
    keys: frozenset[str]
    name: str

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Its pictures, in order."""
        return tuple(part for part in self.parts if isinstance(part, Picture))

    @property
    def text(self) -> str:
        """Its text, one line per part."""
        return "\n".join(part for part in self.parts if isinstance(part, str))
