"""Scores of a bigram model, which its table gives as well, and of one that knows nothing."""

import math

import jax
import numpy as np
import pytest

from jaxmix.data import Question, make_tasks
from jaxmix.models import TextConfig, text_model
from jaxmix.studies import CorpusSpec, FinishedRun, Size, Study
from jaxmix.studies.downstream import encode, evaluate, likelihoods
from jaxmix.studies.families import Built

VOCAB, WIDTH = 257, 258  # bytes; heads have an even width
CONFIG = TextConfig(VOCAB, WIDTH, depth=1, heads=1)
TABLE = np.log(np.random.default_rng(0).dirichlet(np.full(VOCAB, 0.3), VOCAB) + 1e-6)
TABLE -= np.log(np.exp(TABLE).sum(1, keepdims=True))


@pytest.fixture(scope="module")
def bigram(corpus) -> FinishedRun:
    """Blocks add nothing, embeddings are one-hot, and the head holds the table."""
    shapes = jax.eval_shape(text_model(CONFIG).init, jax.random.key(0))
    params = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    params["embedding"] = np.eye(VOCAB, WIDTH, dtype=np.float32)
    params["norm"]["gain"] += 1.0
    params["head"]["kernel"][:VOCAB] = TABLE / WIDTH**0.5  # a one-hot row's norm takes that out
    return finished(corpus, params)


def finished(corpus, params, config=CONFIG, length=24) -> FinishedRun:
    sizes = (Size("tiny-16", 1000),)
    study = Study(
        CorpusSpec("x"), sizes, mixtures={"a": {"low": 1}}, checkpoints=1, batch=1, length=length
    )
    return FinishedRun("toy", study, corpus, Built(text_model(config), config, 0.1), params)


def by_hand(context: str, choice: str, end=256) -> float:
    tokens = [end, *(context + choice).encode()]
    first = 1 + len(context.encode())
    return sum(TABLE[tokens[i - 1], tokens[i]] for i in range(first, len(tokens)))


def test_a_bigram_models_scores_are_those_of_its_table(corpus, bigram):
    letters = "abcdefgh"
    likeliest = lambda c: chr(int(np.argmax(TABLE[ord(c)])))  # noqa: E731
    choices = ("a", "b", "cd", "efgh")
    questions = [Question("pick", 5 * one, choices, i % 4) for i, one in enumerate(letters)]
    questions += [Question("pick", "", ("ab", "ba"), 1)]
    good = next(c for c in map(chr, range(33, 127)) if likeliest(c).isascii())
    questions += [Question("close", good, (likeliest(good),)), Question("close", good, ("~~",))]
    rows = encode(questions, corpus.tokenizer, 24)
    sums, greedy = likelihoods(CONFIG, bigram.params, rows, batch=5)
    wanted = [by_hand(q.context, one) for q in questions for one in q.choices]
    np.testing.assert_allclose(sums, wanted, rtol=1e-4)
    assert greedy[-2:].tolist() == [True, False]
    pick, close = evaluate(bigram, questions, rows)
    totals = [[by_hand(q.context, c) for c in q.choices] for q in questions[:-2]]
    right = [int(np.argmax(t)) == q.answer for t, q in zip(totals, questions[:-2], strict=True)]
    per_byte = [
        int(np.argmax([t / len(c) for t, c in zip(total, q.choices, strict=True)])) == q.answer
        for total, q in zip(totals, questions[:-2], strict=True)
    ]
    assert right != per_byte and pick.questions == 9 and pick.kind == "choice"
    assert pick.accuracy == pytest.approx(np.mean(right))
    assert pick.accuracy_per_byte == pytest.approx(np.mean(per_byte))
    assert pick.sem == pytest.approx(np.std(right, ddof=1) / 3)
    assert pick.chance == pytest.approx((8 / 4 + 1 / 2) / 9)
    assert close.kind == "cloze" and close.accuracy == 0.5 and math.isnan(close.chance)
    assert close.log_likelihood == pytest.approx(np.mean(wanted[-2:]), rel=1e-4)


@pytest.mark.parametrize("blank", [" ", "\n", " \t", "\u3000"])
def test_a_blank_is_scored_with_the_choice_wherever_it_stands(corpus, bigram, blank):
    texts = [("The answer is", ("yes", "no")), ("Is it?", ("perhaps", "é")), ("", ("a", "bcd"))]
    inside = [Question("q", c + blank, held) for c, held in texts]
    outside = [Question("q", c, tuple(blank + one for one in held)) for c, held in texts]
    one, other = evaluate(bigram, inside), evaluate(bigram, outside)
    assert one == other
    totals = [[by_hand(q.context, one) for one in q.choices] for q in outside]
    sizes = [[len(one.encode()) for one in q.choices] for q in outside]
    right = [np.argmax(np.divide(t, n)) == 0 for t, n in zip(totals, sizes, strict=True)]
    assert one[0].accuracy_per_byte == pytest.approx(np.mean(right))
    assert one[0].joined == 0


def test_a_long_context_keeps_its_end_and_a_long_choice_is_refused(corpus, bigram):
    long, short = "x" * 50 + "ab", "ab"
    questions = [Question("q", c, ("cd", "efg"), 0) for c in (long, short)]
    rows = encode(questions, corpus.tokenizer, 8)
    assert rows.cut.tolist() == [True, False] and rows.tokens.shape == (4, 9)
    assert rows.tokens[1].tolist() == list(b"xxxxabefg")
    assert rows.tokens[0, :8].tolist() == list(b"xxxxabcd")  # the same context for both
    sums, _ = likelihoods(CONFIG, bigram.params, rows)
    np.testing.assert_allclose(sums[:2], sums[2:], rtol=1e-6)
    assert evaluate(bigram, questions, rows)[0].cut == 1
    with pytest.raises(
        ValueError, match="task 'q': a choice for 'ab' takes 9 tokens and the model"
    ):
        encode([Question("q", "ab", ("c" * 9, "d"))], corpus.tokenizer, 8)


class Merging:
    """Letters are tokens, and so is "ab"."""

    end = 0

    def encode(self, text):
        return [1 if part == "\0" else ord(part) for part in text.replace("ab", "\0")]


def test_a_token_over_the_border_counts_with_every_choice_of_its_question():
    rows = encode([Question("q", "xa", ("b", "c")), Question("q", "x", ("ab",))], Merging(), 8)
    assert rows.joined.tolist() == [True, False]
    scored = [row[1:][on].tolist() for row, on in zip(rows.tokens, rows.counted, strict=True)]
    assert scored == [[1], [ord("a"), ord("c")], [1]]


def test_one_that_knows_nothing_guesses_and_one_without_numbers_has_no_score(corpus):
    config = TextConfig(VOCAB, 16, depth=1, heads=1)
    params = text_model(config).init(jax.random.key(0))
    questions = make_tasks(corpus, ["low"], count=80)
    found = finished(corpus, params, config, length=256)
    rows = encode(questions, corpus.tokenizer, 256)
    scores = {one.task: one for one in evaluate(found, questions, rows)}
    for task in ("continue-low", "domain-low"):
        assert scores[task].questions == 80 and scores[task].chance == 0.25
        assert abs(scores[task].accuracy - 0.25) < 3.5 * scores[task].sem
    broken = finished(corpus, jax.tree.map(lambda x: x * np.nan, params), config, length=256)
    assert all(math.isnan(one.accuracy) for one in evaluate(broken, questions, rows))
