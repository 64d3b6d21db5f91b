"""``jaxmix study``: many small runs, planned, trained, watched and merged into a run table."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli.devices import training_bar, use_all_cores
from jaxmix.cli.options import (
    MixtureType,
    Shard,
    SizeType,
    corpus_options,
    corpus_spec,
    run_options,
    run_settings,
)
from jaxmix.cli.stages import StagesType, find_start, made_stages, read_schedules, start_option
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.studies import Plan, Stage, Study


@click.group("study", cls=common.Group, no_args_is_help=False, short_help="Train many small runs.")
def study_group() -> None:
    """Plan a study of many small runs, train it, and get its run table.

    A study lives in a folder: plan.json, one folder for every wave of runs, and runs.csv. Every
    command may be stopped at any moment and given again.
    """


@study_group.command("plan")
@click.argument("folder", metavar="FOLDER")
@corpus_options
@click.option(
    "--size", "sizes", type=SizeType(), multiple=True, required=True, help="May be repeated."
)
@click.option(
    "--design",
    "designs",
    multiple=True,
    metavar="KIND[:COUNT]",
    help="uniform, proportional, vertices, one-out, dirichlet:20, grid:4,minimum=0.1; repeat it.",
)
@click.option("--mixture", "mixtures", type=MixtureType(), multiple=True, help="One by hand.")
@click.option(
    "--mixtures",
    "files",
    multiple=True,
    metavar="FILE",
    help="The distinct mixtures of a table with columns w_<domain>, as jaxmix next writes.",
)
@click.option("--stages", type=StagesType(), multiple=True, help="A mixture that changes.")
@click.option(
    "--schedule-file", "schedules", multiple=True, metavar="FILE.json", help="Stages by name."
)
@start_option
@click.option("--domains", metavar="A,B", help="Training domains.  [default: all]")
@click.option("--seeds", default="0", show_default=True, metavar="0,1,..")
@run_options
@click.option("--fleet", type=click.IntRange(min=1), help="Most runs in one program.")
@common.json_option
def plan_command(folder: str, as_json: bool, **options: Any) -> None:
    """Write FOLDER/plan.json and say what it will cost; nothing is trained."""
    use_all_cores()
    from jaxmix.studies import estimate, make_plan

    study = _study(options)
    corpus = _open(study)
    plan = make_plan(study, corpus)
    if options["forbid_repeat"]:
        from jaxmix.studies import check_repeats

        check_repeats(plan, corpus)
    Path(folder).mkdir(parents=True, exist_ok=True)
    plan.save(Path(folder, "plan.json"))
    with common.progress("measuring this machine"):
        costs = estimate(plan, corpus)
    rows = [
        {
            "preset": c.preset,
            "n_params": c.n_params,
            "runs": c.runs,
            "waves": c.waves,
            "tokens_per_run": c.tokens,
            "flops": c.flops,
            "seconds": c.seconds,
        }
        for c in costs
    ]
    if as_json:
        common.emit({"plan": str(Path(folder, "plan.json")), "runs": len(plan.runs), "sizes": rows})
        return
    columns = ("N", "runs", "waves", "tokens a run", "FLOPs", "minutes here")
    made = common.table(f"{len(plan.runs)} runs", "preset", *columns)
    for c in costs:
        minutes = f"{c.seconds / 60:.1f}"
        numbers = (f"{c.n_params:,}", str(c.runs), str(c.waves), f"{c.tokens:.3g}")
        made.add_row(c.preset, *numbers, f"{c.flops:.2e}", minutes)
    total = sum(c.seconds for c in costs) / 60
    common.show(made, f"about {total:.0f} minutes; written to {Path(folder, 'plan.json')}")


def _mixtures(options: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Mixtures by name: those given by hand, and those of files, named by file and row."""
    from jaxmix.runs import read_mixtures

    found = dict(options["mixtures"])
    for path in options["files"]:
        found.update(read_mixtures(path))
    return found


def _stages(options: dict[str, Any]) -> "dict[str, tuple[Stage, ...]]":
    """Mixtures that change, by name: those given by hand, and those of files."""
    found = {name: made_stages(parts) for name, parts in options["stages"]}
    for path in options["schedules"]:
        found.update(read_schedules(path))
    return found


