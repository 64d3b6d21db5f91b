"""``jaxmix report``: fitted laws and a run table to one self-contained HTML page."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli.options import Baseline, named_baselines

if TYPE_CHECKING:
    from jaxmix.report.contents import Report


@click.command("report", cls=common.Command, short_help="Write one HTML page on a fitted law.")
@click.argument("law")
@click.argument("runs")
@click.option("--out", required=True, metavar="FILE.html", help="File to write.")
@click.option("--n-params", type=common.Quantity(), help="N; the default is the largest fitted.")
@click.option("--tokens", type=common.Quantity(), help="D; the default is the largest fitted.")
@click.option(
    "--target-weights",
    multiple=True,
    type=common.NamedNumbers(),
    help="Weights of the targets in the sum to minimize; the default is their mean.",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    type=Baseline(),
    help="Mixture to compare with; the default is uniform and the best that was run.",
)
@click.option(
    "--where", metavar="EXPR", help="Held-out rows to show; rows that were fitted always are."
)
@click.option("--laws", metavar="A,B", help="Laws to fit beside and compare on the largest size.")
@click.option(
    "--resamples",
    type=click.IntRange(min=0),
    help="Refits that the intervals come from, 0 for none; the default is 40 to 200.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@common.json_option
def report_command(
    law: str,
    runs: str,
    out: str,
    n_params: float | None,
    tokens: float | None,
    target_weights: Sequence[Mapping[str, float]],
    baselines: Sequence[tuple[str, dict[str, float] | None]],
    where: str | None,
    laws: str | None,
    resamples: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Write one HTML page on the laws in LAW and the RUNS they were fitted on.

    The page opens offline: what to train on, how sure that is and what not to trust, the fit and
    its residuals, and sliders for N, D and the target weights.
    """
    common.check_out(out, law, runs)
    from jaxmix.fitting.loading import load_laws
    from jaxmix.report import make_report, read_provenance, read_rows, write_report

    fits = load_laws(law)
    provenance = read_provenance(law)
    rows = read_rows(runs, provenance, where)
    with common.progress("report") as show:
        report = make_report(
            fits,
            rows,
            n_params=n_params,
            tokens=tokens,
            target_weights=common.merged(target_weights, "--target-weights"),
            baselines=named_baselines(baselines, rows.used, fits[0].domains),
            compare_laws=[name.strip() for name in laws.split(",")] if laws else (),
            resamples=resamples,
            weighting=str(provenance.get("weighting") or "equal"),
            seed=seed,
            provenance=_origin(law, runs, provenance),
            progress=lambda stage, done, total: show(done, total),
        )
    write_report(report, out)
    size = os.path.getsize(out)
    if as_json:
        common.emit({"out": out, "bytes": size, **_as_json(report)})
    else:
        from jaxmix.report.findings import find

        found = find(report)
        common.show(found.train_on, *found.how_sure[:2], f"written to {out} ({size / 1e6:.2f} MB)")
    common.say(report.notes)


def _origin(law: str, runs: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    from jaxmix.fitting.origin import file_hash

    command = common.command_line()
    own = {
        "law file": f"{os.path.basename(law)}, sha256 {file_hash(law)}",
        "run table": f"{os.path.basename(runs)}, sha256 {file_hash(runs)}",
    }
    own |= {"command": command} if command else {}
    kept = {name: value for name, value in provenance.items() if name != "runs"}
    return own | {f"fit: {name}": value for name, value in kept.items()}


def _as_json(report: "Report") -> dict[str, Any]:
    best, sure = report.optimum, report.trust
    scores = (report.fitted_scores, report.held_out_scores)
    return {
        "law": report.laws[0].law.name,
        "n_params": report.n_params,
        "tokens": report.tokens,
        "target_weights": report.target_weights,
        "weights": best.mixture if best else None,
        "intervals": {d: i._asdict() for d, i in sure.intervals.items()} if sure else None,
        "gains": [_gain(g) for g in sure.gains] if sure else None,
        "fitted_mre": {t: s.mre for t, s in scores[0].items()},
        "held_out_mre": {t: s.mre for t, s in scores[1].items()},
        "notes": [*(sure.notes if sure else best.notes if best else ()), *report.notes],
    }


def _gain(gain: Any) -> dict[str, Any]:
    names = ("baseline", "predicted", "optimism", "corrected", "low", "high", "probability")
    return {name: getattr(gain, name) for name in names}
