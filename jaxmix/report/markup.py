"""HTML that cannot be broken by what it is filled with, and numbers as people read them."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

from jaxmix.quantities import amount


class Cell(NamedTuple):
    """A table cell with classes of the style sheet and a text for hovering over it."""

    text: str
    kind: str = ""
    title: str = ""


def text(value: Any) -> str:
    """Escaped text.

    >>> text('<script>"a"')
    '&lt;script&gt;&quot;a&quot;'
    """
    return escape(str(value), quote=True)


def words(value: Any) -> str:
    """Escaped text in which a line may also break behind the joints of a long name.

    >>> words("stack_exchange-2023"), words("image_caption")
    ('stack_<wbr>exchange-2023', 'image_caption')
    """
    joint = r"(?<=\w)([_/:]|-(?=[a-zA-Z]))(?=\w)"
    return re.sub(r"\S{17,}", lambda long: re.sub(joint, r"\1<wbr>", long[0]), text(value))


def figure(kind: str, label: str, axis: str = "") -> str:
    """A place that page.js draws in."""
    return (
        f'<figure data-chart="{kind}" data-axis="{text(axis)}"><div class="drawing"></div>'
        f"<figcaption>{text(label)}</figcaption></figure>"
    )


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str | Cell]], named: int = 1
) -> str:
    """A table whose first ``named`` columns hold text, the first one the rows' names."""
    columns = "".join(
        f'<th scope="col"{"" if i < named else " class=number"}>{words(name)}</th>'
        for i, name in enumerate(head)
    )
    body = "".join(f"<tr>{_cells(row, named)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table>'
        f"<caption><span>{text(caption)}</span></caption>"
        f"<thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(row: Sequence[str | Cell], named: int) -> str:
    made = []
    for i, value in enumerate(row):
        cell = value if isinstance(value, Cell) else Cell(value)
        kind = " ".join(filter(None, (cell.kind, "" if i < named else "number")))
        title = f' title="{text(cell.title)}"' if cell.title else ""
        tag = "th" if i == 0 else "td"
        scope = ' scope="row"' if i == 0 else ""
        shown = words(cell.text) if i < named else text(cell.text)
        made.append(f'<{tag}{scope} class="{kind}"{title}>{shown}</{tag}>')
    return "".join(made)


def paragraphs(notes: Iterable[str], kind: str = "notes") -> str:
    """Sentences as a list; nothing if there are none."""
    items = "".join(f"<li>{text(note)}</li>" for note in dict.fromkeys(notes))
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def number(value: float, digits: int = 4) -> str:
    """A number for people; a dash if there is none.

    >>> number(2.34567), number(float("nan")), number(float("inf"))
    ('2.346', '–', '∞')
    """
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return "–" if math.isnan(value) else f"{value:.{digits}g}".replace("-", "−")


def loss(value: float) -> str:
    """A loss in nats, with as many decimals as its neighbors.

    >>> loss(4.2), loss(float("inf"))
    ('4.200', '∞')
    """
    return f"{value:.3f}" if math.isfinite(value) else number(value)


def size(value: float) -> str:
    """A number of parameters or tokens.

    >>> size(7e9), size(18915328), size(25656), size(float("inf"))
    ('7B', '18.9M', '25.7K', '∞')
    """
    return amount(value) if 1e3 <= value < 1e15 else number(value, 3)


def percent(value: float) -> str:
    """A weight in percent, with one more digit if it is small.

    >>> percent(0.3123), percent(0.0123), percent(1e-7), percent(0.0)
    ('31%', '1.2%', '<0.1%', '0%')
    """
    if value == 0:
        return "0%"
    if value < 0.001:
        return "<0.1%"
    return f"{100 * value:.0f}%" if value >= 0.0995 else f"{100 * value:.1f}%"


def embed(value: Any, digits: int | None = None) -> str:
    r"""JSON that can stand in a script element; not a number becomes null.

    Args:
        value: dictionaries, lists, arrays and numbers.
        digits: significant digits of the numbers; None for all, so that they read back equal.

    >>> embed({"a</script>": [1.0, float("nan"), 0.123456]}, 3)
    '{"a\\u003c/script\\u003e":[1,null,0.123]}'
    """
    raw = json.dumps(_plain(value, digits), separators=(",", ":"), allow_nan=False)
    return raw.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any, digits: int | None) -> Any:
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(value, Mapping):
        return {str(key): _plain(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, digits) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = float(f"{value:.{digits}g}") if digits else value
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    return value
