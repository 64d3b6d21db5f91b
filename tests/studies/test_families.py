"""Studies of the image families: planned, trained and merged as those of text are."""

import dataclasses
import math

import numpy as np
import pytest

from jaxmix.data import prepare_plan
from jaxmix.models import VisionConfig
from jaxmix.runs import read_runs
from jaxmix.studies import (
    CorpusSpec,
    Design,
    Size,
    Study,
    build,
    check_repeats,
    load_plan,
    make_plan,
    run_plan,
    write_table,
)
from jaxmix.studies.run import sources_of
from jaxmix.studies.study import domains_of, epoch_tokens, targets_of
from tests.data import pictures
from tests.training import pictures_toys as toys

BATCH = 8
LENGTHS = {"nmm-tiny-16": 64, "lvm-tiny-16": 28, "tiny-16": 32}
CUTS = {"nmm-tiny-16": {"depth": 1}, "lvm-tiny-16": {"depth": 1, "decoder_depth": 1}}
READS = {
    "nmm-tiny-16": ("captions", "more", "pages", "text"),
    "lvm-tiny-16": ("captions", "more"),
    "tiny-16": ("text",),
}


@pytest.fixture(scope="module", autouse=True)
def quick_programs():
    toys.compile_quickly(True)
    yield
    toys.compile_quickly(False)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXMIX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def pictured(cache):
    """Text, pages, and two domains of captioned pictures."""
    return toys.corpus_of_pictures()


@pytest.fixture(scope="module")
def pages_only(cache):
    plan = pictures.plan(pictures.source("pages", [pictures.page(i) for i in range(30)]))
    return prepare_plan(dataclasses.replace(plan, name="manuals"))


def study(corpus, preset: str, **changes) -> Study:
    """Two mixtures of one size, of four steps each."""
    length = LENGTHS[preset]
    first = READS[preset][0]
    given = {
        "corpus": CorpusSpec(str(corpus.path)),
        "sizes": (Size(preset, 4 * BATCH * length),),
        "designs": (Design("uniform"),),
        "mixtures": {"only": {first: 1.0}},
        "checkpoints": 2,
        "batch": BATCH,
        "length": length,
        "held_windows": 8,
        "overrides": CUTS.get(preset, {}),
    }
    return Study(**{**given, **changes})


