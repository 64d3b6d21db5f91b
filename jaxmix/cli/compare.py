"""``jaxmix compare``: several laws fitted on some rows and scored on others."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.fit import fit_options
from jaxmix.notes import MINOR, Note, rank_of

if TYPE_CHECKING:
    from jaxmix.fitting.selection.compare import Comparison, ComparisonRow


@click.command("compare", cls=common.Command)
@click.argument("runs")
@opt.laws
@click.option("--train", required=True, metavar="EXPR", help="Rows to fit on.")
@click.option("--test", required=True, metavar="EXPR", help="Rows to score on.")
@opt.targets
@opt.pool
@fit_options
@opt.out
@opt.json
def command(
    runs: str,
    laws: tuple[str, ...],
    train: str,
    test: str,
    out: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit several laws on some rows of RUNS and score each on others.

    A target accuracy_<name> is -log of the column metric_<name>. With a column loss_task_<name> it
    is predicted in two steps as well: the loss by the law, the accuracy by a sigmoid of the loss.
    """
    common.check_table(out, runs)
    from jaxmix.fitting.selection.compare import compare

    with common.progress("fitting") as report:
        found = compare(runs, laws, train, test, progress=report, **options)
    told = [(law, note) for law, fits in found.fits.items() for note in fits.notes]
    notes = [
        Note(f"{law}: {note}", rank_of(note))
        for law, note in told
        if note not in found.notes and rank_of(note) < MINOR
    ]
    held = {"train": train, "test": test, **found.to_dict()}
    common.answer(
        as_json,
        held,
        lambda: [f"{found.verdict}.", _means(found), _rows(found)],
        [*found.notes, *notes],
        out=out,
        rows=lambda: [{**row.to_dict(), **one} for one, rows in _by_kind(found) for row in rows],
    )


def _by_kind(found: "Comparison") -> "Iterable[tuple[dict[str, Any], Sequence[ComparisonRow]]]":
    """Rows of laws, of baselines, and of accuracies by two steps, with what tells them apart."""
    kinds = [({"baseline": False}, found.rows), ({"baseline": True}, found.baseline_rows)]
    if not found.two_step_rows:
        return kinds
    named = [({**kind, "two_steps": False}, rows) for kind, rows in kinds]
    return [*named, ({"baseline": False, "two_steps": True}, found.two_step_rows)]


def _rows(found: "Comparison") -> Any:
    columns = ("train MRE %", "test MRE %", "R2", "Spearman", "rows")
    made = common.table("scores by target", "target", "law", *columns, text=("law",))
    targets = [row.target for row in found.rows]
    rows = [(row.law, row) for row in found.rows]
    rows += [(f"{row.law}, by the loss", row) for row in found.two_step_rows]
    rows += [(f"baseline {row.law}", row) for row in found.baseline_rows]
    for name, row in sorted(rows, key=lambda one: targets.index(one[1].target)):
        scores = (row.train.mre, row.test.mre, row.test.r2, row.test.spearman)
        made.add_row(row.target, name, *map(common.number, scores), str(row.test.rows))
    return made


def _means(found: "Comparison") -> Any:
    columns = ("parameters", "train MRE %", "test MRE %", "R2", "Spearman")
    means = [(m.law, m) for m in found.means()]
    means += [(f"baseline {m.law}", m) for m in found.baseline_means()]
    rows = (
        (
            name,
            str(m.n_parameters),
            *map(common.number, (m.train_mre, m.test_mre, m.r2, m.spearman)),
        )
        for name, m in means
    )
    return common.table("mean over targets", "law", *columns, rows=rows)
