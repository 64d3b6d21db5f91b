"""``jaxmix study``: many small runs, planned, trained, watched and merged into a run table."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.devices import (
    epochs_text,
    most_epochs,
    repeats,
    repeats_line,
    training_bar,
    use_all_cores,
)
from jaxmix.cli.dry_run import dry_run_table, plan_target_option
from jaxmix.cli.many_machines import (
    Devices,
    devices_option,
    end_with_failures,
    job_script,
    ray_option,
    ray_view,
)
from jaxmix.cli.stages import STAGES, find_start, made_stages, read_schedules, start_option
from jaxmix.cli.training import (
    Shard,
    checkpoint_minutes,
    corpus_options,
    corpus_spec,
    log_notes,
    log_options,
    logs_of,
    run_options,
    run_settings,
    stoppable,
    tasks_option,
)
from jaxmix.cli.values import NAMES, PRESETS, SEEDS, Labelled
from jaxmix.quantities import count

if TYPE_CHECKING:
    from jaxmix.studies import Cost, Plan, Stage, Study, WaveOnRay, WaveStatus
    from jaxmix.studies.dry_run import DryRun


@click.group("study", cls=common.Group, no_args_is_help=False)
def group() -> None:
    """Plan a study of many small runs, train it, and get its run table.

    A study lives in a folder: plan.json, one folder for every wave of runs, and runs.csv. Every
    command may be stopped at any moment and given again.
    """


@group.command("plan")
@click.argument("folder", metavar="FOLDER")
@corpus_options
@click.option(
    "--size",
    "sizes",
    type=PRESETS,
    multiple=True,
    required=True,
    help="Models and their training tokens; may be repeated.",
)
@click.option(
    "--design",
    "designs",
    multiple=True,
    metavar="KIND[:COUNT]",
    help="uniform, proportional, vertices, one-out, dirichlet:20, grid:4,minimum=0.1; repeat it.",
)
@click.option(
    "--mixture",
    "mixtures",
    type=Labelled(),
    multiple=True,
    help="A mixture by hand; may be repeated.",
)
@click.option(
    "--mixtures",
    "files",
    multiple=True,
    metavar="FILE",
    help="The distinct mixtures of a table with columns w_<domain>, as jaxmix next writes.",
)
@click.option(
    "--stages",
    type=STAGES,
    multiple=True,
    help="A mixture that changes during the run; may be repeated.",
)
@click.option(
    "--schedule-file",
    "schedules",
    multiple=True,
    metavar="FILE.json",
    help="JSON file of such stages by name.",
)
@start_option
@click.option("--domains", type=NAMES, help="Training domains.  [default: all]")
@opt.setting("--seeds", SEEDS, "0", "Seeds of each mixture.")
@run_options
@click.option(
    "--fleet", type=click.IntRange(min=1), help="Most runs that are trained in one program."
)
@plan_target_option
@opt.json
def plan_command(folder: str, as_json: bool, **options: Any) -> None:
    """Write FOLDER/plan.json and say what it will cost; nothing is trained.

    If FOLDER has results, they are kept: the plan must hold their runs as they were trained, and
    may add sizes, mixtures and seeds.
    """
    common.check_folder(folder)
    use_all_cores()
    from jaxmix.studies import encoded_tasks, estimate, extended, make_plan

    study = _study(options)
    corpus = _open(study)
    plan = make_plan(study, corpus)
    encoded_tasks(study, corpus)  # refuses what could not be scored
    if options["forbid_repeat"]:
        from jaxmix.studies import check_repeats

        check_repeats(plan, corpus)
    path = Path(folder, "plan.json")
    plan = extended(plan, path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    plan.save(path)
    with common.progress("measuring this machine"):
        costs = estimate(plan, corpus)
    compiled = _dry_runs(plan, corpus, options["target"])
    repeated = repeats(plan)
    sizes = [_cost(c, plan) for c in costs]
    held = {"plan": str(path), "runs": len(plan.runs), "sizes": sizes}
    held["repeats"] = repeated
    held |= {"compiled": [run.to_dict() for run in compiled]} if compiled else {}
    notes = repeats_line(repeated)

    def parts() -> list[Any]:
        shown = dry_run_table(compiled) if compiled else []
        return [*_cost_parts(plan, costs, path), *shown]

    common.answer(as_json, held, parts, notes)


def _dry_runs(plan: "Plan", corpus: Any, target: Any) -> "list[DryRun]":
    """The largest wave of every size, compiled for a target if there is one."""
    if target is None:
        return []
    from jaxmix.studies.dry_run import dry_run

    largest: dict[str, Any] = {}
    for wave in sorted(plan.waves, key=lambda wave: len(wave.runs)):
        largest[wave.preset] = wave
    with common.progress(f"compiling for {target.chip}"):
        return [dry_run(plan.study, wave, corpus, target) for wave in largest.values()]


def _cost(cost: "Cost", plan: "Plan") -> dict[str, Any]:
    names = ("preset", "n_params", "runs", "waves", "flops", "seconds")
    epochs = most_epochs(wave for wave in plan.waves if wave.preset == cost.preset)
    return {**common.pick(cost, *names), "tokens_per_run": cost.tokens, "epochs": epochs}


def _cost_parts(plan: "Plan", costs: "Sequence[Cost]", path: Path) -> list[Any]:
    columns = ("N", "runs", "waves", "tokens a run", "most epochs", "FLOPs", "minutes here")
    made = common.table(count(len(plan.runs), "run"), "preset", *columns)
    for c in costs:
        numbers = (f"{c.n_params:,}", str(c.runs), str(c.waves), f"{c.tokens:.3g}")
        numbers += (epochs_text(_cost(c, plan)["epochs"]),)
        made.add_row(c.preset, *numbers, f"{c.flops:.2e}", f"{c.seconds / 60:.1f}")
    total = sum(c.seconds for c in costs) / 60
    return [made, f"about {count(max(round(total), 1), 'minute')}; written to {path}"]


def _mixtures(options: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Mixtures by name: those given by hand, and those of files, named by file and row."""
    from jaxmix.runs import read_mixtures

    found = dict(options["mixtures"])
    return found | {n: h for path in options["files"] for n, h in read_mixtures(path).items()}


