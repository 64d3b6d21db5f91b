"""``jaxmix select``: which law, settings and rows to use, by errors on held-out rows."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.fit import delta_option, weighting_option
from jaxmix.cli.values import FLOORS, LAWS, SHARES, STRENGTHS, Listed, MixtureType

if TYPE_CHECKING:
    from jaxmix.fitting.selection import BaselineRow, NestedScore, Pull, Selection, SelectionRow

_SHOWN = 12  # rows of the table of settings


@click.command("select", cls=common.Command)
@click.argument("runs")
@click.option(
    "--laws",
    type=LAWS,
    help="Names of laws, or FILE.py:VARIABLE.  [default: by what varies, how many mixtures there "
    "are, and whether they repeat data]",
)
@opt.targets
@opt.where
@click.option(
    "--by",
    type=Listed("kind", "size,mixtures"),
    help="What to hold out: size, any-size, mixtures, range (the best mixtures), tokens.  "
    "[default: size,mixtures,range, as far as RUNS allow it]",
)
@opt.setting("--residual", Listed("residual", "loss,log"), "loss,log", "Residuals to try.")
@opt.setting("--burn-in", SHARES, "0,0.1,0.25", "Shares of each run to leave out at its start.")
@opt.setting(
    "--share",
    STRENGTHS,
    "0",
    "Strengths of parameters shared over targets and domains to try, as of fit --share.",
)
@opt.setting("--size-floor", FLOORS, "auto", "Smallest n_params to fit; 0 for no floor.")
@click.option(
    "--outer",
    type=Listed("kind", "size or none", words={"none": ()}),
    help="Also score the whole procedure, choice included, on rows held out from it.  [default: "
    "the first of --by]",
)
@click.option(
    "--pull-to", type=MixtureType(), help="Choose the strength of a pull to this mixture as well."
)
@opt.setting("--folds", click.IntRange(min=2), 5, "Number of folds of mixtures.")
@opt.count("--restarts", 24, "Restarts of each fit.")
@opt.seed
@delta_option
@weighting_option
@opt.pool
@click.option(
    "--out",
    metavar="CHOICE.json",
    help="Write the choice, which jaxmix fit --choice reads; or the rows of the table: .csv, .tsv, "
    ".jsonl or .parquet.",
)
@opt.json
def command(
    runs: str,
    laws: tuple[str, ...] | None,
    targets: tuple[str, ...] | None,
    where: str | None,
    pool: tuple[str, ...],
    out: str | None,
    as_json: bool,
    residual: tuple[str, ...],
    size_floor: Any,
    pull_to: Any,
    **options: Any,
) -> None:
    """Pick the law, the residual and the rows of RUNS to trust, by the error on held-out rows.

    Every law is scored on the same rows. A law is not eligible if the mixtures that it would choose
    are clearly worse than another law's. Of the others, those within one standard error of the
    lowest error tie, and the one with the fewest parameters is picked.
    """
    common.check_table(out, runs)
    from jaxmix.files import to_json, write_text
    from jaxmix.fitting.selection import default_laws, select

    asked = {"residuals": residual, "size_floors": size_floor, "reference": pull_to, **options}
    table = common.read_table(runs, where, pool)
    laws = laws or default_laws(table)
    with common.progress("fitting") as report:
        found = select(table, laws, targets=targets, progress=report, **asked)
    chosen = found.trials.targets if targets else ()
    fit = fit_options(found, laws, (where, pool, chosen), options)
    command = fit_command_line(runs, fit)
    summary = {**found.to_dict(), "fit": fit, "command": command}
    if out is not None and out.lower().endswith(".json"):
        write_text(out, to_json(common.plain(summary)) + "\n")
    elif out is not None:
        common.write_rows(out, found.to_frame())
    common.answer(as_json, summary, lambda: _parts(found, out))
    if not as_json:
        click.echo(f"\nfit it with:\n{command}")  # whole, so that it can be copied
    common.say([*table.notes, *_notes(found)])


def fit_options(
    found: "Selection",
    laws: tuple[str, ...],
    rows: tuple[str | None, tuple[str, ...], tuple[str, ...]],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The options of ``jaxmix fit`` that apply a choice: what ``--choice`` reads.

    Args:
        found: the choice.
        laws: as they were named.
        rows: --where, --pool, and the targets if not all.
        options: the others.
    """
    from jaxmix.fitting.sharing import share_text
    from jaxmix.laws import get_law

    where, pool, targets = rows
    both = [f"({where})" if where and found.where else where, found.where]
    return {
        "law": next(name for name in laws if get_law(name).name == found.choice.law.name),
        "residual": found.choice.residual,
        "share": share_text(dict(found.choice.share), found.choice.law),
        "targets": ",".join(targets) or None,
        "where": " and ".join(part for part in both if part) or None,
        "pool": list(pool),
        **{name: options[name] for name in ("seed", "delta", "weighting")},
    }


