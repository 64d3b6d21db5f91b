"""The ``jaxmix`` command: its subcommands, and how anything that goes wrong ends.

Exit status 0, or 2 with one line on standard error for bad input, or 130 after Ctrl-C. A bug ends
with its traceback and exit status 1.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType

import click

from jaxmix import __version__
from jaxmix.cli.budget import budget_command
from jaxmix.cli.common import BadInput, Group, ReaderGone
from jaxmix.cli.compare import compare_command
from jaxmix.cli.data import data_group
from jaxmix.cli.demo import demo_command
from jaxmix.cli.domains import domains_group
from jaxmix.cli.evaluate import evaluate_command
from jaxmix.cli.export import export_command
from jaxmix.cli.extrapolate import extrapolate_command
from jaxmix.cli.fit import fit_command
from jaxmix.cli.imports import import_group
from jaxmix.cli.inspect import look_command
from jaxmix.cli.laws import laws_command
from jaxmix.cli.next import next_command
from jaxmix.cli.optimize import optimize_command
from jaxmix.cli.pareto import pareto_command
from jaxmix.cli.predict import predict_command
from jaxmix.cli.report import report_command
from jaxmix.cli.sample_size import enough_command
from jaxmix.cli.score import score_command
from jaxmix.cli.select import select_command
from jaxmix.cli.simulate import simulate_command
from jaxmix.cli.study import study_group
from jaxmix.cli.train import train_command
from jaxmix.cli.trust import trust_command

_COMMANDS = (
    data_group,
    train_command,
    look_command,
    evaluate_command,
    study_group,
    fit_command,
    score_command,
    predict_command,
    optimize_command,
    trust_command,
    budget_command,
    pareto_command,
    compare_command,
    select_command,
    extrapolate_command,
    next_command,
    enough_command,
    report_command,
    export_command,
    simulate_command,
    import_group,
    domains_group,
    laws_command,
    demo_command,
)


@click.group(cls=Group, invoke_without_command=True)
@click.version_option(__version__, prog_name="jaxmix")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Fit data-mixture scaling laws L(N, D, h) on small runs, then choose the big run's mixture.

    A target or domain is named with or without its prefix: github or loss_github, web or w_web.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _command in _COMMANDS:
    cli.add_command(_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
        argv: arguments after the program's name; None for those of the process.
    """
    _quiet_dependencies()
    _keep_compiled_programs()
    with warnings.catch_warnings(), _interrupts() as interrupted:
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
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

    Set through the environment and before JAX is imported, so a choice of the user's stands.
    """
    root = os.environ.get("JAXMIX_CACHE") or os.path.join(os.path.expanduser("~"), ".cache/jaxmix")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(root, "compiled"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


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
    """Keeps what JAX and XLA log about the machine off standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("jax").setLevel(logging.ERROR)
