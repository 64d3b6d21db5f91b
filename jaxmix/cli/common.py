"""What all commands share: files, notes, JSON, tables and progress."""

import contextlib
import json
import math
import os
import shlex
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli.commands import Command as Command
from jaxmix.cli.commands import Group as Group
from jaxmix.cli.commands import ReaderGone as ReaderGone
from jaxmix.cli.commands import is_quiet
from jaxmix.cli.tables import screen
from jaxmix.cli.tables import table as table
from jaxmix.errors import JaxmixError
from jaxmix.notes import ranked

if TYPE_CHECKING:
    from pandas import DataFrame

    from jaxmix.runs import RunTable


MINUTE = 60.0  # seconds between two lines in the log of a job
PICTURES = (".png", ".svg", ".pdf")
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")


def check_out(path: str, *others: str, endings: Sequence[str] = ()) -> None:
    """Refuses, before any work is done, an output that could not be written afterwards.

    Args:
        path: the file to write.
        others: files that the command reads or writes too.
        endings: what its name must end in, if that matters.

    Raises:
        JaxmixError: another ending, or the path is one of the others, a folder or a device, or its
            folder is missing or not writable.
    """
    if endings and not path.lower().endswith(tuple(endings)):
        raise JaxmixError(f"{path}: end the name of this file in {', '.join(endings)}")
    target = Path(os.path.realpath(path))
    if any(os.path.realpath(other) == str(target) for other in others):
        raise JaxmixError(f"{path}: is named twice in this command; write to another file")
    if target.exists() and not target.is_file():
        what = "a folder" if target.is_dir() else "not a regular file"
        raise JaxmixError(f"{path}: is {what}; name a file to write")
    if not target.parent.is_dir():
        raise JaxmixError(f"{path}: folder {target.parent} does not exist; make it first")
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        reason = error.strerror or "not writable"
        raise JaxmixError(f"{path}: cannot be written ({reason}); check the folder") from None


def check_folder(path: str) -> None:
    """Refuses a URL as the folder of training: claims and rows need a file system.

    Raises:
        JaxmixError: it is a URL.
    """
    if "://" in path:
        raise JaxmixError(
            f"{path}: is a URL; training needs a folder whose files can be locked and appended to, "
            "on a file system that all machines mount (NFS, Lustre, Filestore, EFS)"
        )


def check_table(path: str | None, *others: str) -> None:
    """``check_out`` for the table of rows of ``--out``, if it is given."""
    if path is not None:
        check_out(path, *others, endings=TABLES)


def read_table(path: str, where: str | None, pool: Sequence[str] = ()) -> "RunTable":
    """The run table in a file."""
    from jaxmix.runs import read_runs

    return read_runs(path, where=where, pool=pool)


def write_rows(path: str, rows: "Sequence[Mapping[str, Any]] | DataFrame") -> None:
    """Rows as CSV, JSON lines or Parquet, by the ending of the name; numbers read back exactly."""
    import pandas as pd

    from jaxmix.runs.writing import write_frame

    write_frame(pd.DataFrame(rows), path)


def command_line() -> str | None:
    """The command as it was typed, files without their folders; None where this is no command."""
    program, *words = sys.argv
    if os.path.basename(program) != "jaxmix":
        return None
    shown = [os.path.basename(w) if os.path.isdir(os.path.dirname(w)) else w for w in words]
    return shlex.join(["jaxmix", *shown])


def answer(
    as_json: bool,
    found: Mapping[str, Any],
    parts: Callable[[], Iterable[Any]],
    notes: Iterable[str] = (),
    *,
    out: str | None = None,
    rows: "Callable[[], Sequence[Mapping[str, Any]] | DataFrame]" = tuple,
) -> None:
    """Prints what a command found, as JSON or for people, and its notes.

    Args:
        as_json: whether to print the JSON object.
        found: the object.
        parts: makes the tables and lines for people.
        notes: to standard error.
        out: a file for the rows of the table, if any.
        rows: makes them.
    """
    if out is not None:
        write_rows(out, rows())
    if as_json:
        emit(found)
    else:
        show(*parts(), *([f"written to {out}"] if out is not None else []))
    say(notes)


def pick(held: Any, *names: str) -> dict[str, Any]:
    """Some attributes of an object by name."""
    return {name: getattr(held, name) for name in names}


