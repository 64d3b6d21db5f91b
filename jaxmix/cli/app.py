"""The ``jaxmix`` command: its subcommands, and how anything that goes wrong ends.

Exit status 0, or 2 with one line on standard error for bad input, or 130 after Ctrl-C, or 75 if
training was stopped by SIGTERM and can go on. A bug ends with its traceback and exit status 1.
"""

import contextlib
import gc
import importlib
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import click

from jaxmix import __version__
from jaxmix.cli.catalog import GROUPS
from jaxmix.cli.commands import BadInput, Group, ReaderGone, quiet_option

_COMMANDS = tuple(name for commands in GROUPS.values() for name in commands)
_MODULES = {"import": "imports"}  # others have the command's name, with _ for -


class Commands(Group):
    """The subcommands, each loaded when it is needed from the module that holds it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the groups, and then what was added."""
        return [*_COMMANDS, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The ``command`` or ``group`` of its module."""
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        name = _MODULES.get(cmd_name, cmd_name.replace("-", "_"))
        module = importlib.import_module(f"jaxmix.cli.{name}")
        return module.group if hasattr(module, "group") else module.command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the groups, a line for each command, without importing any of them."""
        widest = max(map(len, _COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), line) for name, line in commands.items()])


@click.group(cls=Commands, invoke_without_command=True)
@quiet_option
@click.version_option(__version__, prog_name="jaxmix")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Fit data-mixture scaling laws L(N, D, h) on small runs, then choose the big run's mixture.

    A target or domain is named with or without its prefix: github or loss_github, web or w_web.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
        argv: arguments after the program's name; None for those of the process.
    """
    _quiet_dependencies()
    _keep_compiled_programs()
    gc.set_threshold(
        50_000, 20, 100
    )  # traced programs are many objects, and few of them are garbage
    with warnings.catch_warnings(), _interrupts() as interrupted:
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        _replace_damaged_programs()
        try:
            return _run(argv)
        except (click.Abort, KeyboardInterrupt):
            return 130
        except Exception:
            if interrupted:  # a compiled module that was being loaded made another error of it
                return 130
            raise


def _keep_compiled_programs() -> None:
    """Compile once per machine and not per call: JAX's own cache, under ``JAXMIX_CACHE``.

    Set through the environment and before JAX is imported, so a choice of the user's stands. Small
    programs too: training makes dozens of them, and each takes longer to compile than to read.
    """
    root = os.environ.get("JAXMIX_CACHE") or os.path.join(os.path.expanduser("~"), ".cache/jaxmix")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(root, "compiled"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


_DAMAGED = "Error reading persistent compilation cache entry for '"


def _replace_damaged_programs() -> None:
    """Removes entries of JAX's cache that it cannot read; else it would compile them every time.

    JAX warns about them with the name of the program, which their names begin with, compiles, and
    writes the result only if no entry is in the way.
    """
    usual = warnings.showwarning

    def show(message: Warning | str, *rest: Any, **more: Any) -> None:
        told = str(message)
        if not told.startswith(_DAMAGED):
            return usual(message, *rest, **more)
        program = told.removeprefix(_DAMAGED).partition("'")[0]
        for path in Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).glob(f"{program}-*-cache"):
            with contextlib.suppress(OSError):
                path.unlink()

    warnings.filterwarnings("always", message=re.escape(_DAMAGED))
    warnings.showwarning = show


def _run(argv: Sequence[str] | None) -> int:
    try:
        status = cli.main(args=argv, prog_name="jaxmix", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, ReaderGone):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except click.ClickException as error:
        click.echo(_one_line(error), err=True)
        return 2
    return status if isinstance(status, int) else 0


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Remembers Ctrl-C while it lasts; the usual KeyboardInterrupt is raised all the same."""
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        signal.default_int_handler(number, frame)

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours or threading.current_thread() is not threading.main_thread():
        yield seen
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _one_line(error: click.ClickException) -> str:
    """``jaxmix fit: error: what; remedy`` for anything a command refuses."""
    context = getattr(error, "ctx", None)
    path = error.path if isinstance(error, BadInput) else None
    path = path or (context.command_path if context else "jaxmix")
    message = " ".join(error.format_message().split())
    if isinstance(error, click.UsageError):
        message = f"{message[:1].lower()}{message[1:].rstrip('.')}; see {path} --help"
    return f"{path}: error: {message}"


def _quiet_dependencies() -> None:
    """Keeps what JAX and XLA log about the machine off standard error.

    And what threads of the library that writes checkpoints report after the command's own error.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("jax").setLevel(logging.ERROR)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _report_unraisable


def _report_unraisable(found: "sys.UnraisableHookArgs") -> None:
    told = str(found.exc_value)
    if told != "Event loop is closed" and "TensorStore" not in told:
        sys.__unraisablehook__(found)
