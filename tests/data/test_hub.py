"""Data sets as domains: local files of every kind, a stand-in for the hub, and what is refused."""

import gc
import json
import sys
import types

import pandas as pd
import pytest

from jaxmix.data import DataError, plan_corpus, prepare
from jaxmix.errors import JaxmixError
from tests.data.conftest import WORDS, sentences

DOCUMENTS = sentences(1, 80, WORDS)


@pytest.fixture
def parquet(tmp_path, cache):
    """A Parquet file with the column `body`, two rows of which hold no text."""
    frame = pd.DataFrame({"id": range(82), "body": [*DOCUMENTS, None, DOCUMENTS[0]]})
    frame.to_parquet(tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def made(**options):
    return prepare(name="mine", tokenizer="bytes", **options)


def test_a_local_file_is_a_domain(parquet):
    pytest.importorskip("datasets")
    corpus = made(domains={"web": f"hf:{parquet}::body", "notes": f"hf:{parquet}:train:body"})
    assert corpus.domains == ("web", "notes")
    web = corpus.info["domains"]["web"]
    assert sum(web[side]["documents"] for side in ("train", "heldout")) == len(DOCUMENTS)
    assert (web["read"], web["repeats"]) == (82, 1)
    (skipped,) = web["skipped"].values()
    assert skipped["examples"] == [f"hf:{parquet}:train:body, row 81"]
    where = {"name": str(parquet), "split": "train", "column": "body"}
    assert web["dataset"] == {**where, "config": None, "revision": None}
    assert web["source"] == "hf:rows.parquet:train:body" and len(web["sha256"]) == 64
    text = corpus.tokenizer.decode(corpus.windows("web", "train", 50).tokens)
    assert all(word in text for word in DOCUMENTS[3].split())


# The package leaves CSV files open until they are collected.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_folders_and_other_formats(tmp_path, cache):
    datasets = pytest.importorskip("datasets")
    frame = pd.DataFrame({"text": DOCUMENTS})
    (tmp_path / "two").mkdir()
    for split in ("train", "test"):
        frame.to_parquet(tmp_path / "two" / f"{split}-0.parquet")
    frame.to_csv(tmp_path / "rows.csv")
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in DOCUMENTS))
    datasets.Dataset.from_dict({"text": DOCUMENTS}).save_to_disk(tmp_path / "saved")
    given = ("two:test", "rows.csv", "rows.jsonl", "saved")
    domains = {f"d{i}": f"hf:{tmp_path / name}" for i, name in enumerate(given)}
    corpus = made(domains=domains)
    found = corpus.info["domains"]
    assert len({found[name]["train"]["sha256"] for name in domains}) == 1
    assert found["d0"]["dataset"]["split"] == "test"
    message = "no split 'tset'; nearest: test"
    with pytest.raises(DataError, match=message):
        made(domains={"a": f"hf:{tmp_path / 'two'}:tset"})
    gc.collect()


def test_it_is_read_no_further_than_the_cap(parquet, monkeypatch):
    pytest.importorskip("datasets")
    from jaxmix.data import hub

    seen = []
    whole = hub.unicode_text
    monkeypatch.setattr(hub, "unicode_text", lambda text: seen.append(text) or whole(text))
    corpus = made(domains={"web": f"hf:{parquet}::body"}, max_bytes=3_000)
    size = len(DOCUMENTS[0])
    assert 3_000 / 0.88 / size - 2 < len(seen) < 3_000 / 0.88 / size + 3
    assert 3_000 - 2 * size < corpus.info["domains"]["web"]["train"]["bytes"] <= 3_000


def test_a_changed_file_makes_another_corpus(parquet):
    pytest.importorskip("datasets")
    domains = {"web": f"hf:{parquet}::body"}
    before = plan_corpus(name="mine", domains=domains).path
    pd.DataFrame({"body": DOCUMENTS[:50]}).to_parquet(parquet)
    assert plan_corpus(name="mine", domains=domains).path != before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("hf:{}", r"no column 'text'; known: id, body"),
        ("hf:{}::bdy", r"no column 'bdy'; nearest: body"),
        ("hf:{}::id", r"column 'id' holds int64, not text; columns of text: body"),
        ("hf:{}:val:body", r"no split 'val'; known: train"),
        ("hf:{}:a:b:c", "has too many parts"),
        ("hf:{}x", r"rows.parquetx: no such file or folder; nearest: rows.parquet"),
        ("hf:bad.parquet", r"bad.parquet: cannot be read \(.*Parquet.*\); replace it"),
        ("{}", r"rows.parquet: is not .jsonl or .txt; write hf:.*rows.parquet"),
        ("hf:a b", "is not hf:NAME"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(parquet, monkeypatch, given, message):
    pytest.importorskip("datasets")
    monkeypatch.chdir(parquet.parent)
    (parquet.parent / "bad.parquet").write_text("nothing")
    with pytest.raises(DataError, match=message) as error:
        made(domains={"web": given.format(parquet)})
    assert "\n" not in str(error.value)


def test_without_the_package_it_says_what_to_install(parquet, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    for given in (f"hf:{parquet}::body", "hf:owner/name"):
        with pytest.raises(DataError, match="is not installed: pip install datasets"):
            made(domains={"web": given})


def test_the_hub_is_read_at_a_commit(cache, monkeypatch):
    """A stand-in for both packages: which calls are made, and what becomes of their answers."""
    calls = []

    class Rows(list):
        features = types.MappingProxyType({"text": types.SimpleNamespace(dtype="string")})
        info = types.SimpleNamespace(dataset_size=48e9)

        def select_columns(self, names):
            return self

    def load_dataset(name, config, *, revision, streaming):
        calls.append((name, config, revision, streaming))
        if config is None:
            raise ValueError("Config name is missing.\nPick one among the configs: ['en', 'de']")
        return {"train": Rows({"text": text} for text in DOCUMENTS)}

    def dataset_info(name, revision):
        if name != "owner/name":
            raise OSError("404: not found")
        return types.SimpleNamespace(sha=f"abc-{revision}", card_data={"license": ["mit"]})

    logging = types.SimpleNamespace(
        get_verbosity=lambda: 1, set_verbosity=lambda level: None, CRITICAL=9
    )
    package = types.SimpleNamespace(load_dataset=load_dataset, logging=logging)
    hub = types.SimpleNamespace(HfApi=lambda: types.SimpleNamespace(dataset_info=dataset_info))
    monkeypatch.setitem(sys.modules, "datasets", package)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    domains = {"web": "hf:owner/name/en@v1"}
    with pytest.raises(DataError, match="holds 48B bytes; cut it with --max-bytes"):
        made(domains=domains)
    found = made(domains=domains, max_bytes=5_000).info["domains"]["web"]
    assert calls[-1] == ("owner/name", "en", "abc-v1", True) and found["license"] == "mit"
    assert found["source"] == "hf:owner/name/en@abc-v1:train:text"
    assert found["dataset"]["revision"] == found["sha256"] == "abc-v1"
    with pytest.raises(DataError, match="write hf:owner/name/CONFIG with one of en, de"):
        made(domains={"web": "hf:owner/name"})
    commit = "0123456789abcdef" * 2 + "01234567"
    pinned = plan_corpus(name="mine", domains={"web": f"hf:owner/nme@{commit}"}, max_bytes=9)
    assert pinned.sources[0].facts["sha256"] == commit  # the hub was not asked
    with pytest.raises(JaxmixError, match=r"hf:owner/nme:train:text: .*404: not found.*network"):
        made(domains={"web": "hf:owner/nme"})
