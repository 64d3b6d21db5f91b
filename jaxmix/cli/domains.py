"""``jaxmix domains``: run tables for other training domains."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.imports import write_table
from jaxmix.cli.values import NAMES, NUMBERS

if TYPE_CHECKING:
    from jaxmix.runs import RunTable


@click.group("domains", cls=common.Group, no_args_is_help=False)
def group() -> None:
    """Add, split, merge or remove a training domain and keep the runs that still say something."""


_files = opt.several(
    opt.where,
    opt.pool,
    click.option("--out", required=True, metavar="NEW.csv", help="Run table to write."),
    opt.json,
)


def _read(
    runs: str, out: str, where: str | None, pool: tuple[str, ...], as_json: bool
) -> "RunTable":
    del as_json
    common.check_table(out, runs)
    return common.read_table(runs, where, pool)


@group.command("add")
@click.argument("runs", metavar="RUNS")
@click.argument("name")
@_files
def add_command(runs: str, name: str, **files: Any) -> None:
    """Add domain NAME, which no run has used yet."""
    from jaxmix.runs import add_domain

    write_table(add_domain(_read(runs, **files), name), files["out"], files["as_json"])


@group.command("split")
@click.argument("runs", metavar="RUNS")
@click.argument("name")
@click.argument("parts", type=NUMBERS, metavar="PART=SHARE,...")
@_files
def split_command(runs: str, name: str, parts: dict[str, float], **files: Any) -> None:
    """Split domain NAME into parts that every run had in these shares: a=0.3,b=0.7."""
    from jaxmix.runs import split_domain

    write_table(split_domain(_read(runs, **files), name, parts), files["out"], files["as_json"])


@group.command("merge")
@click.argument("runs", metavar="RUNS")
@click.argument("names", type=NAMES, metavar="A,B,...")
@click.argument("into", metavar="NEW")
@_files
def merge_command(runs: str, names: Any, into: str, **files: Any) -> None:
    """Merge domains A, B, ... into one called NEW."""
    from jaxmix.runs import merge_domains

    write_table(merge_domains(_read(runs, **files), names, into), files["out"], files["as_json"])


@group.command("remove")
@click.argument("runs", metavar="RUNS")
@click.argument("name")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Keep runs with at most this weight on it, renormalized.",
)
@_files
def remove_command(runs: str, name: str, tolerance: float, **files: Any) -> None:
    """Remove domain NAME and the runs that were trained on it."""
    from jaxmix.runs import remove_domain

    table = remove_domain(_read(runs, **files), name, tolerance=tolerance)
    write_table(table, files["out"], files["as_json"])
