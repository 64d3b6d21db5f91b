"""What extractors of pictures yield: documents of text and pictures, in reading order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A picture as it was found or rendered.

    Attributes:
        data: an encoded image (PNG, JPEG, WebP, GIF, ...).
        name: where it is from, for messages.
    """

    data: bytes
    name: str


@dataclass(frozen=True)
class Document:
    """Text and pictures in reading order.

    A caption pair is ``(picture, caption)``; a page is any sequence.

    Attributes:
        parts: strings and pictures, in order.
        keys: identities besides the pictures' own content: documents of any domain that share one
            stay on one side of the held-out split (an emoji in two skin tones, a screenshot in
            light and dark).
        name: where it is from, for messages.
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
        """Its text, a line for each part."""
        return "\n".join(part for part in self.parts if isinstance(part, str))
