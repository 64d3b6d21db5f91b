"""Tasks that a study records at every checkpoint: fleets, single runs, meshes, resumed runs."""

import contextlib
import dataclasses
import json
import shutil

import numpy as np
import pytest

from jaxmix.data import Question, make_tasks, read_tasks, write_tasks
from jaxmix.errors import JaxmixError
from jaxmix.runs import read_runs
from jaxmix.studies import (
    CorpusSpec,
    Size,
    Study,
    extended,
    find_tasks,
    load_plan,
    make_plan,
    merged,
    run_plan,
    run_wave,
    with_tasks,
)
from jaxmix.studies.downstream import evaluate_study
from jaxmix.studies.run import wave_folder
from jaxmix.studies.tasks import task_columns
from jaxmix.training import Saving, Stopped, single_layout


@pytest.fixture(scope="module")
def tasks(corpus, tmp_path_factory):
    """A file of short questions."""
    path = tmp_path_factory.mktemp("tasks") / "tasks.jsonl"
    made = make_tasks(corpus, ["low", "mixed"], count=6)
    short = [dataclasses.replace(q, choices=tuple(c[:20] for c in q.choices)) for q in made]
    write_tasks([q for q in short if len(set(q.choices)) > 1], path)
    return path


@pytest.fixture(scope="module")
def scored(corpus, tasks):
    """A study of two runs that records the tasks."""
    return Study(
        CorpusSpec(str(corpus.path)),
        (Size("tiny-16", 1024),),
        mixtures={"even": {"low": 0.5, "high": 0.5}, "mostly-low": {"low": 0.75, "high": 0.25}},
        checkpoints=2,
        batch=8,
        length=32,
        held_windows=8,
        overrides={"depth": 1},
        tasks=find_tasks(tasks),
    )


@pytest.fixture(scope="module")
def fleet(scored, corpus, tmp_path_factory):
    """Its plan and the folder of its runs, which kept their parameters."""
    plan, folder = make_plan(scored, corpus), tmp_path_factory.mktemp("fleet")
    plan.save(folder / "plan.json")
    run_plan(plan, folder, corpus=corpus, keep_final=True)
    return plan, folder


def values(table, *prefixes):
    columns = [c for c in table.frame.columns if str(c).startswith(prefixes)]
    return table.frame[["run", "tokens", *columns]].set_index(["run", "tokens"]).sort_index()


ALL = ("loss_", "sem_", "metric_", "chance_")


def test_rows_hold_what_evaluate_says_of_the_final_parameters(fleet, tasks):
    plan, folder = fleet
    table = merged(plan, folder)
    assert read_runs(table.frame).targets[-1] == "task_domain-mixed"
    at_end = values(table.select(table.tokens == 1024), *ALL).droplevel("tokens")
    found = evaluate_study(folder, [*read_tasks(tasks)])
    for run, scores in found.items():
        for one in scores:
            row = at_end.loc[run]
            bits = (one.bits_per_byte, one.bits_per_byte_sem)
            assert row[f"loss_task_{one.task}"] == pytest.approx(bits[0], rel=1e-5)
            assert row[f"sem_task_{one.task}"] == pytest.approx(bits[1], rel=1e-3)
            assert row[f"metric_{one.task}"] == one.accuracy
            assert row[f"chance_{one.task}"] == 0.25
            # Its definition: nats of all right answers over their bytes, in bits.
            size = sum(
                len(q.choices[q.answer].encode()) for q in read_tasks(tasks) if q.task == one.task
            )
            nats = -one.log_likelihood * one.questions
            assert bits[0] == pytest.approx(nats / np.log(2) / size, rel=1e-6)
    first = values(table.select(table.tokens == 512), *ALL).droplevel("tokens")
    assert not np.allclose(first["loss_task_domain-low"], at_end["loss_task_domain-low"], rtol=1e-3)


