"""``jaxmix extrapolate``: a run table to the losses of its mixtures at one size and tokens."""

from typing import Any

import click

from jaxmix.cli import common
from jaxmix.cli.fit import bare_targets, objective_options


@click.command("extrapolate", cls=common.Command, short_help="Extrapolate losses to one N and D.")
@click.argument("runs")
@click.option("--n-params", type=common.Quantity(), required=True, help="N: 7e9 or 7B.")
@click.option("--tokens", type=common.Quantity(), required=True, help="D: 150e9 or 150B.")
@click.option("--targets", metavar="A,B|all", default="all", show_default=True)
@common.where_option
@common.pool_option
@click.option(
    "--share-steps",
    type=click.Choice(["none", "size", "all"]),
    default="size",
    show_default=True,
    help="Which step laws share one exponent.",
)
@click.option(
    "--share-sizes",
    type=click.Choice(["none", "all"]),
    default="all",
    show_default=True,
    help="Which size laws share one exponent.",
)
@objective_options
@click.option("--out", required=True, metavar="AT.csv", help="Run table to write.")
@common.json_option
def extrapolate_command(
    runs: str,
    n_params: float,
    tokens: float,
    targets: str,
    where: str | None,
    pool: tuple[str, ...],
    out: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Extrapolate the losses in RUNS to a model of N and D, mixture by mixture (Ye et al.).

    A step law goes through the checkpoints of every size and mixture, and a size law through what
    the step laws of a mixture predict at D. Fit a law of the mixture, such as ye-m4, to the file.
    """
    common.check_out(out, runs)
    from jaxmix.fitting.extrapolate import extrapolate
    from jaxmix.runs import write_runs

    table = common.read_table(runs, where, pool)
    names = bare_targets(table, targets)
    found = extrapolate(table, n_params, tokens, targets=names, **options)
    write_runs(found, out)
    if as_json:
        held = {"out": out, "rows": len(found), "domains": found.domains}
        common.emit({**held, "targets": found.targets, "notes": found.notes})
    else:
        click.echo(f"{out}: {len(found)} mixtures, {len(found.targets)} targets")
    common.say(found.notes)
