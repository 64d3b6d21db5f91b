"""Running plans: the run table they give, running twice, sharing, and pairing by seed."""

import dataclasses
import errno
import fcntl
import functools
import json
import os
import shutil
import socket

import numpy as np
import pandas as pd
import pytest

from jaxmix import claims
from jaxmix.claims import take
from jaxmix.errors import JaxmixError
from jaxmix.runs import read_runs
from jaxmix.studies import (
    Size,
    final_losses,
    gain,
    make_plan,
    merged,
    run_plan,
    run_wave,
    status,
    write_table,
)
from jaxmix.studies.run import wave_folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, request):
    """A plan that was run, and its folder."""
    corpus = request.getfixturevalue("corpus")
    from jaxmix.studies import CorpusSpec, Design, Study

    study = Study(
        CorpusSpec(str(corpus.path)),
        (Size("tiny-16", 4 * 8 * 32),),
        designs=(Design("uniform"),),
        mixtures={"only-low": {"low": 1.0}},
        seeds=(0, 1),
        checkpoints=2,
        batch=8,
        length=32,
        held_windows=8,
    )
    plan, folder = make_plan(study, corpus), tmp_path_factory.mktemp("trained")
    run_plan(plan, folder, corpus=corpus)
    return plan, folder


def test_a_study_gives_a_run_table(trained, corpus, tmp_path):
    plan, folder = trained
    table = write_table(plan, folder, tmp_path / "runs.csv")
    back = read_runs(tmp_path / "runs.csv")
    np.testing.assert_array_equal(back.losses(), table.losses())
    assert back.domains == ("high", "low") and back.targets == ("high", "low", "mixed")
    assert len(back) == 8 and sorted(set(back.tokens)) == [512, 1024]
    assert (back.frame["n_params"] < back.frame["n_params_total"]).all()
    assert back.sems().min() > 0
    row = back.frame.iloc[0]
    assert row["unique_low"] == corpus.train_tokens["low"] // 32 * 32  # whole windows
    windows = len(corpus.train("low", 32))
    assert row["epochs_low"] == pytest.approx(8 / windows)
    assert row["tokenizer"].startswith("bytes")
    # In bits per byte each token of the byte tokenizer is a byte; ends of text have none.
    assert back.frame["bpb_low"].to_numpy() == pytest.approx(
        back.losses(["low"])[0] / np.log(2), rel=0.02
    )


def test_what_is_done_is_not_run_again(trained, corpus, capsys):
    plan, folder = trained
    never = functools.partial(run_plan, progress=lambda *_: pytest.fail("trained"))
    (outcome,) = never(plan, folder, corpus=corpus)
    assert capsys.readouterr().err == ""
    never(plan, folder, corpus=corpus, keep_final=True)
    assert "was done without its parameters; delete it" in capsys.readouterr().err
    assert len(outcome.rows) == 8
    (found,) = status(plan, folder)
    assert (found.state, found.rows, found.expected, found.diverged) == ("done", 8, 8, {})


def test_runs_that_share_a_seed_are_paired(trained):
    plan, folder = trained
    table = merged(plan, folder)
    last = table.select(table.tokens == table.tokens.max())
    losses = final_losses(last, ["low"])
    found = gain(losses, "only-low", "uniform")
    assert found.seeds == 2 and found.mean == pytest.approx(
        np.mean([losses["uniform", s] - losses["only-low", s] for s in (0, 1)])
    )
    with pytest.raises(ValueError, match="no seed has runs of both"):
        gain(losses, "only-low", "absent")


def test_shards_share_the_waves_out(study, corpus, tmp_path):
    plan = make_plan(dataclasses.replace(study, fleet=1), corpus)
    run_plan(plan, tmp_path, shard=(2, 4), corpus=corpus)
    assert [s.state for s in status(plan, tmp_path)] == ["waiting", "done", "waiting", "waiting"]
    assert set(merged(plan, tmp_path).frame["run"]) == {plan.waves[1].runs[0].run}


