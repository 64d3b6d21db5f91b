"""``jaxmix fit``: a run table to a file of fitted laws."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.values import Strength
from jaxmix.errors import JaxmixError
from jaxmix.notes import ranked

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaws
    from jaxmix.runs import RunTable

delta_option = opt.setting(
    "--delta",
    click.FloatRange(min=0, min_open=True),
    1e-3,
    "Huber threshold in nats; relative if --residual is log.",
)
weighting_option = opt.setting(
    "--weighting", ("equal", "sem"), "equal", "Weight rows equally or by their sem_<target>."
)
objective_options = opt.several(
    delta_option,
    opt.setting("--residual", ("loss", "log"), "loss", "Fit the loss or its logarithm."),
    weighting_option,
)
fit_options = opt.several(
    opt.setting("--solver", str, "pooled-hopping", "How optima are searched for."),
    opt.count("--restarts", 192, "Restarts per target."),
    opt.seed,
    objective_options,
)
share_option = opt.setting(
    "--share",
    Strength(),
    "0",
    "Pull parameters toward their means over targets and domains: 0 fits each target on its own, "
    "inf shares one value, auto chooses the strength by the error on held-out mixtures.",
)


def bare_targets(table: "RunTable", names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The targets that ``--targets`` names, bare; None for all."""
    return None if names is None else table.target_names(names)


_PULL = "jaxmix.cli.fit.pull"  # the pull to a mixture that a choice found


def _read_choice(ctx: click.Context, param: click.Parameter, path: str | None) -> None:
    """Makes a choice of ``jaxmix select`` the defaults of the other options."""
    if path is None:
        return
    from jaxmix.files import read_json

    remedy = "give the file that jaxmix select --out CHOICE.json writes"
    try:
        choice = read_json(path, remedy, "fit")
    except FileNotFoundError:
        raise click.UsageError(f"{path}: no such file; {remedy}", ctx) from None
    except (JaxmixError, OSError) as error:
        raise click.UsageError(str(error), ctx) from None
    chosen, known = choice["fit"], {one.name for one in ctx.command.params}
    if not isinstance(chosen, dict) or not chosen.get("law") or not set(chosen) <= known:
        raise click.UsageError(f"{path}: holds no options of jaxmix fit; {remedy}", ctx)
    pull = choice.get("pull")
    ctx.meta[_PULL] = pull if isinstance(pull, dict) else None
    ctx.default_map = {name: value for name, value in chosen.items() if value is not None}


@click.command("fit", cls=common.Command)
@click.argument("runs")
@click.option(
    "--choice",
    metavar="CHOICE.json",
    is_eager=True,
    expose_value=False,
    callback=_read_choice,
    help="Take the law, the options and the rows that jaxmix select --out wrote; options "
    "given here take precedence.",
)
@click.option(
    "--law",
    required=True,
    help="Name of a law (jaxmix laws lists them), or FILE.py:VARIABLE for one of your own.",
)
@opt.targets
@opt.where
@click.option("--held-out", metavar="EXPR", help="Rows of RUNS to score on, not to fit.")
@opt.pool
@fit_options
@share_option
@click.option("--out", required=True, metavar="LAW.json", help="File to write.")
@opt.json
def command(
    runs: str,
    law: str,
    targets: tuple[str, ...] | None,
    where: str | None,
    held_out: str | None,
    pool: tuple[str, ...],
    out: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit a law to the losses in RUNS, for several targets at once."""
    common.check_out(out, runs)
    from jaxmix.files import file_hash
    from jaxmix.fitting.fit import fit
    from jaxmix.laws import get_law

    found = get_law(law)
    unseen = common.read_table(runs, held_out, pool) if held_out else None
    where = _without(runs, where, held_out, pool)
    table = common.read_table(runs, where, pool)
    names = bare_targets(table, targets)
    with common.progress(f"fitting {found.name}") as report:
        laws = fit(table, found, targets=names, held_out=unseen, progress=report, **options)
    rows = {"where": where, "held_out": held_out, "pool": pool, "rows": len(table)}
    origin = {"runs": runs, "runs_sha256": file_hash(runs), **rows, **options}
    laws.save(out, provenance=origin, law_ref=law if ".py:" in law else None)
    notes = [*ranked((*table.notes, *laws.notes))]
    notes += _pull_notes(click.get_current_context().meta.get(_PULL))
    common.answer(
        as_json,
        _summary(laws, out, notes),
        lambda: [f"{laws.headline}.", _table(laws), f"written to {out}"],
        notes,
    )


def _pull_notes(pull: dict[str, Any] | None) -> list[str]:
    """How to apply the pull of a choice, which is none of the fit, to the optimum of the law."""
    if not pull or not pull.get("strength"):
        return []
    prior = ",".join(f"{d}={w:.6g}" for d, w in pull.get("reference", {}).items())
    return [
        f"the choice pulls mixtures: jaxmix optimize --pull {pull['strength']:g} --prior {prior}"
    ]


def _without(runs: str, where: str | None, held_out: str | None, pool: Sequence[str]) -> str | None:
    """``where`` without the rows that are held out; as it is if it has none of them."""
    if not held_out:
        return where
    rest = f"({where}) and not ({held_out})" if where else f"not ({held_out})"
    same = where and len(common.read_table(runs, where, pool)) == len(
        common.read_table(runs, rest, pool)
    )
    return where if same else rest


def _summary(laws: "FittedLaws", out: str, notes: list[str]) -> dict[str, Any]:
    from jaxmix.fitting.files import params_to_json
    from jaxmix.fitting.sharing import share_text

    fits = {f.target: dataclasses.asdict(f.report) for f in laws}
    for f in laws:  # infinity has no number in JSON
        fits[f.target]["share"] = share_text(f.report.share, laws.law)
    return {
        "law": laws.law.name,
        "out": out,
        "domains": laws.domains,
        "n_parameters": laws.law.count(len(laws.domains)),
        "targets": {f.target: {**fits[f.target], "parameters": params_to_json(f)} for f in laws},
        "notes": notes,
    }


def _table(laws: "FittedLaws") -> Any:
    unseen = ("held-out error %",) if any(f.report.held_out_rows for f in laws) else ()
    doubts = ("doubts",) if any(f.findings for f in laws) else ()
    columns = ("rows", "error %", *unseen, *doubts)
    made = common.table("error as a share of the loss", "target", *columns, text=("doubts",))
    for f in laws:
        report = f.report
        made.add_row(
            f.target,
            str(report.rows),
            common.fixed(report.train_mre, 2),
            *([common.fixed(report.held_out_mre, 2)] if unseen else ()),
            *(["; ".join(one.label for one in f.findings)] if doubts else ()),
        )
    return made
