"""Objectives and guardrails over losses and tasks, which are in different units."""

import sys

import numpy as np
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.fitting.simulate import true_laws
from jaxmix.laws import ADDITIVE
from jaxmix.mixtures import Constraints, dirichlet_design, optimize, recommend

DOMAINS = ("web", "code")
TARGETS = ("web", "task_sums", "task_words", "accuracy_sums")
BIG = (1e9, 1e11)


@pytest.fixture(scope="module")
def laws():
    """Every target likes a mixture of its own."""
    powers = {"A": 200.0, "alpha": 0.33, "B": 900.0, "beta": 0.34, "gamma": np.array([0.5, 0.6])}
    likes = {"web": (3, 1), "task_sums": (1, 3), "task_words": (1, 1), "accuracy_sums": (1, 9)}
    params = {t: {"E": 1.5, **powers, "C": np.array(c, float)} for t, c in likes.items()}
    return true_laws(
        ADDITIVE,
        params,
        domains=DOMAINS,
        mixtures=dirichlet_design(2, 8, seed=0),
        n_params=[1e7, 1e9],
        tokens=[1e9, 1e11],
        targets=TARGETS,
    )


def weighed(found):
    return {name for name, w in found.target_weights.items() if w > 0}


def test_tasks_count_if_they_are_weighed_or_alone(laws):
    assert weighed(optimize(laws, *BIG)) == {"web"}
    assert any("task_sums, task_words: in bits per byte" in n for n in optimize(laws, *BIG).notes)
    tasks = laws[TARGETS[1:]]
    assert weighed(optimize(tasks, *BIG)) == {"task_sums", "task_words"}
    assert weighed(optimize(laws[["accuracy_sums"]], *BIG)) == {"accuracy_sums"}
    mixed = optimize(laws, *BIG, target_weights={"web": 1, "loss_task_*": 0.5})
    assert mixed.target_weights == pytest.approx(
        {"web": 0.5, "task_sums": 0.25, "task_words": 0.25, "accuracy_sums": 0}
    )
    with pytest.raises(JaxmixError, match=r"no target matches 'tusk_\*'; "):
        optimize(laws, *BIG, target_weights={"tusk_*": 1})
    with pytest.raises(JaxmixError, match="target 'task_sums' is given twice"):
        optimize(laws, *BIG, target_weights={"task_*": 1, "task_sums": 2})


def test_guardrails_hold_tasks(laws):
    even = {"web": 0.5, "code": 0.5}
    free = optimize(laws, *BIG, Constraints(within="anywhere"))
    base = free.predict(np.array([0.5, 0.5]))
    assert free.predicted["task_sums"] > base["task_sums"] + 0.01
    limits = Constraints(guards={"task_*": 0.005}, reference=even, within="anywhere")
    held = optimize(laws, *BIG, limits)
    assert held.predicted["task_sums"] == pytest.approx(base["task_sums"] + 0.005, abs=1e-6)
    assert held.predicted["web"] < base["web"]
    assert "0.01 bits per byte more" in held.worth["task_sums<=reference+0.005"]


def test_a_recommendation_counts_what_is_named(monkeypatch):
    counted = []

    def chosen(table, law, names, *rest):
        counted.append(names)
        raise JaxmixError("enough")

    monkeypatch.setattr(sys.modules["jaxmix.mixtures.recommend"], "_chosen", chosen)
    rows = {"n_params": 1e8, "tokens": 1e10, "w_web": np.linspace(0, 1, 8)}
    rows |= {"w_code": 1 - rows["w_web"], "loss_web": 3.0, "loss_task_sums": 2.0}
    even = Constraints(guards={"task_sums": 0.1}, reference={"web": 0.5, "code": 0.5})
    for asked in ({}, {"constraints": even}, {"targets": ["web", "task_*"]}):
        with pytest.raises(JaxmixError, match="enough"):
            recommend(rows, 1e9, 1e10, law="additive", **asked)
    assert counted == [("web",), ("web", "task_sums"), ("web", "task_sums")]
