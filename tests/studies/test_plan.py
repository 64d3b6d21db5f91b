"""Plans: what is written down, what is refused before anything runs, and that files read back."""

import dataclasses
import functools
import json
import operator

import numpy as np
import pytest

from jaxmix import claims
from jaxmix.claims import take
from jaxmix.errors import JaxmixError
from jaxmix.studies import (
    CorpusSpec,
    Size,
    Stage,
    Study,
    check_repeats,
    estimate,
    extended,
    load_plan,
    make_plan,
    most_read,
)
from jaxmix.studies.plan import build, fleet_size, wave_folder
from jaxmix.studies.run import sources_of


def test_a_plan_has_every_run_once(study, corpus):
    plan = make_plan(study, corpus)
    assert [run.run for run in plan.runs] == [
        "tiny-16-uniform-s0",
        "tiny-16-mostly-low-s0",
        "tiny-16-uniform-s1",
        "tiny-16-mostly-low-s1",
    ]
    assert plan.runs[1].weights == {"low": 0.75, "high": 0.25}
    assert plan.runs[0].learning_rate == pytest.approx(0.614 / 16)
    assert plan.corpus_hash == corpus.hash


def test_its_flops_are_six_n_d_and_the_head_and_attention(study, corpus):
    plan = make_plan(study, corpus)
    count = build(study, "tiny-16", corpus).model.count()
    tokens = 4 * study.sizes[0].tokens
    least = 6 * count.n_params * tokens
    assert least < plan.flops["tiny-16"] < 6 * count.n_params_total * tokens * 1.5


def test_a_plan_reads_back(study, corpus, tmp_path):
    plan = make_plan(study, corpus)
    plan.save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("content", ["", "[]", '{"jaxmix_plan": 2}', '{"jaxmix_plan": 1}'])
def test_what_is_no_plan_is_refused(tmp_path, content):
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="is not a plan"):
        load_plan(path)
    with pytest.raises(ValueError, match="no such plan"):
        load_plan(tmp_path / "absent.json")


def leaves(value, path=()):
    """Paths of all values in a JSON document, its inner ones too."""
    yield path
    inner = {list: enumerate, dict: dict.items}.get(type(value), lambda value: ())
    for key, held in inner(value):
        yield from leaves(held, (*path, key))


@pytest.mark.parametrize("wrong", [[[]], {"a": {}}, "x", True, -1.5, None], ids=repr)
def test_a_plan_with_a_value_of_another_kind_is_refused_or_read(study, corpus, tmp_path, wrong):
    path = tmp_path / "plan.json"
    stages = {"turn": (Stage(1.0, {"low": 1.0}),)}
    plan = make_plan(dataclasses.replace(study, stages=stages), corpus)
    plan.save(path)
    held = json.loads(path.read_text())
    refused = 0
    for place in list(leaves(held))[1:]:
        changed = json.loads(path.read_text())
        *above, last = place
        functools.reduce(operator.getitem, above, changed)[last] = wrong
        (tmp_path / "other.json").write_text(json.dumps(changed))
        try:
            load_plan(tmp_path / "other.json")
        except JaxmixError as error:
            assert str(error).startswith(f"{tmp_path / 'other.json'}: is not a plan (")
            refused += 1
    assert refused > len(list(leaves(held))) / 4


def leave_rows(folder, wave):
    """What training leaves of a wave, as far as plans care."""
    here = wave_folder(folder, wave)
    here.mkdir(parents=True, exist_ok=True)
    members = [{"run": run.run} for run in wave.runs]
    (here / "fleet.json").write_text(json.dumps({"members": members}))
    (here / "rows.jsonl").write_text("{}\n")


def test_a_plan_over_results_keeps_their_waves(study, corpus, tmp_path):
    study = dataclasses.replace(study, fleet=2)
    plan = make_plan(study, corpus)
    plan.save(tmp_path / "plan.json")
    assert extended(plan, tmp_path) == plan
    leave_rows(tmp_path, plan.waves[1])
    assert extended(plan, tmp_path) == plan
    more = {**study.mixtures, "only-low": {"low": 1.0}}
    sizes = (*study.sizes, Size("tiny-24", 4 * 8 * 32))
    larger = make_plan(dataclasses.replace(study, mixtures=more, sizes=sizes, fleet=64), corpus)
    found = extended(larger, tmp_path)
    assert found.waves[1] == plan.waves[1]
    assert [(w.name, len(w.runs)) for w in found.waves] == [
        ("tiny-16-0", 4),
        ("tiny-16-1", 2),
        ("tiny-24-0", 6),
    ]
    assert sorted(r.run for r in found.runs) == sorted(r.run for r in larger.runs)
    (tmp_path / "plan.json").write_text("")  # what was trained is known without the plan
    assert extended(larger, tmp_path) == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 16}, r"with batch 8\)"),
        ({"seeds": (0,)}, r"'tiny-16-uniform-s1' is not asked for\)"),
        ({"mixtures": {"mostly-low": {"low": 0.8, "high": 0.2}}}, r"mostly-low-s0' with weights"),
        ({"sizes": (Size("tiny-16", 8 * 8 * 32),)}, r"with tokens 1024"),
    ],
    ids=["setting", "fewer", "weights", "tokens"],
)
def test_a_plan_that_lacks_results_is_refused(study, corpus, tmp_path, change, message):
    plan = make_plan(study, corpus)
    plan.save(tmp_path / "plan.json")
    other = make_plan(dataclasses.replace(study, **change), corpus)
    assert extended(other, tmp_path) == other  # nothing was trained yet
    leave_rows(tmp_path, plan.waves[0])
    with pytest.raises(ValueError, match=f"{message}.*repeat the options .* name another folder"):
        extended(other, tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"members": 3}', '{"members": [[]]}', None])
