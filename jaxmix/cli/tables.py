"""Tables for people that fit the terminal: as they are, turned around, or in several parts.

No number is cut and no column is left out, however narrow the terminal is.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

GAP = 2  # spaces between columns
_PIPE = 140  # columns where there is no terminal
_WORDS = 16  # least width to which a column of words is wrapped


@dataclass(eq=False)
class Table:
    """Cells under a title; the first column and those in ``text`` hold words, others numbers.

    Attributes:
        title: what it shows.
        columns: headers.
        text: headers of the columns that hold words.
        rows: the cells.
        sections: rows with a line above.
    """

    title: str
    columns: tuple[str, ...]
    text: frozenset[str] = frozenset()
    rows: list[tuple[str, ...]] = field(default_factory=list)
    sections: set[int] = field(default_factory=set)

    def add_row(self, *cells: str) -> None:
        """Adds a row at the end."""
        self.rows.append(cells)

    def add_section(self) -> None:
        """Draws a line above the next row."""
        self.sections.add(len(self.rows))

    def fitted(self, width: int) -> "list[Table]":
        """The table in parts that are no wider than so many characters.

        A table of numbers that is too wide is turned around if that fits. Otherwise its columns are
        dealt to several tables, each with what names the rows, in the way that takes fewer lines.
        """
        words = any(name in self.text for name in self.columns[1:])
        ways = [self] if words else [self, self._turned()]
        for way in ways:
            if sum(way._least(width)) + GAP * (len(way.columns) - 1) <= width:
                return [way]
        return min((way._parts(width) for way in ways), key=_lines)

    def _turned(self) -> "Table":
        """Rows as columns."""
        header, *rows = zip(self.columns, *self.rows, strict=True)
        return Table(self.title, header, rows=rows)

    @property
    def _keys(self) -> int:
        """How many columns name a row: the first, and words beside it if numbers follow."""
        words = [name in self.text for name in self.columns[1:]]
        return 1 + words.index(False) if False in words else 1

    def _parts(self, width: int) -> "list[Table]":
        """Some columns each, as many as fit beside those that name the rows."""
        least = self._least(width)
        keys = next((n for n in (self._keys, 1) if sum(least[:n]) + GAP * n <= 0.7 * width), 1)
        room = width - sum(least[:keys]) - GAP * (keys - 1)
        dealt, left = [[*range(keys)]], room
        for i, own in enumerate(least[keys:], keys):
            if left < GAP + own and len(dealt[-1]) > keys:
                dealt, left = [*dealt, [*range(keys)]], room
            dealt[-1].append(i)
            left -= GAP + own
        return [self._some(columns) for columns in dealt]

    def _some(self, columns: Sequence[int]) -> "Table":
        names = tuple(self.columns[i] for i in columns)
        rows = [tuple(row[i] for i in columns) for row in self.rows]
        return Table(self.title, names, self.text, rows, self.sections)

    def _cells(self, i: int) -> int:
        """Width of the widest line of a cell of a column."""
        lines = (line for row in self.rows for line in row[i].split("\n"))
        return max(map(_width, lines), default=0)

    def _least(self, width: int) -> list[int]:
        """Least widths of the columns: cells of numbers stay whole, and so do words of headers."""
        found = []
        for i, name in enumerate(self.columns):
            word = max(map(_width, name.split()), default=0)
            cells = self._cells(i)
            if i == 0:
                found.append(min(max(word, cells), max(_WORDS, width // 2)))
            elif name in self.text:
                found.append(min(max(word, cells), max(_WORDS, word)))
            else:
                found.append(max(word, cells))
        return found

    def _widths(self, width: int) -> list[int]:
        """Widths of the columns: the least ones, and what room is left to those that can use it.

        If a column does not fit beside the first one, that one and then headers are broken.
        """
        found = self._least(width)
        over = max(sum(found) + GAP * (len(found) - 1) - width, 0)
        for i in (0, *range(1, len(found))):
            floor = min(found[i], 8 if i == 0 else max(self._cells(i), 1))
            taken = min(over, found[i] - floor)
            found[i], over = found[i] - taken, over - taken
        room = max(width - sum(found) - GAP * (len(found) - 1), 0)
        for i, name in enumerate(self.columns):
            more = min(room, max(_width(name), self._cells(i), found[i]) - found[i])
            found[i], room = found[i] + more, room - more
        return found

    def drawn(self, width: int) -> Any:
        """The table for ``rich`` to print, at most so wide."""
        from rich import box
        from rich.table import Table as Drawn

        made = Drawn(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for i, (name, own) in enumerate(zip(self.columns, self._widths(width), strict=True)):
            justify = "left" if i == 0 or name in self.text else "right"
            made.add_column(name, justify=justify, overflow="fold", width=own)
        for i, row in enumerate(self.rows):
            if i in self.sections:
                made.add_section()
            made.add_row(*row)
        return made


def screen() -> int:
    """Columns of the terminal, or of ``COLUMNS``; 140 in a file or a pipe."""
    return max(shutil.get_terminal_size((_PIPE, 1)).columns, 1)


def table(
    title: str, *columns: str, text: Sequence[str] = (), rows: Iterable[Iterable[str]] = ()
) -> Table:
    """A table; its first column and those in ``text`` hold text, the others numbers."""
    return Table(title, columns, frozenset(text), [tuple(row) for row in rows])


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _lines(parts: Sequence[Table]) -> int:
    return sum(len(part.rows) + 3 for part in parts)
