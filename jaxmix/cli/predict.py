"""``jaxmix predict``: the losses that fitted laws expect at given points."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli.nested_laws import predict_all
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaw
    from jaxmix.fitting.nested import NestedLaw
    from jaxmix.runs import PointTable


@click.command("predict", cls=common.Command, short_help="Predict losses at given points.")
@click.argument("law")
@click.argument("points")
@click.option("--out", metavar="FILE.csv", help="Write the CSV there, not to standard output.")
@common.json_option
def predict_command(law: str, points: str, out: str | None, as_json: bool) -> None:
    """Predict losses at POINTS: its columns and pred_<target>, in its order.

    Laws that know repetition look at its columns unique_<domain>; where there is none, the domain
    never repeats.
    """
    if out is not None:
        _check_csv(out, law, points)
    from jaxmix.files import write_text
    from jaxmix.fitting.nested import load_any
    from jaxmix.fitting.scores import unique_for

    laws = load_any(law)
    table, weights = read_points_for(laws[0], points)
    at = (table.n_params, table.tokens, weights, unique_for(laws[0], table.frame, points))
    predicted = {f"pred_{name}": values for name, values in predict_all(laws, *at).items()}
    if out is not None or not as_json:
        text = table.frame.assign(**predicted).to_csv(index=False, lineterminator="\n")
        write_text(out, text) if out is not None else click.echo(text, nl=False)
    if as_json:
        columns = [predicted[name].tolist() for name in predicted]
        rows = zip(table.runs, *columns, strict=True)
        common.emit({"rows": [dict(zip(("run", *predicted), row, strict=True)) for row in rows]})
    again = [name for name in predicted if name in table.frame.columns]
    common.say([*table.notes, *(f"column {name} of {points} is replaced" for name in again)])


def read_points_for(law: "FittedLaw | NestedLaw", path: str) -> "tuple[PointTable, Any]":
    """The points in a file and their mixtures [p, k] as the law needs them."""
    from jaxmix.runs import read_points

    if law.law.reads("weights"):
        table = read_points(path, law.domains)
        return table, table.weights
    table = read_points(path)  # whatever its domains are, they do not matter
    return table, [[0.0] * len(law.domains)] * len(table)


def _check_csv(out: str, *inputs: str) -> None:
    if out.lower().endswith((".parquet", ".pq", ".jsonl", ".ndjson", ".json")):
        raise JaxmixError(f"{out}: predict writes CSV; name the file .csv, or use --json")
    common.check_out(out, *inputs)
