"""Domains of token ids in files of every kind, and tokenizers of the user's own."""

import json
import struct

import numpy as np
import pandas as pd
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from jaxmix.data import DataError, plan_corpus, prepare
from jaxmix.data.tokenizer import load_tokenizer, read_own, train_tokenizer
from tests.data.conftest import WORDS, sentences

TEXTS = sentences(4, 90, WORDS)
END = "<eos>"


def metaspace(end: str = END) -> tokenizers.Tokenizer:
    """A BPE as SentencePiece makes them, with byte fallback and other settings that must go."""
    model = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    model.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    special = ["<unk>", end, *(f"<0x{i:02X}>" for i in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=special, show_progress=False)
    model.train_from_iterator(TEXTS, trainer)
    model.enable_truncation(4)
    model.enable_padding(length=100)
    return model


@pytest.fixture
def file(tmp_path, cache):
    path = tmp_path / "tokenizer.json"
    metaspace().save(str(path))
    return path


def test_an_own_tokenizer_is_used_and_recorded(file, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "web.txt").write_text("\n\n".join(TEXTS))
    corpus = prepare(tmp_path / "mine", tokenizer=str(file))
    own = corpus.tokenizer
    assert (own.vocab_size, own.end, own.name) == (340, 1, "bpe-340")
    facts = corpus.info["tokenizer"]
    assert (facts["name"], facts["vocab_size"], facts["end"]) == ("bpe-340", 340, 1)
    assert facts["sha256"] == own.hash and corpus.path.name.startswith("mine-bpe-340-")
    web = corpus.info["domains"]["web"]["train"]
    tokens = np.fromfile(corpus.path / "web.train.bin", own.dtype)
    assert web["bytes"] == pytest.approx(own.token_bytes[tokens].sum(), rel=0.01)
    assert (tokens == 1).sum() == web["documents"] and tokens.size > 10 * web["documents"]
    text = TEXTS[0] + " café 🙂 <eos>"
    assert own.token_bytes[own.encode(text)].sum() == len(text.encode()) + 1  # a space before it


def test_its_end_of_text_is_found_or_named(file, tmp_path):
    metaspace("<stop>").save(str(file))
    with pytest.raises(DataError, match=r"tokenizer.json: its end-of-text .*<unk>, <stop>, .*"):
        read_own(file)
    assert read_own(f"{file}:<stop>").end == 1
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"eos_token": {"content": "<stop>"}})
    )
    assert read_own(file).end == 1
    with pytest.raises(DataError, match="has no token '<sotp>'; nearest: <stop>"):
        read_own(f"{file}:<sotp>")
    names = [plan_corpus(given_folder(tmp_path), tokenizer=f"{file}{e}").path for e in ("", ":▁")]
    assert names[0] != names[1]


def given_folder(path):
    (path / "texts").mkdir(exist_ok=True)
    (path / "texts" / "web.txt").write_text("\n\n".join(TEXTS))
    return path / "texts"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", r"own.json: its tokenizer cannot be read \("),
        (None, r"own.json: cannot be read \(No"),
    ],
)
def test_what_is_no_tokenizer_is_refused(tmp_path, text, message):
    if text:
        (tmp_path / "own.json").write_text(text)
    with pytest.raises(DataError, match=message):
        plan_corpus(tmp_path, tokenizer=str(tmp_path / "own.json"))


def test_a_wordpiece_tokenizer_joins_words(tmp_path):
    model = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    model.normalizer = normalizers.Lowercase()
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    model.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=120, special_tokens=["[UNK]", "[SEP]"], show_progress=False
    )
    model.train_from_iterator(TEXTS, trainer)
    own = load_tokenizer(model.to_str())
    assert own.name == "wordpiece-120" and own.encode_many(TEXTS[:3])[2].tolist() == own.encode(
        TEXTS[2]
    )
    assert own.token_bytes[own.encode("alpha beta")].sum() == len(" alpha beta")


# --- token ids ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained BPE in a file, and the ids of the texts."""
    own = train_tokenizer("bpe-300", TEXTS)
    path = tmp_path_factory.mktemp("own") / "tokenizer.json"
    path.write_text(own.dumps())
    return own, path, own.encode_many(TEXTS)


def megatron(path, documents) -> None:
    """Writes documents as Megatron's MMapIndexedDatasetBuilder does."""
    lengths = np.array([d.size for d in documents], np.int32)
    pointers = np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64) * 2])
    head = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, len(documents), len(documents) + 1)
    numbers = (lengths, pointers, np.arange(len(documents) + 1, dtype=np.int64))
    path.with_suffix(".idx").write_bytes(head + b"".join(n.tobytes() for n in numbers))
    path.write_bytes(np.concatenate(documents).astype("<u2").tobytes())


