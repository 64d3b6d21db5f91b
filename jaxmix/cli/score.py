"""``jaxmix score``: how well fitted laws predict the rows of a run table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.intervals import interval_options, refitted
from jaxmix.quantities import count

if TYPE_CHECKING:
    from jaxmix.fitting.scores import Score
    from jaxmix.runs import RunTable

Held = Mapping[str, Mapping[str, float]]  # coverage and half width by target


@click.command("score", cls=common.Command)
@click.argument("law")
@click.argument("runs")
@opt.where
@opt.pool
@interval_options
@opt.out
@opt.json
def command(
    law: str,
    runs: str,
    where: str | None,
    pool: tuple[str, ...],
    level: float | None,
    fitted: str | None,
    resamples: int | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Score the laws in the file LAW on the rows of RUNS: MRE %, R2, Spearman.

    With --interval, also the share of the losses that lie in their intervals (coverage), and the
    mean half width of these in nats.
    """
    common.check_table(out, law, runs)
    from jaxmix.fitting.evidence import unread_notes
    from jaxmix.fitting.files import load_laws
    from jaxmix.fitting.scores import mean_mre, score, unscored

    laws = load_laws(law)
    table = common.read_table(runs, where, pool)
    absent = unscored(laws, table)
    present = laws[[name for name in laws.targets if name not in absent]]
    scores = score(present, table)
    notes = [*table.notes, *laws.mixture_notes, *unread_notes(laws, table)]
    notes += [f"target {name} has no loss there: not scored" for name in absent]
    notes += _fitted_notes(law, runs, table)
    held: Held = {}
    if level is not None:
        ensemble = refitted(law, present, fitted, resamples, [runs])
        held = ensemble.score(table, level=level).to_dict("index")  # type: ignore[assignment]
        notes += ensemble.notes
    found = {name: {**_as_json(s), **held.get(name, {})} for name, s in scores.items()}
    answer = {"targets": found, "mean_mre": mean_mre(scores)}
    common.answer(
        as_json,
        answer,
        lambda: [f"{scores.headline}.", _table(laws.law.name, scores, held)],
        notes,
        out=out,
        rows=lambda: [_row(name, s, held.get(name, {})) for name, s in scores.items()],
    )


def _fitted_notes(law: str, runs: str, table: "RunTable") -> list[str]:
    """A note on rows that the laws in a file were fitted on, if it names this very run table."""
    from jaxmix.files import file_hash
    from jaxmix.fitting.files import read_fitted_rows, read_provenance
    from jaxmix.fitting.selection.compare import shared_rows

    if read_provenance(law).get("runs_sha256") != file_hash(runs):
        return []
    same = shared_rows(read_fitted_rows(law, runs)[0], table)
    told = f"{same} of {count(len(table), 'row')} took part in the fit"
    return [f"{told}: their errors are lower than those of others"] if same else []


def _row(target: str, score: "Score", held: Mapping[str, float]) -> dict[str, Any]:
    known = common.pick(score, "mre", "r2", "spearman", "rows", "diverged")
    return {"target": target, **known, **{name: common.finite(x) for name, x in held.items()}}


def _as_json(s: "Score") -> dict[str, Any]:
    found = common.pick(s, "mre", "r2", "spearman", "rows")
    return {**found, "diverged": s.diverged} if s.diverged else found


def _table(law: str, scores: "Mapping[str, Score]", held: Held) -> Any:
    from jaxmix.fitting.scores import mean

    extra = ("coverage", "half width") if held else ()
    columns = ("error %", "R2", "Spearman", "rows", "diverged", *extra)
    made = common.table(f"errors of the {law} law, percent of the loss", "target", *columns)
    for name, s in scores.items():
        row = *_cells(s.mre, s.r2, s.spearman), str(s.rows), str(s.diverged or "")
        made.add_row(name, *row, *_intervals(held.get(name)))
    if len(scores) > 1:
        columns = zip(*((s.mre, s.r2, s.spearman) for s in scores.values()), strict=True)
        means = {key: mean(h[key] for h in held.values()) for key in ("coverage", "half_width")}
        made.add_section()
        cells = _cells(*(mean(column) for column in columns))
        made.add_row("mean", *cells, "", "", *_intervals(means if held else None))
    return made


def _cells(mre: float, r2: float, spearman: float) -> tuple[str, str, str]:
    return common.number(mre), common.number(r2, 5), common.number(spearman, 5)


def _intervals(found: Mapping[str, float] | None) -> tuple[str, ...]:
    if not found:
        return ()
    return common.number(found["coverage"], 3), common.end(found["half_width"], 4)
