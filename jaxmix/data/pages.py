"""Pages of manuals with their pictures in reading order, from built HTML inside wheels."""

import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from .documents import Document, Picture
from .extract_pictures import picture_dictionary
from .html_parts import PageImage, page_parts
from .pictures import UnreadablePicture, measured
from .text import decode

_LEAST_SIDE = 48  # pixels; smaller pictures are icons in a line
_MOST_PAGES = 5  # pictures on more pages belong to the layout
_SHADE = re.compile(r"[-_.]?(light|dark)(?=[-_.])")
_FILE_NAME = re.compile(r"\S+\.\w{2,4}|\S*/\S*")


def manuals(*wheels: zipfile.ZipFile, size: int = 0) -> Iterator[Document]:
    """Pages with pictures from the manuals inside wheels: their `*/docs/*.html`.

    If there is a light and a dark screenshot, the light one is used. Logos, pictures under 48
    pixels and those on more than 5 pages are left out. An alternative text follows its picture as a
    line if it has two words or more and is neither a path nor the caption. Pages that show the same
    picture share a key.

    Args:
        wheels: wheels with built HTML.
        size: ignored, because pictures are kept as they are.
    """
    for wheel in wheels:
        yield from _Manual(wheel).documents()


class _Manual:
    """The pages of one wheel."""

    def __init__(self, wheel: zipfile.ZipFile) -> None:
        self._wheel = wheel
        self._files = frozenset(wheel.namelist())
        self._large: dict[str, bool] = {}

    def documents(self) -> Iterator[Document]:
        names = sorted(n for n in self._files if "/docs/" in n and n.endswith(".html"))
        pages = {name: page_parts(decode(self._wheel.read(name))) for name in names}
        found = {name: self._paths(name, parts) for name, parts in pages.items()}
        uses = Counter(path for paths in found.values() for path in set(paths.values()))
        for name, parts in pages.items():
            kept = {i: path for i, path in found[name].items() if uses[path] <= _MOST_PAGES}
            document = self._document(name, parts, kept)
            if document.pictures and document.text:
                yield document

    def _paths(self, page: str, parts: list[str | PageImage]) -> dict[int, str]:
        """Files of a page's usable images, by the number of the part."""
        paths = {}
        for i, part in enumerate(parts):
            path = None if isinstance(part, str) else self._path(page, part)
            if path and self._is_large(path):
                paths[i] = path
        return paths

    def _path(self, page: str, image: PageImage) -> str | None:
        """The file of an image, or None for logos, missing files and dark copies of light ones."""
        url = urlsplit(image.src)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(url.path)))
        name = posixpath.basename(path).lower()
        if url.scheme or path not in self._files or "logo" in name or url.fragment == "only-dark":
            return None
        light = {without_shade(path), re.sub(r"dark(?=[-_.][^/]*$)", "light", path)} - {path}
        return None if "dark" in name and light & self._files else path

    def _is_large(self, path: str) -> bool:
        if path not in self._large:
            try:
                self._large[path] = min(measured(self._wheel.read(path))) >= _LEAST_SIDE
            except UnreadablePicture:
                self._large[path] = False
        return self._large[path]

    def _document(self, name: str, parts: list[str | PageImage], paths: dict[int, str]) -> Document:
        made: list[str | Picture] = []
        for i, part in enumerate(parts):
            if isinstance(part, str):
                _add_text(made, part)
            elif i in paths:
                made.append(Picture(self._wheel.read(paths[i]), paths[i]))
                caption = parts[i + 1] if i + 1 < len(parts) else ""
                _add_text(made, part.alt if _says_something(part.alt, caption) else "")
        keys = frozenset(f"screenshot:{without_shade(path)}" for path in paths.values())
        return Document(tuple(made), keys, name)


def _add_text(parts: list[str | Picture], text: str) -> None:
    """Adds a text to the parts, or to the last part if that is a text."""
    if parts and text and isinstance(parts[-1], str):
        parts[-1] = f"{parts[-1]}\n{text}"
    elif text:
        parts.append(text)


def _says_something(alt: str, after: str | PageImage) -> bool:
    """Whether an alternative text is words that differ from the caption after it."""
    words = " " in alt and not any(map(_FILE_NAME.fullmatch, alt.split()))
    return words and not (isinstance(after, str) and after.startswith(alt))


def without_shade(path: str) -> str:
    """A path without the words light and dark in its file's name.

    >>> without_shade("docs/light/form-light.png") == without_shade("docs/light/form_dark.png")
    True
    """
    folder, name = posixpath.split(path)
    return posixpath.join(folder, _SHADE.sub("", name))


def interleaved(*archives: zipfile.ZipFile, size: int) -> Iterator[Document]:
    """The picture dictionary, then manuals.

    Args:
        archives: the four archives of `picture_dictionary`, then wheels of manuals.
        size: size of rendered vector graphics, in pixels.
    """
    yield from picture_dictionary(*archives[:4], size=size)
    yield from manuals(*archives[4:], size=size)