def write_all(folder, end: int, ids) -> None:
    """One folder for every way to keep the same documents."""
    ended = [np.append(one, end).astype(np.uint16) for one in ids]
    for name in ("npy", "raw", "megatron", "lists", "flat"):
        (folder / name).mkdir()
    half = len(ended) // 2
    np.save(folder / "npy" / "a.npy", np.concatenate(ended[:half]).astype(np.int32))
    np.save(folder / "npy" / "b.npy", np.concatenate(ended[half:]).astype(np.int64))
    (folder / "raw" / "a.bin").write_bytes(np.concatenate(ended).tobytes())
    megatron(folder / "megatron" / "a.bin", ended)
    lists = pd.DataFrame({"ids": [one.tolist() for one in ids], "n": 1})
    lists.to_parquet(folder / "lists" / "a.parquet")
    pd.DataFrame({"ids": np.concatenate(ended)}).to_parquet(folder / "flat" / "a.parquet")


def test_ids_make_the_streams_that_their_texts_make(trained, tmp_path, cache):
    own, path, ids = trained
    write_all(tmp_path, own.end, ids)
    (tmp_path / "texts").mkdir()
    lines = (json.dumps({"text": text}) for text in TEXTS)
    (tmp_path / "texts" / "text.jsonl").write_text("\n".join(lines))
    given = {name: f"tokens:{tmp_path / name}" for name in ("npy", "raw", "megatron", "flat")}
    given["lists"] = f"tokens:{tmp_path / 'lists' / 'a.parquet'}:ids"
    corpus = prepare(tmp_path / "texts", tokenizer=str(path), domains=given)
    held = corpus.info["domains"]
    assert len(corpus.domains) == 6 and held["npy"]["tokens"] is True
    for name in given:
        both = [held[name][side] for side in ("train", "heldout")]
        assert sum(one["documents"] for one in both) == len(TEXTS)
        for key in ("bytes", "tokens"):
            total = sum(held["text"][side][key] for side in ("train", "heldout"))
            assert sum(one[key] for one in both) == total
        assert both[0]["sha256"] == held["npy"]["train"]["sha256"]
        found = np.fromfile(corpus.path / f"{name}.train.bin", own.dtype)
        assert own.decode(found[: np.argmax(found == own.end)]) in TEXTS


def test_a_stream_without_ends_is_cut_into_pieces(trained, tmp_path, cache):
    own, path, ids = trained
    np.save(tmp_path / "a.npy", np.concatenate(ids).reshape(1, -1))
    corpus = prepare(
        name="mine",
        tokenizer=str(path),
        domains={"web": f"tokens:{tmp_path / 'a.npy'}"},
        max_bytes=6_000,
    )
    web = corpus.info["domains"]["web"]
    assert web["train"]["documents"] in (1, 2) and web["train"]["bytes"] <= 6_000
    assert (np.concatenate(ids) == own.end).sum() == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("npy/b.npy", r"b.npy: token 7 has id 300, beyond the vocabulary of bpe-300 \(0 to 299\)"),
        ("megatron/a.bin", r"a.bin: document 1 has id 300, .* with --tokenizer"),
        ("lists/a.parquet", r"a.parquet: row 3 has id -1, beyond"),
        ("raw/a.bin", r"a.bin: is not a whole number of ids of 2 bytes"),
        ("megatron/a.idx", r"a.idx: is no index of Megatron \(it does not begin"),
        ("flat/a.parquet", r"a.parquet: is not Parquet"),
    ],
)
def test_a_bad_file_is_named_with_its_row(trained, tmp_path, cache, name, message):
    own, path, ids = trained
    write_all(tmp_path, own.end, ids)
    bad, folder = tmp_path / name, (tmp_path / name).parent
    if bad.suffix == ".npy":
        stream = np.load(bad)
        stream[6] = 300
        np.save(bad, stream)
    elif name == "megatron/a.bin":
        bad.write_bytes(np.append(np.uint16(300), np.fromfile(bad, "<u2")[1:]).tobytes())
    elif name == "lists/a.parquet":
        rows = [one.tolist() for one in ids]
        rows[2][5] = -1
        pd.DataFrame({"ids": rows}).to_parquet(bad)
    else:
        bad.write_bytes(b"nothing")
    with pytest.raises(DataError, match=message) as error:
        prepare(name="mine", tokenizer=str(path), domains={"web": f"tokens:{folder}"})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "tokenizer", "message"),
    [
        ("lists", "bpe-300", "bpe-300 is trained on text; name the tokenizer.json"),
        ("nowhere", "own", "nowhere: no such file or folder of tokens"),
        ("lists:idz", "own", "no column of ids 'idz', as tokens:PATH:COLUMN; nearest: ids"),
        ("lists", "own", "a.parquet: name one, as tokens:PATH:COLUMN; known: ids, n"),
        ("empty", "own", r"holds no tokens \(.npy, .bin"),
    ],
)
def test_what_else_is_refused(trained, tmp_path, cache, given, tokenizer, message):
    own, path, ids = trained
    write_all(tmp_path, own.end, ids)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        prepare(
            name="mine",
            tokenizer=str(path) if tokenizer == "own" else tokenizer,
            domains={"web": f"tokens:{tmp_path / given}"},
        )
