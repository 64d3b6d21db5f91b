"""Any input of a reader ends in a value or in a JaxmixError of one line, found by random search.

`make test` tries the same examples each time; HYPOTHESIS_PROFILE=thorough tries many new ones.
"""

import copy
import datetime
import json
import math
import os
import string
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jaxmix.cli.stages import WeightsType, read_schedules
from jaxmix.cli.values import AMOUNTS, LAWS, NUMBERS, SIZES, Labelled, MixtureType, Quantity
from jaxmix.data.tasks import read_tasks, write_tasks
from jaxmix.errors import JaxmixError
from jaxmix.fitting.files import load_laws
from jaxmix.fitting.simulate import true_laws
from jaxmix.laws import ADDITIVE
from jaxmix.quantities import quantity
from jaxmix.runs import read_runs, write_runs
from jaxmix.runs.expressions import parse_linear
from jaxmix.runs.filters import evaluate_where

SECONDS = datetime.timedelta(seconds=5)  # of one example: nothing may hang
SHARED: dict[str, Any] = {
    "deadline": SECONDS,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile("quick", max_examples=60, derandomize=True, **SHARED)
settings.register_profile("thorough", max_examples=3000, **SHARED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

NASTY = ("", " ", "nan", "inf", "-inf", "-5e-17", "1e400", "70M", "2T", "60%", "1,5", "1_000", "-1")
NASTY += ("0", "1", "0.5", "None", "NULL", "TRUE", "x", "µ", "\ud800", "\x00", "'", '"', "\n", "`")
cells = st.one_of(
    st.sampled_from(NASTY),
    st.floats().map(repr),
    st.integers().map(str),
    st.text(max_size=8),
)
columns = st.one_of(
    st.sampled_from(("run", "n_params", "tokens", "w_a", "w_b", "loss_x", "sem_x", "unique_a")),
    st.sampled_from(
        ("", "w_", "loss_", "loss", "schedule", "tokenizer", "metric_m", "W_a", "seed")
    ),
    st.text(max_size=6),
)
jsons = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def outcome(made, *arguments, **options):
    """What a call returns; None if it refuses its input in one line."""
    try:
        return made(*arguments, **options)
    except (JaxmixError, click.BadParameter) as error:
        text = str(error)
        assert text.strip() and "\n" not in text.strip() and len(text) < 1500, text
        return None


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


# Run tables


def check_table(table, path) -> None:
    """A table that was read keeps its contract and reads back equal."""
    assert len(table) > 0
    assert np.all(table.n_params > 0) and np.all(table.tokens > 0)
    if table.domains:
        assert np.all(table.weights >= 0)
        np.testing.assert_allclose(table.weights.sum(1), 1, atol=1e-9)
    losses = table.losses()
    assert np.all(np.isfinite(losses) | np.isnan(losses))
    write_runs(table, path)
    again = read_runs(path)
    np.testing.assert_array_equal(again.losses(), losses)
    np.testing.assert_array_equal(again.weights, table.weights)


@given(data=st.binary(max_size=300), suffix=st.sampled_from((".csv", ".tsv", ".jsonl", ".parquet")))
@example(data=b'{"run": 1e999}\n', suffix=".jsonl")
def test_bytes_as_a_table(data, suffix, tmp_path):
    (tmp_path / f"runs{suffix}").write_bytes(data)
    outcome(read_runs, tmp_path / f"runs{suffix}")


GOOD = {"run": ["r0", "r1", "r2"], "n_params": ["1e6", "2e6", "4M"], "tokens": ["1e8", "1e8", "2B"]}
GOOD |= {"w_a": ["0.5", "0.25", "1"], "w_b": ["0.5", "0.75", "0"], "loss_x": ["3", "2.5", "2"]}


@given(
    changes=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7), cells), max_size=4),
    names=st.dictionaries(st.integers(0, 7), columns, max_size=3),
    extra=st.lists(st.tuples(columns, cells), max_size=2),
)
def test_a_table_with_some_bad_cells(changes, names, extra, tmp_path):
    table = {name: list(held) for name, held in GOOD.items()}
    columns_made = [*table.values(), *([cell] * 3 for _, cell in extra)]
    header = [*table, *(name for name, _ in extra)]
    for row, column, cell in changes:
        columns_made[column % len(header)][row] = cell
    for column, name in names.items():
        header[column % len(header)] = name
    lines = [header, *map(list, zip(*columns_made, strict=True))]
    (tmp_path / "runs.csv").write_bytes(encoded("\n".join(",".join(row) for row in lines)))
    table = outcome(read_runs, tmp_path / "runs.csv")
    if table is not None:
        check_table(table, tmp_path / "again.csv")


