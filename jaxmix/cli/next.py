"""``jaxmix next``: which runs to train next."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.proposal import parted, proposal_options, propose
from jaxmix.cli.values import SIZES, Quantity
from jaxmix.errors import JaxmixError
from jaxmix.quantities import amount, count

if TYPE_CHECKING:
    from jaxmix.mixtures import NextRuns

_CRITERIA = ("regret", "variance", "space-filling", "random")


@click.command("next", cls=common.Command)
@click.argument("law", metavar="LAW.json")
@click.argument("runs", metavar="RUNS")
@proposal_options()
@click.option("--flops", type=Quantity(), help="Cost of the batch, 6 N D a run: 1e19.")
@click.option("--count", type=click.IntRange(1, 1000), help="Most runs.")
@click.option(
    "--sizes", type=SIZES, help="Allowed sizes 50M=1B,100M=2B.  [default: those that were run]"
)
@opt.setting("--criterion", _CRITERIA, "regret", "What the runs are chosen by.")
@opt.setting("--checkpoints", click.IntRange(1, 100), 1, "Evaluations of each run.")
@click.option(
    "--noise",
    type=Quantity(),
    help="Standard deviation of one run's loss.  [default: from the residuals]",
)
@opt.setting(
    "--closest",
    click.FloatRange(min=0),
    0.02,
    "Distance of mixtures below which a run repeats another.",
)
@click.option(
    "--repeats/--no-repeats",
    default=None,
    help="Allow runs that repeat others.  [default: if noise dominates]",
)
@opt.resamples("Refits that beliefs come from", 0, "uses the curvature of the fit instead")
@opt.where
@opt.pool
@opt.out
@opt.json
def command(
    law: str,
    runs: str,
    where: str | None,
    pool: tuple[str, ...],
    out: str | None,
    resamples: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Choose which runs to add to RUNS so that LAW.json's best mixture gets more certain.

    RUNS holds the rows that LAW.json was fitted on; its file says which of them. New mixtures obey
    the same limits as the best one. --out writes a plan: n_params, tokens, w_<domain>.
    """
    common.check_table(out, law, runs)
    given, settings = parted(options)
    if settings["flops"] is None and settings["count"] is None:
        raise JaxmixError("name a limit of the batch: --flops 1e19, --count 8 or both")
    from jaxmix.fitting.files import read_fitted_rows
    from jaxmix.mixtures import next_runs
    from jaxmix.mixtures.recommend import refit

    optimum = propose(law, given)
    table, weighting = read_fitted_rows(law, runs, where, pool)
    ensemble, notes = None, []
    if resamples != 0:
        made = {"resamples": resamples, "weighting": weighting, "seed": given["seed"]}
        try:
            with common.progress("refitting") as report:
                _, ensemble = refit(optimum.counted, table, progress=report, **made)
        except JaxmixError as error:
            notes = [
                f"the regret comes from the curvature of the fit alone, without refits: {error}"
            ]
    with common.progress("choosing runs"):
        batch = next_runs(optimum, table, seed=given["seed"], ensemble=ensemble, **settings)
    notes = [*batch.notes, *notes]
    common.answer(as_json, batch.to_dict(), lambda: _parts(batch), notes, out=out, rows=batch.rows)


def _parts(batch: "NextRuns") -> list[Any]:
    """One line a run, and what the batch is expected to do."""
    columns = ("run", "N", "D", "FLOPs", *batch.domains, "regret, nats", "SD of h*")
    made = common.table("runs to train, the most telling first", *columns)
    made.add_row("now", "", "", "", *([""] * len(batch.domains)), *_curve(batch, 0))
    for i, h in enumerate(batch.weights):
        size = (*(amount(x[i]) for x in (batch.n_params, batch.tokens)), f"{batch.flops[i]:.3g}")
        made.add_row(str(i + 1), *size, *(f"{w:.3f}" for w in h), *_curve(batch, i + 1))
    return [
        f"{batch.headline}.",
        made,
        f"{batch.flops.sum():.3g} FLOPs; farthest mixture from any run "
        f"{batch.before.farthest:.2f} before, {batch.after.farthest:.2f} after; "
        f"{count(batch.refused, 'near-duplicate')} refused",
    ]


def _curve(batch: "NextRuns", i: int) -> tuple[str, str]:
    return common.number(float(batch.regret[i]), 2), f"{batch.spread[i]:.3f}"