_USUAL = {"share": "0", "seed": 0, "delta": 1e-3, "weighting": "equal"}


def fit_command_line(runs: str, fit: Mapping[str, Any]) -> str:
    """The ``jaxmix fit`` call with those options."""
    words = ["jaxmix", "fit", runs]
    for name, value in fit.items():
        given = value if isinstance(value, list) else [value]
        kept = [one for one in given if one is not None and _USUAL.get(name) != one]
        words += [word for one in kept for word in (f"--{name}", str(one))]
    return shlex.join([*words, "--out", "law.json"])


def _parts(found: "Selection", out: str | None) -> list[Any]:
    laws = found.best_of_laws()
    parts: list[Any] = [f"{found.headline}."]
    parts.append(_table(found, laws, "each law at its best settings, on equal held-out rows"))
    if any(r not in laws for r in found.rows):
        shown = found.rows[:_SHOWN]
        title = f"all settings, lowest error first ({len(shown)} of {len(found.rows)})"
        parts.append(_table(found, shown, title, baselines=False))
    parts.append("\n".join(found.reasons))
    parts += [_nested_table(found.nested)] if found.nested and found.nested.picks else []
    parts += _pull_parts(found.pull) if found.pull else []
    return parts + ([f"written to {out}"] if out else [])


def _table(
    found: "Selection", rows: "tuple[SelectionRow, ...]", title: str, baselines: bool = True
) -> Any:
    from jaxmix.fitting.scores import mean

    kinds = list(rows[0].error)
    columns = ("par.", *(f"{kind} %" for kind in kinds), "mean %", "vs pick", "regret", "")
    made = common.table(title, "candidate", *columns, text=("",))
    for row in rows:
        own = row.candidate == found.choice
        made.add_row(row.candidate.name, *_figures(row, kinds, own), _mark(found, row))
    if not baselines:
        return made
    for row in found.baseline_rows:
        mark = "beats the pick" if row.beats else "picks worse mixtures" if row.high_regret else ""
        made.add_row(f"baseline {row.name}", *_figures(row, kinds), mark)
    for name, regret in found.baselines.items():
        cost = mean(regret.values())
        if cost == cost:
            blank = [""] * (len(kinds) + 3)
            made.add_row(f"the {name} mixture, no law", *blank, common.number(cost, 2), "")
    return made


def _figures(
    row: "SelectionRow | BaselineRow", kinds: Sequence[str], own: bool = False
) -> list[str]:
    gap = row.difference
    return [
        str(row.n_parameters),
        *(common.fixed(row.error[kind], 3) for kind in kinds),
        common.fixed(row.score, 3),
        "" if own else f"{gap.mean:+.3f} ± {gap.standard_error:.3f}",
        common.number(row.mean_regret, 2),
    ]


def _mark(found: "Selection", row: "SelectionRow") -> str:
    if row.candidate == found.choice:
        return "picked"
    return "picks worse mixtures" if row.high_regret else "tie" if row.tied else ""


def _nested_table(nested: "NestedScore") -> Any:
    rows = [
        *((p.split, p.picked, p.error, p.regret) for p in nested.picks),
        ("mean", "", nested.error, nested.regret),
        ("the pick itself", "", nested.naive_error, nested.naive_regret),
    ]
    return common.table(
        "the procedure, scored on splits that did not choose",
        *("outer split", "chosen without it", "error %", "regret"),
        rows=((s, chosen, common.fixed(e, 3), common.number(r, 2)) for s, chosen, e, r in rows),
    )


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
    return [*found.notes, *dropped] + [
        f"no nested score on {name}: {why}" for name, why in skipped.items()
    ]
