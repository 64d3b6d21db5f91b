"""``jaxmix data tasks`` and ``jaxmix evaluate``: from held-out text to scores of a small study."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from jaxmix.data import open_corpus, read_tasks
from jaxmix.models import text_model
from jaxmix.studies import finished_run
from tests.cli import small_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of two barely trained runs, and its corpus."""
    root = tmp_path_factory.mktemp("evaluate")
    mixtures = {"even": {"low": 0.5, "high": 0.5}, "low": {"low": 1.0}}
    small_study.train(root, mixtures, tokens=4 * 4 * 64)
    return root / "study"


def test_tasks_are_made_and_every_run_is_scored(run, refused, folder, tmp_path):
    path, out = tmp_path / "tasks.jsonl", tmp_path / "scores.csv"
    corpus = json.loads((folder / "plan.json").read_text())["study"]["corpus"]["name"]
    asked = ("data", "tasks", corpus, "--out", path, "--targets", "low", "--count", 6, "--json")
    made = run(*asked).json
    assert made["tasks"] == {"continue-low": 6, "domain-low": 6}
    result = run("evaluate", folder, "--tasks", path, "--out", out, "--json")
    assert result.status == 0 and "contexts are longer than the window" in result.err
    rows = result.json["scores"]
    names = ["tiny-16-even-s0", "tiny-16-low-s0"]
    assert [(r["run"], r["task"]) for r in rows] == [(n, t) for n in names for t in made["tasks"]]
    pd.testing.assert_frame_equal(pd.read_csv(out), pd.DataFrame(rows), check_dtype=False)
    # Row by row and without padding, the model's own losses say the same.
    found = finished_run(folder, names[1], open_corpus(corpus))
    assert rows[-1]["log_likelihood"] == pytest.approx(brute_force(found, path), rel=1e-4)
    shown = run("evaluate", folder, "--tasks", path, "--run", names[0])
    assert "domain-low" in shown.out and names[1] not in shown.out
    (tmp_path / "bad.jsonl").write_text("{}\n")
    assert "bad.jsonl, row 1: 'task' is missing" in refused(
        "evaluate", folder, "--tasks", tmp_path / "bad.jsonl"
    )
    assert "no run 'x'" in refused("evaluate", folder, "--tasks", path, "--run", "x")


def test_damaged_parameters_are_refused(refused, folder, tmp_path):
    task = {"task": "x", "context": "ab", "choices": ["a", "b"], "answer": 0}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task) + "\n")
    copy = shutil.copytree(folder, tmp_path / "study")
    (path,) = (copy / "waves").glob("*/final/*/default/manifest.ocdbt")
    path.write_bytes(path.read_bytes()[:-1])
    told = refused("evaluate", copy, "--tasks", tmp_path / "tasks.jsonl")
    assert "is damaged (default/manifest.ocdbt has" in told and "train it again" in told


def brute_force(found, path):
    """Mean log-likelihood of the right answers of domain-low."""
    losses = text_model(found.built.config).losses
    sums = []
    for question in read_tasks(path):
        if question.task == "domain-low":
            longest = max(len(choice.encode()) for choice in question.choices)
            context = [256, *question.context.encode()][-(65 - longest) :]
            tokens = np.array([[*context, *question.choices[question.answer].encode()]])
            whole, front = (
                losses(found.params, {"tokens": part}).sums[0]
                for part in (tokens, tokens[:, : len(context)])
            )
            sums.append(float(front - whole))
    return np.mean(sums)
