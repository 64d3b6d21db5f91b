"""``jaxmix train``: one run, small or large, by the same code as a study's fleets."""

from pathlib import Path
from typing import Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.devices import repeats, repeats_line, training_bar, use_all_cores
from jaxmix.cli.dry_run import dry_run_table, target_option
from jaxmix.cli.stages import Parts, WeightsType, find_start, made_stages, start_option
from jaxmix.cli.training import (
    checkpoint_minutes,
    corpus_options,
    corpus_spec,
    log_notes,
    log_options,
    logs_of,
    run_options,
    run_settings,
    stoppable,
)
from jaxmix.cli.values import Whole
from jaxmix.errors import JaxmixError
from jaxmix.quantities import count


@click.command("train", cls=common.Command)
@click.argument("preset", metavar="PRESET")
@corpus_options
@click.option(
    "--weights",
    type=WeightsType(),
    required=True,
    help="The mixture; domains left out weigh nothing. Stages end at shares of the tokens.",
)
@click.option("--tokens", type=Whole(), required=True, help="Training tokens: 20B.")
@click.option("--out", metavar="FOLDER", help="Results and checkpoints.")
@target_option
@start_option
@opt.seed
@click.option("--learning-rate", type=float, help="Peak learning rate.  [default: 0.614 / width]")
@run_options
@click.option(
    "--accumulate",
    type=click.IntRange(min=1),
    help="Parts of a batch that are computed one after the other.  [default: 1; on a CPU what is "
    "fastest]",
)
@click.option(
    "--remat",
    type=click.Choice(["none", "dots", "full"]),
    help="What the backward pass computes again.  [default: the preset's]",
)
@checkpoint_minutes
@opt.count("--fsdp", 1, "Devices that share the parameters.")
@log_options
@click.option(
    "--coordinator",
    metavar="HOST:PORT|auto",
    help="Join a group of processes; auto if the cluster says (Slurm, TPU, Kubernetes).",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Number of processes in the group, with HOST:PORT.",
)
@click.option(
    "--process", type=click.IntRange(min=0), help="Number of this process, from 0, with HOST:PORT."
)
def command(preset: str, weights: Parts, **options: Any) -> None:
    """Train PRESET on a mixture, over all devices; --out FOLDER gets runs.csv and the parameters.

    Stop it at any moment and give the same command again: it goes on where it was. SIGTERM and
    Ctrl-C save it first; the status is then 75 or 130. Parameters are spread over groups of --fsdp
    devices, records over all of them. With --from the parameters are those of a finished run, the
    optimizer is new, and what that run has not read comes first.
    """
    out = options["out"] or ""
    if not out and options["target"] is None:
        raise JaxmixError("--out names the folder of the results; give it, or --dry-run TARGET")
    common.check_folder(out)
    use_all_cores()
    from jaxmix.studies import extended, make_plan, run_wave, unscored_note, write_table
    from jaxmix.training import initialize, single_layout

    logs = logs_of(options["tensorboard"], options["wandb"], out)
    initialize(options["coordinator"], options["processes"], options["process"])
    study = _study(preset, weights, options)
    with common.progress(f"preparing {study.corpus.name}") as report:
        corpus = study.corpus.open(report)
    if options["target"] is not None:
        from jaxmix.studies.dry_run import dry_run

        (wave,) = make_plan(study, corpus).waves
        with common.progress(f"compiling for {options['target'].chip}"):
            found = dry_run(study, wave, corpus, options["target"], options["fsdp"])
        common.show(*dry_run_table([found]))
        return
    layout = single_layout(options["fsdp"])
    plan = make_plan(study, corpus)
    folder = Path(out)
    if layout.host[0] == 0:
        extended(plan, folder)  # refuses a folder with other results
    bar = training_bar(plan, repeats_line(repeats(plan)))
    with stoppable(options["checkpoint_minutes"]) as saving, bar as tell:
        (wave,) = plan.waves
        outcome = run_wave(
            study,
            wave,
            corpus,
            folder,
            lambda snapshot: tell(wave, snapshot),
            layout,
            keep_final=True,
            saving=saving,
            logs=logs,
        )
    if layout.host[0] == 0:
        plan.save(folder / "plan.json")  # by which `jaxmix inspect` finds model and data
        if outcome.rows:
            table = write_table(plan, folder, folder / "runs.csv")
            common.show(f"{count(len(table), 'row')} written to {folder / 'runs.csv'}")
            common.say([*unscored_note(study, table), *log_notes(logs)])
        common.say(f"{run} diverged at step {step}" for run, step in outcome.diverged.items())


def _study(preset: str, weights: Parts, options: dict[str, Any]) -> Any:
    from jaxmix.studies import Size, Study

    ((_, first), *more) = weights
    staged = {"given": made_stages(weights)} if more else {}
    return Study(
        corpus_spec(options),
        (Size(preset, float(options["tokens"]), learning_rate=options["learning_rate"]),),
        mixtures={} if more else {"given": first},
        domains=tuple(dict.fromkeys(domain for _, named in weights for domain in named)),
        seeds=(options["seed"],),
        accumulate=options["accumulate"],
        overrides={"remat": options["remat"]} if options["remat"] else {},
        stages=staged,
        start_from=find_start(options["start_from"]),
        **run_settings(options, preset),
    )
