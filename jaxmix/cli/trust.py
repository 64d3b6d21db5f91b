"""``jaxmix trust``: how sure the proposed mixture is."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli.options import Baseline, named_baselines

if TYPE_CHECKING:
    from jaxmix.fitting import Ensemble, Noise
    from jaxmix.mixtures import Trust

_Parts = Sequence[Mapping[str, float]]


@click.command("trust", cls=common.Command, short_help="How sure a mixture is: sets and gains.")
@click.argument("law")
@click.argument("runs")
@click.option("--n-params", type=common.Quantity(), required=True, help="N of the big run: 7B.")
@click.option("--tokens", type=common.Quantity(), required=True, help="D of the big run: 150B.")
@click.option(
    "--target-weights",
    multiple=True,
    type=common.NamedNumbers(),
    help="Weights of the targets; the default is their mean.",
)
@click.option("--min", "min_", multiple=True, type=common.NamedNumbers(), help="Smallest weights.")
@click.option("--max", "max_", multiple=True, type=common.NamedNumbers(), help="Largest weights.")
@click.option(
    "--baseline",
    multiple=True,
    type=Baseline(),
    help="Mixture to compare with; proportional is to unique_<domain>. Default: uniform.",
)
@click.option("--level", type=click.FloatRange(0, 1, True, True), default=0.9, show_default=True)
@click.option("--resamples", type=click.IntRange(min=50), default=1000, show_default=True)
@click.option(
    "--unit",
    "cluster",
    type=click.Choice(["mixture", "run"]),
    help="What is resampled together; by default mixtures where there are twelve or more.",
)
@click.option(
    "--method",
    type=click.Choice(["wild", "bayesian", "resample", "noise"]),
    default="wild",
    show_default=True,
)
@click.option("--probes", type=click.IntRange(min=0), default=0, help="Refits to check afresh.")
@click.option("--where", metavar="EXPR", help="Rows of the fit, where its file does not say.")
@click.option("--seed", type=int, default=0, show_default=True)
@common.json_option
def trust_command(
    law: str,
    runs: str,
    n_params: float,
    tokens: float,
    target_weights: _Parts,
    min_: _Parts,
    max_: _Parts,
    baseline: Sequence[tuple[str, dict[str, float] | None]],
    level: float,
    where: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Refit the laws in LAW on resampled rows of RUNS, and say how sure the best mixture is.

    The confidence set of the best mixture, its gain over baselines with the optimism at the
    optimum taken out, the chance that it beats them, and what noise the losses have.
    """
    from jaxmix.cli.limits import load_mixture_laws
    from jaxmix.fitting import bootstrap, measure_noise
    from jaxmix.fitting.files import read_fitted_rows
    from jaxmix.mixtures import optimize, trust
    from jaxmix.mixtures.uncertainty import mixture_of

    laws = load_mixture_laws(law)
    table, weighting = read_fitted_rows(law, runs, where)
    baselines = named_baselines(baseline, table, laws[0].domains)
    asked: dict[str, Any] = {
        "target_weights": common.merged(target_weights, "--target-weights"),
        "minimum": common.merged(min_, "--min"),
        "maximum": common.merged(max_, "--max"),
    }
    for name, mixture in (baselines or {}).items():
        mixture_of(mixture, laws[0].domains, name)
    optimize(laws, n_params, tokens, **asked)  # refuses what it must before the refits
    with common.progress("refitting") as report:
        ensemble = bootstrap(laws, table, weighting=weighting, progress=report, **options)
    found = trust(ensemble, n_params, tokens, **asked, baselines=baselines, level=level)
    noise = measure_noise(laws, table)
    if as_json:
        common.emit(as_dict(found, ensemble, noise))
    else:
        _show(found, ensemble, noise)
    common.say([*table.notes, *found.notes])


def as_dict(found: "Trust", ensemble: "Ensemble", noise: Sequence["Noise"]) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "weights": found.optimum.mixture,
        "intervals": {d: [i.low, i.high] for d, i in found.intervals.items()},
        "threshold": found.threshold,
        "level": found.level,
        "gains": {
            g.baseline: {
                "predicted": g.predicted,
                "optimism": g.optimism,
                "corrected": g.corrected,
                "low": g.low,
                "high": g.high,
                "probability": g.probability,
            }
            for g in found.gains
        },
        "objective": found.objective._asdict(),
        "losses": {t: i._asdict() for t, i in found.losses.items()},
        "resampling": {
            "method": ensemble.method,
            "unit": ensemble.cluster,
            "units": ensemble.clusters,
            "resamples": ensemble.resamples,
            "elsewhere": None if ensemble.search_check is None else vars(ensemble.search_check),
        },
        "discrepancy": dict(zip(found.losses, ensemble.model_error.level.tolist(), strict=True)),
        "noise": {n.target: {**vars(n), "floor": n.floor} for n in noise},
        "notes": found.notes,
    }


def _show(found: "Trust", ensemble: "Ensemble", noise: Sequence["Noise"]) -> None:
    best, percent = found.optimum, f"{100 * found.level:.0f}%"
    title = f"mixture for N = {best.n_params:.4g}, D = {best.tokens:.4g}"
    mixture = common.table(title, "domain", "weight", f"{percent} set, from", "to")
    for name, i in found.intervals.items():
        mixture.add_row(name, f"{i.estimate:.4f}", f"{i.low:.4f}", f"{i.high:.4f}")
    gains = common.table(
        "gain, nats",
        "over",
        "predicted",
        "optimism",
        "corrected",
        f"{percent}, from",
        "to",
        "chance",
    )
    for g in found.gains:
        values = (g.predicted, g.optimism, g.corrected, g.low, g.high)
        gains.add_row(g.baseline, *(f"{v:.4f}" for v in values), f"{100 * g.probability:.0f}%")
    losses = common.table(
        "losses there, nats",
        "target",
        "predicted",
        f"{percent}, from",
        "to",
        "noise",
        "missed by the law",
    )
    for (name, i), n, missed in zip(
        found.losses.items(), noise, ensemble.model_error.level, strict=True
    ):
        ends = (i.estimate, i.low, i.high)
        losses.add_row(
            name, *(f"{v:.4f}" for v in ends), common.number(n.floor, 2), common.number(missed, 2)
        )
    lines = [
        f"{ensemble.resamples} {ensemble.method} refits over {ensemble.clusters} {ensemble.cluster}s; "
        f"the set holds mixtures predicted within {found.threshold:.3g} nats of the best"
    ]
    if ensemble.search_check:
        e = ensemble.search_check
        lines.append(
            f"of {e.probed} refits, a fresh search of {e.restarts} starts ended lower in "
            f"{100 * e.lower:.0f}% and higher in {100 * e.higher:.0f}%"
        )
    common.show(mixture, gains, losses, "\n".join(lines))
