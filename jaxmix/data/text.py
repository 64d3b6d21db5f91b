"""Functions on text that extractors share: decoding, tags, paragraphs, grouping and cutting."""

import html
import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator

_BLOCKS = "p|li|ul|ol|dl|dt|dd|h[1-6]|table|tr|td|th|pre|br|div|note|important|para|xhtml|zonbook"
_INLINE = (
    "code|a|i|b|em|strong|u|span|sup|sub|fullname|replaceable|link|ulink|filename|emphasis|"
    "function|font|img"
)
_ITEM = re.compile(r"<li\b[^>]*>", re.IGNORECASE)
_BLOCK = re.compile(rf"</?(?:{_BLOCKS})\b[^>]*>", re.IGNORECASE)
_TAG = re.compile(rf"</?(?:{_INLINE})\b[^>]*>", re.IGNORECASE)
_SPACE = re.compile(r"[^\S\n]+")
_NEWLINES = re.compile(r" ?\n[ \n]*")


def members(archive: zipfile.ZipFile, under: str, *suffixes: str, limit: int = 0) -> list[str]:
    """Names of files in an archive, sorted.

    Args:
        archive: the archive.
        under: prefix of the names.
        suffixes: suffixes of the names, any of which will do.
        limit: files of this size in bytes, or larger, are left out; 0 for no limit.
    """
    found = (info for info in archive.infolist() if info.filename.startswith(under))
    fits = (info for info in found if not limit or info.file_size < limit)
    return sorted(info.filename for info in fits if info.filename.endswith(suffixes))


def decode(data: bytes) -> str:
    r"""UTF-8 text, or else Latin-1, with Unix line ends and without a byte order mark.

    >>> decode(b"caf\xe9\r\n")
    'café\n'
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def untagged(markup: str) -> str:
    r"""The text of HTML: paragraphs become lines, list items become lines with a dash.

    >>> untagged("<p>A <code>key</code> &lt; 3:</p><ul><li><p>one</p></li></ul> <your-id>")
    'A key < 3:\n- one\n<your-id>'
    """
    flat = " ".join(markup.split())
    if "<" in flat:
        flat = _TAG.sub("", _BLOCK.sub("\n", _ITEM.sub("\n- ", flat)))
    if "&" in flat:
        flat = html.unescape(flat)
    lines = _NEWLINES.sub("\n", _SPACE.sub(" ", flat)).strip()
    return lines.replace("-\n", "- ") if "-\n" in lines else lines


def paragraphs(text: str) -> list[str]:
    """The parts of a text between blank lines."""
    return [part for part in re.split(r"\n[^\S\n]*\n+", text) if part.strip()]


def unique(texts: Iterable[str], seen: set[str] | None = None) -> Iterator[str]:
    """The texts that are not empty, each once; `seen` is updated."""
    seen = set() if seen is None else seen
    for text in texts:
        if text and text not in seen:
            seen.add(text)
            yield text


def grouped(texts: Iterable[str], size: int, between: str = "\n") -> Iterator[str]:
    r"""Joins every `size` texts to one document; the last one may have fewer.

    >>> list(grouped("abc", 2))
    ['a\nb', 'c']
    """
    waiting = iter(texts)
    while held := list(itertools.islice(waiting, size)):
        yield between.join(held)


def pieces(text: str, size: int) -> Iterator[str]:
    r"""Cuts a text into pieces of about `size` characters, at blank lines or else at line ends.

    >>> list(pieces("a b\n\nc d\n\ne", 4))
    ['a b\n\nc d\n\n', 'e']
    """
    mark = "\n\n" if "\n\n" in text else "\n"
    start = 0
    while len(text) - start > size:
        cut = text.find(mark, start + size)
        if cut < 0:
            break
        yield text[start : cut + len(mark)]
        start = cut + len(mark)
    if text[start:].strip():
        yield text[start:]
