"""Tasks: what lines are refused, and questions that are made of held-out documents."""

import json
import re

import pytest

from jaxmix.data import DataError, Question, make_tasks, read_tasks, write_tasks
from jaxmix.data.questions import HeldoutTexts

BAD = [
    ('{"task": "a", "context": ""', "is not JSON"),
    ("[1]", "holds [1], not an object"),
    ('{"task": "a", "answer": "b"}', "'context' is missing"),
    ('{"task": "", "context": "c", "answer": "b"}', "'task' is empty"),
    ('{"task": "a", "context": "c", "answer": 3}', "'answer' is 3, not a text"),
    ('{"task": "a", "context": "c", "answer": ""}', "'answer' is an empty text"),
    ('{"task": "a", "context": "c", "choices": ["b"], "answer": 0}', "needs two or more"),
    ('{"task": "a", "context": "c", "choices": ["b", 1], "answer": 0}', "not a list of texts"),
    ('{"task": "a", "context": "c", "choices": ["b", "b"], "answer": 0}', "are equal"),
    ('{"task": "a", "context": "c", "choices": ["b", "d"], "answer": 2}', "from 0 to 1"),
    ('{"task": "a", "context": "c", "choices": ["b", "d"], "answer": true}', "from 0 to 1"),
    ('{"task": "a", "context": "c", "gold": 1, "answer": "b"}', "'gold' is not a key"),
    (
        '{"task": "a", "context": "c", "choices": ["b", "d"], "answer": "1"}',
        "'answer' is \"1\", not",
    ),
    ('{"task": "a", "context": "\\udcb2", "answer": "b"}', "'context' holds half a surrogate pair"),
    ('{"task": "a\\ud83d", "context": "", "answer": "b"}', "'task' holds half a surrogate pair"),
    ('{"task": "a", "context": "", "answer": "\\ude00"}', "'answer' holds half a surrogate pair"),
    (
        '{"task": "a", "context": "", "choices": ["\\ud83d", "\\ude00"], "answer": 0}',
        "'choices' holds half a surrogate pair",
    ),
    ('{"task": "a", "context": "c", "\\ud83d": 1}', "is not a key"),
    ('{"task": "ok", "context": "c", "answer": "b"}', "'ok' has multiple-choice and cloze"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_a_bad_line_is_named(tmp_path, line, message):
    good = '{"task": "ok", "context": "c", "choices": ["b", "d"], "answer": 1}'
    path = tmp_path / "tasks.jsonl"
    path.write_text(f"{good}\n\n{line}\n")
    with pytest.raises(DataError, match=re.escape(message)) as error:
        read_tasks(path)
    assert str(error.value).startswith(f"{path}, row 3: ")


def test_files_without_questions_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"absent\.jsonl: cannot be read"):
        read_tasks(tmp_path / "absent.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\n{\xe9}")
    with pytest.raises(DataError, match=r"latin\.jsonl, row 2: is not UTF-8"):
        read_tasks(tmp_path / "latin.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no question"):
        read_tasks(tmp_path / "empty.jsonl")


def test_written_questions_read_back(tmp_path):
    questions = (Question("a", "né\n", (" 1", " 2\t"), 1), Question("b", "", (" x",)))
    write_tasks(questions, tmp_path / "tasks.jsonl")
    assert read_tasks(tmp_path / "tasks.jsonl") == questions
    # A whole pair of escapes is one character, and a byte order mark is none.
    pair = b'\xef\xbb\xbf{"task": "a", "context": "\\ud83d\\ude00", "answer": "b"}'
    (tmp_path / "pair.jsonl").write_bytes(pair)
    assert read_tasks(tmp_path / "pair.jsonl")[0].context == "\U0001f600"
    assert "né" in (tmp_path / "tasks.jsonl").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "tasks.jsonl").read_text().splitlines()[1])["answer"] == " x"


def test_questions_are_of_held_out_documents(corpus, texts):
    questions = make_tasks(corpus, count=8, seed=3)
    assert questions == make_tasks(corpus, count=8, seed=3)
    assert questions != make_tasks(corpus, count=8, seed=4)
    # A target's questions do not depend on which others are asked for.
    assert [q for q in questions if "latin" in q.task] == list(make_tasks(corpus, ["latin"], 8, 3))
    held = {name: list(HeldoutTexts(corpus, name)) for name in corpus.targets}
    assert set(held["greek"]) < set(texts["greek"]) and sorted(held["rare"]) == sorted(
        texts["rare"]
    )
    tasks = {q.task for q in questions}
    assert tasks == {f"{kind}-{name}" for kind in ("continue", "domain", "word") for name in held}
    for question in questions:
        kind, _, name = question.task.partition("-")
        right = question.choices[question.answer]
        assert question.context == question.context.rstrip()
        assert any(question.context + right in text for text in held[name])
        if question.is_cloze:
            assert kind == "word" and right.strip() in question.context.split()
            continue
        wrong = [c for c in question.choices if c != right]
        assert len(wrong) == 3 and all(c[0].isspace() for c in question.choices)
        for one in wrong:
            sources = {other for other in held if any(one in text for text in held[other])}
            assert (name in sources) == (kind == "continue") and sources
    answers = {q.answer for q in questions if not q.is_cloze}
    assert answers == {0, 1, 2, 3}
    with pytest.raises(DataError, match="no target of text 'x'"):
        make_tasks(corpus, ["x"])
