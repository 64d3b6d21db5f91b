"""Plans: what is written down, what is refused before anything runs, and that files read back."""

import dataclasses
import json

import pytest

from jaxmix.studies import CorpusSpec, Size, Study, check_repeats, estimate, load_plan, make_plan
from jaxmix.studies.plan import build, fleet_size


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