@pytest.fixture(scope="module", params=CUTS)
def preset(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def trained(preset, pictured, tmp_path_factory):
    """A plan that was read back and run, and its folder."""
    folder = tmp_path_factory.mktemp("trained")
    make_plan(study(pictured, preset), pictured).save(folder / "plan.json")
    plan = load_plan(folder / "plan.json")
    run_plan(plan, folder)  # opens the corpus by itself
    return plan, folder


def test_a_study_gives_a_run_table(trained, preset, pictured):
    plan, folder = trained
    table = write_table(plan, folder, folder / "runs.csv")
    back = read_runs(folder / "runs.csv")
    np.testing.assert_array_equal(back.losses(), table.losses())
    assert set(back.domains) == set(back.targets) == set(READS[preset])
    assert back.losses().shape == (len(READS[preset]), 4) and np.isfinite(back.losses()).all()
    sems = back.sems()
    assert sems is not None and sems.min() > 0
    built = build(plan.study, preset, pictured)
    count, frame = built.model.count(), back.frame
    assert set(frame["n_params"]) == {count.n_params}
    assert set(frame["n_params_total"]) == {count.n_params_total}
    assert set(frame["family"]) == {plan.study.family.name}
    for domain, tokens in epoch_tokens(plan.study, pictured, built).items():
        records = tokens // plan.study.length
        assert set(frame[f"unique_{domain}"]) == {tokens}
        weights, epochs = frame[f"w_{domain}"], frame[f"epochs_{domain}"]
        steps = frame["tokens"] / plan.study.tokens_per_step
        # Whole records are read: the shares are met within one of each.
        assert (abs(epochs * records - weights * steps * BATCH) < 1).all()


def test_its_columns_are_those_of_the_family(trained, preset, pictured):
    plan, folder = trained
    frame = write_table(plan, folder, folder / "again.csv").frame
    built = build(plan.study, preset, pictured)
    for name in READS[preset]:
        held = plan.study.family.heldout(built, pictured, name, plan.study.length, 8)
        if isinstance(built.config, VisionConfig):
            whole = frame[f"caption_{name}"] + built.config.alpha * frame[f"image_{name}"]
            assert frame[f"loss_{name}"].to_numpy() == pytest.approx(whole.to_numpy(), rel=1e-6)
            assert f"bpb_{name}" not in frame and held.bytes == 0
        else:
            # A token of text is a byte, but for ends of text: those are predicted and have none.
            ends = (held.batch["targets"] == pictured.tokenizer.end) & (held.batch["counted"] > 0)
            counted = held.batch["counted"].sum()
            assert held.bytes == counted - ends.sum() and ends.sum() > 0
            bits = frame[f"loss_{name}"] * counted / held.bytes / math.log(2)
            assert frame[f"bpb_{name}"].to_numpy() == pytest.approx(bits.to_numpy())
            assert f"caption_{name}" not in frame


def test_what_is_done_is_not_run_again(trained, pictured):
    plan, folder = trained
    (found,) = run_plan(plan, folder, corpus=pictured, progress=lambda *_: pytest.fail("trained"))
    assert len(found.rows) == 4


@pytest.mark.parametrize("preset", READS)
def test_families_read_what_they_can(pictured, preset):
    asked = study(pictured, preset)
    assert set(domains_of(asked, pictured)) == set(targets_of(asked, pictured))
    assert set(domains_of(asked, pictured)) == set(READS[preset])
    plan = make_plan(asked, pictured)
    assert set(plan.runs[0].weights) == set(READS[preset]) and plan.flops[preset] > 0


def test_proportional_weights_count_patches_too(pictured, preset):
    asked = study(pictured, preset, designs=(Design("proportional"),), mixtures={})
    tokens = epoch_tokens(asked, pictured, build(asked, preset, pictured))
    (run,) = make_plan(asked, pictured).runs
    total = sum(tokens.values())
    assert run.weights == pytest.approx({name: n / total for name, n in tokens.items()})
    # A caption of about 25 tokens has 16 patches before it, or 12 places behind them.
    assert tokens["captions"] != pictured.train_tokens["captions"]


def test_unique_tokens_and_forbidden_repeats(pictured, preset):
    few = 10 * LENGTHS[preset] + 5
    asked = study(pictured, preset, unique_tokens={"captions": few})
    wave = make_plan(asked, pictured).waves[0]
    only = next(i for i, run in enumerate(wave.runs) if run.mixture == "only")
    consumed = sources_of(asked, wave, pictured)[only].consumed(4)
    assert consumed.epochs["captions"] == pytest.approx(4 * BATCH / 10)
    strict = dataclasses.replace(asked, forbid_repeat=True)
    with pytest.raises(ValueError, match=r"run .*: domain 'captions' has 10 records and 4 st"):
        check_repeats(make_plan(strict, pictured), pictured)
    loose = dataclasses.replace(strict, unique_tokens={})
    check_repeats(make_plan(loose, pictured), pictured)


@pytest.mark.parametrize(
    ("preset", "changes", "message"),
    [
        ("nmm-tiny-16", {"length": 16}, "16 patches and a row 16 positions; choose longer rows"),
        ("lvm-tiny-16", {"length": 16}, "no room for a caption behind 16 patches; choose a great"),
        ("nmm-tiny-16", {"overrides": {"image_size": 30}}, "30 pixels do not divide into .* of 8"),
        ("lvm-tiny-16", {"overrides": {"patch_size": 5}}, "32 pixels do not divide into .* of 5"),
        ("lvm-tiny-16", {"domains": ("pages",)}, "domain 'pages' for vision models; known: capt"),
        ("lvm-tiny-16", {"mixtures": {"x": {"text": 1.0}}}, "'text' is not a domain of the study"),
        ("tiny-16", {"domains": ("captions",)}, "'captions' for text models; known: text"),
        (
            "nmm-tiny-16",
            {"unique_tokens": {"pages": 63}},
            "'pages' has .* in records of 64, not a pool of 63; raise --available pages",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(pictured, preset, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        asked = study(pictured, preset, **changes)
        sources_of(asked, make_plan(asked, pictured).waves[0], pictured)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("preset", "who"), [("lvm-tiny-16", "vision"), ("tiny-16", "text")])
def test_a_corpus_that_a_family_cannot_read_is_refused(pages_only, preset, who):
    asked = study(pages_only, preset, mixtures={})
    with pytest.raises(ValueError, match=f"manuals has no domain that {who} models can read"):
        make_plan(asked, pages_only)


def test_sizes_of_two_families_are_refused(pictured):
    sizes = (Size("nmm-tiny-16", 1e5), Size("lvm-tiny-16", 1e5))
    with pytest.raises(ValueError, match=r"one family, not nmm-tiny-16 \(multimodal\), lvm-"):
        study(pictured, "nmm-tiny-16", sizes=sizes)
