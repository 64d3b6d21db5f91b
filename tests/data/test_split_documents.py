"""Groups stay together: no picture, caption or key is in both splits, in any domain."""

import pytest

from jaxmix.data import DataError
from jaxmix.data.splits import LABEL, fingerprint, split_documents


def one(picture: int, text: str = "", *keys: str):
    return fingerprint([f"picture {picture}".encode()], text or f"text {picture}", keys)


def held(domains, **options):
    return {name: set(split.heldout) for name, split in split_documents(domains, **options).items()}


def test_shares_are_held_out():
    splits = split_documents({"a": [one(i) for i in range(2000)]})["a"]
    assert 90 <= len(splits.heldout) <= 150  # 6%, give or take three standard deviations
    assert sorted(splits.heldout + splits.train) == list(range(2000))


def test_large_groups_are_not_held_out_more_often():
    documents = [one(i, "", f"group {i // 20}") for i in range(8000)]
    assert 0.03 < len(held({"a": documents})["a"]) / 8000 < 0.09


def test_the_splits_do_not_depend_on_the_order():
    documents = [one(i) for i in range(100)]
    forward, back = (split_documents({"a": d})["a"] for d in (documents, documents[::-1]))
    assert [documents[i] for i in forward.heldout] == [documents[::-1][i] for i in back.heldout]
    assert [documents[i] for i in forward.train] == [documents[::-1][i] for i in back.train]


@pytest.mark.parametrize("shared", ["picture", "text", "key"])
def test_documents_of_two_domains_that_share_something_stay_together(shared):
    a = [one(i, "", f"key {i}") for i in range(60)]
    others = {
        "picture": [one(i, f"other {i}") for i in range(60)],
        "text": [one(1000 + i, f"Text  {i}") for i in range(60)],
        "key": [one(1000 + i, f"other {i}", f"key {i}") for i in range(60)],
    }
    found = held({"a": a, "b": others[shared]})
    assert found["a"] == found["b"] and 0 < len(found["a"]) < 60


def test_linked_documents_stay_together():
    chain = [one(i, "", f"link {i}", f"link {i + 1}") for i in range(10)]
    others = [one(100 + i) for i in range(300)]
    found = held({"a": chain + others})["a"]
    assert len(found & set(range(10))) in (0, 10)


def test_a_label_links_no_documents():
    digits = [one(i, f"digit {i % 3}") for i in range(3 * (LABEL + 1))]
    splits = split_documents({"digits": digits})["digits"]
    assert {i % 3 for i in splits.heldout} == {0, 1, 2}
    assert {i % 3 for i in splits.train} == {0, 1, 2}


def test_a_few_labels_of_a_small_corpus_link_no_documents():
    """Else all cats might be held out, and all dogs trained on."""
    animals = [one(i, "cat" if i < 30 else "dog") for i in range(60)]
    splits = split_documents({"animals": animals})["animals"]
    assert {i // 30 for i in splits.train} == {0, 1}


def test_copies_are_dropped_and_counted():
    splits = split_documents({"a": [one(i % 50) for i in range(70)]})["a"]
    assert len(splits.train) + len(splits.heldout) == 50 and splits.repeats == 20


def test_a_target_is_held_out_with_its_groups():
    found = held({"a": [one(i) for i in range(50)], "t": [one(7), one(99)]}, target_only=["t"])
    assert found["t"] == {0, 1} and 7 in found["a"]


def test_documents_of_a_single_group_are_refused():
    with pytest.raises(DataError, match="domain 'a': 9 different documents are too alike"):
        split_documents({"a": [one(i, "", "same") for i in range(9)]})