def _stages(options: dict[str, Any]) -> "dict[str, tuple[Stage, ...]]":
    """Mixtures that change, by name: those given by hand, and those of files."""
    found = {name: made_stages(parts) for name, parts in options["stages"]}
    return found | {n: s for path in options["schedules"] for n, s in read_schedules(path).items()}


def _study(options: dict[str, Any]) -> "Study":
    from jaxmix.studies import Size, Study, parse_design

    sizes = [size for given in options["sizes"] for size in given]
    return Study(
        corpus_spec(options),
        tuple(Size(preset, tokens) for preset, tokens in sizes),
        tuple(parse_design(text) for text in options["designs"]),
        _mixtures(options),
        options["domains"],
        options["seeds"],
        fleet=options["fleet"],
        stages=_stages(options),
        start_from=find_start(options["start_from"]),
        **run_settings(options, sizes[0][0]),
    )


def _open(study: "Study") -> Any:
    with common.progress(f"preparing {study.corpus.name}") as report:
        return study.corpus.open(report)


def _load(path: str) -> "tuple[Plan, Path]":
    """A plan by its file or its folder, and the folder."""
    from jaxmix.studies import load_plan

    common.check_folder(path)
    file = Path(path, "plan.json") if Path(path).is_dir() else Path(path)
    return load_plan(file), file.parent


@group.command("run")
@click.argument("plan", metavar="PLAN")
@opt.setting("--shard", Shard(), "1/1", "Of N machines this is the I-th, from 1: every N-th wave.")
@click.option("--keep-final", is_flag=True, help="Keep the parameters, to start others from.")
@checkpoint_minutes
@log_options
@tasks_option
@ray_option
@devices_option
def run_command(
    plan: str,
    shard: tuple[int, int],
    keep_final: bool,
    checkpoint_minutes: float,
    tensorboard: str | None,
    wandb: str | None,
    tasks: str | None,
    address: str | None,
    devices: tuple[str, int] | None,
) -> None:
    """Train what is not done yet of PLAN (its file or its folder), and write runs.csv beside it.

    Machines that share the folder take a shard each, or are nodes of one Ray cluster; a wave that
    another process is training is passed over. SIGTERM and Ctrl-C save the waves in training
    first; the status is then 75 or 130. --tasks is added to PLAN; waves that are done stay without.
    """
    use_all_cores()
    from jaxmix.studies import run_on_ray, run_plan

    if devices and address is None:
        raise click.UsageError("--devices goes with --ray; other waves take what the machine has")
    loaded, folder = _load(plan)
    logs = logs_of(tensorboard, wandb, str(folder))
    corpus = _open(loaded.study)
    if tasks is not None:
        loaded = _with_tasks(loaded, plan, tasks, corpus)
    common_to_both = {"shard": shard, "corpus": corpus, "keep_final": keep_final, "logs": logs}
    others: dict[str, str] = {}
    on_ray: Sequence[WaveOnRay] = ()
    if address is None:
        with stoppable(checkpoint_minutes) as saving, training_bar(loaded) as report:
            run_plan(
                loaded,
                folder,
                progress=report,
                passed=lambda wave, holder: others.update({wave.name: holder}),
                saving=saving,
                **common_to_both,
            )
    else:
        with stoppable(checkpoint_minutes) as saving, ray_view() as report:
            on_ray = run_on_ray(
                loaded,
                folder,
                address=address or None,
                devices=devices,
                progress=report,
                saving=saving,
                **common_to_both,
            )
        others = {w.wave.name: w.reason for w in on_ray if w.state == "left to others"}
    _tell_results(loaded, folder, others)
    common.say(log_notes(logs))
    end_with_failures(on_ray)


def _with_tasks(loaded: "Plan", path: str, tasks: str, corpus: Any) -> "Plan":
    """The plan with tasks, which its file then holds too."""
    from jaxmix.studies import with_tasks

    file = Path(path, "plan.json") if Path(path).is_dir() else Path(path)
    found = with_tasks(loaded, file.parent, tasks, corpus)
    if found != loaded:
        found.save(file)
    return found


