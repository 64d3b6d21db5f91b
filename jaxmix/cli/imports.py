"""``jaxmix import``: other tools' files to run tables."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.values import NAMES, RENAMES, Quantity, merged
from jaxmix.quantities import count

if TYPE_CHECKING:
    from jaxmix.runs import RunTable

_common = opt.several(
    click.option("--allow-unmatched", is_flag=True, help="Drop what does not match, with a note."),
    opt.where,
    click.option("--out", required=True, metavar="RUNS.csv", help="File to write."),
    opt.json,
)
_at_scale = opt.several(
    click.option("--n-params", type=Quantity(), required=True, help="N of every run: 1M."),
    click.option("--tokens", type=Quantity(), required=True, help="D of every run: 1B."),
    _common,
)


_columns = opt.several(
    click.option(
        "--run",
        metavar="COLUMN",
        help="Run ids; without them, rows of one mixture and N are one run.",
    ),
    click.option("--n-params", metavar="COLUMN|AMOUNT", help="N: a column, or of all rows: 70M."),
    click.option("--tokens", metavar="COLUMN|AMOUNT", help="D: a column, or of all rows: 20B."),
    click.option(
        "--tokens-per-step", type=Quantity(), help="D of a step, if the column holds steps: 1M."
    ),
    click.option(
        "--weights",
        metavar="PATTERN",
        multiple=True,
        help='Columns of weights: "ratio_*"; what * stands for is the domain.',
    ),
    click.option(
        "--losses",
        metavar="PATTERN",
        multiple=True,
        help='Columns of losses: "eval/*"; what * stands for is the target.',
    ),
    click.option(
        "--rename",
        "columns",
        type=RENAMES,
        multiple=True,
        callback=merged,
        help="Give a column another name first: N=n_params.",
    ),
    opt.where,
    opt.pool_only,
    click.option("--out", required=True, metavar="RUNS.csv", help="File to write."),
    opt.json,
)


@click.group("import", cls=common.Group, no_args_is_help=False)
def group() -> None:
    """Turn tables of other tools into a run table."""


@group.command("columns")
@click.argument("file")
@_columns
def columns_command(file: str, out: str, as_json: bool, **options: Any) -> None:
    """Read any CSV, Parquet or JSONL FILE whose columns have other names."""
    common.check_out(out, file)
    from jaxmix.runs import import_columns

    given = {name: value for name, value in options.items() if value is not None}
    write_table(import_columns(file, **given), out, as_json)


@group.command("wandb")
@click.argument("sources", nargs=-1, required=True, metavar="FILE...|FOLDER|ENTITY/PROJECT")
@_columns
def wandb_command(sources: tuple[str, ...], out: str, as_json: bool, **options: Any) -> None:
    """Read runs of Weights & Biases: CSV exports, histories, folders of runs, or a project.

    An export of panels has a column for every run; give the export of the table of runs as well,
    which has their configurations. A FOLDER is one that wandb wrote, such as wandb/offline-run-*.
    Runs that jaxmix logged with --wandb give the run table of their study and need no options.
    """
    common.check_out(out, *sources)
    from jaxmix.runs import import_wandb

    write_table(import_wandb(sources, **options), out, as_json)


@group.command("olmix")
@click.argument("ratios")
@click.argument("metrics")
@click.option("--targets", type=NAMES, default="all", help="The metrics that are losses.")
@_at_scale
def olmix_command(ratios: str, metrics: str, out: str, as_json: bool, **options: Any) -> None:
    """Join the RATIOS and METRICS of a swarm in olmix's format by run."""
    common.check_out(out, ratios, metrics)
    from jaxmix.runs import import_olmix

    write_table(import_olmix(ratios, metrics, **options), out, as_json)


@group.command("regmix")
@click.argument("mixtures")
@click.argument("losses")
@click.option("--run-prefix", default="", help="What to put before each index.")
@_at_scale
def regmix_command(mixtures: str, losses: str, out: str, as_json: bool, **options: Any) -> None:
    """Join the MIXTURES and LOSSES of a RegMix study by index."""
    common.check_out(out, mixtures, losses)
    from jaxmix.runs import import_regmix

    write_table(import_regmix(mixtures, losses, **options), out, as_json)


@group.command("mixinglaws")
@click.argument("files", nargs=-1, required=True)
@click.option("--domains", type=NAMES, help="Names of the weights, in the order of the path.")
@click.option("--n-params", type=Quantity(), help="N of every run; default: by its label.")
@click.option("--tokens-per-step", type=Quantity(), default="1048576", show_default=True)
@_common
def mixinglaws_command(files: tuple[str, ...], out: str, as_json: bool, **options: Any) -> None:
    """Read JSON lines of Data Mixing Laws: path of the checkpoint, validation file and loss."""
    common.check_out(out, *files)
    from jaxmix.runs import import_mixinglaws

    write_table(import_mixinglaws(files, **options), out, as_json)


def write_table(table: "RunTable", out: str, as_json: bool) -> None:
    """Writes a run table and says what is in it."""
    from jaxmix.runs import write_runs

    write_runs(table, out)
    runs = len(set(table.frame["run"]))
    held = {"out": out, "rows": len(table), "runs": runs}
    counts = f"{count(len(table), 'row')} of {count(runs, 'run')}"
    counts += f", {count(len(table.domains), 'domain')}"
    text = f"{out}: {counts}, {count(len(table.targets), 'target')}"
    found = {**held, "domains": table.domains, "targets": table.targets}
    common.answer(as_json, found, lambda: [text], table.notes)
