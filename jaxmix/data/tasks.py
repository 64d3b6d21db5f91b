"""Tasks that are scored by likelihood: questions as JSON lines, one object per line.

A multiple-choice question has `choices` and the index of the right one; a cloze has the text that
follows::

    {"task": "sums", "context": "two and two are", "choices": [" five", " four"], "answer": 1}
    {"task": "words", "context": "one, two, one,", "answer": " two"}

A choice is appended to its context as it is. The blank between the two may stand at the end of the
context or at the start of every choice; it is scored with the choice.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxmix.errors import JaxmixError
from jaxmix.files import json_fault, write_text

from .errors import DataError, clip

_REMEDY = (
    'write {"task": "name", "context": "...", "choices": ["...", "..."], "answer": 0} '
    'or {"task": "name", "context": "...", "answer": "..."}'
)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        task: name of its task; questions of a task are scored together.
        context: the text that the model has read.
        choices: texts that may follow; only the right one if the question is a cloze.
        answer: index of the right choice.

    Raises:
        DataError: a text holds half a surrogate pair, which no tokenizer can read.
    """

    task: str
    context: str
    choices: tuple[str, ...]
    answer: int = 0

    def __post_init__(self) -> None:
        """Refuses texts that are not Unicode."""
        texts = {"task": self.task, "context": self.context, "choices": "".join(self.choices)}
        for key, text in texts.items():
            if _SURROGATE.search(text):
                key = "answer" if key == "choices" and self.is_cloze else key
                raise DataError(f"'{key}' holds half a surrogate pair")

    @property
    def is_cloze(self) -> bool:
        """Whether the model has to find the continuation by itself."""
        return len(self.choices) == 1


def read_tasks(path: str | os.PathLike[str]) -> tuple[Question, ...]:
    """Reads the questions of a JSONL file; empty lines are skipped.

    Raises:
        DataError: there is no such file, no question in it, or a bad line; names its row, from 1.
    """
    path = Path(path)
    lines = _lines(path)
    found = []
    for row, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_question(line))
            except JaxmixError as error:
                raise DataError(f"{path}, row {row}: {error}; {_REMEDY}") from None
            _check_kind(path, row, found[-1], found)
    if not found:
        raise DataError(f"{path}: holds no question; {_REMEDY}")
    return tuple(found)


def _lines(path: Path) -> list[str]:
    """The lines of a file of text."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = f"{path}: cannot be read ({error.strerror})"
        raise DataError(f"{reason}; name a JSONL file of tasks") from None
    try:
        return data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, row {row}: is not UTF-8 text; convert the file") from None


def write_tasks(questions: Iterable[Question], path: str | os.PathLike[str]) -> None:
    """Writes questions as a JSONL file that `read_tasks` reads."""
    write_text(path, _text_of(questions))


def questions_hash(questions: Iterable[Question]) -> str:
    """Short hash of questions in their order, however their file is laid out."""
    return hashlib.sha256(_text_of(questions).encode()).hexdigest()[:12]


def _text_of(questions: Iterable[Question]) -> str:
    return "".join(json.dumps(_as_dict(one), ensure_ascii=False) + "\n" for one in questions)


def _as_dict(question: Question) -> dict[str, Any]:
    head = {"task": question.task, "context": question.context}
    if question.is_cloze:
        return {**head, "answer": question.choices[0]}
    return {**head, "choices": list(question.choices), "answer": question.answer}


def _question(line: str) -> Question:
    """The question of a line, or a JaxmixError that says what is wrong with it."""
    try:
        held = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise JaxmixError(f"is not JSON ({json_fault(error)})") from None
    if not isinstance(held, dict):
        raise JaxmixError(f"holds {_quoted(held)}, not an object")
    unknown = sorted(set(held) - {"task", "context", "choices", "answer"})
    if unknown:
        raise JaxmixError(f"'{clip(unknown[0], 40)}' is not a key of a question")
    task, context = (_text(held, key) for key in ("task", "context"))
    if not task:
        raise JaxmixError("'task' is empty")
    if "choices" not in held:
        answer = _text(held, "answer")
        if not answer:
            raise JaxmixError("'answer' is an empty text")
        return Question(task, context, (answer,))
    return Question(task, context, *_choices(held))


def _choices(held: dict[str, Any]) -> tuple[tuple[str, ...], int]:
    choices, answer = held["choices"], held.get("answer")
    if not isinstance(choices, list) or not all(isinstance(one, str) for one in choices):
        raise JaxmixError("'choices' is not a list of texts")
    if len(choices) < 2:
        raise JaxmixError(f"'choices' holds {len(choices)}, and a question needs two or more")
    if not all(choices):
        raise JaxmixError("'choices' holds an empty text")
    if len(set(choices)) < len(choices):
        raise JaxmixError("two of 'choices' are equal")
    if type(answer) is not int or not 0 <= answer < len(choices):
        raise JaxmixError(
            f"'answer' is {_quoted(answer)}, not an index from 0 to {len(choices) - 1}"
        )
    return tuple(choices), answer


def _text(held: dict[str, Any], key: str) -> str:
    value = held.get(key)
    if not isinstance(value, str):
        what = "is missing" if value is None else f"is {_quoted(value)}, not a text"
        raise JaxmixError(f"'{key}' {what}")
    return value


def _quoted(value: Any) -> str:
    """A value of JSON as it stands in the file, shortened: a text has its quotation marks."""
    return clip(json.dumps(value), 40)


def _check_kind(path: Path, row: int, new: Question, found: list[Question]) -> None:
    """Refuses a task that is both multiple choice and cloze."""
    first = next(one for one in found if one.task == new.task)
    if first.is_cloze != new.is_cloze:
        raise DataError(
            f"{path}, row {row}: task '{clip(new.task, 40)}' has multiple-choice and cloze "
            "questions; give each kind a task of its own"
        )
