"""Options that several commands share; each means the same everywhere."""

from collections.abc import Callable
from typing import Any

import click

from jaxmix.cli.values import LAWS, NAMES, RENAMES, Quantity, Refits, merged, named_option

Decorator = Callable[[Any], Any]


def several(*options: Decorator) -> Decorator:
    """One decorator that adds options in this order."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def budget(required: bool = True) -> Decorator:
    """Adds --n-params and --tokens of the big run, and whether they must be given."""
    size, data = (
        "Parameters N of the big run: 7e9, 7B or inf.",
        "Training tokens D of the big run: 150B.",
    )
    return several(
        click.option("--n-params", type=Quantity(), required=required, help=size),
        click.option("--tokens", type=Quantity(), required=required, help=data),
    )


def setting(name: str, kind: Any, usual: Any, text: str, **more: Any) -> Decorator:
    """An option whose default is shown.

    Args:
        name: ``--name``.
        kind: type of the value; a tuple of words is a choice among them.
        usual: the default.
        text: help.
        **more: as of ``click.option``.
    """
    kind = click.Choice(kind) if isinstance(kind, tuple) else kind
    return click.option(name, type=kind, default=usual, show_default=True, help=text, **more)


def count(name: str, usual: int, text: str) -> Decorator:
    """An option for a whole number of at least 1."""
    return setting(name, click.IntRange(min=1), usual, text)


json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
out = click.option(
    "--out", metavar="FILE", help="Write the rows there: .csv, .tsv, .jsonl or .parquet."
)
where = click.option(
    "--where",
    metavar="EXPR",
    help='Use only rows that meet this: "n_params < 2e9", or "run_progress >= 0.25".',
)
pool_only = click.option(
    "--pool",
    multiple=True,
    type=click.Choice(["tokenizer", "schedule"]),
    help="Use rows of different tokenizers or schedules together.",
)


def _rename(ctx: click.Context, param: click.Parameter, given: tuple[dict[str, str], ...]) -> None:
    columns = merged(ctx, param, given)
    if columns:
        from jaxmix.runs import renaming

        ctx.with_resource(renaming(columns))


rename = click.option(
    "--rename",
    type=RENAMES,
    multiple=True,
    expose_value=False,
    callback=_rename,
    help="Read a column under another name: N=n_params.",
)
pool = several(pool_only, rename)
seed = setting("--seed", click.IntRange(min=0), 0, "Random seed.")
targets = setting("--targets", NAMES, "all", "Losses to use; a name may be a pattern: task_*.")
laws = click.option("--laws", type=LAWS, required=True, help="Names of laws, or FILE.py:VARIABLE.")
level = setting(
    "--level",
    click.FloatRange(0, 1, min_open=True, max_open=True),
    0.9,
    "Probability with which intervals hold the true value.",
)


def resamples(
    what: str = "Number of refits behind the intervals", least: int = 50, zero: str = ""
) -> Decorator:
    """Adds --resamples; ``zero`` says what 0 means if ``least`` allows it."""
    text = f"{what}; auto makes 128 to 1,024, as many as are needed{zero and '; 0 ' + zero}."
    return setting("--resamples", Refits(least), "auto", text)


target_weights = named_option(
    "--target-weights",
    help="Weights of the targets in the loss to minimize, or of patterns: task_*=1. The default is "
    "the mean of the losses, and of tasks if there are no others.",
)