def test_a_damaged_mark_under_a_plan_is_named(study, corpus, tmp_path, content):
    plan = make_plan(study, corpus)
    leave_rows(tmp_path, plan.waves[0])
    here = wave_folder(tmp_path, plan.waves[0])
    if content is not None:
        (here / "fleet.json").write_text(content)
        with pytest.raises(JaxmixError, match=r"fleet.json: .*; delete it, and the rows beside it"):
            extended(plan, tmp_path)
    (here / "fleet.json").unlink()
    (here / "rows.jsonl").write_text("")
    (here / "done.json").write_text("{}")
    with pytest.raises(JaxmixError, match="does not name its runs; delete it to train"):
        extended(plan, tmp_path)
    rows = ({"run": run.run, "tokens": 1} for run in plan.waves[0].runs)
    (here / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert extended(plan, tmp_path) == plan


def test_a_plan_over_a_wave_in_training_is_refused_unless_it_is_the_same(study, corpus, tmp_path):
    plan = make_plan(study, corpus)
    plan.save(tmp_path / "plan.json")
    leave_rows(tmp_path, plan.waves[0])
    with take(wave_folder(tmp_path, plan.waves[0]) / ".lock"):
        assert extended(plan, tmp_path) == plan
        with pytest.raises(ValueError, match="is at work here; wait for it"):
            extended(make_plan(dataclasses.replace(study, fleet=1), corpus), tmp_path)


def test_a_wave_whose_process_ended_elsewhere_is_free(study, corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(claims, "LEASE", 0.1)
    plan = make_plan(study, corpus)
    leave_rows(tmp_path, plan.waves[0])
    lease = wave_folder(tmp_path, plan.waves[0]) / ".lock.lease.1"
    lease.write_text('{"host": "node7", "pid": 42, "machine": "another"}')
    assert extended(plan, tmp_path).waves == plan.waves
    assert "taken over from node7, process 42" in capsys.readouterr().err


def test_tokens_that_are_read_and_held(study, corpus):
    capped = dataclasses.replace(study, unique_tokens={"low": 64})
    found = most_read(make_plan(capped, corpus))
    assert found == {"low": (768.0, 64), "high": (512.0, corpus.train_tokens["high"] // 32 * 32)}


def matched(study, sizes, tokens, **stock):
    """A study whose runs repeat domains as a run of so many tokens would."""
    sizes = tuple(Size(preset, n) for preset, n in sizes.items())
    return dataclasses.replace(study, sizes=sizes, match_epochs=tokens, unique_tokens=stock)


def test_proxies_repeat_every_domain_as_often_as_the_large_run(study, corpus):
    sizes = {"tiny-16": 8 * 8 * 32, "tiny-24": 32 * 8 * 32}
    plan = make_plan(matched(study, sizes, 131_072, low=32_768), corpus)
    stock = {"low": 32_768, "high": corpus.train_tokens["high"]}
    for wave in plan.waves:
        large = {domain: 131_072 * 0.75 / held for domain, held in stock.items()}
        assert wave.epochs["low"] == pytest.approx(large["low"])
        assert wave.epochs["high"] == pytest.approx(large["high"] * 0.5 / 0.75, rel=0.05)
    pools = [wave.unique["low"] for wave in plan.waves]
    assert pools == [512, 2048]  # by the tokens of the size
    small, large = (sources_of(plan.study, wave, corpus) for wave in plan.waves)
    read = [
        {bytes(row) for row in source.records["low"].take(np.arange(n // 32))["tokens"]}
        for source, n in zip((small[0], large[0], small[-1]), (*pools, 512), strict=True)
    ]
    assert len(read[0]) == 16 and read[0] < read[1]  # of one seed
    assert read[0] != read[2]  # another seed has another pool
    assert small[0].consumed(8).epochs["low"] == pytest.approx(wave.epochs["low"] / 0.75 * 0.5)


def test_a_plan_over_results_keeps_the_epochs_it_matches(study, corpus, tmp_path):
    plan = make_plan(matched(study, {"tiny-16": 2048}, 65_536), corpus)
    plan.save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan
    whole = (tmp_path / "plan.json").read_text()
    unique = f'"low": {plan.waves[0].unique["low"]}'
    (tmp_path / "plan.json").write_text(whole.replace(unique, '"low": 0'))
    with pytest.raises(JaxmixError, match="a wave lacks unique tokens"):
        load_plan(tmp_path / "plan.json")
    plan.save(tmp_path / "plan.json")
    leave_rows(tmp_path, plan.waves[0])
    more = matched(study, {"tiny-16": 2048, "tiny-24": 4096}, 65_536)
    found = extended(make_plan(more, corpus), tmp_path)
    assert found.waves[0] == plan.waves[0]
    assert found.waves[1].epochs == pytest.approx(plan.waves[0].epochs, rel=0.05)
    for target in (None, 32_768):
        other = make_plan(matched(study, {"tiny-16": 2048}, target), corpus)
        with pytest.raises(JaxmixError, match="with match_epochs 65536"):
            extended(other, tmp_path)


@pytest.mark.parametrize(
    ("target", "stock", "message"),
    [
        (1024, {}, "a run of 2048 tokens is longer than the run whose epochs it is to match"),
        (20_480_000, {}, "not a pool of .*; give its size more tokens, or leave high out"),
        (4096, {"low": 1e9}, "not a pool of 500000000; lower --available low, or prepare more"),
        (None, {"low": 1e9}, "not a pool of 1000000000; lower --available low"),
        (None, {"low": 31}, "in records of 32, not a pool of 31; raise --available low"),
        (None, {"lo": 64}, "no training domain 'lo'"),
    ],
)
def test_pools_that_cannot_be_cut_are_refused(study, corpus, target, stock, message):
    with pytest.raises(JaxmixError, match=message):
        make_plan(matched(study, {"tiny-16": 2048}, target, **stock), corpus)


def test_fleets_are_cut_evenly(study, corpus):
    waves = make_plan(dataclasses.replace(study, fleet=3), corpus).waves
    assert [len(wave.runs) for wave in waves] == [2, 2]
    assert len({wave.name for wave in waves}) == 2


def test_a_fleet_fits_into_memory(study, corpus):
    built = build(study, "tiny-16", corpus)
    assert fleet_size(study, built, memory=1e12) == 64
    assert fleet_size(study, built, memory=1.0) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domains": ("low", "lower")}, "no training domain 'lower' for text models; known: high"),
        ({"domains": ("low", "mixed")}, "no training domain 'mixed'"),
        ({"mixtures": {"x": {"mixed": 1.0}}}, "mixture 'x': 'mixed' is not a domain"),
        ({"mixtures": {"x": {"low": 0.7}}}, "mixture 'x': weights sum to 0.7"),
        ({"sizes": (Size("tiny-17", 1e4),)}, "unknown preset 'tiny-17'; nearest"),
        ({"sizes": (Size("tiny-16", 1e4), Size("tiny-16", 2e4))}, "one preset"),
        ({"sizes": (Size("tiny-16", 1e4), Size("nmm-tiny-16", 1e4))}, "of one family, not tiny-16"),
        ({"sizes": (Size("lvm-tiny-16", 1e4),)}, "mine has no domain that vision models can read"),
    ],
)
def test_what_does_not_fit_the_corpus_is_refused(study, corpus, change, message):
    with pytest.raises(ValueError, match=message):
        make_plan(dataclasses.replace(study, **change), corpus)


def test_too_few_tokens_are_refused(study):
    with pytest.raises(ValueError, match=r"tiny-16: 100 tokens are fewer than 2 checkpoints"):
        dataclasses.replace(study, sizes=(Size("tiny-16", 100),))
    with pytest.raises(ValueError, match="at least one size"):
        Study(CorpusSpec("x"), ())


def test_repeats_are_refused_before_anything_runs(study, corpus):
    tight = dataclasses.replace(study, forbid_repeat=True)
    check_repeats(make_plan(tight, corpus), corpus)
    long = dataclasses.replace(tight, sizes=(Size("tiny-16", 2e5),))
    with pytest.raises(ValueError, match=r"run tiny-16-.*: domain '.*' has \d+ records"):
        check_repeats(make_plan(long, corpus), corpus)


@pytest.mark.slow  # `study plan` is tested in the command line's room
def test_an_estimate_is_of_this_machine(study, corpus):
    (cost,) = estimate(make_plan(study, corpus), corpus)
    assert (cost.preset, cost.runs, cost.waves) == ("tiny-16", 4, 1)
    assert 0 < cost.seconds < 60


def test_a_plan_is_plain_json(study, corpus, tmp_path):
    make_plan(study, corpus).save(tmp_path / "plan.json")
    held = json.loads((tmp_path / "plan.json").read_text())
    assert held["waves"][0]["runs"][1]["weights"] == {"low": 0.75, "high": 0.25}
