"""``jaxmix fit``: a run table to a file of fitted laws."""

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from jaxmix.cli import common
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxmix.fitting.fitted import FittedLaw
    from jaxmix.runs import RunTable

_SEARCH = (
    click.option("--solver", help="Name of a solver; the default is the one that found best."),
    click.option(
        "--restarts",
        type=click.IntRange(min=1),
        default=128,
        show_default=True,
        help="Local solves per target.",
    ),
    click.option("--seed", type=int, default=0, show_default=True),
)
_OBJECTIVE = (
    click.option(
        "--delta",
        type=click.FloatRange(min=0, min_open=True),
        default=1e-3,
        show_default=True,
        help="Huber threshold, in nats (relative with log).",
    ),
    click.option(
        "--residual",
        type=click.Choice(["loss", "log"]),
        default="loss",
        show_default=True,
        help="Fit the loss or its logarithm.",
    ),
    click.option(
        "--weighting",
        type=click.Choice(["equal", "sem"]),
        default="equal",
        show_default=True,
        help="Weigh rows equally or by their sem_<target>.",
    ),
)


def fit_options(command: Any) -> Any:
    """Adds the options that every fit has, in this order."""
    for option in reversed((*_SEARCH, *_OBJECTIVE)):
        command = option(command)
    return command


def objective_options(command: Any) -> Any:
    """Adds the options that say how residuals count."""
    for option in reversed(_OBJECTIVE):
        command = option(command)
    return command


def solver_options(options: "Mapping[str, Any]") -> dict[str, Any]:
    """Keyword arguments of ``fit`` from the options of a command; checks the solver's name."""
    from jaxmix.fitting.fit import SOLVERS

    names = ("solver", "restarts", "seed", "delta", "residual", "weighting")
    chosen = {name: options[name] for name in names if options[name] is not None}
    solver = chosen.get("solver")
    if solver is not None and solver not in SOLVERS:
        raise JaxmixError(
            f"--solver: unknown solver '{solver}'; choose one of {', '.join(SOLVERS)}"
        )
    return chosen


def bare_targets(table: "RunTable", text: str | None) -> tuple[str, ...] | None:
    """The targets that ``--targets`` names, bare; None for all."""
    from jaxmix.runs import resolve_names

    names = common.split(text)
    if names is None:
        return None
    table.losses(names)  # says which is unknown or has no loss in these rows
    return resolve_names(names, table.targets, "target")


@click.command("fit", cls=common.Command, short_help="Fit a law to the losses of a run table.")
@click.argument("runs")
@click.option(
    "--law",
    required=True,
    help="Name of a law (jaxmix laws lists them), or FILE.py:VARIABLE for one of your own.",
)
@click.option("--targets", metavar="A,B|all", default="all", show_default=True)
@common.where_option
@click.option("--held-out", metavar="EXPR", help="Rows of RUNS to score on, not to fit.")
@common.pool_option
@fit_options
@click.option("--out", required=True, metavar="LAW.json", help="File to write.")
@common.json_option
def fit_command(
    runs: str,
    law: str,
    targets: str,
    where: str | None,
    held_out: str | None,
    pool: tuple[str, ...],
    out: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit a law to the losses in RUNS, for several targets at once."""
    common.check_out(out, runs)
    from jaxmix.fitting.files import save_laws
    from jaxmix.fitting.fit import fit
    from jaxmix.laws import get_law

    found = get_law(law)
    chosen = solver_options(options)
    rows = rows_to_fit(runs, targets, where, held_out, pool)
    with common.progress(f"fitting {found.name}") as report:
        fits = fit(
            rows.table,
            found,
            targets=rows.targets,
            held_out=rows.held_out,
            progress=report,
            **chosen,
        )
    provenance = {**rows.origin, **options, "rows": len(rows.table)}
    save_laws(out, fits, provenance, law_ref=law if ".py:" in law else None)
    notes = [*rows.table.notes, *fit_notes(fits)]
    if as_json:
        common.emit(_summary(fits, out, notes))
    else:
        common.show(_table(fits), f"written to {out}")
    common.say(notes)


class Rows(NamedTuple):
    """What a command fits: rows, held-out rows, bare targets, and where it all comes from."""

    table: "RunTable"
    held_out: "RunTable | None"
    targets: tuple[str, ...] | None
    origin: dict[str, Any]


def rows_to_fit(
    runs: str, targets: str, where: str | None, held_out: str | None, pool: "Sequence[str]"
) -> Rows:
    """Reads the rows that --where, --held-out, --pool and --targets of a fit ask for."""
    from jaxmix.files import file_hash

    unseen = common.read_table(runs, held_out, pool) if held_out else None
    where = _without(runs, where, held_out, pool)
    table = common.read_table(runs, where, pool)
    names = bare_targets(table, targets)
    origin = {"runs": runs, "runs_sha256": file_hash(runs)}
    return Rows(
        table, unseen, names, {**origin, "where": where, "held_out": held_out, "pool": pool}
    )


def _without(
    runs: str, where: str | None, held_out: str | None, pool: "Sequence[str]"
) -> str | None:
    """``where`` less the rows that are held out; as it is where it has none of them."""
    if not held_out:
        return where
    rest = f"({where}) and not ({held_out})" if where else f"not ({held_out})"
    same = where and len(common.read_table(runs, where, pool)) == len(
        common.read_table(runs, rest, pool)
    )
    return where if same else rest


def fit_notes(fits: "Sequence[FittedLaw]") -> list[str]:
    """The notes of fits; one that all targets share stands once, without a target."""
    notes = []
    for f in fits:
        for note in f.report.notes:
            shared = len(fits) > 1 and all(note in other.report.notes for other in fits)
            notes.append(note if shared or len(fits) == 1 else f"{f.target}: {note}")
    return notes


def free_parameters(f: "FittedLaw") -> int:
    """Number of free parameters of one target's law."""
    return f.law.count(len(f.domains))


def _summary(fits: "Sequence[FittedLaw]", out: str, notes: list[str]) -> dict[str, Any]:
    return {
        "law": fits[0].law.name,
        "out": out,
        "domains": fits[0].domains,
        "n_parameters": free_parameters(fits[0]),
        "targets": {f.target: _target(f) for f in fits},
        "notes": notes,
    }


def _target(f: "FittedLaw") -> dict[str, Any]:
    import dataclasses

    from jaxmix.fitting.files import params_to_json

    return {**dataclasses.asdict(f.report), "parameters": params_to_json(f)}


def _table(fits: "Sequence[FittedLaw]") -> Any:
    title = f"{fits[0].law.name}: {free_parameters(fits[0])} parameters per target"
    held_out = any(f.report.held_out_rows for f in fits)
    unseen = ("held-out %",) if held_out else ()
    columns = ("objective", "MRE %", *unseen, "rows", "agree", "gradient", "cond.", "at bound")
    made = common.table(title, "target", *columns, text=("at bound",))
    for f in fits:
        r = f.report
        made.add_row(
            f.target,
            f"{r.objective:.4e}",
            f"{r.train_mre:.3f}",
            *([f"{r.held_out_mre:.3f}"] if held_out else ()),
            str(r.rows),
            f"{r.agreeing}/{r.restarts}",
            f"{r.gradient_norm:.0e}",
            common.number(r.condition, 2),
            _bounds(r.at_bound),
        )
    return made


def _bounds(labels: tuple[str, ...]) -> str:
    return ", ".join(labels) if len(labels) <= 2 else f"{len(labels)}: {labels[0]}, ..."
