"""Documents on disk come back as they were, at random, and are decoded once."""

import numpy as np
import pytest

from jaxmix.data import store
from jaxmix.data.store import (
    PICTURE,
    Documents,
    Index,
    Part,
    pack,
    read_records,
    unpack,
    write_records,
)
from jaxmix.errors import JaxmixError
from tests.data import pictures

KIND = np.dtype(np.uint16)


def tokens(*ids: int) -> Part:
    return Part(np.array(ids, KIND).tobytes(), False)


@pytest.fixture
def documents(tmp_path):
    made = [(Part(pictures.noise(i), True), tokens(*range(i + 1))) for i in range(20)]
    path = tmp_path / "a.arrayrecord"
    write_records(path, map(pack, made))
    lengths = [[PICTURE, i + 1] for i in range(20)]
    Index.of(lengths, [i % 2 == 0 for i in range(20)]).save(path.with_suffix(".index"))
    return Documents(path, KIND)


def test_a_record_is_its_parts():
    parts = (tokens(1, 2), Part(b"", False), Part(b"picture", True))
    assert unpack(pack(parts)) == parts
    assert unpack(pack(())) == ()


def test_records_are_read_in_order(tmp_path):
    path = tmp_path / "many"
    write_records(path, (str(i).encode() for i in range(600)))
    assert list(read_records(path)) == [str(i).encode() for i in range(600)]


def test_a_failure_leaves_no_file(tmp_path):
    def broken():
        yield b"one"
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_records(tmp_path / "half", broken())
    assert not list(tmp_path.iterdir())


def test_documents_are_read_at_random(documents):
    assert len(documents) == 20
    picture, text = documents[13]
    assert picture.size == (20, 20) and text.tolist() == list(range(14))
    assert documents.parts(13) == [PICTURE, 14] and documents.parts(0) == [PICTURE, 1]
    assert documents.index.flip.tolist() == [True, False] * 10


def test_documents_are_decoded_once(documents):
    assert documents[3][0] is documents[3][0]


def test_pictures_that_nobody_asks_for_are_not_decoded(documents, monkeypatch):
    monkeypatch.setattr(store.Image, "open", None)
    assert documents.take(5, (1,))[0].tolist() == list(range(6))


def test_pairs_are_known(documents, tmp_path):
    assert documents.are_pairs
    Index.of([[3, PICTURE]] * 20, [False] * 20).save(tmp_path / "a.index")
    assert not Documents(tmp_path / "a.arrayrecord", KIND).are_pairs


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    class Full:
        def __init__(self, path: str, _: str) -> None:
            open(path, "w").close()

        def write(self, _: bytes) -> None:
            raise RuntimeError("write() failed: No space left on device; writing x; at byte 7")

    monkeypatch.setattr(store.array_record_module, "ArrayRecordWriter", Full)
    message = r"a.spool: cannot be written \(write\(\) failed: No space left on device\); check"
    with pytest.raises(JaxmixError, match=message):
        store.write_records(tmp_path / "a.spool", [b"x"])
    assert list(tmp_path.iterdir()) == []
