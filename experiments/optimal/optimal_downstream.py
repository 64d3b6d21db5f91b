"""Tables 3 and 15: the final models on questions made of held-out documents."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments import harness
from experiments.harness import Setting
from experiments.optimal.config import Final
from jaxmix.data import Corpus, Question, make_tasks
from jaxmix.studies import evaluate_study, score_rows

BASELINE = "uniform"
SEED = 0  # of the questions
FACTS = ("task", "kind", "questions", "chance", "cut", "joined")
KEPT = ("accuracy", "accuracy_per_byte", "log_likelihood")


def run(config: Final, setting: Setting) -> None:
    """Scores every final model; writes downstream.csv, tasks.csv, table-15.csv and table-3.csv."""
    frame = _scores(config, setting)
    columns = ["mixture", "seed", "task", *KEPT]
    harness.write_csv(setting.out / "downstream.csv", frame[columns].to_dict("records"))
    tasks = frame[list(FACTS)].drop_duplicates()
    harness.write_csv(setting.out / "tasks.csv", tasks.to_dict("records"))
    harness.write_csv(setting.out / "table-15.csv", _by_task(frame))
    harness.write_csv(setting.out / "table-3.csv", _by_group(frame, config))


def _scores(config: Final, setting: Setting) -> pd.DataFrame:
    """A row for every run and task; kept, as scoring takes longer than anything but training."""
    questions = questions_of(config, config.corpus.open())
    digest = hashlib.sha256(repr(questions).encode()).hexdigest()[:12]
    kept = setting.work / f"scores-{digest}.csv"
    if not kept.is_file():
        folder = setting.work / "final"
        harness.write_csv(kept, score_rows(folder, evaluate_study(folder, questions)))
    return pd.read_csv(kept)


def questions_of(config: Final, corpus: Corpus) -> list[Question]:
    """Fewer of every domain that is trained on, more of the texts that are not."""
    beside = [t for t in _beside(config) if t in corpus.targets]
    trained = make_tasks(corpus, config.domains, config.items, SEED)
    return [*trained, *make_tasks(corpus, beside, config.beside_items, SEED)]


def _beside(config: Final) -> list[str]:
    """Goals that no model is trained on."""
    return [t for goal in config.goals.values() if len(goal) == 1 for t in goal]


def _by_task(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row for every mixture and task: means and standard errors over seeds.

    Percent are right answers, nats what the right answer as a whole costs.
    """
    for (mixture, task), own in frame.groupby(["mixture", "task"], sort=False):
        percent, nats = 100 * own[_measure(own)], -own["log_likelihood"]
        yield {
            "mixture": mixture,
            "task": task,
            "percent": percent.mean(),
            "sem": percent.sem(),
            "nats": nats.mean(),
            "nats_sem": nats.sem(),
        }


def _by_group(frame: pd.DataFrame, config: Final) -> Iterator[dict[str, Any]]:
    """A row for every mixture and group of tasks, paired by seed with the uniform mixture."""
    for name, tasks in _groups(config, frame["task"].unique()).items():
        own = frame[frame["task"].isin(tasks)]
        percent, nats = (
            own.groupby(["mixture", "seed"], sort=False)[column].mean().unstack()
            for column in (_measure(own), "log_likelihood")
        )
        for mixture in percent.index:
            yield {
                "mixture": mixture,
                "group": name,
                "tasks": len(tasks),
                **_paired(100 * percent, mixture, ""),
                **_paired(-nats, mixture, "nats_"),
                "chance": 100 * own["chance"].mean(),
            }


def _paired(by_seed: pd.DataFrame, mixture: str, prefix: str) -> dict[str, float]:
    """Mean over seeds, and over the uniform mixture's, [mixtures x seeds]."""
    values = by_seed.loc[mixture]
    more = values - by_seed.loc[BASELINE]
    found = {"mean": values.mean(), "sem": values.sem()}
    found |= {"over_uniform": more.mean(), "over_uniform_sem": more.sem()}
    return {prefix + key: value for key, value in found.items()}


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
