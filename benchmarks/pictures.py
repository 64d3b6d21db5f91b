"""Domains of the image families to measure on: a prepared corpus's, or made ones of like shapes."""

import atexit
import functools
import pathlib
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from jaxmix.data import (
    Captioned,
    Corpus,
    DataError,
    Documents,
    Geometry,
    PackedRows,
    Records,
    TextRows,
    TokenWindows,
    open_captioned,
    open_corpus,
    open_rows,
)
from jaxmix.data.pictures import png, quick
from jaxmix.data.store import PICTURE, Index, Part, pack, write_records
from jaxmix.models import PatchGrid

VOCABULARY = 1024
CORPORA = {"multimodal": "nmm", "vision": "lvm"}
MADE, SIDE, END, KIND = 400, 48, 0, np.dtype(np.uint16)  # documents of a made domain, pixels, ...
CAPTIONED = "image_caption"  # the domain of `nmm` that is pictures and captions alone


LARGE = PatchGrid(224, 14)
KINDS = ("photographs", "drawings")

Domains = dict[str, Records]


@functools.cache
def pictured(family: str, geometry: Geometry, length: int) -> Domains:
    """Training domains by name, the same ones for all who ask; arguments as of `opened`."""
    return opened(family, geometry, length)


def opened(family: str, geometry: Geometry, length: int) -> Domains:
    """Training domains by name, of whose pictures none is decoded yet.

    Args:
        family: "multimodal" or "vision".
        geometry: of the model.
        length: positions of a record.
    """
    corpus = _corpus(family)
    if corpus is None:
        return _made(family, geometry, length)
    one = open_rows if family == "multimodal" else open_captioned
    return {name: one(corpus, name, "train", length, geometry) for name in corpus.domains}


def origin(family: str) -> str:
    """Where the domains are from."""
    corpus = _corpus(family)
    return f"made of {MADE} documents" if corpus is None else f"{corpus.name} {corpus.hash}"


def images(batch: Mapping[str, np.ndarray], geometry: Geometry) -> int:
    """Pictures of a batch, of one member or of several."""
    if "is_patch" in batch:
        return int(batch["is_patch"].sum()) // geometry.patches
    return batch["patches"][..., 0, 0].size


def _corpus(family: str) -> Corpus | None:
    """A corpus opened anew, or None where none is prepared, or several are."""
    for name in (CORPORA[family], f"{CORPORA[family]}-mini"):
        try:
            return open_corpus(f"{name}-bpe-{VOCABULARY}")
        except DataError:
            pass
    return None


def _made(family: str, geometry: Geometry, length: int) -> Domains:
    captions = Documents(_written() / "captions.arrayrecord", KIND)
    if family == "vision":
        slots = length - geometry.patches
        return {"captions": Captioned(captions, geometry, slots, END, KIND)}
    pages = Documents(_written() / "pages.arrayrecord", KIND)
    return {
        "text": TextRows(TokenWindows(_stream(), length), geometry, END),
        CAPTIONED: PackedRows.of(captions, geometry, length, END, KIND),
        "interleaved": PackedRows.of(pages, geometry, length, END, KIND),
    }


def large(kind: str, count: int = 192) -> Captioned:
    """Captioned pictures of 256 pixels for models of 224, none of which is ever kept decoded."""
    path, rng = _written() / f"{kind}-{count}.arrayrecord", np.random.default_rng(0)
    if not path.exists():
        make = _photograph if kind == "photographs" else functools.partial(_drawing, side=256)
        kept = [quick(make(rng)) for _ in range(24)]  # as preparing a corpus keeps them
        caption = Part(np.full(8, 7, KIND).tobytes(), False)
        write_records(path, (pack([Part(kept[i % 24], True), caption]) for i in range(count)))
        Index.of([[PICTURE, 8]] * count, [True] * count).save(path.with_suffix(".index"))
    documents = Documents(path, KIND)
    documents._left = 0
    return Captioned(documents, LARGE, 16, END, KIND)


def _photograph(rng: np.random.Generator, height: int = 256, width: int = 341) -> bytes:
    """Noise with the spectrum of photographs, whose PNG is as large as theirs."""
    waves = np.fft.rfft2(rng.normal(size=(3, height, width)))
    lengths = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    lengths[0, 0] = 1
    values = np.fft.irfft2(waves / lengths**1.5, s=(height, width))
    pixels = 128 + 50 * (values - values.mean()) / values.std()
    return png(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8).transpose(1, 2, 0)))


def _stream() -> np.ndarray:
    """Random tokens, in documents of about 1,800."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, VOCABULARY, 200_000)
    return np.where(rng.random(tokens.size) < 1 / 1800, END, tokens).astype(KIND)


@functools.cache
def _written() -> pathlib.Path:
    """A folder that lasts as long as the process, with pairs and pages."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    rng = np.random.default_rng(0)
    pairs = [[PICTURE, int(n)] for n in rng.integers(3, 13, MADE)]
    pages = [[int(n), PICTURE, 8, PICTURE, 8] for n in rng.integers(40, 200, MADE)]
    for name, shapes in {"captions": pairs, "pages": pages}.items():
        path = pathlib.Path(folder.name) / f"{name}.arrayrecord"
        write_records(path, (_document(parts, rng) for parts in shapes))
        Index.of(shapes, [name == "captions"] * MADE).save(path.with_suffix(".index"))
    return pathlib.Path(folder.name)


def _document(parts: Sequence[int], rng: np.random.Generator) -> bytes:
    def one(size: int) -> Part:
        if size == PICTURE:
            return Part(_drawing(rng), True)
        return Part(rng.integers(1, VOCABULARY, size).astype(KIND).tobytes(), False)

    return pack([one(size) for size in parts])


def _drawing(rng: np.random.Generator, side: int = SIDE) -> bytes:
    """A picture of a few colored discs, as a PNG."""
    image = Image.new("RGB", (side, side), "white")
    for x, y, r in rng.integers(side // 12, side // 2, (6, 3)).tolist():
        color = tuple(rng.integers(0, 256, 3).tolist())
        ImageDraw.Draw(image).ellipse((2 * x - r, 2 * y - r, 2 * x + r, 2 * y + r), fill=color)
    return png(image)
