"""Tables 3 and 15: the final models on questions made of held-out documents."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import harness
import pandas as pd
from config import Final
from harness import Setting

from jaxmix.data import Corpus, Question, make_tasks
from jaxmix.studies.downstream import evaluate_study, score_rows

BASELINE = "uniform"
SEED = 0  # of the questions
KEPT = ("accuracy", "accuracy_per_byte", "log_likelihood")


def run(config: Final, setting: Setting) -> None:
    """Scores every final model; writes downstream.csv, table-15.csv and table-3.csv."""
    corpus = config.corpus.open()
    questions = questions_of(config, corpus)
    folder = setting.work / "final"
    frame = pd.DataFrame(score_rows(folder, evaluate_study(folder, questions)))
    columns = ["mixture", "seed", "task", *KEPT]
    harness.write_csv(setting.out / "downstream.csv", frame[columns].to_dict("records"))
    facts = ["task", "kind", "questions", "chance", "cut", "joined"]
    tasks = frame[facts].drop_duplicates()
    harness.write_csv(setting.out / "tasks.csv", tasks.to_dict("records"))
    harness.write_csv(setting.out / "table-15.csv", _by_task(frame))
    harness.write_csv(setting.out / "table-3.csv", _by_group(frame, config))


def questions_of(config: Final, corpus: Corpus) -> list[Question]:
    """Fewer of every domain that is trained on, more of the texts that are not."""
    beside = [t for t in _beside(config) if t in corpus.targets]
    trained = make_tasks(corpus, config.domains, config.items, SEED)
    return [*trained, *make_tasks(corpus, beside, config.beside_items, SEED)]


def _beside(config: Final) -> list[str]:
    """Goals that no model is trained on."""
    return [t for goal in config.goals.values() if len(goal) == 1 for t in goal]


def _by_task(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row for every mixture and task: percent, mean and standard error over seeds."""
    for (mixture, task), own in frame.groupby(["mixture", "task"], sort=False):
        yield {"mixture": mixture, "task": task, **_percent(own, _measure(own))}


def _by_group(frame: pd.DataFrame, config: Final) -> Iterator[dict[str, Any]]:
    """A row for every mixture and group of tasks, paired by seed with the uniform mixture."""
    for name, tasks in _groups(config, frame["task"].unique()).items():
        own = frame[frame["task"].isin(tasks)]
        by_run = own.groupby(["mixture", "seed"], sort=False)[_measure(own)].mean().unstack()
        for mixture, values in by_run.iterrows():
            gain = values - by_run.loc[BASELINE]
            yield {
                "mixture": mixture,
                "group": name,
                "tasks": len(tasks),
                "percent": 100 * values.mean(),
                "sem": 100 * values.sem(),
                "over_uniform": 100 * gain.mean(),
                "over_uniform_sem": 100 * gain.sem(),
                "chance": 100 * own["chance"].mean(),
            }


def _groups(config: Final, tasks: Sequence[str]) -> Mapping[str, list[str]]:
    """Every kind of task on the trained domains together, and on each other text."""
    places = {"trained": list(config.domains), **{t: [t] for t in _beside(config)}}
    found = {
        f"{kind}, {place}": [f"{kind}-{t}" for t in targets if f"{kind}-{t}" in tasks]
        for kind in ("continue", "domain", "word")
        for place, targets in places.items()
    }
    return {name: held for name, held in found.items() if held}


def _measure(frame: pd.DataFrame) -> str:
    """Choices differ in length: theirs is the accuracy by likelihood per byte."""
    return "accuracy" if (frame["kind"] == "cloze").all() else "accuracy_per_byte"


def _percent(frame: pd.DataFrame, column: str) -> dict[str, float]:
    values = frame[column]
    return {"percent": 100 * values.mean(), "sem": 100 * values.sem()}
