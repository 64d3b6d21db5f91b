"""Downstream tasks: which of several continuations a text model considers the likeliest.

The conventions are those of EleutherAI's lm-evaluation-harness, with four exceptions.

- As there, blanks at the end of the context belong to the choice, context and choice are encoded
  together, and the tokens after the context are scored. The right choice is the one with the
  largest sum of log-probabilities (`acc`); of equal ones the first counts. An empty context is the
  end-of-text token.
- `acc_norm` divides by the characters of the choice as the task lists it, without its blank.
  `accuracy_per_byte` divides by the bytes of the tokens that are scored, so that a text has one
  score wherever its blank stands, and in any script.
- A token that spans the boundary of context and choice counts with the choice. All choices of the
  question are then scored from the same position, so that they are comparable; the harness skips
  as many tokens as the context alone has, which may leave nothing of a choice.
- Every row begins with the end-of-text token, as documents do in training; the harness adds it to
  an empty context only, unless the model's tokenizer does.
- If a question does not fit into the window that the study trains on, the start of its context is
  cut, equally for all choices; the harness cuts each choice's context by itself, and choices that
  are longer than the window as well, which are refused here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxmix.data import Corpus, Question, Tokenizer
from jaxmix.errors import JaxmixError, clip
from jaxmix.models import TextConfig, likelihood
from jaxmix.studies.finished import FinishedRun, finished_run
from jaxmix.studies.plan_file import load_plan
from jaxmix.training import measure

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TaskScore:
    """The score of a run on one task; standard errors are over its questions.

    Attributes:
        task: name of the task.
        kind: "choice" or "cloze".
        questions: number of questions.
        accuracy: share of questions whose right choice has the largest log-likelihood, or, in a
            cloze, whose answer consists of the likeliest tokens. NaN if the model's likelihoods are
            not finite.
        sem: its standard error; NaN if there is one question.
        accuracy_per_byte: the same with log-likelihoods per byte of what is scored: the choice,
            the blank before it, and the rest of a token that spans the boundary; NaN for a cloze.
        sem_per_byte: its standard error.
        chance: accuracy of guessing, the mean of 1 / choices; NaN for a cloze.
        log_likelihood: mean log-likelihood of the right answers, in nats.
        log_likelihood_sem: its standard error.
        bits_per_byte: loss of all right answers together, in bits per byte of what is scored.
        bits_per_byte_sem: its standard error.
        cut: number of questions whose context was longer than the window.
        joined: number of questions with a token that spans the boundary of context and choice.
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
    bits_per_byte: float
    bits_per_byte_sem: float
    cut: int
    joined: int


@dataclass(frozen=True)
class Rows:
    """Questions as padded rows of tokens, one row per choice.

    Attributes:
        tokens: tokens, padded with end-of-text, [n, T + 1].
        counted: whether token t + 1 is scored, bool [n, T].
        first: row of every question's first choice, [questions + 1].
        cut: whether the start of the context was cut, bool [questions].
        joined: whether a token spans the boundary, bool [questions].
    """

    tokens: np.ndarray
    counted: np.ndarray
    first: np.ndarray
    cut: np.ndarray
    joined: np.ndarray


def encode(questions: Sequence[Question], tokenizer: Tokenizer, window: int) -> Rows:
    """Questions as rows that a model of this window can read.

    Args:
        questions: questions of any tasks.
        tokenizer: tokenizer of the model.
        window: number of tokens that a record of the study predicts.

    Raises:
        JaxmixError: a choice alone is longer than the window; names its task and context.
    """
    parts = [_encoded(i, one, tokenizer, window) for i, one in enumerate(questions, 1)]
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
    number: int, question: Question, tokenizer: Tokenizer, window: int
) -> tuple[list[list[int]], int, bool, bool]:
    """Rows of a question, the start of their scored part, and whether it was cut or joined."""
    # Blanks at the end of the context belong to what follows, as in the texts that models read.
    alone = [tokenizer.end, *tokenizer.encode(question.context.rstrip())]
    whole = [[tokenizer.end, *tokenizer.encode(question.context + one)] for one in question.choices]
    start = min(_common(alone, row) for row in whole)
    scored = max(len(row) for row in whole) - start
    if scored > window:
        raise JaxmixError(
            f"question {number}, task '{clip(question.task, 40)}': a choice for "
            f"'{question.context[-40:]}' takes {scored} tokens and the model's window {window}; "
            "shorten it"
        )
    lost = max(0, start + scored - (window + 1))
    return [row[lost:] for row in whole], start - lost, lost > 0, start < len(alone)


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))


