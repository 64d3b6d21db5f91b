"""Corpora of some hundred kilobytes that need no download: what smoke modes train on.

The text is Python's own standard library, a different package for every domain; the pictures are
drawn here. They try the code, and nothing is learned from them.
"""

import csv
import json
import pathlib
import sysconfig
import tempfile
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from jaxmix.data import prepare
from jaxmix.studies import CorpusSpec

_PACKAGES = (
    "pydoc_data",
    "email",
    "encodings",
    "asyncio",
    "unittest",
    "multiprocessing",
    "importlib",
    "html",
    "ctypes",
    "json",
)
_BYTES = 40_000  # of a domain
_DOCUMENT = 1_000
_PICTURES = 120
_SHAPES = ("ellipse", "rectangle", "rounded_rectangle")
_COLORS = ("red", "green", "blue", "orange", "purple")


def text(domains: Sequence[str], target_only: Sequence[str] = ()) -> CorpusSpec:
    """A corpus of text with domains of these names, tokenized as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        for name, package in zip([*domains, *target_only], _PACKAGES, strict=False):
            _write_lines(pathlib.Path(folder, f"{name}.jsonl"), _pieces(package))
        return _prepared(folder, "smoke-text", target_only)


def captioned(domains: Sequence[str]) -> CorpusSpec:
    """A corpus of captioned pictures for vision models."""
    with tempfile.TemporaryDirectory() as folder:
        for seed, name in enumerate(domains):
            _draw(pathlib.Path(folder, name), seed)
        return _prepared(folder, "smoke-lvm")


def interleaved(text_name: str, captions_name: str, pages_name: str) -> CorpusSpec:
    """A corpus of text, captioned pictures and pages with pictures for early fusion."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        _write_lines(root / f"{text_name}.jsonl", _pieces(_PACKAGES[0]))
        _draw(root / captions_name, 0)
        captions = _draw(root / "figures", 1)
        (root / "figures" / "captions.csv").unlink()  # they are the pages' pictures alone
        pages = [
            {"texts": [f"On this page: {caption}.", None], "images": [None, f"figures/{file}"]}
            for file, caption in captions
        ]
        _write_lines(root / f"{pages_name}.jsonl", pages)
        return _prepared(folder, "smoke-nmm")


def _prepared(folder: str, name: str, target_only: Sequence[str] = ()) -> CorpusSpec:
    corpus = prepare(folder, tokenizer="bytes", name=name, target_only=list(target_only))
    return CorpusSpec(str(corpus.path))


def _pieces(package: str) -> list[dict[str, str]]:
    files = sorted(pathlib.Path(sysconfig.get_path("stdlib"), package).rglob("*.py"))
    whole = "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
    starts = range(0, min(len(whole), _BYTES), _DOCUMENT)
    return [{"text": whole[start : start + _DOCUMENT]} for start in starts]


def _write_lines(path: pathlib.Path, rows: Sequence[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _draw(folder: pathlib.Path, seed: int) -> list[tuple[str, str]]:
    """Colored shapes with their captions, no two alike."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(_PICTURES):
        shape, color = rng.choice(_SHAPES), rng.choice(_COLORS)
        picture = Image.new("RGB", (48, 48), "white")
        left, top = rng.integers(0, 24, 2).tolist()
        right, bottom = (np.array([left, top]) + rng.integers(8, 24, 2)).tolist()
        getattr(ImageDraw.Draw(picture), shape)((left, top, right, bottom), fill=str(color))
        picture.save(folder / f"{i}.png")
        rows.append((f"{i}.png", f"{color} {shape} at {left}, {top}, number {seed}-{i}"))
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "caption"), *rows])
    return rows
