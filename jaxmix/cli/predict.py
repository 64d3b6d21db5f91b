"""``jaxmix predict``: the losses that fitted laws expect at given points."""

from typing import TYPE_CHECKING

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.intervals import interval_options, refitted

if TYPE_CHECKING:
    from jaxmix.fitting import Ensemble
    from jaxmix.runs import PointTable


@click.command("predict", cls=common.Command)
@click.argument("law")
@click.argument("points")
@opt.rename
@interval_options
@click.option(
    "--accuracy",
    "measured",
    metavar="RUNS",
    help="Predict pred_metric_<name>_by_loss from the loss of task_<name>, by a sigmoid that is "
    "fitted on the rows of RUNS.",
)
@opt.out
@opt.json
def command(
    law: str,
    points: str,
    level: float | None,
    fitted: str | None,
    resamples: int | None,
    measured: str | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Predict the losses of the laws in the file LAW at the rows of POINTS.

    POINTS is a table with n_params, tokens, w_<domain> and whatever else the law reads; the output
    adds pred_<target>, as CSV on standard output unless --out is given. A law that knows repetition
    reads unique_<domain>; a domain without that column never repeats. --interval adds low_<target>
    and high_<target>; an end without a bound is empty. A law of accuracy_<name> also predicts the
    accuracy pred_metric_<name>.
    """
    common.check_table(out, law, points)
    from jaxmix.fitting.accuracy import predicted_accuracies
    from jaxmix.fitting.evidence import unread_notes
    from jaxmix.fitting.files import load_laws
    from jaxmix.runs import read_points, read_runs

    laws = load_laws(law)
    table = read_points(points, laws.domains if laws.law.reads("weights") else None)
    predicted = {f"pred_{name}": values.tolist() for name, values in laws.predict(table).items()}
    runs = read_runs(measured) if measured else None
    shares = predicted_accuracies(laws, table, runs)
    predicted |= {name: values.tolist() for name, values in shares.items()}
    notes = [*table.notes, *laws.mixture_notes, *unread_notes(laws, table)]
    if measured and not any(name.endswith("_by_loss") for name in shares):
        notes.append(f"{measured}: no loss_task_<name> and metric_<name> of a target of {law}")
    if level is not None:
        ensemble = refitted(law, laws, fitted, resamples)
        predicted |= _ends(ensemble, table, level)
        notes += ensemble.notes
    if out is not None or not as_json:
        whole = table.frame.assign(**predicted)
        text = whole.to_csv(index=False, lineterminator="\n") if out is None else ""
        common.write_rows(out, whole) if out is not None else click.echo(text, nl=False)
    if as_json:
        rows = zip(table.runs, *predicted.values(), strict=True)
        common.emit({"rows": [dict(zip(("run", *predicted), row, strict=True)) for row in rows]})
    again = [name for name in predicted if name in table.frame.columns]
    common.say([*notes, *(f"column {name} of {points} is replaced" for name in again)])


def _ends(ensemble: "Ensemble", table: "PointTable", level: float) -> dict[str, list[float]]:
    """Columns low_<target> and high_<target>; NaN where there is no bound."""
    found = ensemble.predict(table, level=level)
    ends = {}
    for i, name in enumerate(ensemble.laws.targets):
        for end, values in (("low", found.low[i]), ("high", found.high[i])):
            ends[f"{end}_{name}"] = [common.finite(v) for v in values.tolist()]
    return ends
