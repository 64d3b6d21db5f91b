"""Small pictures and corpora with pictures, for the tests of rows, records and splits."""

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from jaxmix.data import Document, Picture
from jaxmix.data.planning import CorpusPlan, Source

COLORS = ("red", "green", "blue", "yellow", "purple", "orange", "gray", "pink", "brown", "cyan")


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def noise(seed: int, height: int = 20, width: int = 20) -> bytes:
    """A picture like no other."""
    rng = np.random.default_rng(seed)
    return png(rng.integers(0, 256, (height, width, 3), np.uint8))


def pair(seed: int, caption: str | None = None, *keys: str) -> Document:
    """A picture and its caption."""
    caption = caption or f"{COLORS[seed % 10]} thing number {seed}"
    return Document((Picture(noise(seed), f"{seed}.png"), caption), frozenset(keys), f"pair {seed}")


def page(seed: int, pictures: int = 2) -> Document:
    """Text, then pictures with text behind each."""
    parts: list[str | Picture] = [f"page {seed} begins with some words about {COLORS[seed % 10]}"]
    for i in range(pictures):
        parts += [Picture(noise(1000 * seed + i + 7), f"{seed}-{i}.png"), f"picture {i} of {seed}"]
    return Document(tuple(parts), frozenset(), f"page {seed}")


def texts(seed: int, count: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(COLORS, 30)) + f" {seed} {i}" for i in range(count)]


def source(name: str, documents: Sequence[Any], *, target_only: bool = False, flip: bool = False):
    """A source of a plan, from the documents that it yields."""
    illustrated = isinstance(documents[0], Document)
    facts = {
        "about": name,
        "source": "made here",
        "sha256": name,
        "license": "none",
        "target_only": target_only,
        "scarce": False,
        "pictures": illustrated,
        "flip": flip,
    }
    yields: Callable[..., Iterable[Any]] = lambda *_: iter(documents)  # noqa: E731
    return Source(name, facts, yields)


def plan(*sources: Source, size: int = 20, max_bytes: int | None = None) -> CorpusPlan:
    """A plan of these sources, with bytes as tokens."""
    return CorpusPlan("made", "for tests", sources, "bytes", max_bytes, size)


def three_domains() -> CorpusPlan:
    """Text, captioned pictures and pages, of which tests of both families are made."""
    return plan(
        source("text", texts(1, 60)),
        source("captions", [pair(i) for i in range(80)], flip=True),
        source("pages", [page(i) for i in range(30)]),
    )
