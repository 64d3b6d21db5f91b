"""Pages of manuals with their pictures in reading order, from built HTML inside wheels."""

import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

from .documents import Document, Picture
from .extract_pictures import picture_dictionary
from .pictures import UnreadablePicture, measured
from .text import decode

_LEAST_SIDE = 48  # pixels; smaller pictures are icons in a line
_MOST_PAGES = 5  # pictures on more pages belong to the layout
_SHADE = re.compile(r"[-_.]?(light|dark)(?=[-_.])")
_FILE_NAME = re.compile(r"\S+\.\w{2,4}|\S*/\S*")


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_BLOCKS = _set(
    "p div section article blockquote dl dt dd ul ol li table tr pre figure figcaption details "
    "summary br hr h1 h2 h3 h4 h5 h6"
)
_VOID = _set("area base br col embed hr img input link meta source track wbr")
_SKIPPED = _set("script style nav header footer form button select noscript template svg math")
_SKIPPED_CLASSES = _set(
    "headerlink linenos toc contents related sphinxsidebar viewcode-link md-nav md-sidebar "
    "md-content__button md-source-file md-tags"
)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class PageImage:
    """An image of a page.

    Attributes:
        src: its address, as the page has it.
        alt: its alternative text, or "".
    """

    src: str
    alt: str


def page_parts(source: str) -> list[str | PageImage]:
    r"""Text and images of the main part of an HTML page, in reading order.

    The main part is an `article` or an element with the role `main`; a page without one has no
    parts. Navigation, buttons, line numbers and scripts are left out. Blocks become lines, list
    items become lines with a dash, bars separate the cells of a table, and `pre` stays as it is.

    >>> page_parts('<h1>x</h1><article><h1>A</h1><ul><li>b<img src="c.png"></ul></article>')
    ['A\n- b', PageImage(src='c.png', alt='')]
    """
    reader = _Reader()
    reader.feed(source)
    reader.close()
    reader.flush()
    return reader.parts


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str | PageImage] = []
        self._text: list[str] = []
        # The tag of the main part, and the tag of an element that is left out, each with the number
        # of open elements of that tag. Other elements need not be closed.
        self._main: tuple[str, int] = ("", 0)
        self._skip: tuple[str, int] = ("", 0)
        self._pre = self._cells = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        if not self._main[1]:
            if tag == "article" or held.get("role") == "main":
                self._main = (tag, 1)
        elif self._skip[1]:
            self._skip = _counted(self._skip, tag, 1)
        elif tag not in _VOID and _is_skipped(tag, held.get("class", "")):
            self._skip = (tag, 1)
            self._main = _counted(self._main, tag, 1)
        else:
            self._main = _counted(self._main, tag, 1)
            self._open(tag, held)

    def handle_endtag(self, tag: str) -> None:
        if self._skip[1]:
            self._skip = _counted(self._skip, tag, -1)
            if not self._skip[1]:
                self._main = _counted(self._main, tag, -1)
        elif self._main[1]:
            self._main = _counted(self._main, tag, -1)
            self._close(tag)

    def handle_data(self, data: str) -> None:
        if not self._main[1] or self._skip[1]:
            return
        if not self._pre:
            data = _SPACE.sub(" ", data)
            if self._last() in ("", " ", "\n"):
                data = data.lstrip()
        self._text += [data] if data else []

    def _open(self, tag: str, held: dict[str, str]) -> None:
        if tag == "img":
            self._image(held)
        elif tag in ("td", "th"):
            self._cells += 1
            bar = "| " if self._last() == " " else " | "
            self._text += [bar] if self._last() not in ("", "\n") else []
        elif tag in _BLOCKS:
            self._line()
            self._text += ["- "] if tag == "li" else []
        self._pre += tag == "pre"

    def _close(self, tag: str) -> None:
        self._pre -= tag == "pre" and self._pre > 0
        self._cells -= tag in ("td", "th") and self._cells > 0
        if tag in _BLOCKS:
            self._line()

    def _line(self) -> None:
        """Begins a line, unless the line is still empty or it is in a cell of a table."""
        item = bool(self._text) and self._text[-1] == "- "
        if self._cells and not self._pre:
            self._text += [" "] if self._last() not in ("", " ", "\n") else []
        elif not item and self._last() not in ("", "\n"):
            self._text.append("\n")

    def _last(self) -> str:
        return self._text[-1][-1] if self._text else ""

    def _image(self, held: dict[str, str]) -> None:
        if held.get("src"):
            self.flush()
            alt = _SPACE.sub(" ", held.get("alt", "")).strip()
            self.parts.append(PageImage(held["src"], alt))

    def flush(self) -> None:
        """Adds the text so far to the parts."""
        lines = (line.rstrip() for line in "".join(self._text).split("\n"))
        text = "\n".join(line for line in lines if line.strip(" -|"))
        self.parts += [text] if text else []
        self._text = []


def _counted(element: tuple[str, int], tag: str, by: int) -> tuple[str, int]:
    return (element[0], element[1] + by) if element[0] == tag else element


def _is_skipped(tag: str, classes: str) -> bool:
    return tag in _SKIPPED or not _SKIPPED_CLASSES.isdisjoint(classes.split())


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
