"""Text and images of the main part of an HTML page, in reading order."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser


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
