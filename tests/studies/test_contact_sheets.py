"""A finished run of an image family shows what it saw and wrote."""

import numpy as np
import pytest
from PIL import Image

from jaxmix.data import prepare_plan
from jaxmix.report import plot_contact_sheet
from jaxmix.studies import (
    CorpusSpec,
    Size,
    Study,
    caption_pictures,
    finished_run,
    make_plan,
    run_plan,
)
from tests.data import pictures

OVERRIDES = {"depth": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study folder of one vision and one early-fusion run, both barely trained."""
    root = tmp_path_factory.mktemp("sheets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXMIX_CACHE", str(root / "cache"))
        corpus = prepare_plan(pictures.three_domains())
    for name, domain, length in (("lvm", "captions", 32), ("nmm", "captions", 64)):
        study = Study(
            CorpusSpec(str(corpus.path)),
            (Size(f"{name}-tiny-16", 2 * 4 * length),),
            mixtures={"given": {domain: 1.0}},
            domains=(domain,),
            checkpoints=2,
            batch=4,
            length=length,
            held_windows=4,
            overrides=OVERRIDES,
        )
        plan = make_plan(study, corpus)
        (root / name).mkdir()
        plan.save(root / name / "plan.json")
        run_plan(plan, root / name, corpus=corpus, keep_final=True)
    return root


def test_a_vision_model_shows_pictures_captions_and_expectations(folder, tmp_path):
    found = finished_run(folder / "lvm")
    shown = caption_pictures(found, 3)
    documents = found.corpus.documents("captions", "heldout")
    captions = {found.corpus.tokenizer.decode(documents[i][1]) for i in range(len(documents))}
    assert len(shown) == 3 and {one.target for one in shown} == {"captions"}
    for one in shown:
        assert one.caption in captions and isinstance(one.written, str)
        assert one.picture.shape == (32, 32, 3) == one.expected.shape
        # The first patch is given, the others are not just copied.
        assert np.array_equal(one.expected[:8, :8], one.picture[:8, :8])
        assert not np.array_equal(one.expected, one.picture)
    plot_contact_sheet(shown, tmp_path / "sheet.png", "a title")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 500


def test_an_early_fusion_model_writes_captions(folder, tmp_path):
    shown = caption_pictures(finished_run(folder / "nmm"), 2, ["captions"])
    assert [one.expected for one in shown] == [None, None]
    plot_contact_sheet(shown, tmp_path / "sheet.svg")
    assert shown[0].caption.split()[0] in (tmp_path / "sheet.svg").read_text()


def test_what_is_not_there_is_named(folder):
    with pytest.raises(ValueError, match="no run 'x'; it holds lvm-tiny-16-given-s0"):
        finished_run(folder / "lvm", "x")
    with pytest.raises(ValueError, match="'pages' is not a target of captioned pictures; kn"):
        caption_pictures(finished_run(folder / "nmm"), 2, ["pages"])
    with pytest.raises(ValueError, match="no such plan"):
        finished_run(folder)
