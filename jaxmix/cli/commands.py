"""Commands and groups of them: errors in one line, --quiet, and help that ends with examples."""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import click

from jaxmix.cli.catalog import EXAMPLES
from jaxmix.cli.completing import Text
from jaxmix.errors import JaxmixError


class BadInput(click.ClickException):
    """Input that a command refuses; ``path`` is the command as it was called."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


class ReaderGone(Exception):
    """The reader of standard output, such as head, had enough."""


_QUIET = "jaxmix.cli.quiet"  # in what contexts share: whether --quiet was given


def _be_quiet(ctx: click.Context, param: click.Parameter, given: bool) -> None:
    if given:
        ctx.meta[_QUIET] = True


quiet_option = click.option(
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_be_quiet,
    help="Show no progress and no notes; errors stay.",
)


def is_quiet() -> bool:
    """Whether --quiet was given, before the command or behind it."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


class Command(click.Command):
    """A command that refuses bad input in one line and lets bugs show their traceback.

    Bad input is a JaxmixError, or a file that the system refuses. With JAXMIX_TRACEBACK=1 bad input
    shows its traceback too. Every command takes --quiet, and its help ends with examples.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        quiet_option(self)
        for one in self.params:
            if one.metavar is None and isinstance(one.type, click.IntRange | click.FloatRange):
                one.metavar = "NUMBER"
            if type(one.type) is type(click.STRING):
                one.type = Text()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the examples, each a line that can be copied."""
        examples = EXAMPLES.get(ctx.command_path.removeprefix("jaxmix "), ())
        if examples:
            with formatter.section("Examples" if len(examples) > 1 else "Example"):
                formatter.write("".join(f"  {line}\n" for line in shell_lines(examples)))

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderGone from None
        except (JaxmixError, OSError) as error:
            bug = isinstance(error, OSError) and not _is_about_a_file(error)
            if bug or os.environ.get("JAXMIX_TRACEBACK"):
                raise
            raise BadInput(str(error), ctx.command_path) from error


def _is_about_a_file(error: OSError) -> bool:
    """Whether an error of the system names a file or says that the disk is full."""
    return error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT)


def shell_lines(commands: Iterable[str], width: int = 76) -> Iterator[str]:
    r"""Commands in lines of at most so many characters, broken before an option as shells allow.

    >>> list(shell_lines(["fit runs.csv --law joint --out l.json"], 24))
    ['fit runs.csv \\', '    --law joint \\', '    --out l.json']
    """
    for command in commands:
        line = ""
        for part in re.split(r" (?=--)", command):
            if line and len(line) + len(part) + 3 > width:
                yield f"{line} \\"
                line = f"    {part}"
            else:
                line = f"{line} {part}" if line else part
        yield line


class Group(click.Group):
    """A group of such commands, listed in the order they were added."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the first sentence of every command, whole."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl([(n, c.get_short_help_str(limit=1000)) for n, c in found if c])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of a study, not of the alphabet."""
        return list(self.commands)
