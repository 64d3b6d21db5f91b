"""``jaxmix evaluate``: trained text models on downstream tasks, scored by likelihood."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt


@click.command("evaluate", cls=common.Command)
@click.argument("folder", metavar="FOLDER")
@click.option("--tasks", required=True, metavar="TASKS.jsonl", help="Questions, one a line.")
@opt.setting("--run", str, "all", "Which runs.", metavar="NAME|all")
@click.option("--out", metavar="SCORES.csv", help="A row for every run and task.")
@opt.json
def command(folder: str, tasks: str, run: str, out: str | None, as_json: bool) -> None:
    """Score finished text models by the likelihood of every choice of a question.

    FOLDER is that of jaxmix train, or of a study that kept its final parameters. A line of TASKS is
    multiple choice, {"task", "context", "choices", "answer"} with the index of the right choice, or
    a cloze, {"task", "context", "answer"} with the text. jaxmix data tasks makes some. Accuracies
    are by the sum of log-probabilities, and by that per byte of what is scored: the choice, and the
    blank before it wherever it stands.
    """
    from jaxmix.data import read_tasks
    from jaxmix.studies.downstream import evaluate_study, score_rows

    if out:
        common.check_table(out, tasks)
    questions = read_tasks(tasks)
    runs = None if run == "all" else [run]
    with common.progress("scoring runs") as report:
        scores = evaluate_study(Path(folder), questions, runs, report)
    rows = score_rows(Path(folder), scores)
    if out:
        common.write_rows(out, rows)
    common.answer(as_json, {"scores": rows}, lambda: [_table(rows, folder)], _notes(rows))


def _table(rows: Sequence[Mapping[str, Any]], folder: str) -> Any:
    numbers = (
        "questions",
        "accuracy %",
        "per byte %",
        "chance %",
        "nats of the answer",
        "bits per byte",
    )
    made = common.table(folder, "run", "task", *numbers, text=("task",))
    for row in rows:
        made.add_row(
            row["run"],
            row["task"],
            str(row["questions"]),
            _percent(row["accuracy"], row["sem"]),
            _percent(row["accuracy_per_byte"], row["sem_per_byte"]),
            common.number(100 * row["chance"], 3),
            f"{common.number(-row['log_likelihood'])} ± "
            f"{common.number(row['log_likelihood_sem'], 2)}",
            f"{common.number(row['bits_per_byte'])} ± {common.number(row['bits_per_byte_sem'], 2)}",
        )
    return made


def _percent(share: float, sem: float) -> str:
    error = f" ± {100 * sem:.1f}" if sem == sem else ""  # one question has none
    return "-" if share != share else f"{100 * share:.1f}{error}"


def _notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Runs without scores, and what happened to questions, which is the same for all runs."""
    broken = dict.fromkeys(row["run"] for row in rows if row["accuracy"] != row["accuracy"])
    told = [f"{run}: has no scores, because its likelihoods are not finite" for run in broken]
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
