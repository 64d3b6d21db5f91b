"""``jaxmix extrapolate``: a run table to the losses of its mixtures at one size and tokens."""

from typing import Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.fit import bare_targets, objective_options
from jaxmix.quantities import count


@click.command("extrapolate", cls=common.Command)
@click.argument("runs")
@opt.budget()
@opt.targets
@opt.where
@opt.pool
@opt.setting(
    "--share-steps", ("none", "size", "all"), "size", "Which step laws share one exponent."
)
@opt.setting("--share-sizes", ("none", "all"), "all", "Which size laws share one exponent.")
@objective_options
@click.option("--out", required=True, metavar="AT.csv", help="Run table to write.")
@opt.json
def command(
    runs: str,
    n_params: float,
    tokens: float,
    targets: tuple[str, ...] | None,
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
    common.check_table(out, runs)
    from jaxmix.fitting.extrapolate import extrapolate
    from jaxmix.runs import write_runs

    table = common.read_table(runs, where, pool)
    names = bare_targets(table, targets)
    with common.progress("extrapolating"):
        found = extrapolate(table, n_params, tokens, targets=names, **options)
    write_runs(found, out)
    held = {"out": out, "rows": len(found), **common.pick(found, "domains", "targets", "notes")}
    text = f"{out}: {count(len(found), 'mixture')}, {count(len(found.targets), 'target')}"
    common.answer(as_json, held, lambda: [text], found.notes)