def test_a_wave_that_another_process_trains_is_passed_over(study, corpus, tmp_path):
    plan = make_plan(study, corpus)
    (wave,), passed = plan.waves, []
    here = wave_folder(tmp_path, wave)
    here.mkdir(parents=True)

    def run():
        return run_plan(
            plan, tmp_path, corpus=corpus, passed=lambda wave, who: passed.append((wave.name, who))
        )

    with (here / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run() == []
    with take(here / ".lock"):
        assert run() == []
        with pytest.raises(ValueError, match=rf"process {os.getpid()} is at work here; wait for"):
            run_wave(study, wave, corpus, tmp_path)
    who = f"{socket.gethostname()}, process {os.getpid()}"
    assert passed == [(wave.name, "another process"), (wave.name, who)]
    with pytest.raises(ValueError, match="no rows yet"):
        merged(plan, tmp_path)


def test_waves_are_trained_where_there_are_no_locks(study, corpus, tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    plan = make_plan(study, corpus)
    with take(wave_folder(tmp_path, plan.waves[0]) / ".lock"):
        assert run_plan(plan, tmp_path, corpus=corpus) == []
    assert len(run_plan(plan, tmp_path, corpus=corpus)[0].rows) == 8


def test_a_run_whose_claim_was_lost_ends_before_it_writes(study, corpus, tmp_path, monkeypatch):
    plan = make_plan(study, corpus)
    monkeypatch.setattr(claims, "BEAT", -1.0)  # asks at once

    def follow(*_):
        (wave_folder(tmp_path, plan.waves[0]) / ".lock.lease.2").touch()

    with pytest.raises(ValueError, match="taken over by another process"):
        run_plan(plan, tmp_path, corpus=corpus, progress=follow)
    assert [s.rows for s in status(plan, tmp_path)] == [0]


def test_other_data_than_planned_is_refused(study, corpus, tmp_path):
    plan = dataclasses.replace(make_plan(study, corpus), corpus_hash="0" * 16)
    with pytest.raises(ValueError, match="is not the data of this plan"):
        run_plan(plan, tmp_path, corpus=corpus)


@pytest.fixture
def copied(trained, tmp_path):
    """The plan that was run, and a copy of its folder; a copy loses times of files."""
    plan, folder = trained
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    return plan, tmp_path / "copy"


def test_a_wave_that_lacks_rows_is_not_done_and_is_trained_again(copied, trained, corpus, capsys):
    plan, folder = copied
    whole = merged(plan, folder).frame
    path = wave_folder(folder, plan.waves[0]) / "rows.jsonl"
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join(others))
    (found,) = status(plan, folder)
    lost = json.loads(first)
    assert (found.state, found.rows, found.expected) == ("incomplete", 7, 8)
    assert f"{path} lacks rows ({lost['run']} at step {lost['step']})" in found.lacks
    assert len(run_plan(plan, folder, corpus=corpus)[0].rows) == 8
    said = capsys.readouterr().err
    assert "rows of its runs are missing" in said and "taken over" not in said
    (found,) = status(plan, folder)
    assert (found.state, found.lacks) == ("done", "")
    again = merged(plan, folder).frame
    pd.testing.assert_frame_equal(
        *(f.sort_values(["run", "tokens"], ignore_index=True) for f in (whole, again))
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("done.json", b"", "is empty; delete it"),
        ("done.json", b"[]", "holds no JSON object; delete it"),
        ("done.json", b'{"diverged": 3}', "'diverged' does not hold steps by run; delete it"),
        ("done.json", b'{"diverged": {"x": null}}', "'diverged' does not hold steps by run"),
        ("rows.jsonl", b"[]\n", r"line 1 is damaged .*; restore the file, or delete the folder"),
        ("rows.jsonl", b'\xff{"run"\n{}', r"line 1 is damaged"),
    ],
)
def test_damaged_files_are_named_with_a_remedy(copied, corpus, name, content, message):
    plan, folder = copied
    path = wave_folder(folder, plan.waves[0]) / name
    path.write_bytes(content)
    for call in (status, functools.partial(run_plan, corpus=corpus)):
        with pytest.raises(JaxmixError, match=rf"{name}: {message}"):
            call(plan, folder)


def test_a_mark_without_results_does_not_block_a_corrected_run(study, corpus, tmp_path):
    plan = make_plan(dataclasses.replace(study, accumulate=3), corpus)  # 3 does not divide 8
    with pytest.raises(ValueError, match="does not divide"):
        run_plan(plan, tmp_path, corpus=corpus)
    (tmp_path / "waves" / "tiny-16-0" / "fleet.json").write_text("")
    longer = make_plan(dataclasses.replace(study, sizes=(Size("tiny-16", 6 * 8 * 32),)), corpus)

    def begin(*_):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run_plan(longer, tmp_path, corpus=corpus, progress=begin)
