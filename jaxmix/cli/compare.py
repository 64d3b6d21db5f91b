"""``jaxmix compare``: several laws fitted on some rows and scored on others."""

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli.fit import fit_notes, fit_options, solver_options

if TYPE_CHECKING:
    from jaxmix.fitting.selection.compare import Comparison


@click.command("compare", cls=common.Command, short_help="Fit several laws, score on other rows.")
@click.argument("runs")
@click.option("--laws", required=True, metavar="A,B", help="Names of laws, or FILE.py:VARIABLE.")
@click.option("--train", required=True, metavar="EXPR", help="Rows to fit on.")
@click.option("--test", required=True, metavar="EXPR", help="Rows to score on.")
@click.option("--targets", metavar="A,B|all", default="all", show_default=True)
@common.pool_option
@fit_options
@common.json_option
def compare_command(
    runs: str,
    laws: str,
    train: str,
    test: str,
    targets: str,
    pool: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Fit several laws on some rows of RUNS and score each on others."""
    from jaxmix.fitting.selection.compare import compare

    names = [name.strip() for name in laws.split(",")]
    chosen = solver_options(options)
    asked = common.split(targets)
    with common.progress("fitting") as report:
        comparison = compare(
            runs,
            names,
            train,
            test,
            targets=asked,
            pool=pool,
            progress=lambda law, done, total: report(done, total),
            **chosen,
        )
    if as_json:
        common.emit(_as_json(comparison, train, test))
    else:
        common.show(_rows(comparison), _means(comparison))
    notes = [f"{law}: {note}" for law, fits in comparison.fits.items() for note in fit_notes(fits)]
    common.say([*comparison.notes, *notes])


def _as_json(comparison: "Comparison", train: str, test: str) -> dict[str, Any]:
    rows = [
        {
            "law": row.law,
            "n_parameters": row.n_parameters,
            "target": row.target,
            "train_mre": row.train.mre,
            "test_mre": row.test.mre,
            "r2": row.test.r2,
            "spearman": row.test.spearman,
            "train_rows": row.train.rows,
            "test_rows": row.test.rows,
        }
        for row in comparison.rows
    ]
    means = {mean.law: dataclasses.asdict(mean) for mean in comparison.means()}
    for mean in means.values():
        del mean["law"]
    return {"train": train, "test": test, "rows": rows, "means": means}


def _rows(comparison: "Comparison") -> Any:
    columns = ("train MRE %", "test MRE %", "R2", "Spearman", "rows")
    made = common.table("scores by target", "target", "law", *columns, text=("law",))
    for target in dict.fromkeys(row.target for row in comparison.rows):
        for row in (r for r in comparison.rows if r.target == target):
            scores = (row.train.mre, row.test.mre, row.test.r2, row.test.spearman)
            made.add_row(target, row.law, *map(common.number, scores), str(row.test.rows))
    return made


def _means(comparison: "Comparison") -> Any:
    columns = ("parameters", "train MRE %", "test MRE %", "R2", "Spearman")
    made = common.table("mean over targets", "law", *columns)
    for m in comparison.means():
        scores = (m.train_mre, m.test_mre, m.r2, m.spearman)
        made.add_row(m.law, str(m.n_parameters), *map(common.number, scores))
    return made
