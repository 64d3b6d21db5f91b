"""Small tasks made from the held-out documents of a corpus: continuations and last words.

There are three tasks per target, which tell models apart that are too small for the field's
benchmarks:

- `continue-<target>`: find the right continuation among three from other documents of the target;
- `domain-<target>`: find it among continuations from other targets;
- `word-<target>`: write the last word of a passage that contains it earlier (as in LAMBADA).
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from .corpus import Corpus
from .draws import keyed
from .errors import DataError, hint
from .tasks import Question

CONTEXT = 160  # characters at most, and half of that at least
CONTINUATION = 48  # bytes at least,
LONGEST = 120  # and at most, so that a window of 128 holds it with any tokenizer
CHOICES = 4
_TRIES = 40  # most draws per question
_WORD = re.compile(r"\b[^\W\d_]{4,}\b")
_BREAK = re.compile(r"(?<=\S)\s+\S")  # all blanks between two words go to the second one

Draw = Callable[[int], int]
Texts = Mapping[str, Sequence[str]]


def make_tasks(
    corpus: Corpus, targets: Sequence[str] | None = None, count: int = 100, seed: int = 0
) -> tuple[Question, ...]:
    """Questions about held-out documents of text; the same arguments give the same questions.

    Args:
        corpus: the corpus.
        targets: names of targets; None for all without pictures.
        count: number of questions per task; fewer if there are too few or too short documents.
        seed: seed of the draws.

    Raises:
        DataError: a target is unknown or has pictures.
    """
    known = tuple(name for name in corpus.targets if name not in corpus.illustrated)
    for name in targets or ():
        if name not in known:
            raise DataError(
                f"corpus {corpus.name}: no target of text '{name}'; {hint(name, known)}"
            )
    texts = {name: HeldoutTexts(corpus, name) for name in known}
    found: list[Question] = []
    for name in targets or known:
        for kind, make in _KINDS.items():
            task = f"{kind}-{name}"
            found += _distinct(make(task, name, texts, _drawing(task, seed)), count)
    return tuple(found)


class HeldoutTexts(Sequence[str]):
    """The held-out documents of a target of text, in the order of its stream, decoded lazily."""

    def __init__(self, corpus: Corpus, target: str) -> None:
        tokens = np.asarray(corpus.windows(target, "heldout", 1).tokens)
        parts = np.split(tokens, np.flatnonzero(tokens == corpus.tokenizer.end) + 1)
        self._parts = [part for part in parts if part.size > 1]  # the end of a document is its own
        self._tokenizer = corpus.tokenizer
        self._read: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, i: int) -> str:  # type: ignore[override]
        if i not in self._read:
            self._read[i] = self._tokenizer.decode(self._parts[i])
        return self._read[i]


def _drawing(task: str, seed: int) -> Draw:
    """Returns a function that draws an integer from 0 to below its argument."""
    counter = itertools.count()

    def draw(below: int) -> int:
        i = next(counter)
        return int(keyed(f"{seed}\0{task}", i, i + 1)[0] % np.uint64(below))

    return draw


def _distinct(made: Iterator[Question | None], count: int) -> list[Question]:
    """The first `count` different questions within the allowed number of tries."""
    found: dict[str, Question] = {}
    for _, one in zip(range(_TRIES * count), made, strict=False):
        if one is not None:
            found.setdefault(one.context, one)
        if len(found) == count:
            break
    return list(found.values())


def _continuing(task: str, name: str, texts: Texts, draw: Draw) -> Iterator[Question | None]:
    return _choosing(task, name, texts, draw, lambda: name)


def _telling_domains(task: str, name: str, texts: Texts, draw: Draw) -> Iterator[Question | None]:
    others = [other for other in texts if other != name]
    if not others:
        return iter(())
    return _choosing(task, name, texts, draw, lambda: others[draw(len(others))])


def _choosing(
    task: str, name: str, texts: Texts, draw: Draw, other: Callable[[], str]
) -> Iterator[Question | None]:
    """Questions with wrong choices from documents of the targets that `other` returns."""
    while True:
        document = draw(len(texts[name]))
        right = _cut(texts[name][document], draw)
        wrong: list[str] = []
        for _ in range(4 * CHOICES):
            target = other()
            i = draw(len(texts[target]))
            cut = _cut(texts[target][i], draw)
            differs = target != name or i != document
            if right and cut and differs and cut[1] not in (right[1], *wrong):
                wrong.append(cut[1])
            if len(wrong) == CHOICES - 1:
                break
        if right is None or len(wrong) < CHOICES - 1:
            yield None
            continue
        answer = draw(CHOICES)
        yield Question(task, right[0], (*wrong[:answer], right[1], *wrong[answer:]), answer)


def _cut(text: str, draw: Draw) -> tuple[str, str] | None:
    """A context and its continuation, which begins with the blanks between and ends before some."""
    room = len(text) - CONTEXT // 2 - CONTINUATION
    middle = _BREAK.search(text, CONTEXT // 2 + draw(room)) if room > 0 else None
    if middle is None:
        return None
    start = middle.start()
    breaks = (found.start() for found in _BREAK.finditer(text, start + 1))
    for stop in itertools.chain(breaks, [len(text)]):
        size = len(text[start:stop].encode())
        if size >= CONTINUATION:
            fits = size <= LONGEST
            return (text[max(0, start - CONTEXT) : start], text[start:stop]) if fits else None
    return None


def _words(task: str, name: str, texts: Texts, draw: Draw) -> Iterator[Question | None]:
    """Questions about a last word that is in its context already."""
    while True:
        text = texts[name][draw(len(texts[name]))]
        room = len(text) - CONTEXT
        yield _last_word(task, text, CONTEXT + draw(room)) if room > 0 else None


def _last_word(task: str, text: str, start: int) -> Question | None:
    for found in _WORD.finditer(text, start, start + CONTEXT):
        blank = found.start() - 1
        context = text[max(0, blank - CONTEXT) : blank]
        one_blank = text[blank] == " " and not context[-1:].isspace()
        if one_blank and re.search(rf"\b{found[0]}\b", context):
            return Question(task, context, (" " + found[0],))
    return None


_KINDS = {"continue": _continuing, "domain": _telling_domains, "word": _words}
