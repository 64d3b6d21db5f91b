"""Tasks that a study scores its runs on at every checkpoint, as columns of the run table.

A task gives four columns: ``loss_task_<name>``, the bits per byte of its right answers, with
``sem_task_<name>``; ``metric_<name>``, its accuracy; and ``chance_<name>``, that of guessing.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxmix.data import Corpus, Question, questions_hash, read_tasks
from jaxmix.errors import JaxmixError, clip
from jaxmix.models import Likelihood, TextConfig, token_likelihood
from jaxmix.quantities import count
from jaxmix.runs import RunTable
from jaxmix.runs.columns import legal
from jaxmix.studies.downstream import Rows, TaskScore, encode, score_tasks
from jaxmix.studies.families import Built
from jaxmix.studies.plan import Plan
from jaxmix.studies.plan_file import extended
from jaxmix.studies.study import Study, TaskFile, targets_of
from jaxmix.training import Scored


def find_tasks(path: Path | str) -> TaskFile:
    """The tasks in a file, for ``Study.tasks``.

    Raises:
        JaxmixError: the file cannot be read.
    """
    path = Path(path).resolve()
    return TaskFile(str(path), questions_hash(read_tasks(path)))


def task_columns(tasks: Sequence[str], targets: Sequence[str] = ()) -> dict[str, str]:
    """The name of every task in columns, by task: what options cannot take becomes ``_``.

    Args:
        tasks: names of tasks.
        targets: targets of the study, whose losses are columns too.

    Raises:
        JaxmixError: a name leaves nothing, or a column would be that of another.

    >>> task_columns(["arc easy", "sums"])
    {'arc easy': 'arc_easy', 'sums': 'sums'}
    """
    found: dict[str, str] = {}
    for task in tasks:
        name, told = legal(task), clip(task, 40)
        if not name:
            raise JaxmixError(f"task '{told}' leaves no name of a column; rename it")
        for other, taken in found.items():
            if taken == name:
                raise JaxmixError(
                    f"tasks '{clip(other, 40)}' and '{told}' are both loss_task_{name}; rename one"
                )
        if f"task_{name}" in targets:
            raise JaxmixError(
                f"task '{told}' is loss_task_{name}, and so is a target of the data; rename it"
            )
        found[task] = name
    return found


def encoded_tasks(study: Study, corpus: Corpus) -> tuple[tuple[Question, ...], Rows] | None:
    """The questions of a study, and their rows; None if it has none.

    Raises:
        JaxmixError: the file is not the one of the plan, the study is not of text models, names
            clash, or a choice is longer than the window.
    """
    given = study.tasks
    if given is None:
        return None
    if study.family.name != "text":
        raise JaxmixError(
            f"{study.sizes[0].preset}: is a {study.family.name} model; tasks are for text models"
        )
    questions = read_tasks(given.path)
    found = questions_hash(questions)
    if found != given.hash:
        raise JaxmixError(
            f"{given.path}: holds other questions than the plan was made with ({found}, then "
            f"{given.hash}); restore them"
        )
    try:
        task_columns([*dict.fromkeys(one.task for one in questions)], targets_of(study, corpus))
        return questions, encode(questions, corpus.tokenizer, study.length)
    except JaxmixError as error:
        raise JaxmixError(f"{given.path}: {error}") from None


def scored_tasks(study: Study, corpus: Corpus, built: Built) -> Scored | None:
    """What training is to score of a study's tasks; None if it has none.

    Raises:
        JaxmixError: as `encoded_tasks`.
    """
    found = encoded_tasks(study, corpus)
    if found is None:
        return None
    (questions, rows), config = found, built.config
    assert study.tasks is not None and isinstance(config, TextConfig)

    def judge(params: Any, batch: Any) -> Likelihood:
        return token_likelihood(config, params, batch["tokens"], batch["counted"])

    def columns(one: Likelihood) -> dict[str, float]:
        sums = np.asarray(one.sums, np.float64)
        return columns_of(score_tasks(questions, rows, corpus, sums, np.asarray(one.greedy)))

    batch = {"tokens": rows.tokens, "counted": rows.counted}
    return Scored(study.tasks.hash, batch, judge, columns)


def columns_of(scores: Sequence[TaskScore]) -> dict[str, float]:
    """The columns of a row of the run table; a cloze is never guessed."""
    names, row = task_columns([one.task for one in scores]), {}
    for one in scores:
        name = names[one.task]
        row[f"loss_task_{name}"] = one.bits_per_byte
        row[f"sem_task_{name}"] = one.bits_per_byte_sem
        row[f"metric_{name}"] = one.accuracy
        row[f"chance_{name}"] = one.chance if one.kind == "choice" else 0.0
    return row


def with_tasks(plan: Plan, folder: Path, path: Path | str, corpus: Corpus) -> Plan:
    """A plan whose runs are scored on the tasks of a file from here on.

    Waves that are done keep their rows as they are. If the plan has the same questions already, the
    file may have moved.

    Raises:
        JaxmixError: there are results with other tasks; or as `encoded_tasks`.
    """
    tasks, before = find_tasks(path), plan.study.tasks
    found = dataclasses.replace(plan, study=dataclasses.replace(plan.study, tasks=tasks))
    encoded_tasks(found.study, corpus)
    same = before is not None and before.hash == tasks.hash
    return found if same else extended(found, folder)


def unscored_note(study: Study, table: RunTable) -> list[str]:
    """A note on rows without scores, because they were recorded before the tasks were given."""
    if study.tasks is None:
        return []
    columns = [c for c in table.frame.columns if str(c).startswith("loss_task_")]
    lacking = int(np.isnan(table.frame[columns].to_numpy(np.float64)).all(axis=1).sum())
    what = f"{count(lacking, 'row')} without loss_task_<name>: recorded before --tasks was given"
    return [what] if lacking else []
