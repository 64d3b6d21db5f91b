"""A study that was interrupted, in the files of Weights & Biases: the same run table."""

import contextlib

import pandas as pd
import pytest

from jaxmix.cli import main
from jaxmix.runs import read_runs
from jaxmix.studies import CorpusSpec, Design, Size, Study, make_plan, run_plan, write_table
from jaxmix.training import Logs, Saving, Stopped


def test_a_study_is_logged_and_imported(corpus, tmp_path, monkeypatch, capsys):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    study = Study(
        CorpusSpec(str(corpus.path)),
        (Size("tiny-16", 6 * 8 * 32),),
        designs=(Design("uniform"),),
        mixtures={"only-low": {"low": 1.0}},
        checkpoints=3,
        batch=8,
        length=32,
        held_windows=8,
        overrides={"depth": 1},
    )
    plan, logs = make_plan(study, corpus), Logs(wandb="mixtures")
    asked = iter([False] * 3)
    cut = Saving(0.0, lambda: contextlib.nullcontext(lambda: next(asked, True)))
    with pytest.raises(Stopped):
        run_plan(plan, tmp_path, corpus=corpus, saving=cut, logs=logs)
    run_plan(plan, tmp_path, corpus=corpus, logs=logs)
    wandb.teardown()  # which waits until all is written
    assert len(list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))) == 4
    write_table(plan, tmp_path, tmp_path / "runs.csv")
    capsys.readouterr()
    out = tmp_path / "back.csv"
    assert main(["import", "wandb", str(tmp_path / "wandb"), "--out", str(out)]) == 0
    assert "6 rows of 2 runs, 2 domains, 3 targets" in capsys.readouterr().out
    tables = [read_runs(tmp_path / name).frame for name in ("runs.csv", "back.csv")]
    before, after = (t.sort_values(["run", "tokens"], ignore_index=True) for t in tables)
    pd.testing.assert_frame_equal(after[before.columns], before)
    assert set(after) == set(before)
