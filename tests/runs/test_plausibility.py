"""Sizes and losses in other units than the contract's get one question each, and only those."""

import re

import numpy as np
import pytest

from jaxmix import load_example
from jaxmix.runs import read_points, read_runs


def table(n_params, tokens, **losses):
    n, d = np.meshgrid(n_params, tokens)
    columns = losses or {"loss": 3.0}
    return {"n_params": n.ravel(), "tokens": d.ravel(), **columns}


@pytest.mark.parametrize(
    ("n_params", "tokens", "words"),
    [
        ([10, 300], [1, 30], ("millions", "billions")),
        ([70, 410], [1e9, 1e11], ("millions", None)),
        ([70, 410], [1e3, 1e5], ("millions", "millions")),
        ([0.07, 0.41], [20, 200], ("billions", "billions")),
        ([1, 7, 13], [2e10, 2e11], ("millions or billions", None)),
        ([7e7, 4e8], [10, 100], (None, "billions")),
        ([7e7, 4e8], [1e4, 1e5], (None, "millions")),
        ([70, 1.4e9], [1e10], ("millions", None)),
        ([25e3, 350e3], [66e3, 5e5], (None, None)),
        ([1e6], [1e9], (None, None)),
        ([1e7, 8e9], [1e8, 1e13], (None, None)),
    ],
)
def test_units_are_asked_for(n_params, tokens, words):
    notes = read_runs(table(n_params, tokens)).notes[1:]
    columns = zip(("n_params", "tokens"), words, strict=True)
    expected = [f"{column} of .* look like {word}: " for column, word in columns if word]
    assert len(notes) == len(expected)
    for note, pattern in zip(notes, expected, strict=True):
        assert re.match(pattern, note), note


def test_points_are_asked_too():
    points = read_points({"n_params": [7.0], "tokens": [140.0], "w_a": [1.0]})
    assert len(points.notes) == 2 and "look like" in points.notes[0]


def test_losses_beyond_any_vocabulary_are_asked_for():
    (note,) = read_runs(table([1e7, 1e8], [1e9], loss_a=[25.0, 18.0], loss_b=[3.0, 2.9])).notes[1:]
    assert note.startswith("losses of a look like perplexities")
    (note,) = read_runs(table([1e7, 1e8, 1e9], [1e9], loss=[14.0, 3.0, 2.9])).notes[1:]
    assert note.startswith("1 of 3 losses exceed 12.5") and "(largest 14)" in note
    assert read_runs(table([1e7, 1e8], [1e9], loss=[10.8, 3.0])).notes[1:] == ()


@pytest.mark.parametrize("name", ["text", "vision", "multimodal"])
def test_the_examples_are_plausible(name):
    assert load_example(name).notes == ()
