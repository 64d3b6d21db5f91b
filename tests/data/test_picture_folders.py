"""Folders of pictures: the three kinds of domains, and what is wrong with them."""

import gzip
import io
import json
import tarfile

import pytest
from PIL import Image

from jaxmix.data.documents import Picture
from jaxmix.data.errors import DataError
from jaxmix.data.picture_folders import find_picture_domain, has_only_page_pictures
from jaxmix.data.pictures import Skips


def png(color: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (20, 20), (color, 0, 0)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def folder(tmp_path):
    """A folder of pictures without captions as yet."""
    path = tmp_path / "mine" / "cats"
    (path / "deep").mkdir(parents=True)
    (path / "a.png").write_bytes(png(1))
    (path / "deep" / "b.png").write_bytes(png(2))
    (path / ".hidden.png").write_bytes(png(3))
    return path


def read(entry, skips: Skips | None = None) -> list[list[str | bytes]]:
    """The documents of an entry, pictures by their data."""
    domain = find_picture_domain(entry)
    assert domain is not None
    documents = domain.documents(skips or Skips())
    return [[p.data if isinstance(p, Picture) else p for p in d.parts] for d in documents]


def write_tar(path, members, mode="w") -> None:
    """Writes names and data, a dict or pairs in any order."""
    pairs = members.items() if isinstance(members, dict) else members
    with tarfile.open(path, mode) as tar:
        for name, data in pairs:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_lines(path, *records: object) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_captions_in_csv(folder):
    (folder / "captions.csv").write_text(
        '\ufefffile,author,caption\na.png,x," a cat,\nsitting "\ndeep/b.png,y,a dog\n',
        encoding="utf-8",
    )
    domain = find_picture_domain(folder)
    assert domain is not None and domain.name == "cats"
    assert [path.name for path in domain.files] == ["a.png", "captions.csv", "b.png"]
    assert read(folder) == [[png(1), "a cat,\nsitting"], [png(2), "a dog"]]
    first, second = domain.documents(Skips())
    assert first.name.endswith("captions.csv:3") and second.name.endswith("captions.csv:4")
    assert not first.keys and first.pictures[0].name == "a.png"


def test_captions_in_jsonl(folder):
    rows = ({"file": "a.png", "caption": "ein Käfer"}, {"file": "deep\\b.png", "caption": "b"})
    write_lines(folder / "captions.jsonl", *rows)
    assert read(folder) == [[png(1), "ein Käfer"], [png(2), "b"]]


def test_unusable_rows_are_skipped_by_row(folder):
    (folder / "captions.csv").write_text(
        "file,caption\na.png,  \nnone.png,x\n../cats/a.png,x\n/etc/passwd,x\na.png\n,x\na.png,ok\n"
    )
    skips = Skips()
    assert read(folder, skips) == [[png(1), "ok"]]
    reasons = {reason: held["count"] for reason, held in skips.facts.items()}
    assert reasons == {
        "has no caption": 2,
        "names a file outside its folder": 2,
        "names a file that is not there": 2,
    }
    example = skips.facts["names a file that is not there"]["examples"][0]
    assert example == f"{folder / 'captions.csv'}:3"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "captions.csv",
            b"image,text\na.png,x\n",
            r"csv:1: has no column 'file' \(there: image, t",
        ),
        (
            "captions.csv",
            b"file,text\na.png,x\n",
            r"no column 'caption' .*; name the columns file,",
        ),
        ("captions.csv", b"", r"csv:1: has no column 'file'"),
        ("captions.csv", b"file,caption\na.png,\xff\n", r"csv: is not UTF-8; convert"),
        (
            "captions.csv",
            b'file,caption\n"' + b"x" * 200_000,
            r"csv: is not a CSV file .*; fix the file",
        ),
        ("captions.jsonl", b'{"file": "a.png"\n', r"jsonl:1: is not JSON .*; fix or remove"),
        ("captions.jsonl", b'\n{"caption": "x"}\n', r"jsonl:2: has no file .*\(there: caption\)"),
        ("captions.jsonl", b'{"file": "a.png", "caption": 3}\n', r"jsonl:1: has no file and cap"),
        ("captions.jsonl", b"[1]\n", r"jsonl:1: is not a JSON object"),
    ],
)
def test_wrong_captions_are_named_with_row_and_remedy(folder, name, data, message):
    (folder / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        read(folder)


def test_a_few_bad_lines_are_skipped_by_line(folder):
    lines = [json.dumps({"file": "a.png", "caption": str(i)}) for i in range(9)]
    lines[0], lines[4], lines[7] = "{", '{"caption": "x"}', "[2]"
    (folder / "captions.jsonl").write_text("\n".join(lines))
    skips = Skips()
    assert len(read(folder, skips)) == 6
    path = folder / "captions.jsonl"
    named = {example for held in skips.facts.values() for example in held["examples"]}
    assert named == {f"{path}:{line}" for line in (1, 5, 8)}
    (folder / "captions.jsonl").unlink()
    (folder / "captions.csv").write_bytes(b"file,caption\na.png,\xe9\na.png,x\na.png,y\n")
    skips = Skips()
    assert read(folder, skips) == [[png(1), "x"], [png(1), "y"]]
    assert skips.facts["is not UTF-8"]["examples"] == [f"{folder / 'captions.csv'}:2"]
    pages = folder.parent / "pages.jsonl"
    pages.write_text("{\n" + "".join(json.dumps(page) + "\n" for page in PAGES))
    skips = Skips()
    assert len(read(pages, skips)) == 2 and skips.first.startswith(f"{pages}:1: is not JSON (")


def test_pictures_need_captions_once(folder, tmp_path):
    with pytest.raises(DataError, match=r"cats: has pictures and no captions; add captions.csv"):
        find_picture_domain(folder)
    (folder / "captions.csv").write_text("file,caption\n")
    (folder / "captions.jsonl").write_text("")
    with pytest.raises(DataError, match=r"cats: has captions.csv and captions.jsonl; keep one"):
        find_picture_domain(folder)
    bad = tmp_path / "b d"
    bad.mkdir()
    (bad / "captions.csv").write_text("file,caption\n")
    with pytest.raises(DataError, match="'b d' is not a usable name"):
        find_picture_domain(bad)


def test_text_is_no_picture_domain(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("x = 1")
    (tmp_path / "code" / ".icon.png").write_bytes(png())
    (tmp_path / "web.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "bad.jsonl").write_text('{"text": \n')
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "book.txt").write_text("x")
    for entry in tmp_path.iterdir():
        assert find_picture_domain(entry) is None
        assert not has_only_page_pictures(entry)


PAGES = (
    {"texts": ["one", None, "two", None], "images": [None, "cats/a.png", None, "cats/deep/b.png"]},
    {"parts": [{"image": "cats/a.png"}, {"text": "three"}, {"text": " "}], "url": "x"},
)


def test_pages_in_both_spellings(folder):
    path = folder.parent / "pages.jsonl"
    write_lines(path, *PAGES)
    assert read(path) == [["one", png(1), "two", png(2)], [png(1), "three"]]
    domain = find_picture_domain(path)
    assert domain is not None and domain.name == "pages"
    assert domain.files == (path, folder / "a.png", folder / "deep" / "b.png")
    assert [d.name for d in domain.documents(Skips())] == [f"{path}:1", f"{path}:2"]


def test_folder_of_a_page_file_is_its_supply(folder):
    assert not has_only_page_pictures(folder)
    write_lines(folder.parent / "pages.jsonl", *PAGES)
    assert has_only_page_pictures(folder) and not has_only_page_pictures(
        folder.parent / "pages.jsonl"
    )
    (folder / "captions.csv").write_text("file,caption\n")
    assert not has_only_page_pictures(folder)


def test_pages_without_text_or_with_missing_pictures_are_skipped(folder):
    path = folder.parent / "pages.jsonl"
    write_lines(
        path,
        {"parts": [{"text": "x"}, {"image": "none.png"}]},
        {"parts": [{"image": "cats/a.png"}, {"text": ""}]},
        {"parts": [{"text": "x"}, {"image": "../a.png"}]},
        {"parts": [{"text": "alone"}]},
        {"parts": []},
    )
    skips = Skips()
    assert read(path, skips) == [["alone"]]
    assert {reason: held["examples"] for reason, held in skips.facts.items()} == {
        "has no text": [f"{path}:2", f"{path}:5"],
        "names a file outside its folder": [f"{path}:3"],
        "names a file that is not there": [f"{path}:1"],
    }


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"parts": "x"}, r"pages.jsonl:2: is not a page .*; give \"parts\" as a list"),
        ({"parts": ["x"]}, r"is not a page of texts and images"),
        ({"parts": [{"text": "x", "image": "y"}]}, r"part 0 is not one text or one image"),
        ({"parts": [{"text": "x"}, {"video": "y"}]}, r"part 1 is not one text or one image"),
        ({"parts": [{"text": 3}]}, r"part 0 is not one text"),
        ({"texts": ["x"], "images": [None, None]}, r"1 texts beside 2 images; give .* one length"),
        ({"texts": ["x"], "images": ["y"]}, r"part 0 is not one text or one image; give \"texts\""),
        ({"texts": [None], "images": [None]}, r"part 0 is not one"),
        ({"texts": "x", "images": []}, r"is not a page of texts and images; give \"texts\""),
        ({"text": "x"}, r"is not a page of texts and images"),
        (
            {"parts": [{"image": "https://a.b/c.png"}]},
            r"part 0 is an address, not a file; save the pic",
        ),
        ([1], r"pages.jsonl:2: is not a JSON object"),
    ],
)
def test_wrong_pages_are_named_with_line_and_remedy(folder, record, message):
    path = folder.parent / "pages.jsonl"
    write_lines(path, PAGES[0], record)
    with pytest.raises(DataError, match=message) as error:
        read(path)
    assert f"{path}:2: " in str(error.value)


