"""``jaxmix select``: which law, fitted how and on which rows, by the error on what is held out."""

import dataclasses
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.fitting.selection import NestedScore, Pull, Selection, SelectionRow

_SHOWN = 12  # rows of the table of settings


@click.command("select", cls=common.Command, short_help="Pick a law by held-out error and regret.")
@click.argument("runs")
@click.option("--laws", required=True, metavar="A,B", help="Names of laws, or FILE.py:VARIABLE.")
@click.option("--targets", metavar="A,B|all", default="all", show_default=True)
@common.where_option
@click.option(
    "--by",
    metavar="KIND,...",
    default="size,mixtures,range",
    show_default=True,
    help="What to hold out: size, any-size, mixtures, range (the best mixtures), tokens.",
)
@click.option("--residual", metavar="loss,log", default="loss,log", show_default=True)
@click.option(
    "--burn-in",
    metavar="SHARE,...",
    default="0,0.1,0.25",
    show_default=True,
    help="Shares of each run to leave out at its start.",
)
@click.option(
    "--size-floor",
    metavar="N,...|auto",
    default="auto",
    show_default=True,
    help="Smallest n_params to fit; 0 for no floor.",
)
@click.option(
    "--outer",
    metavar="KIND,...|none",
    help="Score the whole procedure on these, apart from choosing.  [default: the first of --by]",
)
@click.option(
    "--pull-to",
    metavar="uniform|proportional|a=0.5,...",
    help="Choose the strength of a pull to this mixture as well.",
)
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True)
@click.option(
    "--restarts",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Local solves of each fit.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--delta", type=click.FloatRange(min=0, min_open=True), default=1e-3, show_default=True
)
@click.option("--weighting", type=click.Choice(["equal", "sem"]), default="equal")
@common.pool_option
@click.option("--out", metavar="CHOICE.json", help="File to write.")
@common.json_option
def select_command(
    runs: str,
    laws: str,
    where: str | None,
    pool: tuple[str, ...],
    out: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Pick the law, the residual and the rows of RUNS to trust, by the error on held-out rows.

    Every law is scored on the same rows. A law whose picks of mixtures cost clearly more than
    another's is not eligible; of the rest, those within one standard error of the lowest error tie
    and the one with the fewest parameters is picked.
    """
    if out is not None:
        common.check_out(out, runs)
    from jaxmix.files import to_json, write_text
    from jaxmix.fitting.selection import select

    asked = _asked(options)
    table = common.read_table(runs, where, pool)
    with common.progress("fitting") as report:
        found = select(
            table,
            _names(laws, "--laws"),
            progress=lambda label, done, total: report(done, total),
            **asked,
        )
    command = fit_command_line(found, runs, where, pool, {**options, "laws": laws})
    summary = {**_as_json(found), "command": command}
    if out is not None:
        write_text(out, to_json(common.plain(summary)) + "\n")
    if as_json:
        common.emit(summary)
    else:
        _show(found, command, out)
    common.say([*table.notes, *_notes(found)])


def _asked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of ``select``; the lists in the options are split here."""
    outer = options["outer"]
    floors = options["size_floor"]
    return {
        "targets": common.split(options["targets"]),
        "by": _names(options["by"], "--by"),
        "residuals": _names(options["residual"], "--residual"),
        "burn_in": _shares(options["burn_in"]),
        "size_floors": "auto" if floors == "auto" else _floors(floors),
        "outer": None if outer is None else () if outer == "none" else _names(outer, "--outer"),
        "reference": _reference(options["pull_to"]),
        **{name: options[name] for name in ("folds", "restarts", "seed", "delta", "weighting")},
    }


def _names(text: str, option: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise JaxmixError(f"{option}: names nothing; give names between commas")
    return names


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise JaxmixError(f"--burn-in: '{text}' is not shares; write 0,0.1,0.25") from None


def _floors(text: str) -> tuple[float, ...]:
    parts = [part.strip() for part in text.split(",")]
    try:
        return tuple(0.0 if p == "0" else common.Quantity().convert(p, None, None) for p in parts)
    except click.BadParameter:
        raise JaxmixError(f"--size-floor: '{text}' is not auto or sizes; write 0,85M") from None


def _reference(text: str | None) -> "str | Mapping[str, float] | None":
    if text is None or "=" not in text:
        return text
    try:
        return common.NamedNumbers().convert(text, None, None)
    except click.BadParameter as error:
        raise JaxmixError(f"--pull-to: {error.message}") from None


def fit_command_line(
    found: "Selection",
    runs: str,
    where: str | None,
    pool: tuple[str, ...],
    options: Mapping[str, Any],
) -> str:
    """The ``jaxmix fit`` call that applies a choice."""
    both = [f"({where})" if where and found.where else where, found.where]
    rows = " and ".join(part for part in both if part)
    choice, trials = found.choice, found.trials
    words = ["jaxmix", "fit", runs, "--law", _law_name(choice.law.name, options)]
    words += ["--residual", choice.residual]
    words += ["--targets", ",".join(trials.targets)] if options["targets"] != "all" else []
    words += ["--where", rows] if rows else []
    words += [word for name in pool for word in ("--pool", name)]
    for name, usual in (("seed", 0), ("delta", 1e-3), ("weighting", "equal")):
        words += [f"--{name}", str(options[name])] if options[name] != usual else []
    return shlex.join([*words, "--out", "law.json"])


def _law_name(name: str, options: Mapping[str, Any]) -> str:
    """The law as it was named: a law of one's own goes by its file."""
    from jaxmix.laws import get_law

    return next(law for law in _names(options["laws"], "--laws") if get_law(law).name == name)


def _as_json(found: "Selection") -> dict[str, Any]:
    return {
        "choice": _settings(found.choice),
        "where": found.where,
        "targets": found.trials.targets,
        "reasons": found.reasons,
        "rows": [_row(row) for row in found.rows],
        "splits": [
            {
                "kind": s.kind,
                "name": s.name,
                "train_rows": int(s.train.sum()),
                "test_rows": int(s.test.sum()),
            }
            for s in found.trials.splits
        ],
        "baselines": found.baselines,
        "nested": None if found.nested is None else dataclasses.asdict(found.nested),
        "pull": None if found.pull is None else dataclasses.asdict(found.pull),
        "dropped": found.dropped,
    }


def _settings(candidate: Any) -> dict[str, Any]:
    return {
        "law": candidate.law.name,
        "residual": candidate.residual,
        "burn_in": candidate.burn_in,
        "size_floor": candidate.size_floor,
    }


def _row(row: "SelectionRow") -> dict[str, Any]:
    return {
        **_settings(row.candidate),
        "n_parameters": row.n_parameters,
        "error": row.error,
        "mean_error": row.score,
        "regret": row.regret,
        "mean_regret": row.mean_regret,
        "target_regret": row.target_regret,
        "difference": row.difference.mean,
        "standard_error": row.difference.standard_error,
        "tied": row.tied,
        "high_regret": row.high_regret,
    }


def _show(found: "Selection", command: str, out: str | None) -> None:
    laws = found.best_of_laws()
    parts = [_table(found, laws, "each law at its best settings, on equal held-out rows")]
    others = [r for r in found.rows if r not in laws]
    if others:
        shown = found.rows[:_SHOWN]
        title = f"all settings, lowest error first ({len(shown)} of {len(found.rows)})"
        parts.append(_table(found, shown, title))
    parts.append("\n".join(found.reasons))
    parts += [_nested_table(found.nested)] if found.nested and found.nested.picks else []
    parts += _pull_parts(found.pull) if found.pull else []
    parts += [f"written to {out}"] if out else []
    common.show(*parts)
    click.echo(f"\nfit it with:\n{command}")  # whole, so that it can be copied


def _table(found: "Selection", rows: "tuple[SelectionRow, ...]", title: str) -> Any:
    kinds = list(rows[0].error)
    errors = [f"{kind} %" for kind in kinds]
    columns = ("par.", *errors, "mean %", "vs pick", "regret", "")
    made = common.table(title, "candidate", *columns, text=("",))
    for row in rows:
        gap = row.difference
        made.add_row(
            row.candidate.name,
            str(row.n_parameters),
            *(f"{row.error[kind]:.3f}" for kind in kinds),
            f"{row.score:.3f}",
            "" if row.candidate == found.choice else f"{gap.mean:+.3f} ± {gap.standard_error:.3f}",
            common.number(row.mean_regret, 2),
            _mark(found, row),
        )
    for name, regret in found.baselines.items():
        from jaxmix.fitting.scores import mean

        cost = mean(regret.values())
        if cost == cost:
            blank = [""] * (len(errors) + 3)
            made.add_row(f"the {name} mixture, no law", *blank, common.number(cost, 2), "")
    return made


def _mark(found: "Selection", row: "SelectionRow") -> str:
    if row.candidate == found.choice:
        return "picked"
    return "picks worse mixtures" if row.high_regret else "tie" if row.tied else ""


def _nested_table(nested: "NestedScore") -> Any:
    title = "the procedure, scored on splits that did not choose"
    made = common.table(title, "outer split", "chosen without it", "error %", "regret", text=())
    for pick in nested.picks:
        made.add_row(pick.split, pick.picked, f"{pick.error:.3f}", common.number(pick.regret, 2))
    made.add_row("mean", "", f"{nested.error:.3f}", common.number(nested.regret, 2))
    made.add_row(
        "the pick itself", "", f"{nested.naive_error:.3f}", common.number(nested.naive_regret, 2)
    )
    return made


def _pull_parts(pull: "Pull") -> list[Any]:
    title = f"pull to the reference by {pull.picks} picks among held-out mixtures"
    made = common.table(title, "strength, nats", "regret", "above the lowest")
    for row in pull.rows:
        above = f"{row.difference:.4f} ± {row.standard_error:.4f}" if row.difference else "lowest"
        mark = "  <- chosen" if row.strength == pull.strength else ""
        made.add_row(f"{row.strength:g}{mark}", f"{row.regret:.4f}", above)
    made.add_row("nearest to the reference", f"{pull.reference_regret:.4f}", "")
    return [made, f"pull of {pull.strength:g} nats: the strongest within one standard error"]


def _notes(found: "Selection") -> list[str]:
    dropped = [f"left out: {name}: {why}" for name, why in found.dropped.items()]
    skipped = {} if found.nested is None else found.nested.skipped
    return dropped + [f"no nested score on {name}: {why}" for name, why in skipped.items()]