@given(rows=st.lists(st.dictionaries(columns, jsons, max_size=8) | jsons, max_size=4))
def test_a_table_of_json_lines(rows, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(encoded("".join(json.dumps(row) + "\n" for row in rows)))
    outcome(read_runs, path)


values = st.one_of(
    jsons,
    st.complex_numbers(),
    st.datetimes(),
    st.binary(max_size=3),
    st.sampled_from((pd.NA, pd.NaT, np.float32(2), np.int8(-1), object, (), {1: 2})),
)


@given(held=st.dictionaries(columns | st.integers(), st.lists(values, min_size=2, max_size=2)))
def test_a_data_frame(held):
    outcome(read_runs, pd.DataFrame({k: pd.Series(v, dtype=object) for k, v in held.items()}))
    frame = pd.DataFrame({**{n: v[:2] for n, v in GOOD.items()}, **held})
    outcome(read_runs, frame)


# Expressions

words = st.sampled_from(
    [
        *("n", "run", "w_a", "a", "b", "`a b`", "`", "1", "70M", "30%", "1e400", "0", "'x'", '"'),
        *("and", "or", "not", "in", "(", ")", "[", "]", "<", "<=", "==", "=", "!=", "+", "-", "*"),
        *("/", "**", "%", ",", ".", "lambda", "if", "else", ":=", "@", "#", "\\", "\x00", "é"),
        *("∞", "__import__"),
    ]
)
expressions = st.one_of(
    st.lists(words, max_size=12).map(" ".join), st.lists(words, max_size=8).map("".join), st.text()
)


@given(text=expressions)
@example(text="2**2**2**2**2**2 > 1")
@example(text="9" * 5000 + " < n")
@example(text="(" * 300 + "n" + ")" * 300 + " < 1")
@example(text="run * 1000000000 == 'x'")
@example(text="'%s' % run == 'x'")
def test_a_filter(text):
    held = {"n": np.array([1e6, 2e6]), "run": np.array(["r0", "r1"]), "w_a": np.array([0.5, 0])}
    rows = outcome(evaluate_where, text, held)
    assert rows is None or (rows.dtype == bool and rows.shape == (2,))


@given(text=expressions)
def test_a_linear_constraint(text):
    for slope, bound in outcome(parse_linear, text, ["a", "b", "a b"]) or ():
        assert slope.shape == (3,) and np.isfinite(slope).all() and math.isfinite(bound)


@given(text=st.one_of(cells, st.text(alphabet=string.digits + ".,_eE+-kKMBT% ", max_size=12)))
def test_a_quantity(text):
    number = quantity(text)
    assert math.isnan(number) or number > 0


pieces = st.lists(st.sampled_from(("a", "web", "=", ",", ":", ";", "@", "0.5", "1", "B", " ", "é")))
OPTIONS = (NUMBERS, AMOUNTS, LAWS, SIZES, Labelled(), MixtureType(), Quantity(), WeightsType())


@given(text=st.one_of(pieces.map("".join), st.text(max_size=12)), kind=st.sampled_from(OPTIONS))
def test_the_value_of_an_option(text, kind):
    outcome(kind.convert, text, None, None)


# JSON


@given(rows=st.lists(jsons | st.text(max_size=20), max_size=3), raw=st.binary(max_size=60))
def test_tasks(rows, raw, tmp_path):
    for data in (encoded("".join(json.dumps(row) + "\n" for row in rows)), raw):
        (tmp_path / "tasks.jsonl").write_bytes(data)
        outcome(read_tasks, tmp_path / "tasks.jsonl")


ANSWERS = st.one_of(st.integers(-2, 4), st.floats(), st.text(max_size=3), st.booleans(), st.none())


@given(
    context=st.text(max_size=6) | jsons,
    choices=st.lists(st.text(max_size=4) | jsons, max_size=4) | jsons,
    answer=ANSWERS,
)
def test_a_question(context, choices, answer, tmp_path):
    held = {"task": "t", "context": context, "choices": choices, "answer": answer}
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(held) + "\n")
    questions = outcome(read_tasks, path)
    if questions is not None:
        write_tasks(questions, tmp_path / "again.jsonl")
        assert read_tasks(tmp_path / "again.jsonl") == questions


@pytest.fixture(scope="module")
def law_file(tmp_path_factory):
    """A law of two domains in a file, as JSON."""
    path = tmp_path_factory.mktemp("law") / "law.json"
    powers = {"E": 1.5, "A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34}
    params = {"x": {**powers, "C": np.array([1.0, 3.0]), "gamma": np.array([0.5, 0.6])}}
    mixtures = np.array([[0.5, 0.5], [0.2, 0.8], [0.7, 0.3]])
    scale = {"mixtures": mixtures, "n_params": [1e7], "tokens": [1e9]}
    true_laws(ADDITIVE, params, domains=("a", "b"), targets=("x",), **scale).save(path)
    return path.read_text()


def places(held: Any) -> list[tuple[Any, Any]]:
    """All (container, key) of a JSON value."""
    if not isinstance(held, dict | list):
        return []
    keys = list(held) if isinstance(held, dict) else range(len(held))
    return [(held, key) for key in keys] + [found for key in keys for found in places(held[key])]


@given(where=st.integers(0, 10**6), new=jsons, drop=st.booleans())
def test_a_law_file_with_one_change(where, new, drop, law_file, tmp_path):
    held = copy.deepcopy(json.loads(law_file))
    found = places(held)
    container, key = found[where % len(found)]
    if drop:
        del container[key]
    else:
        container[key] = new
    path = tmp_path / "law.json"
    path.write_text(json.dumps(held))
    laws = outcome(load_laws, path)
    if laws is not None:
        rows = {"n_params": [1e9], "tokens": [1e10], **{f"w_{d}": [0.5] for d in laws.domains}}
        outcome(laws.predict, pd.DataFrame(rows))


@given(length=st.integers(0, 10**6))
def test_a_law_file_cut_short(length, law_file, tmp_path):
    path = tmp_path / "law.json"
    path.write_text(law_file[: length % (len(law_file) - 1)])
    assert outcome(load_laws, path) is None


@given(held=jsons, stage=jsons)
def test_schedules(held, stage, tmp_path):
    path = tmp_path / "stages.json"
    for value in (
        held,
        {"turn": held},
        {"turn": [stage]},
        {"turn": [{"share": held, "weights": stage}]},
    ):
        path.write_text(json.dumps(value))
        outcome(read_schedules, str(path))
