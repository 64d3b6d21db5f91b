"""Corpora from folders, and what is wrong with them."""

import json

import pytest

from jaxmix.data import DataError, open_corpus, plan_corpus, prepare, write_texts

TEXT = "\n\n".join(f"Paragraph {i}: " + "some words here. " * 20 for i in range(60))


@pytest.fixture
def folder(tmp_path, cache):
    """A subfolder of files, a JSONL file and a text file."""
    path = tmp_path / "mine"
    (path / "code" / "deep").mkdir(parents=True)
    for i in range(12):
        (path / "code" / "deep" / f"{i}.py").write_text(f"x = {i}\n" * 30)
    (path / "code" / ".hidden").write_text("no")
    lines = (json.dumps({"text": f"{'line ' * 30} {i}", "content": f"c{i}"}) for i in range(30))
    (path / "web.jsonl").write_text("\n".join(lines) + "\n\n")
    (path / "book.txt").write_text(TEXT)
    (path / "README.md").write_text("not a domain")
    return path


def test_folder_with_all_three_kinds(folder):
    corpus = prepare(folder, tokenizer="bytes", target_only=["book"])
    assert corpus.name == "mine"
    assert corpus.domains == ("code", "web") and corpus.targets == ("code", "web", "book")
    documents = {d: i["train"]["documents"] for d, i in corpus.info["domains"].items()}
    heldout = {d: i["heldout"]["documents"] for d, i in corpus.info["domains"].items()}
    assert documents["code"] + heldout["code"] == 12
    assert documents["web"] + heldout["web"] == 30
    assert documents["book"] == 0 and heldout["book"] > 4
    text = corpus.tokenizer.decode(corpus.train("code", 50).tokens)
    assert "x = " in text and "no" not in text
    assert open_corpus("mine").hash == corpus.hash
    assert open_corpus("mine-bytes").path == corpus.path


def test_name_and_text_field(folder):
    (folder / "book.txt").unlink()
    corpus = prepare(folder, tokenizer="bytes", name="other", text_field="content")
    assert corpus.name == "other"
    text = corpus.tokenizer.decode(corpus.train("web", 20).tokens)
    assert "line" not in text and "c1" in text


def test_changed_file_makes_another_corpus(folder):
    before = plan_corpus(folder).path
    (folder / "book.txt").write_text(TEXT + "more")
    assert plan_corpus(folder).path != before


def bad(folder, name: str, data: bytes) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


GOOD = b'{"text": "a"}\n'


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("bad.jsonl", GOOD + b'{"text": "b"\n', r"bad.jsonl:2: is not JSON .* fix or remove"),
        ("bad.jsonl", GOOD + b'{"body": "b"}', r"bad.jsonl:2: .*'text' \(there: body\).*--text-fi"),
        ("bad.jsonl", GOOD + b'{"text": 3}', r"bad.jsonl:2: has no text in field 'text'"),
        ("bad.jsonl", GOOD + b"[1]", r"bad.jsonl:2: is not a JSON object"),
        ("bad.jsonl", GOOD + b'{"text": "\xff"}', r"bad.jsonl:2: is not UTF-8"),
        ("bad.jsonl", b'{"text": "\\ud800"}', r"bad.jsonl:1: holds half a surrogate"),
        ("bad/a.txt", b"one\ntwo \xff", r"a.txt:2: byte 8 is not UTF-8; convert"),
        ("bad/a.txt", b"  \n", r"domain 'bad' holds no text"),
        ("bad.txt", b"one document", r"domain 'bad': has 1 different documents"),
        ("b d.txt", b"x", r"'b d' is not a usable name"),
        ("code.txt", b"x", r"domain 'code' occurs twice"),
        ("bad/0.parquet", b"PAR1", r"holds .parquet files, not text; .*--domain bad=hf:"),
    ],
)
def test_bad_file_is_named_with_line_and_remedy(folder, name, data, message):
    bad(folder, name, data)
    with pytest.raises(DataError, match=message) as error:
        prepare(folder, tokenizer="bytes")
    assert "\n" not in str(error.value)


BAD_LINES = ('{"text": "b"', '{"body": "b"}', "[1]", '{"text": "\\ud800"}', '{"text": 3}')