def test_fleet_single_mesh_and_resumed_runs_agree(scored, fleet, corpus, tmp_path):
    plan, folder = fleet
    whole = values(merged(plan, folder), *ALL)
    (wave,) = plan.waves
    one = dataclasses.replace(wave, runs=wave.runs[:1])
    run_wave(scored, one, corpus, tmp_path / "mesh", layout=single_layout(2, devices=2))
    meshed = values(merged(plan, tmp_path / "mesh"), *ALL)
    np.testing.assert_allclose(meshed, whole.loc[meshed.index], rtol=1e-4)
    asked = iter([False, False, True])  # after step 3 of 4: the row of step 2 is written
    cut = Saving(0.0, lambda: contextlib.nullcontext(lambda: next(asked, False)))
    with pytest.raises(Stopped):
        run_plan(plan, tmp_path / "cut", corpus=corpus, saving=cut)
    run_plan(plan, tmp_path / "cut", corpus=corpus)
    np.testing.assert_array_equal(values(merged(plan, tmp_path / "cut"), *ALL), whole)


def test_tasks_are_added_to_a_study_and_others_are_refused(scored, corpus, tasks, tmp_path):
    study = dataclasses.replace(scored, tasks=None)
    plan = make_plan(study, corpus)
    plan.save(tmp_path / "plan.json")
    run_plan(plan, tmp_path, corpus=corpus)
    # An old plan has no key for tasks; its rows stay, and later waves are scored.
    held = json.loads((tmp_path / "plan.json").read_text())
    del held["study"]["tasks"]
    (tmp_path / "plan.json").write_text(json.dumps(held))
    grown = dataclasses.replace(
        study, sizes=(*study.sizes, Size("tiny-24", 1024)), tasks=find_tasks(tasks)
    )
    more = extended(make_plan(grown, corpus), tmp_path)
    more.save(tmp_path / "plan.json")
    run_plan(more, tmp_path, corpus=corpus)
    found = values(merged(more, tmp_path), "loss_task_domain-low")
    assert found.notna().to_numpy().ravel().tolist() == 4 * [False] + 4 * [True]
    moved = shutil.copy(tasks, tmp_path / "moved.jsonl")
    kept = with_tasks(load_plan(tmp_path / "plan.json"), tmp_path, moved, corpus)
    assert kept.study.tasks.path == str(moved) and kept.waves == more.waves
    text = moved.read_text().splitlines(keepends=True)
    moved.write_text("".join(text[1:]))
    with pytest.raises(JaxmixError, match=r"moved.jsonl: holds other questions than the plan"):
        run_plan(kept, tmp_path / "anew", corpus=corpus)
    with pytest.raises(
        JaxmixError, match=r"has results of other runs .*tasks.*whose questions are"
    ):
        with_tasks(kept, tmp_path, moved, corpus)
    # jaxmix train writes its plan at the end: the mark of the run tells too.
    for other in (find_tasks(moved), None):
        changed = dataclasses.replace(grown, tasks=other)
        with pytest.raises(JaxmixError, match="holds rows of other tasks"):
            run_wave(changed, more.waves[-1], corpus, tmp_path)
    assert wave_folder(tmp_path, more.waves[-1]).is_dir()


def test_what_cannot_be_scored_is_refused_in_one_line(study, corpus, tmp_path):
    assert task_columns(["arc easy", "a/b", "c-d"]) == {
        "arc easy": "arc_easy",
        "a/b": "a_b",
        "c-d": "c-d",
    }
    with pytest.raises(JaxmixError, match=r"tasks 'a b' and 'a/b' are both loss_task_a_b"):
        task_columns(["a b", "a/b"])
    with pytest.raises(JaxmixError, match="is loss_task_x, and so is a target of the data"):
        task_columns(["x"], ["task_x"])
    with pytest.raises(JaxmixError, match="task '//' leaves no name of a column"):
        task_columns(["//"])
    write_tasks([Question("q", "a", ("b" * 40, "c"))], tmp_path / "long.jsonl")
    long = dataclasses.replace(study, tasks=find_tasks(tmp_path / "long.jsonl"))
    with pytest.raises(
        JaxmixError, match=r"long.jsonl: question 1, task 'q': a choice .* window 32"
    ):
        run_plan(make_plan(long, corpus), tmp_path, corpus=corpus)
