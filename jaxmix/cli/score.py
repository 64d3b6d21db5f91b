"""``jaxmix score``: how well fitted laws predict the rows of a run table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt

if TYPE_CHECKING:
    from jaxmix.fitting.scores import Score


@click.command("score", cls=common.Command, short_help="Score fitted laws on other rows.")
@click.argument("law")
@click.argument("runs")
@opt.where
@opt.pool
@opt.json
def command(law: str, runs: str, where: str | None, pool: tuple[str, ...], as_json: bool) -> None:
    """Score the laws in the file LAW on the rows of RUNS: MRE %, R2, Spearman."""
    from jaxmix.fitting.files import load_laws
    from jaxmix.fitting.scores import mean_mre, score, unscored

    laws = load_laws(law)
    table = common.read_table(runs, where, pool)
    absent = unscored(laws, table)
    scores = score([f for f in laws if f.target not in absent], table)
    found = {name: _as_json(s) for name, s in scores.items()}
    held = {"targets": found, "mean_mre": mean_mre(scores)}
    notes = [*table.notes, *(f"target {name} has no loss there: not scored" for name in absent)]
    common.answer(as_json, held, lambda: [_table(laws.law.name, scores)], notes)


def _as_json(s: "Score") -> dict[str, Any]:
    found = common.pick(s, "mre", "r2", "spearman", "rows")
    return {**found, "diverged": s.diverged} if s.diverged else found


def _table(law: str, scores: "Mapping[str, Score]") -> Any:
    from jaxmix.fitting.scores import mean

    made = common.table(f"{law}: scores", "target", "MRE %", "R2", "Spearman", "rows", "diverged")
    for name, s in scores.items():
        made.add_row(name, *_cells(s.mre, s.r2, s.spearman), str(s.rows), str(s.diverged or ""))
    if len(scores) > 1:
        columns = zip(*((s.mre, s.r2, s.spearman) for s in scores.values()), strict=True)
        made.add_section()
        made.add_row("mean", *_cells(*(mean(column) for column in columns)), "", "")
    return made


def _cells(mre: float, r2: float, spearman: float) -> tuple[str, str, str]:
    return common.number(mre), common.number(r2, 5), common.number(spearman, 5)
