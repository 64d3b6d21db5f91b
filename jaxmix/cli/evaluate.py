"""``jaxmix evaluate``: trained text models on downstream tasks, scored by likelihood."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from jaxmix.cli import skin


@click.command("evaluate", cls=skin.Command, short_help="Score text models on tasks.")
@click.argument("folder", metavar="FOLDER")
@click.option("--tasks", required=True, metavar="TASKS.jsonl", help="Questions, one a line.")
@click.option(
    "--run", "run_name", default="all", show_default=True, metavar="NAME|all", help="Which runs."
)
@click.option("--out", metavar="SCORES.csv", help="A row for every run and task.")
@skin.json_option
def evaluate_command(
    folder: str, tasks: str, run_name: str, out: str | None, as_json: bool
) -> None:
    """Score finished text models by the likelihood of every choice of a question.

    FOLDER is that of jaxmix train, or of a study that kept its final parameters. A line of TASKS is
    multiple choice, {"task", "context", "choices", "answer"} with the index of the right choice, or
    a cloze, {"task", "context", "answer"} with the text. jaxmix data tasks makes some. Accuracies
    are by the sum of log-probabilities, and by that per byte of the choice.
    """
    from jaxmix.data import read_tasks
    from jaxmix.studies.downstream import evaluate_study, score_rows

    if out:
        skin.check_out(out, tasks)
    questions = read_tasks(tasks)
    runs = None if run_name == "all" else [run_name]
    with skin.progress("scoring runs") as report:
        scores = evaluate_study(Path(folder), questions, runs, report)
    rows = score_rows(Path(folder), scores)
    if out:
        _write(rows, Path(out))
    if as_json:
        skin.emit({"scores": rows})
    else:
        _show(rows, folder)
    skin.say(_notes(rows))


def _write(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    import pandas as pd

    beside = path.with_name(f".{path.name}.tmp")
    try:
        pd.DataFrame(rows).to_csv(beside, index=False)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _show(rows: Sequence[Mapping[str, Any]], folder: str) -> None:
    numbers = ("questions", "accuracy %", "per byte %", "chance %", "nats of the answer")
    made = skin.table(folder, "run", "task", *numbers, text=("task",))
    for row in rows:
        made.add_row(
            row["run"],
            row["task"],
            str(row["questions"]),
            _percent(row["accuracy"], row["sem"]),
            _percent(row["accuracy_per_byte"], row["sem_per_byte"]),
            skin.number(100 * row["chance"], 3),
            f"{skin.number(-row['log_likelihood'])} ± {skin.number(row['log_likelihood_sem'], 2)}",
        )
    skin.show(made)


def _percent(share: float, sem: float) -> str:
    if share != share:
        return "-"
    return f"{100 * share:.1f} ± {100 * sem:.1f}"


def _notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What happened to questions of a task, which is the same for all runs."""
    told = []
    for row in rows:
        if row["cut"]:
            told.append(
                f"{row['task']}: {row['cut']} of {row['questions']} contexts are longer than the "
                "window and keep their end"
            )
        if row["joined"]:
            told.append(
                f"{row['task']}: in {row['joined']} of {row['questions']} questions a token spans "
                "context and choice; it counts with the choice"
            )
    return told
