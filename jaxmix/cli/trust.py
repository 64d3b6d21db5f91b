"""``jaxmix trust``: how sure the proposed mixture is."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.proposal import baseline_option, named_baselines, parted, proposal_options, propose
from jaxmix.quantities import chance

if TYPE_CHECKING:
    from jaxmix.mixtures import LeaveOneOut, Optimum, Uncertainty
    from jaxmix.runs import RunTable

_SHOWN = 8  # mixtures that the optimum rests on most


@click.command("trust", cls=common.Command)
@click.argument("law")
@click.argument("runs")
@opt.rename
@proposal_options()
@baseline_option
@opt.level
@opt.resamples()
@click.option(
    "--cluster",
    "--unit",
    "cluster",
    type=click.Choice(["mixture", "run"]),
    help="What is resampled together; by default mixtures if there are twelve or more.",
)
@opt.setting("--method", ("wild", "bayesian", "resample", "noise"), "wild", "How to resample rows.")
@opt.setting("--probes", click.IntRange(min=0), 0, "Refits to check by a fresh search.")
@click.option(
    "--influence",
    is_flag=True,
    help="Also refit without each mixture of RUNS in turn (with --cluster run, each run), and show "
    "which of them the optimum rests on, and how far optima of equally good fits lie apart.",
)
@click.option("--where", metavar="EXPR", help="Rows of the fit, if the law's file does not say.")
@opt.out
@opt.json
def command(
    law: str,
    runs: str,
    baselines: Sequence[tuple[str, Any]],
    level: float,
    influence: bool,
    where: str | None,
    out: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Refit the laws in LAW on resampled rows of RUNS, and say how sure the best mixture is.

    The mixture is that of jaxmix optimize with the same options. The output is its confidence set,
    its gain over baselines without the optimism of an optimum, the probability that it beats them,
    and the noise of the losses. It ends with the recommendation from the same refits.
    """
    common.check_table(out, law, runs)
    from jaxmix.fitting.files import read_fitted_rows
    from jaxmix.mixtures import recommend_mixture
    from jaxmix.mixtures.recommend import refit
    from jaxmix.mixtures.uncertainty import check_baselines

    given, settings = parted(options)
    optimum = propose(law, given)  # refuses what it must before the refits
    table, weighting = read_fitted_rows(law, runs, where)
    mixtures = named_baselines(baselines, optimum.domains, optimum.constraints, table)
    check_baselines(mixtures, optimum.domains)
    settings |= {"weighting": weighting, "seed": given["seed"]}
    with common.progress("refitting") as report:
        optimum, ensemble = refit(optimum, table, progress=report, **settings)
    rests = _influence(optimum, table, settings) if influence else None
    with common.progress("judging the mixture"):
        found = optimum.uncertainty(ensemble, mixtures, level)
        advice = recommend_mixture(optimum, ensemble, table, baselines=mixtures, level=level)
    more = {"influence": rests.to_dict(), "influence_spread": rests.spread} if rests else {}
    held = {**found.to_dict(), **more, "recommended": advice.weights, "next": advice.next_step}
    said = [f"recommended instead: {advice.headline}", f"next: {advice.next_step}"]
    notes = [*table.notes, *found.notes]
    common.answer(
        as_json,
        held,
        lambda: [*_parts(found), *_influence_table(rests), "\n".join(said)],
        notes,
        out=out,
        rows=lambda: [
            {"domain": d, "weight": i.estimate, "low": i.low, "high": i.high}
            | {"recommended": advice.weights[d]}
            for d, i in found.intervals.items()
        ],
    )


def _influence(optimum: "Optimum", table: "RunTable", settings: Mapping[str, Any]) -> "LeaveOneOut":
    """What leaving out each mixture, or each run, does to the optimum."""
    from jaxmix.mixtures import leave_one_out

    asked = {name: settings[name] for name in ("weighting", "seed")}
    with common.progress("leaving mixtures out") as report:
        return leave_one_out(
            optimum, table, cluster=settings["cluster"] or "mixture", progress=report, **asked
        )


def _influence_table(found: "LeaveOneOut | None") -> list[Any]:
    """What the optimum rests on most, and how far the fit itself leaves it open."""
    if found is None:
        return []
    rows = found.to_dict()
    shown = rows[:_SHOWN]
    title = f"without a mixture the optimum moves by (the largest {len(shown)} of {len(rows)})"
    made = common.table(title, "a run on it", "rows", "in all", *shown[0]["moves"])
    for one in shown:
        moves = (f"{move:+.3f}" for move in one["moves"].values())
        made.add_row(one["run"], str(one["rows"]), f"{one['distance']:.3f}", *moves)
    spread = f"optima of equally good fits of all rows lie up to {found.spread:.3f} away"
    return [made, f"{spread}: a shorter move is within what the fit leaves open"]


def _parts(found: "Uncertainty") -> list[Any]:
    ensemble = found.ensemble
    best, ends = found.optimum, (f"{100 * found.level:g}%, from", "to")
    mixture = ((name, *_ends(i)) for name, i in found.intervals.items())
    gains = (
        (
            g.baseline,
            *(common.fixed(x) for x in (g.predicted, g.optimism, g.corrected)),
            *(common.end(x) for x in (g.low, g.high)),
            chance(g.probability),
        )
        for g in found.gains
    )
    errors = zip(found.losses.items(), ensemble.noise, ensemble.model_error.level, strict=True)
    losses = (
        (name, *_ends(i, 0.0), common.number(n.floor, 2), common.number(error, 2))
        for (name, i), n, error in errors
    )
    title = f"mixture for {best.budget}"
    columns = ("predicted", "optimism", "corrected", *ends, "chance")
    return [
        f"{best.short}: {found.headline}.",
        common.table(title, "domain", "weight", *ends, rows=mixture),
        common.table("gain, nats", "over", *columns, rows=gains),
        common.table(
            *("losses there, nats", "target", "predicted", *ends, "noise", "model error"),
            rows=losses,
        ),
        _settings(found),
    ]


def _ends(interval: Any, least: float = -math.inf) -> list[str]:
    ends = (common.end(x, least=least) for x in (interval.low, interval.high))
    return [common.fixed(interval.estimate), *ends]


def _settings(found: "Uncertainty") -> str:
    e, check = found.ensemble, found.ensemble.search_check
    made = (
        f"{e.resamples} {e.method} refits over {e.clusters} {e.cluster}s; another set would move "
        f"intervals by {100 * e.monte_carlo_error:.0f}% of their half-width\n"
        f"the set holds mixtures predicted within {found.threshold:.3g} nats of the best"
    )
    if check is None:
        return made
    return (
        f"{made}\nof {check.probed} refits, a fresh search of {check.restarts} starts ended lower "
        f"in {100 * check.lower:.0f}% and higher in {100 * check.higher:.0f}%"
    )