def say(notes: Iterable[str]) -> None:
    """Notes to standard error, each once and the gravest first, once a command succeeded."""
    for note in ranked(notes):
        line = f"note: {note}"
        if sys.stderr.isatty():  # a line of its own in a file, which scripts can read
            line = textwrap.fill(line, screen(), subsequent_indent="  ", break_on_hyphens=False)
        log(line)


def log(line: str) -> None:
    """A line of progress to standard error, unless --quiet was given."""
    if not is_quiet():
        click.echo(line, err=True)


def emit(value: Any) -> None:
    """One JSON object to standard output; what is not finite is null."""
    click.echo(json.dumps(plain(value), ensure_ascii=False, allow_nan=False))


def plain(value: Any) -> Any:
    """Arrays, tuples and non-finite numbers as strict JSON has them.

    >>> plain({"a": (1.0, float("nan"))})
    {'a': [1.0, None]}
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(*parts: Any) -> None:
    """Tables and text to standard output, tables no wider than the terminal."""
    from rich.console import Console

    terminal, width = sys.stdout.isatty(), screen()
    console = Console(file=sys.stdout, highlight=False, width=width, markup=False)
    for i, part in enumerate(parts):
        if i:
            click.echo()
        if isinstance(part, str):
            # Whole lines, which scripts can read, unless a terminal has to wrap them.
            console.print(part) if terminal else click.echo(part)
            continue
        console.print(part.title, style="bold", soft_wrap=True)
        for j, piece in enumerate(part.fitted(width)):
            if j:
                click.echo()
            console.print(piece.drawn(width))


def number(value: float, digits: int = 4) -> str:
    """A number for people; a dash where there is none."""
    return f"{value:.{digits}g}" if math.isfinite(value) else "-"


def fixed(value: float, decimals: int = 4) -> str:
    """A number with so many decimals for people; a dash where there is none.

    >>> fixed(1.25, 1), fixed(float("nan"))
    ('1.2', '-')
    """
    return f"{value:.{decimals}f}" if math.isfinite(value) else "-"


def finite(value: float) -> float:
    """A number for a file; NaN, which files leave empty, where there is no bound."""
    return value if math.isfinite(value) else math.nan


def end(value: float, digits: int | None = None, least: float = -math.inf) -> str:
    """One end of an interval for people, with four decimals or so many significant digits.

    Args:
        value: the end; infinite if there is no bound.
        digits: significant digits; None for four decimals.
        least: the smallest possible value, 0 for a loss.

    >>> end(0.25), end(-0.1, least=0.0)
    ('0.2500', 'unbounded')
    """
    if not math.isfinite(value) or value < least:
        return "unbounded"
    return f"{value:.4f}" if digits is None else number(value, digits)


@contextlib.contextmanager
def progress(label: str) -> Iterator[Callable[..., None]]:
    """A bar with the time left on standard error, or a line a minute if that is no terminal.

    Call what it yields with (done, total), or with the name of a stage before them.
    """
    if is_quiet():
        yield lambda *told: None
        return
    from rich.progress import Progress

    console = _error_console()
    if not console.is_terminal:
        with _line_a_minute(label) as tell_line:
            yield tell_line
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(label, total=None)

        def tell(*told: Any) -> None:
            *stage, done, total = told
            bar.update(task, completed=done, total=total, description=[*stage, label][0])

        yield tell


def shows_bars() -> bool:
    """Whether bars are shown; if not, standard error is the log of a job."""
    return not is_quiet() and _error_console().is_terminal


def _error_console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


@contextlib.contextmanager
def _line_a_minute(label: str) -> Iterator[Callable[..., None]]:
    """The progress of a job whose standard error is a file, which a short job leaves empty."""
    line, share, ended = label, 0.0, threading.Event()

    def tell(*told: Any) -> None:
        nonlocal line, share
        *stage, done, total = told
        share, line = done / total, f"{[*stage, label][0]}  {done / total:.0%}"

    def write() -> None:
        minutes = 0
        while not ended.wait(MINUTE):
            minutes += 1
            left = f", {minutes * (1 / share - 1):.0f} min left" if 0 < share < 1 else ""
            click.echo(f"{line}  ({minutes} min{left})", err=True)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        ended.set()
        thread.join()
