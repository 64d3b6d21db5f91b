"""Documents on disk come back as they were, at random, and are decoded once."""

import numpy as np
import pytest

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


def test_pairs_are_known(documents, tmp_path):
    assert documents.are_pairs
    Index.of([[3, PICTURE]] * 20, [False] * 20).save(tmp_path / "a.index")
    assert not Documents(tmp_path / "a.arrayrecord", KIND).are_pairs
