"""Makes Markdown of docstrings: doctests in fences, and ``::`` before code as a colon."""

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^( *)>>> .*\n?(?:^\1\S.*\n?)*", re.M)


class Docstrings(griffe.Extension):
    """Rewrites every docstring when it is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """A docstring as Markdown."""
    text = re.sub(r"::$", ":", text, flags=re.M)
    return DOCTEST.sub(fenced, text)


def fenced(found: re.Match[str]) -> str:
    """A doctest between fences at its own indentation, as a block of its own."""
    fence = f"{found[1]}```"
    return f"\n{fence}pycon\n{found[0].rstrip()}\n{fence}\n"
