"""How results show themselves: a sentence, tables and notes, as text and in notebooks.

A result is a ``Shown``: it says what it holds once (``_shown``) and gets ``summary`` and
``_repr_html_`` from here. The HTML has no colors of its own, so that it is readable in light and
dark notebooks, and every name in it is escaped.
"""

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxmix.notes import ranked
from jaxmix.quantities import amount, count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 24  # rows of a table that are shown
_NOTES = 4  # notes that are shown before one has to ask for more
_COUNTS = ("n_params", "n_params_total", "tokens", "flops")  # columns of large whole numbers
_LONGEST = 28  # characters of a name in a picture
_LINE = "border:0;border-bottom:1px solid rgba(128,128,128,.35);padding:.2em .7em"


class Parts(NamedTuple):
    """What a result shows.

    Attributes:
        answer: one sentence.
        tables: by title, each a data frame, or values by name.
        notes: what a reader should know, one sentence each.
        last: a line to end with, such as the next step.
    """

    answer: str
    tables: Mapping[str, Any] = {}
    notes: Iterable[str] = ()
    last: str = ""


class Shown:
    """A result that shows itself: give ``_shown`` and get ``summary`` and ``_repr_html_``."""

    def _shown(self) -> Parts:
        """What there is to show."""
        raise NotImplementedError

    def summary(self) -> str:
        """The answer, its tables and notes as text, for people."""
        answer, tables, notes, last = self._shown()
        parts = [f"{answer.rstrip('.')}."]
        parts += ["\n".join(filter(None, [title, _text(t)])) for title, t in tables.items()]
        parts += ["\n".join(f"note: {note}" for note in ranked(notes))]
        return "\n\n".join(filter(None, [*parts, last]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown().answer})"

    def _repr_html_(self) -> str:
        answer, tables, notes, last = self._shown()
        parts = [f"<p><strong>{html.escape(answer)}</strong></p>"]
        for title, one in tables.items():
            parts += [f"<p>{html.escape(title)}</p>"] if title else []
            parts.append(_html(one))
        parts += [_notes(ranked(notes)), f"<p>{html.escape(last)}</p>" if last else ""]
        return f'<div style="overflow-x:auto">{"".join(parts)}</div>'


class _Sheet(NamedTuple):
    """The cells of a table as text; ``words`` says which columns do not hold numbers."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    words: tuple[bool, ...]
    more: int


def _sheet(table: Any, most: int) -> _Sheet:
    """A data frame with what names its rows, or values by name, as text."""
    if isinstance(table, Mapping):
        columns: list[Any] = ["", ""]
        rows = [tuple(item) for item in table.items()]
    else:
        named = [name for name in table.index.names if name is not None]
        whole = table.reset_index() if named or table.index.dtype == object else table
        columns = ["" if name == "index" else name for name in whole.columns]
        rows = list(whole.itertuples(index=False, name=None))
    kept = rows[:most]
    numbers = [all(_is_number(row[i]) for row in kept) for i in range(len(columns))]
    form = [
        amount if c in _COUNTS else _form([row[i] for row in kept] if numbers[i] else [])
        for i, c in enumerate(columns)
    ]
    cells = [tuple(_cell(x, f) for x, f in zip(row, form, strict=True)) for row in kept]
    return _Sheet(
        tuple(map(str, columns)), cells, tuple(not n for n in numbers), len(rows) - len(kept)
    )


def _is_number(value: Any) -> bool:
    made = isinstance(value, int | float) or (hasattr(value, "dtype") and value.ndim == 0)
    return made and not _is_truth(value)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or getattr(value, "dtype", "") == "bool"


def _form(column: Sequence[Any]) -> Callable[[float], str]:
    """How to write the numbers of a column: with equal decimals, unless they are far apart."""
    sizes = [abs(float(x)) for x in column if math.isfinite(float(x))]
    most = max(sizes, default=0.0)
    if all(x.is_integer() and x < 1e7 for x in sizes):
        return lambda x: f"{x:.0f}"
    if not sizes or not 1e-4 <= most < 1e4:
        return lambda x: f"{x:.4g}"
    decimals = max(3 - math.floor(math.log10(most)), 0)
    return lambda x: f"{x:.{decimals}f}"


def _cell(value: Any, form: Callable[[float], str]) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if _is_truth(value):
        return "yes" if value else "no"
    if not _is_number(value):
        return str(value)
    number = float(value)
    return form(number) if math.isfinite(number) else "-" if math.isnan(number) else f"{number}"


def _text(table: Any) -> str:
    sheet = _sheet(table, 10**6)
    lines = [sheet.columns, *sheet.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(sheet.columns))]
    sides = ["<" if words else ">" for words in sheet.words]
    return "\n".join(
        "  ".join(f"{c:{s}{w}}" for c, s, w in zip(line, sides, widths, strict=True)).rstrip()
        for line in lines
        if any(line)
    )


def _html(table: Any) -> str:
    sheet = _sheet(table, _ROWS)
    sides = ["left" if words else "right" for words in sheet.words]

    def row(tag: str, cells: Sequence[str]) -> str:
        made = (
            f'<{tag} style="text-align:{side};{_LINE}">{html.escape(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(made)}</tr>"

    head = f"<thead>{row('th', sheet.columns)}</thead>" if any(sheet.columns) else ""
    body = "".join(row("td", cells) for cells in sheet.rows)
    more = f"<p>and {sheet.more} more rows: <code>to_frame()</code></p>" if sheet.more else ""
    style = "border-collapse:collapse;font-variant-numeric:tabular-nums"
    return f'<table style="{style}">{head}<tbody>{body}</tbody></table>{more}'


def _notes(notes: tuple[str, ...]) -> str:
    """A list of notes; those after the first few unfold."""
    items = [f"<li>{html.escape(note)}</li>" for note in notes]
    first, rest = "".join(items[:_NOTES]), "".join(items[_NOTES:])
    left = count(len(items) - _NOTES, "more note")
    more = f"<summary>{left}</summary><ul>{rest}</ul>"
    return (f"<ul>{first}</ul>" if first else "") + (f"<details>{more}</details>" if rest else "")


def axes_or_new(ax: "Axes | None") -> "Axes":
    """The Axes to draw on; those of a new figure if None."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def legend_above(ax: "Axes") -> None:
    """A legend in one row above the picture, where it hides nothing."""
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)


def ink() -> str:
    """The color of text in pictures, which styles for dark pages change."""
    from matplotlib import rcParams

    return rcParams["text.color"]


def plain(name: str) -> str:
    """A name for a picture: not too long, and no mathematics, which a dollar sign would begin."""
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    return short.replace("$", r"\$")