def test_shards_pair_neighbors(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    write_tar(
        folder / "001.tar",
        {"d/2.json": json.dumps({"caption": "two"}).encode(), "d/2.webp": b"two"},
    )
    write_tar(
        folder / "000.tar",
        {
            "0.jpg": b"zero",
            "0.txt": b" nought\n",
            "0.json": b'{"caption": "not this"}',
            "0.cls": b"7",
            "d/.hidden": b"no",
            "1.5.png": b"no suffix of a picture",
            "1.PNG": b"one",
            "1.txt": "één".encode(),
        },
    )
    assert read(folder) == [[b"zero", "nought"], [b"one", "één"], [b"two", "two"]]
    domain = find_picture_domain(folder)
    assert domain is not None
    assert [path.name for path in domain.files] == ["000.tar", "001.tar"]
    assert next(iter(domain.documents(Skips()))).name == f"{folder / '000.tar'}:0"


NEIGHBORS = (("0.jpg", b"0"), ("0.txt", b"zero"), ("d/1.jpg", b"1"), ("d/1.txt", b"one"))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 1, 3), (3, 1, 0, 2)])
@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar", "w:bz2")]
)
def test_members_in_any_order_and_compressed_are_pairs(tmp_path, order, name, mode):
    folder = tmp_path / "web"
    folder.mkdir()
    write_tar(folder / name, [NEIGHBORS[i] for i in order], mode)
    skips = Skips()
    assert sorted(read(folder, skips)) == [[b"0", "zero"], [b"1", "one"]] and not skips.count