def spoiled(folder, count: int) -> None:
    """Bad lines among the 100 of web.jsonl, the first one in line 11."""
    lines = [json.dumps({"text": f"{'line ' * 30} {i}"}) for i in range(100)]
    for i in range(count):
        lines[10 * (i + 1)] = BAD_LINES[i % len(BAD_LINES)]
    (folder / "web.jsonl").write_text("\n".join(lines))


def test_a_few_bad_lines_and_files_are_counted_and_named(folder):
    spoiled(folder, 5)
    bad(folder, "code/bad.py", b"x = 1\ny = '\xe9'")
    facts = prepare(folder, tokenizer="bytes").info["domains"]
    web = facts["web"]
    assert web["read"] == 100 and sum(web[s]["documents"] for s in ("train", "heldout")) == 95
    assert web["skipped"]["has no text in field 'text'"]["count"] == 2
    examples = {held["examples"][0] for held in web["skipped"].values()}
    assert f"{folder / 'web.jsonl'}:11" in examples and len(examples) == 4
    assert facts["code"]["skipped"]["is not UTF-8"]["examples"] == [f"{folder / 'code/bad.py'}:2"]


def test_more_than_a_few_bad_lines_stop_it(folder, cache):
    spoiled(folder, 6)
    message = (
        r"domain 'web': 6 of 100 documents are unusable, .* one has no text in field 'text' "
        r"\(such as .*web.jsonl:21\); name it with --text-field$"
    )
    with pytest.raises(DataError, match=message):
        prepare(folder, tokenizer="bytes")
    assert not list((cache / "corpora").glob("mine*"))


def test_copies_and_blank_documents_are_counted(folder):
    lines = [json.dumps({"text": f"{'line ' * 30} {i % 20}"}) for i in range(55)]
    (folder / "web.jsonl").write_text("\n".join([*lines, '{"text": " "}', '{"text": ""}']))
    web = prepare(folder, tokenizer="bytes").info["domains"]["web"]
    assert (web["read"], web["repeats"], web["blank"]) == (57, 35, 2)


def test_empty_folders_are_refused(tmp_path, cache):
    with pytest.raises(DataError, match="holds no domain; make one subfolder"):
        prepare(tmp_path)
    (tmp_path / "web").mkdir()
    with pytest.raises(DataError, match="domain 'web' has no files"):
        prepare(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_only": ["bok"]}, "no domain 'bok' to evaluate on; nearest: book"),
        ({"target_only": ["book", "web", "code"]}, "leave one to train on"),
        ({"name": "text-mini"}, "is the name of a recipe"),
        ({"name": "a/b"}, "not a usable name"),
        ({"tokenizer": "bpe-100"}, "at least 257"),
        ({"tokenizer": "gpt2"}, "name bytes, or bpe-N"),
        ({"tokenizer": "bpe-9000"}, r"yields no more than \d+ entries; name bpe-\d+"),
        ({"max_bytes": 0}, "max_bytes is 0"),
    ],
)
def test_bad_argument_is_refused(folder, cache, arguments, message):
    with pytest.raises(DataError, match=message):
        prepare(folder, **arguments)
    assert not list((cache / "corpora").glob("*.partial"))


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ("text-mni", {}, "not a recipe .*nearest: text-mini.* there is no folder"),
        ("hf:owner/name", {}, "is one domain, which needs a name: --domain web=hf:owner/name"),
        ("text", {"name": "x"}, "recipe 'text' is fixed"),
        ("text", {"target_only": ["music"]}, "recipe 'text' is fixed"),
    ],
)
def test_unknown_source_is_refused(cache, source, arguments, message):
    with pytest.raises(DataError, match=message):
        prepare(source, **arguments)


def test_file_in_place_of_a_folder_is_refused(folder):
    with pytest.raises(DataError, match="name the folder it is in"):
        prepare(folder / "web.jsonl")


def test_write_texts_is_read_back(tmp_path, cache):
    pairs = [(name, f"{name} {i} {'é' * 50}") for i in range(30) for name in ("a", "b:c")]
    folder = write_texts(tmp_path / "new", pairs)
    corpus = prepare(folder, tokenizer="bytes")
    assert corpus.domains == ("a", "b:c")
    with pytest.raises(DataError, match="is not empty"):
        write_texts(folder, pairs)
    with pytest.raises(DataError, match="not a usable name"):
        write_texts(tmp_path / "more", [("../x", "y")])