def likelihoods(
    config: TextConfig, params: Any, rows: Rows, batch: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihoods in nats, float64 [n], and whether the model would write each row, [n].

    Args:
        config: configuration of the model.
        params: its parameters.
        rows: rows from `encode`.
        batch: number of rows in one call; the last call is padded with the last row.
    """
    n = len(rows.tokens)
    size = min(batch, n)
    calls = np.minimum(np.arange(-(-n // size) * size), n - 1).reshape(-1, size)
    found = [likelihood(config, params, rows.tokens[i], rows.counted[i]) for i in calls]
    sums = np.concatenate([np.asarray(one.sums, np.float64) for one in found])
    return sums[:n], np.concatenate([np.asarray(one.greedy) for one in found])[:n]


def evaluate(
    found: FinishedRun, questions: Sequence[Question], rows: Rows | None = None
) -> list[TaskScore]:
    """Scores of one run, task by task in the order of the questions.

    Args:
        found: a run of a text model.
        questions: questions from `read_tasks` or `make_tasks`.
        rows: the same questions, if they are encoded already.

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
    return score_tasks(questions, rows, found.corpus, sums, greedy)


def score_tasks(
    questions: Sequence[Question],
    rows: Rows,
    corpus: Corpus,
    sums: np.ndarray,
    greedy: np.ndarray,
) -> list[TaskScore]:
    """Scores from likelihoods, task by task in the order of the questions.

    Args:
        questions: questions of any tasks.
        rows: the same, from `encode`.
        corpus: data whose tokenizer made the rows.
        sums: log-likelihood of every row in nats, [n].
        greedy: whether the model would write it, [n].
    """
    sizes = (corpus.token_bytes[rows.tokens[:, 1:]] * rows.counted).sum(1)
    tasks = dict.fromkeys(one.task for one in questions)
    return [_score(task, questions, rows, sums, sizes, greedy) for task in tasks]


def _score(
    task: str,
    questions: Sequence[Question],
    rows: Rows,
    sums: np.ndarray,
    sizes: np.ndarray,
    greedy: np.ndarray,
) -> TaskScore:
    chosen = [i for i, one in enumerate(questions) if one.task == task]
    own = [questions[i] for i in chosen]
    scores, scaled = (
        [held[rows.first[i] : rows.first[i + 1]] for i in chosen] for held in (sums, sums / sizes)
    )
    answers = rows.first[chosen] + np.array([one.answer for one in own])
    right = sums[answers]
    loss = measure(-right / math.log(2), sizes[answers])
    chance, plain, per_byte = math.nan, greedy[rows.first[chosen]], np.full(len(own), math.nan)
    if not own[0].is_cloze:
        chance = float(np.mean([1 / len(one.choices) for one in own]))
        plain, per_byte = _picked(scores, own), _picked(scaled, own)
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
        loss.loss,
        loss.sem,
        int(rows.cut[chosen].sum()),
        int(rows.joined[chosen].sum()),
    )


def _picked(scores: Sequence[np.ndarray], questions: Sequence[Question]) -> np.ndarray:
    """Whether the right choice has the largest score, [questions]."""
    pairs = zip(scores, questions, strict=True)
    return np.array([int(np.argmax(s)) == one.answer for s, one in pairs])


def _mean(values: np.ndarray) -> tuple[float, float]:
    """The mean and its standard error."""
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
        folder: folder of `jaxmix train`, or of a study that kept final parameters.
        questions: questions of any tasks.
        runs: names of runs; None for all of the plan.
        progress: called with the number of runs done and their total.

    Raises:
        JaxmixError: there is no such run, it has no parameters or other data, or its model is not a
            text model.
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
    """A row for every run and task: facts about the run, and its score."""
    plan = load_plan(Path(folder) / "plan.json")
    rows = []
    for name, found in scores.items():
        wave, run = plan.find(name, folder)
        facts = {"run": name, "mixture": run.mixture, "seed": run.seed}
        facts |= {"preset": wave.preset, "tokens": wave.tokens}
        rows += [{**facts, **vars(score)} for score in found]
    return rows