def test_a_name_that_occurs_again_begins_another_sample(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    write_tar(folder / "a.tar", [*NEIGHBORS, ("0.jpg", b"other"), ("0.txt", b"two")])
    assert read(folder) == [[b"0", "zero"], [b"1", "one"], [b"other", "two"]]


def test_pictures_with_dots_in_their_names_are_counted_one_by_one_with_the_cause(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    dotted = {f"photo.v{i}.{end}": b"x" for i in range(3) for end in ("jpg", "txt")}
    write_tar(folder / "a.tar", {**dict(NEIGHBORS), **dotted, "1.mask.png": b"m", "1.png": b"p"})
    skips = Skips()
    assert len(read(folder, skips)) == 2
    counts = {reason: held["count"] for reason, held in skips.facts.items()}
    (cause,) = (reason for reason in counts if "has a dot in its name" in reason)
    assert counts == {cause: 3, "has no caption": 1}
    assert skips.facts[cause]["examples"][0] == f"{folder / 'a.tar'}:photo.v0.jpg"


def test_unusable_samples_are_skipped_by_key(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    members = {
        "0.jpg": b"no caption",
        "1.txt": b"no picture",
        "2.jpg": b"x",
        "2.json": b"{bad",
        "3.jpg": b"x",
        "3.txt": b"\xff",
        "4.jpg": b"x",
        "4.json": b'{"caption": null}',
        "5.jpg": b"x",
        "5.txt": b"good",
    }
    write_tar(folder / "a.tar", members)
    skips = Skips()
    assert read(folder, skips) == [[b"x", "good"]]
    assert skips.facts["has no caption"]["count"] == 4
    assert skips.facts["has no picture"]["examples"] == [f"{folder / 'a.tar'}:1"]


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda data: b"no tar" * 1000, r"cut short \(invalid header\)"),
        (lambda data: b"", r"cut short \(empty file\)"),
        (lambda data: data[:700], r"cut short \(unexpected end of data\)"),
        (lambda data: data[: 512 + 5120], r"cut short \(no end\)"),
        (lambda data: data[: 512 + 5120 + 100], r"cut short \(a damaged header\)"),
        (lambda data: gzip.compress(data)[:-9], r"cut short \(Compressed file ended before"),
        (lambda data: data + data, r"a.tar: goes on behind its end; join tar files with tar -A"),
        (lambda data: b"\x28\xb5\x2f\xfd" + data, r"a.tar: is compressed with zstd"),
    ],
)
def test_a_broken_shard_is_refused_with_the_cause(tmp_path, spoil, cause):
    folder = tmp_path / "web"
    folder.mkdir()
    write_tar(folder / "a.tar", {"0.jpg": b"x" * 5000, "0.txt": b"x"})
    (folder / "a.tar").write_bytes(spoil((folder / "a.tar").read_bytes()))
    with pytest.raises(DataError, match=cause):
        read(folder)
