"""Runs that start from a finished run, and mixtures that change as a run goes on."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from jaxmix.runs import RunTableError, read_runs
from jaxmix.studies import (
    Stage,
    find_origin,
    load_plan,
    make_plan,
    merged,
    run,
    run_plan,
    write_table,
)
from jaxmix.studies.run import sources_of
from jaxmix.training import Saving, read_rows

STAGED = {"turn": (Stage(0.5, {"low": 1.0}), Stage(0.5, {"low": 0.25, "high": 0.75}))}


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def origin(corpus, tmp_path_factory):
    """A finished run of the domain low."""
    from jaxmix.studies import CorpusSpec, Size, Study

    study = Study(
        CorpusSpec(str(corpus.path)),
        (Size("tiny-16", 4 * 8 * 32),),
        mixtures={"old": {"low": 1.0}},
        checkpoints=2,
        batch=8,
        length=32,
        held_windows=8,
    )
    folder = tmp_path_factory.mktemp("base")
    plan = make_plan(study, corpus)
    plan.save(folder / "plan.json")
    run_plan(plan, folder, corpus=corpus, keep_final=True)
    return study, find_origin(folder, corpus=corpus)


@pytest.fixture(scope="module")
def continued(origin, corpus, tmp_path_factory):
    """Two seeds of a fixed and of a staged mixture from there: the plan and its folder."""
    study, start = origin
    mixed = {"mixtures": {"even": {"low": 0.5, "high": 0.5}}, "stages": STAGED, "seeds": (0, 1)}
    sizes = (dataclasses.replace(study.sizes[0], tokens=8 * 8 * 32),)
    asked = dataclasses.replace(study, sizes=sizes, checkpoints=4, start_from=start, **mixed)
    plan, folder = make_plan(asked, corpus), tmp_path_factory.mktemp("continued")
    run_plan(plan, folder, corpus=corpus)
    return plan, folder


def test_the_table_says_where_runs_start_and_what_they_read(origin, continued, tmp_path):
    _, start = origin
    plan, folder = continued
    base = read_rows(next(pathlib.Path(start.folder).glob("waves/*/rows.jsonl")))[-1]
    frame = write_table(plan, folder, tmp_path / "runs.csv").frame
    assert set(frame["start_from"]) == {f"tiny-16-old-s0-{start.hash}"}
    assert set(frame["tokens_before"]) == {1024} and start.tokens == 1024
    for target in ("low", "high", "mixed"):
        assert frame[f"base_loss_{target}"].to_numpy() == pytest.approx(base[f"loss_{target}"])
    turn = frame[(frame["mixture"] == "turn") & (frame["seed"] == 0)]
    assert turn["w_low"].tolist() == pytest.approx([1.0, 1.0, (4 + 0.5) / 6, 5 / 8])
    assert turn["stages"].tolist() == [2] * 4
    fixed = frame[frame["mixture"] == "even"]
    assert fixed["stages"].tolist() == [0] * 8
    # Runs that start alike differ by their seeds' data.
    assert len(set(frame.loc[frame["tokens"] == 512, "loss_low"])) == 4
    with pytest.raises(RunTableError, match=r"'constant; staged; from .* differs"):
        read_runs(tmp_path / "runs.csv")
    where = f"schedule == 'constant; from tiny-16-old-s0-{start.hash}'"
    assert len(read_runs(tmp_path / "runs.csv", where=where)) == 8


def test_stopped_and_resumed_it_goes_on_bit_for_bit(continued, corpus, tmp_path, monkeypatch):
    plan, folder = continued

    def stop(wave, moment):
        if moment.step >= 6:  # in the second stage
            raise Stop

    with pytest.raises(Stop):
        run_plan(plan, tmp_path, corpus=corpus, progress=stop, saving=Saving(0.0))
    begun: list[int] = []
    batches = run.batches
    monkeypatch.setattr(
        run, "batches", lambda sources, start: begun.append(start) or batches(sources, start=start)
    )
    run_plan(plan, tmp_path, corpus=corpus)
    assert begun and begun[0] >= 4
    found, expected = (merged(plan, f).frame.to_numpy().tolist() for f in (tmp_path, folder))
    assert str(found) == str(expected)


def test_the_base_run_s_records_are_not_read_again(origin, continued, corpus):
    study, _ = origin
    base = sources_of(study, make_plan(study, corpus).waves[0], corpus)[0]
    sources = sources_of(continued[0].study, continued[0].waves[0], corpus)
    read = {row.tobytes() for step in range(4) for row in base[step]["tokens"]}
    for source in sources:
        fresh = [row.tobytes() for step in range(8) for row in source[step]["tokens"]]
        assert not read & set(fresh)


def test_a_continued_plan_reads_back_and_keeps_to_its_parameters(continued, corpus, tmp_path):
    plan, folder = continued
    plan.save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan
    held = json.loads((tmp_path / "plan.json").read_text())
    for name in ("stages", "start_from"):  # as older plans are
        del held["study"][name]
    for one in held["waves"][0]["runs"]:
        del one["stages"]
    (tmp_path / "plan.json").write_text(json.dumps(held))
    assert load_plan(tmp_path / "plan.json").study.start_from is None
    other = dataclasses.replace(plan.study.start_from, hash="0" * 12)
    moved = dataclasses.replace(plan, study=dataclasses.replace(plan.study, start_from=other))
    with pytest.raises(ValueError, match="are not those of this plan"):
        run_plan(moved, tmp_path, corpus=corpus)
    with pytest.raises(ValueError, match="holds a run with other"):
        fresh = dataclasses.replace(plan, study=dataclasses.replace(plan.study, start_from=None))
        run_plan(fresh, folder, corpus=corpus)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": {"x": (Stage(0.5, {"low": 1}),)}}, "stages of 'x': shares 0.5 of the tokens"),
        ({"stages": {"x": (Stage(1.0, {"lo": 1}),)}}, "mixture 'x, stage 1': 'lo' is not a domain"),
        (
            {"stages": {"x": (Stage(0.01, {"low": 1}), Stage(0.99, {"low": 1}))}},
            "stages of 'x': one has no step of its own in 8 steps",
        ),
        ({"stages": {"even": STAGED["turn"]}}, "are both called 'even'"),
    ],
)
def test_stages_that_do_not_fit_are_refused(continued, corpus, change, message):
    with pytest.raises(ValueError, match=message):
        make_plan(dataclasses.replace(continued[0].study, **change), corpus)


def test_another_model_or_tokenizer_cannot_start_there(continued, corpus):
    study = continued[0].study
    for change, message in (
        ({"preset": "tiny-32"}, "is of tiny-32; tiny-16 cannot start from it"),
        ({"tokenizer": "bpe-64-0123"}, "reads tokens of bpe-64-0123, and mine has tokens of bytes"),
    ):
        start = dataclasses.replace(study.start_from, **change)
        with pytest.raises(ValueError, match=message):
            make_plan(dataclasses.replace(study, start_from=start), corpus)
    with pytest.raises(ValueError, match="no run 'absent'; it holds tiny-16-old-s0"):
        find_origin(study.start_from.folder, "absent", corpus)


def test_weights_of_a_staged_run_are_those_of_its_tokens(continued):
    (turn, *_) = [one for one in continued[0].runs if one.mixture == "turn"]
    assert turn.weights == pytest.approx({"high": 0.375, "low": 0.625})
    assert turn.stage_starts(8) == (0, 4)
    assert np.isclose(sum(turn.weights.values()), 1)
