"""Downstream tasks: which of some continuations a text model holds for the likeliest.

Context and choice are encoded together, and the tokens past the context's are scored. A token that
spans the border of the two counts with the choice; where only some choices of a question have one,
all are scored from the same place on, so that they stay comparable. Rows begin with the end-of-text
token, as documents do in training. What does not fit into the window that the study trains on is
cut from the start of the context, equally for all choices of a question.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxmix.data import Question, Tokenizer
from jaxmix.errors import JaxmixError
from jaxmix.models import TextConfig, likelihood
from jaxmix.studies.looking import FinishedRun, finished_run
from jaxmix.studies.plan import Plan, load_plan

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TaskScore:
    """What a run scores on one task; standard errors are over its questions.

    Attributes:
        task: its name.
        kind: "choice" or "cloze".
        questions: how many.
        accuracy: share of questions whose right choice has the largest log-likelihood; of a cloze,
            whose answer the model would write, each token being the likeliest. NaN where the model
            has no finite likelihoods.
        sem: its standard error; NaN of one question.
        accuracy_per_byte: the same with log-likelihoods divided by the bytes of the choice; NaN of
            a cloze.
        sem_per_byte: its standard error.
        chance: accuracy of guessing, the mean of 1 / choices; NaN of a cloze.
        log_likelihood: of the right answers, nats, mean over questions.
        log_likelihood_sem: its standard error.
        cut: questions whose context was longer than the window.
        joined: questions with a token that spans the border of context and choice.
    """

    task: str
    kind: str
    questions: int
    accuracy: float
    sem: float
    accuracy_per_byte: float
    sem_per_byte: float
    chance: float
    log_likelihood: float
    log_likelihood_sem: float
    cut: int
    joined: int


@dataclass(frozen=True)
class Rows:
    """Questions as padded rows of tokens, a row for every choice.

    Attributes:
        tokens: [n, T + 1], filled up with end-of-text.
        counted: bool [n, T], the tokens that are scored: token t + 1 at place t.
        first: row of every question's first choice, [questions + 1].
        cut: bool [questions], contexts that lost their start.
        joined: bool [questions], a token spans the border.
    """

    tokens: np.ndarray
    counted: np.ndarray
    first: np.ndarray
    cut: np.ndarray
    joined: np.ndarray


def encode(questions: Sequence[Question], tokenizer: Tokenizer, window: int) -> Rows:
    """Questions as rows that a model of this window can read.

    Args:
        questions: of any tasks.
        tokenizer: of the model.
        window: tokens that a record of the study predicts.

    Raises:
        JaxmixError: a choice alone is longer than the window; names its task and how it begins.
    """
    parts = [_encoded(one, tokenizer, window) for one in questions]
    sizes = [len(rows) for rows, *_ in parts]
    flat = [(row, start) for rows, start, *_ in parts for row in rows]
    longest = max(len(row) for row, _ in flat)
    tokens = np.full((len(flat), longest), tokenizer.end, np.int32)
    counted = np.zeros((len(flat), longest - 1), bool)
    for i, (row, start) in enumerate(flat):
        tokens[i, : len(row)] = row
        counted[i, start - 1 : len(row) - 1] = True
    cut, joined = (np.array([part[i] for part in parts]) for i in (2, 3))
    return Rows(tokens, counted, np.cumsum([0, *sizes]), cut, joined)


def _encoded(
    question: Question, tokenizer: Tokenizer, window: int
) -> tuple[list[list[int]], int, bool, bool]:
    """Rows of a question, where their scored part starts, and whether it was cut or joined."""
    alone = [tokenizer.end, *tokenizer.encode(question.context)]
    whole = [[tokenizer.end, *tokenizer.encode(question.context + one)] for one in question.choices]
    start = min(_common(alone, row) for row in whole)
    scored = max(len(row) for row in whole) - start
    if scored > window:
        raise JaxmixError(
            f"task '{question.task}': a choice for '{question.context[-40:]}' takes {scored} "
            f"tokens and the model's window {window}; shorten it"
        )
    lost = max(0, start + scored - (window + 1))
    return [row[lost:] for row in whole], start - lost, lost > 0, start < len(alone)


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))


def likelihoods(
    config: TextConfig, params: Any, rows: Rows, batch: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihoods in nats, float64 [n], and whether a row is what the model would write, [n].

    Args:
        config: of the model.
        params: of the model.
        rows: from `encode`.
        batch: rows in one call; the last rows fill up the last call.
    """
    n = len(rows.tokens)
    size = min(batch, n)
    places = np.minimum(np.arange(-(-n // size) * size), n - 1).reshape(-1, size)
    found = [likelihood(config, params, rows.tokens[at], rows.counted[at]) for at in places]
    sums = np.concatenate([np.asarray(one.sums, np.float64) for one in found])
    return sums[:n], np.concatenate([np.asarray(one.greedy) for one in found])[:n]


def evaluate(
    found: FinishedRun, questions: Sequence[Question], rows: Rows | None = None
) -> list[TaskScore]:
    """Scores of one run, task by task in the order of the questions.

    Args:
        found: a run of a text model.
        questions: from `read_tasks` or `make_tasks`.
        rows: the same, where they are encoded already.

    Raises:
        JaxmixError: the run is of an image family, or a choice is longer than the window.
    """
    config = found.built.config
    if not isinstance(config, TextConfig):
        raise JaxmixError(
            f"run {found.run} is of a {found.study.family.name} model; tasks are for text models"
        )
    rows = rows or encode(questions, found.corpus.tokenizer, found.study.length)
    sums, greedy = likelihoods(config, found.params, rows)
    tasks = dict.fromkeys(one.task for one in questions)
    return [_score(task, questions, rows, sums, greedy) for task in tasks]


def _score(
    task: str, questions: Sequence[Question], rows: Rows, sums: np.ndarray, greedy: np.ndarray
) -> TaskScore:
    places = [i for i, one in enumerate(questions) if one.task == task]
    own = [questions[i] for i in places]
    scores = [sums[rows.first[i] : rows.first[i + 1]] for i in places]
    right = np.array([s[one.answer] for s, one in zip(scores, own, strict=True)])
    chance, plain, per_byte = math.nan, greedy[rows.first[places]], np.full(len(own), math.nan)
    if not own[0].is_cloze:
        chance = float(np.mean([1 / len(one.choices) for one in own]))
        sizes = [np.array([len(c.encode()) for c in one.choices]) for one in own]
        plain = _picked(scores, own)
        per_byte = _picked([s / n for s, n in zip(scores, sizes, strict=True)], own)
    if not all(np.isfinite(s).all() for s in scores):
        plain = per_byte = np.full(len(own), math.nan)
    return TaskScore(
        task,
        "cloze" if own[0].is_cloze else "choice",
        len(own),
        *_mean(plain),
        *_mean(per_byte),
        chance,
        *_mean(right),
        int(rows.cut[places].sum()),
        int(rows.joined[places].sum()),
    )


def _picked(scores: Sequence[np.ndarray], questions: Sequence[Question]) -> np.ndarray:
    """Whether the right choice has the largest score, [questions]."""
    pairs = zip(scores, questions, strict=True)
    return np.array([int(np.argmax(s)) == one.answer for s, one in pairs])


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error."""
    values = np.asarray(values, np.float64)
    n = len(values)
    return float(values.mean()), float(values.std(ddof=1) / n**0.5) if n > 1 else math.nan


def evaluate_study(
    folder: Path,
    questions: Sequence[Question],
    runs: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, list[TaskScore]]:
    """Scores of finished runs of a study, by run.

    Args:
        folder: of `jaxmix train`, or of a study that kept final parameters.
        questions: of any tasks.
        runs: names; None for all that the plan has.
        progress: called with the runs done and their total.

    Raises:
        JaxmixError: no such run, no parameters, other data, or no text models.
    """
    plan = load_plan(Path(folder) / "plan.json")
    names = list(runs) if runs is not None else [one.run for one in plan.runs]
    first = finished_run(folder, names[0])
    rows = encode(questions, first.corpus.tokenizer, first.study.length)
    scores = {}
    for i, name in enumerate(names):
        found = first if i == 0 else finished_run(folder, name, first.corpus)
        scores[name] = evaluate(found, questions, rows)
        if progress:
            progress(i + 1, len(names))
    return scores


def score_rows(folder: Path, scores: Mapping[str, Sequence[TaskScore]]) -> list[dict[str, Any]]:
    """A row for every run and task: what the run is, and its score."""
    plan = load_plan(Path(folder) / "plan.json")
    return [
        {**_facts(plan, name), **vars(score)} for name, found in scores.items() for score in found
    ]


def _facts(plan: Plan, name: str) -> dict[str, Any]:
    wave, run = next((w, r) for w in plan.waves for r in w.runs if r.run == name)
    facts = {"run": name, "mixture": run.mixture, "seed": run.seed}
    return {**facts, "preset": wave.preset, "tokens": wave.tokens}
