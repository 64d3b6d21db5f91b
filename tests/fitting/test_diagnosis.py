"""A fit says what it means for its user: consequence, evidence, remedy, the gravest first."""

from dataclasses import replace

import numpy as np
import pytest

from jaxmix.fitting import FittedLaws, load_laws
from jaxmix.fitting.fitted import DataRange, FitReport, FittedLaw
from jaxmix.laws import get_law
from jaxmix.notes import UNSAFE, WRONG, Note, rank_of

GOOD = {"gradient_norm": 1e-9, "rows": 60, "restarts": 192, "agreeing": 90, "train_mre": 0.4}
PARAMS = {
    "E": 1.5, "C": [1.0, 2.0], "gamma": [0.5, 0.8],
    "A": 30.0, "alpha": 0.3, "B": 60.0, "beta": 0.3,
}  # fmt: skip


def fitted(target="web", report=None, **params):
    law, mixtures = get_law("additive"), np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
    natural = {name: np.asarray(value) for name, value in {**PARAMS, **params}.items()}
    data = DataRange((1e7, 1e9), (1e8, 1e10), mixtures)
    made = FitReport(**{"objective": 1e-5, **GOOD, **(report or {})})
    return FittedLaw(law, target, ("web", "code"), natural, data, made)


def test_a_healthy_fit_gets_one_positive_sentence():
    laws = FittedLaws([fitted()])
    assert laws.notes == ()
    assert laws.headline == (
        "additive fits 60 rows of web to 0.4% on average; no problem was found"
    )
    assert laws.summary().startswith(laws.headline)


NO_FLOOR = {"E": 1e-13, "C": [1e9, 1e9], "gamma": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("report", "params", "label", "said"),
    [
        ({"gradient_norm": 1e-3}, {}, "not converged", "because the fit did not converge (grad"),
        ({"agreeing": 1}, {}, "found once", "once in 192 restarts): run with --restarts 768"),
        ({"agreeing": 2}, {}, None, ""),
        ({"agreeing": 1, "restarts": 1}, {}, None, ""),
        ({"agreeing": 1, "train_mre": 1e-6}, {}, None, ""),
        ({"at_bound": ("E",)}, NO_FLOOR, "no asymptote", "web far beyond the data are unsafe (no"),
        ({"at_bound": ("E",)}, {"E": 1e-13}, None, ""),
        ({"at_bound": ("A",)}, {"A": 1e-12}, "no effect of n_params", "larger models are not pred"),
        ({"at_bound": ("beta",)}, {"beta": 0.01}, "edge: beta", "beyond the runs are a guess (bet"),
        ({"at_bound": ("gamma[code]",)}, {}, "edge: gamma[code]", "effect of code on web is a gue"),
        ({"at_bound": ("gamma[code]",)}, {"C": [1.0, 1e-12]}, None, ""),
        ({"held_out_mre": 1.9, "held_out_rows": 9}, {}, "worse on unseen rows", "1.9% on rows he"),
        ({"held_out_mre": 0.7, "held_out_rows": 9}, {}, None, ""),
        ({"condition": 3.5e15}, {}, "values not determined", "mean nothing, though predictions"),
    ],
)  # fmt: skip
def test_each_finding_is_a_sentence(report, params, label, said):
    laws = FittedLaws([fitted(report=report, **params)])
    assert [one.label for one in laws[0].findings] == ([label] if label else [])
    assert all(said in note and "): " in note for note in laws.notes)
    assert len(laws.notes) == bool(label)


def test_targets_with_one_finding_share_a_sentence_and_the_gravest_comes_first(tmp_path):
    far = {"gradient_norm": 1e-3, "notes": (Note("losses look like bits", WRONG), "in float32")}
    fits = [fitted(name, {"at_bound": ("E",)}, **NO_FLOOR) for name in ("a", "b", "c")]
    laws = FittedLaws([*fits, fitted("d", far)])
    laws.save(tmp_path / "law.json")
    for one in (laws, load_laws(tmp_path / "law.json")):
        assert [rank_of(note) for note in one.notes[:3]] == [WRONG, WRONG, UNSAFE]
        assert one.notes[0] == "d: losses look like bits"
        assert one.notes[2].startswith("predictions of a, b and c far beyond the data are unsafe")
        assert one.notes[-1] == "d: in float32"
    assert replace(laws[0], report=FitReport(0.0, 0.0, 3, 1, 1)).findings  # the law, not the label