def _tell_results(plan: "Plan", folder: Path, others: dict[str, str]) -> None:
    """Writes the run table and says what it holds, what is left and what went wrong."""
    from jaxmix.studies import status, unscored_note, write_table

    found, lacking = status(plan, folder), []
    written = "no rows yet"
    if any(s.rows for s in found):
        table = write_table(plan, folder, folder / "runs.csv")
        written = f"{count(len(table), 'row')} written to {folder / 'runs.csv'}"
        lacking = unscored_note(plan.study, table)
    common.show("; ".join([written, *_left(found, others)]))
    common.say([*(s.lacks for s in found if s.lacks), *lacking])
    common.say(
        f"{run} diverged at step {step}: it has no rows from there on"
        for s in found
        for run, step in s.diverged.items()
    )


def _left(found: "Sequence[WaveStatus]", others: dict[str, str]) -> list[str]:
    """Which waves are not done, and who trains them as far as that is known."""
    names = [s.wave.name for s in found if s.state != "done"]
    taken = [f"{name} ({others[name]})" for name in names if name in others]
    free = [name for name in names if name not in others]
    return [
        f"{text}: {', '.join(some[:4])}{f' and {len(some) - 4} more' if len(some) > 4 else ''}"
        for text, some in (("left to others", taken), ("not done", free))
        if some
    ]


@group.command("script")
@click.argument("plan", metavar="PLAN")
@click.option("--slurm", "system", flag_value="slurm", help="A job array, for sbatch.")
@click.option(
    "--kubernetes", "system", flag_value="kubernetes", help="An Indexed Job, for kubectl apply."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Jobs that share the waves.  [default: one a wave, at most 64]",
)
@opt.setting("--devices", Devices(), "gpu:1", "Devices of every job.")
@click.option("--time", metavar="D-HH:MM:SS", help="Slurm: time limit of a job.  [default: 1 day]")
@click.option("--partition", help="Slurm: partition of the jobs.")
@click.option("--image", help="Kubernetes: container image that has jaxmix.")
@click.option(
    "--claim",
    help="Kubernetes: volume claim for the folder that holds PLAN's.  [default: the job's name]",
)
@click.option(
    "--node-selector",
    "selector",
    multiple=True,
    metavar="LABEL=VALUE",
    help="Kubernetes: nodes to run on, such as a kind of TPU; may be repeated.",
)
@log_options
@click.option("--out", metavar="FILE", help="Write it there.  [default: standard output]")
def script_command(plan: str, system: str | None, out: str | None, **options: Any) -> None:
    """Write a script that trains PLAN as an array of jobs on a shared folder.

    A job that is preempted or reaches its time saves its wave, is queued again, and goes on.
    """
    if out:
        common.check_out(out, plan)
    loaded, _ = _load(plan)
    if options["tensorboard"]:
        options["tensorboard"] = os.path.abspath(options["tensorboard"])
    path = Path(os.path.abspath(plan))
    path = path.parent if path.name == "plan.json" else path
    text = job_script(system, path, len(loaded.waves), options)
    if out:
        from jaxmix.files import write_text

        write_text(Path(out), text)
        common.show(f"written to {out}")
    else:
        click.echo(text, nl=False)


@group.command("status")
@click.argument("plan", metavar="PLAN")
@opt.json
def status_command(plan: str, as_json: bool) -> None:
    """Show how far every wave of PLAN is, from its files alone."""
    from jaxmix.studies import status

    loaded, folder = _load(plan)
    found = status(loaded, folder)
    names = ("state", "rows", "expected", "diverged", "lacks")
    waves = [
        {"wave": s.wave.name, **common.pick(s, *names), "epochs": most_epochs([s.wave])}
        for s in found
    ]
    notes = [s.lacks for s in found if s.lacks]
    common.answer(as_json, {"waves": waves}, lambda: [_status_table(folder, found)], notes)


def _status_table(folder: Path, found: "Sequence[WaveStatus]") -> Any:
    columns = ("runs", "rows", "most epochs", "state", "diverged")
    made = common.table(str(folder), "wave", *columns, text=("state",))
    for s in found:
        rows = f"{s.rows}/{s.expected}"
        epochs = epochs_text(most_epochs([s.wave]))
        runs = str(len(s.wave.runs))
        made.add_row(s.wave.name, runs, rows, epochs, s.state, str(len(s.diverged)))
    return made


@group.command("table")
@click.argument("plan", metavar="PLAN")
@click.option("--out", required=True, metavar="RUNS.csv", help="Run table to write.")
def table_command(plan: str, out: str) -> None:
    """Write the run table of all rows that PLAN has so far."""
    common.check_out(out, plan)
    from jaxmix.studies import status, write_table

    loaded, folder = _load(plan)
    found = status(loaded, folder)
    table = write_table(loaded, folder, Path(out))
    common.show(f"{count(len(table), 'row')} written to {out}")
    common.say(s.lacks for s in found if s.lacks)
