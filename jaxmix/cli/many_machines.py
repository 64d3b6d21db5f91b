"""What ``jaxmix study`` has for many machines: the view of a Ray run, and its options."""

import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli.values import Value
from jaxmix.errors import clip

if TYPE_CHECKING:
    from jaxmix.studies import WaveOnRay

NOWHERE = ""  # --ray without an address
MOST_LINES = 30  # of waves in training that a terminal shows


class Address(Value):
    """Where a Ray cluster answers."""

    name = "[ADDRESS]"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Text to an address; an empty one is left to Ray."""
        if value in (NOWHERE, "auto", "local") or re.fullmatch(r"(ray://)?[^/\s]+:\d+", value):
            return value
        self.fail(
            f"'{value}' is not HOST:PORT, ray://HOST:PORT, auto or local; without an address, "
            "write --ray at the end of the command",
            param,
            ctx,
        )


class Devices(Value):
    """KIND:COUNT, such as gpu:1."""

    name = "gpu:N|tpu:N|cpu:N"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, int]:
        """Text to kind and number."""
        if isinstance(value, tuple):
            return value
        kind, _, number = str(value).partition(":")
        if kind not in ("gpu", "tpu", "cpu") or not number.isdigit() or int(number) < 1:
            self.fail(f"'{value}' is not a kind and a number; write gpu:1 or cpu:8", param, ctx)
        return kind, int(number)


ray_option = click.option(
    "--ray",
    "address",
    type=Address(),
    is_flag=False,
    flag_value=NOWHERE,
    help="Train the waves as tasks of the Ray cluster at HOST:PORT; without an address, of the one "
    "that RAY_ADDRESS names or that runs here, or of a new one on this machine.",
)
devices_option = click.option(
    "--devices",
    type=Devices(),
    help="With --ray: what a wave takes.  [default: what a node has]",
)


class _Brief(io.TextIOBase):
    """Standard output while Ray prints there about dying nodes: first lines, on standard error."""

    def write(self, text: str) -> int:
        """Writes the first line."""
        if text.strip():
            click.echo(clip(text.strip().splitlines()[0], 200), err=True)
        return len(text)


@contextlib.contextmanager
def ray_view() -> "Iterator[Callable[[Sequence[WaveOnRay]], None]]":
    """Shows how far every wave is: a table on a terminal, lines in a log.

    A log gets a line if a wave begins, ends or is lost, and a line a minute.
    """
    from rich.console import Console
    from rich.live import Live

    if common.shows_bars():
        console = Console(stderr=True)
        with (
            Live(
                console=console, transient=True, refresh_per_second=2, redirect_stdout=False
            ) as live,
            contextlib.redirect_stdout(_Brief()),
        ):
            yield lambda waves: live.update(_table(waves))
        return
    seen: dict[str, tuple[str, str, int]] = {}
    with common.progress("training") as report, contextlib.redirect_stdout(_Brief()):

        def tell(waves: "Sequence[WaveOnRay]") -> None:
            for one in waves:
                state = one.state, one.node, one.lost
                if seen.get(one.wave.name, ("waiting", "", 0)) != state:
                    common.log("  ".join([one.wave.name, *_cells(one)]))
                seen[one.wave.name] = state
            report(_summary(waves), sum(w.step for w in waves), sum(w.steps for w in waves))

        yield tell


def _cells(one: "WaveOnRay") -> list[str]:
    """State, steps, node and what went wrong of one wave."""
    again = f"lost {one.lost} times" if one.lost > 1 else "lost once" if one.lost else ""
    steps = f"step {one.step:,}/{one.steps:,}" if one.step else ""
    return [text for text in (one.state, steps, one.node, again, one.reason) if text]


def _summary(waves: "Sequence[WaveOnRay]") -> str:
    """``12 done, 4 training, 30 waiting``."""
    states = [one.state for one in waves]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _table(waves: "Sequence[WaveOnRay]") -> Any:
    """A line for every wave in training, and for those that failed or were lost."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=_summary(waves), title_justify="left", box=None, pad_edge=False)
    for name in ("wave", "state", "step", "node", ""):
        made.add_column(name, justify="right" if name == "step" else "left")
    shown = [w for w in waves if w.state in ("training", "failed", "stopped") or w.lost]
    for w in shown[:MOST_LINES]:
        went = "  ".join(_cells(w)[-1:]) if w.reason or w.lost else ""
        cells = (w.wave.name, w.state, f"{w.step:,}/{w.steps:,}", w.node, went)
        made.add_row(*(Text(cell, overflow="ellipsis", no_wrap=True) for cell in cells))
    if len(shown) > MOST_LINES:
        made.add_row(f"and {len(shown) - MOST_LINES} more")
    return made


def end_with_failures(waves: "Sequence[WaveOnRay]") -> None:
    """Prints a line for every wave that failed, and ends the command with status 1 or 2.

    It is 1, after its traceback, if an error of one of them is no fault of the input.
    """
    failed = [one for one in waves if one.state == "failed"]
    for trace in dict.fromkeys(one.trace for one in failed if one.trace):
        click.echo(trace, err=True)
    for one in failed:
        where = f" on {one.node}" if one.node else ""
        click.echo(f"{one.wave.name} failed{where}: {one.reason}", err=True)
    if failed:
        sys.exit(1 if any(one.trace for one in failed) else 2)


OF_SYSTEM = {"slurm": ("time", "partition"), "kubernetes": ("image", "claim", "selector")}
MOST_JOBS = 64  # in an array, unless more are asked for


def job_script(system: str | None, path: Path, waves: int, options: Mapping[str, Any]) -> str:
    """The script of an array of jobs for a system.

    Raises:
        UsageError: no system is named, or options are missing or of the other one.
    """
    from jaxmix.studies import kubernetes_manifest, slurm_script

    if system is None:
        raise click.UsageError("write --slurm or --kubernetes")
    given = {name: value for name, value in options.items() if value}
    jobs = min(given.pop("jobs", None) or min(waves, MOST_JOBS), waves)
    devices = given.pop("devices")
    logs = {name: given.pop(name) for name in ("wandb", "tensorboard") if name in given}
    others = [name for name in given if name not in OF_SYSTEM[system]]
    if others:
        option = {"selector": "node-selector"}.get(others[0], others[0])
        raise click.UsageError(f"--{option} does not go with --{system}")
    if system == "slurm":
        return slurm_script(path, jobs, devices, logs=logs, **given)
    if "image" not in given:
        raise click.UsageError("--kubernetes needs --image, a container image that has jaxmix")
    pairs = [text.partition("=") for text in given.pop("selector", ())]
    if not all(label and value for label, _, value in pairs):
        raise click.UsageError("--node-selector is not LABEL=VALUE")
    selector = {label: value for label, _, value in pairs}
    return kubernetes_manifest(path, jobs, devices, selector=selector, logs=logs, **given)