def _study(options: dict[str, Any]) -> "Study":
    from jaxmix.studies import Size, Study, parse_design

    try:
        seeds = tuple(int(seed) for seed in options["seeds"].split(","))
    except ValueError:
        raise JaxmixError(f"--seeds {options['seeds']}: write whole numbers, as 0,1,2") from None
    return Study(
        corpus_spec(options),
        tuple(Size(preset, tokens) for preset, tokens in options["sizes"]),
        tuple(parse_design(text) for text in options["designs"]),
        _mixtures(options),
        common.split(options["domains"]),
        seeds,
        fleet=options["fleet"],
        stages=_stages(options),
        start_from=find_start(options["start_from"]),
        **run_settings(options, options["sizes"][0][0]),
    )


def _open(study: "Study") -> Any:
    with common.progress(f"preparing {study.corpus.name}") as report:
        return study.corpus.open(report)


def _load(path: str) -> "tuple[Plan, Path]":
    """A plan by its file or its folder, and the folder."""
    from jaxmix.studies import load_plan

    file = Path(path, "plan.json") if Path(path).is_dir() else Path(path)
    return load_plan(file), file.parent


@study_group.command("run")
@click.argument("plan", metavar="PLAN")
@click.option(
    "--shard",
    type=Shard(),
    default="1/1",
    show_default=True,
    help="Of N machines this is the I-th, from 1: train every N-th wave.",
)
@click.option("--keep-final", is_flag=True, help="Keep the parameters, to start others from.")
def run_command(plan: str, shard: tuple[int, int], keep_final: bool) -> None:
    """Train what is not done yet of PLAN (its file or its folder), and write runs.csv beside it.

    Machines that share the folder take a shard each; a wave that another process is training is
    passed over.
    """
    use_all_cores()
    from jaxmix.studies import run_plan, status, write_table

    loaded, folder = _load(plan)
    corpus = _open(loaded.study)
    with training_bar(loaded) as report:
        run_plan(loaded, folder, shard=shard, progress=report, corpus=corpus, keep_final=keep_final)
    found = status(loaded, folder)
    waiting = [s.wave.name for s in found if s.state != "done"]
    if not any(s.rows for s in found):
        common.show(f"no rows yet; left to others: {', '.join(waiting)}")
        return
    table = write_table(loaded, folder, folder / "runs.csv")
    left = f"; {len(waiting)} waves are not done" if waiting else ""
    common.show(f"{len(table)} rows written to {folder / 'runs.csv'}{left}")
    common.say(
        f"{run} diverged at step {step}: it has no rows from there on"
        for s in found
        for run, step in s.diverged.items()
    )


@study_group.command("status")
@click.argument("plan", metavar="PLAN")
@common.json_option
def status_command(plan: str, as_json: bool) -> None:
    """Show how far every wave of PLAN is, from its files alone."""
    from jaxmix.studies import status

    loaded, folder = _load(plan)
    found = status(loaded, folder)
    if as_json:
        waves = [
            {
                "wave": s.wave.name,
                "state": s.state,
                "rows": s.rows,
                "expected": s.expected,
                "diverged": s.diverged,
            }
            for s in found
        ]
        common.emit({"waves": waves})
        return
    made = common.table(str(folder), "wave", "runs", "rows", "state", "diverged", text=("state",))
    for s in found:
        rows = f"{s.rows}/{s.expected}"
        made.add_row(s.wave.name, str(len(s.wave.runs)), rows, s.state, str(len(s.diverged)))
    common.show(made)


@study_group.command("table")
@click.argument("plan", metavar="PLAN")
@click.option("--out", required=True, metavar="RUNS.csv", help="Run table to write.")
def table_command(plan: str, out: str) -> None:
    """Write the run table of all rows that PLAN has so far."""
    common.check_out(out, plan)
    from jaxmix.studies import write_table

    loaded, folder = _load(plan)
    table = write_table(loaded, folder, Path(out))
    common.show(f"{len(table)} rows written to {out}")
