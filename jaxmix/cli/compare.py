"""``jaxmix compare``: several laws fitted on some rows and scored on others."""

from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.fit import fit_notes, fit_options

if TYPE_CHECKING:
    from jaxmix.fitting.selection.compare import Comparison


@click.command("compare", cls=common.Command, short_help="Fit several laws, score on other rows.")
@click.argument("runs")
@opt.laws
@click.option("--train", required=True, metavar="EXPR", help="Rows to fit on.")
@click.option("--test", required=True, metavar="EXPR", help="Rows to score on.")
@opt.targets
@opt.pool
@fit_options
@opt.json
def command(
    runs: str,
    laws: tuple[str, ...],
    train: str,
    test: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit several laws on some rows of RUNS and score each on others."""
    from jaxmix.fitting.selection.compare import compare

    with common.progress("fitting") as report:
        found = compare(runs, laws, train, test, progress=report, **options)
    notes = [f"{law}: {note}" for law, fits in found.fits.items() for note in fit_notes(fits)]
    held = {"train": train, "test": test, **_as_json(found)}
    common.answer(as_json, held, lambda: [_rows(found), _means(found)], [*found.notes, *notes])


def _as_json(found: "Comparison") -> dict[str, Any]:
    rows = [
        {
            **common.pick(row, "law", "n_parameters", "target"),
            "train_mre": row.train.mre,
            "test_mre": row.test.mre,
            **common.pick(row.test, "r2", "spearman"),
            "train_rows": row.train.rows,
            "test_rows": row.test.rows,
        }
        for row in found.rows
    ]
    names = ("n_parameters", "train_mre", "test_mre", "r2", "spearman")
    return {"rows": rows, "means": {m.law: common.pick(m, *names) for m in found.means()}}


def _rows(found: "Comparison") -> Any:
    columns = ("train MRE %", "test MRE %", "R2", "Spearman", "rows")
    made = common.table("scores by target", "target", "law", *columns, text=("law",))
    targets = [row.target for row in found.rows]
    for row in sorted(found.rows, key=lambda row: targets.index(row.target)):
        scores = (row.train.mre, row.test.mre, row.test.r2, row.test.spearman)
        made.add_row(row.target, row.law, *map(common.number, scores), str(row.test.rows))
    return made


def _means(found: "Comparison") -> Any:
    columns = ("parameters", "train MRE %", "test MRE %", "R2", "Spearman")
    means = [(m, (m.train_mre, m.test_mre, m.r2, m.spearman)) for m in found.means()]
    rows = ((m.law, str(m.n_parameters), *map(common.number, scores)) for m, scores in means)
    return common.table("mean over targets", "law", *columns, rows=rows)
