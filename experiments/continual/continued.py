"""Training for the continual study: the base run, and runs that start from it."""

import json
import pathlib

import harness

from jaxmix.runs import RunTable
from jaxmix.studies import Origin, Study, find_origin, make_plan, run_plan, write_table


def trained(study: Study, folder: pathlib.Path, *, keep_final: bool = False) -> RunTable:
    """The run table of a study, trained first where it is not."""
    corpus = study.corpus.open()
    plan = make_plan(study, corpus)
    folder.mkdir(parents=True, exist_ok=True)
    plan.save(folder / "plan.json")
    run_plan(plan, folder, corpus=corpus, keep_final=keep_final)
    return write_table(plan, folder, folder / "runs.csv")


def base_run(study: Study, folder: pathlib.Path) -> tuple[RunTable, Origin]:
    """The table of the base run, and its parameters to start from."""
    return trained(study, folder, keep_final=True), find_origin(folder, corpus=study.corpus.open())


def write_json(path: pathlib.Path, value: dict) -> None:
    """Writes a small result file whole or not at all."""
    harness.write_text(path, json.dumps(value, indent=1) + "\n")
