"""Twins stay together: no picture, caption or identity is on both sides of any domain."""

import pytest

from jaxmix.data import DataError
from jaxmix.data.sides import LABEL, identity, split_twins


def one(picture: int, text: str = "", *keys: str):
    return identity([f"picture {picture}".encode()], text or f"text {picture}", keys)


def held(domains, **options):
    return {name: set(split.heldout) for name, split in split_twins(domains, **options).items()}


def test_shares_are_held_out():
    sides = split_twins({"a": [one(i) for i in range(2000)]})["a"]
    assert 90 <= len(sides.heldout) <= 150  # 6%, give or take three standard deviations
    assert sorted(sides.heldout + sides.train) == list(range(2000))


def test_large_families_are_no_likelier_to_be_held_out():
    documents = [one(i, "", f"family {i // 20}") for i in range(8000)]
    assert 0.03 < len(held({"a": documents})["a"]) / 8000 < 0.09


def test_the_sides_do_not_depend_on_the_order():
    documents = [one(i) for i in range(100)]
    forward, back = (split_twins({"a": d})["a"] for d in (documents, documents[::-1]))
    assert [documents[i] for i in forward.heldout] == [documents[::-1][i] for i in back.heldout]
    assert [documents[i] for i in forward.train] == [documents[::-1][i] for i in back.train]


@pytest.mark.parametrize("how", ["picture", "text", "key"])
def test_twins_of_two_domains_stay_on_one_side(how):
    a = [one(i, "", f"key {i}") for i in range(60)]
    twins = {
        "picture": [one(i, f"other {i}") for i in range(60)],
        "text": [one(1000 + i, f"Text  {i}") for i in range(60)],
        "key": [one(1000 + i, f"other {i}", f"key {i}") for i in range(60)],
    }
    found = held({"a": a, "b": twins[how]})
    assert found["a"] == found["b"] and 0 < len(found["a"]) < 60


def test_twins_of_twins_stay_together():
    chain = [one(i, "", f"link {i}", f"link {i + 1}") for i in range(10)]
    others = [one(100 + i) for i in range(300)]
    found = held({"a": chain + others})["a"]
    assert len(found & set(range(10))) in (0, 10)


def test_a_label_makes_no_twins():
    digits = [one(i, f"digit {i % 3}") for i in range(3 * (LABEL + 1))]
    sides = split_twins({"digits": digits})["digits"]
    assert {i % 3 for i in sides.heldout} == {0, 1, 2}
    assert {i % 3 for i in sides.train} == {0, 1, 2}


def test_a_few_labels_of_a_small_corpus_make_no_twins():
    """Else all cats might be held out, and all dogs trained on."""
    animals = [one(i, "cat" if i < 30 else "dog") for i in range(60)]
    sides = split_twins({"animals": animals})["animals"]
    assert {i // 30 for i in sides.train} == {0, 1}


def test_copies_are_dropped_and_counted():
    sides = split_twins({"a": [one(i % 50) for i in range(70)]})["a"]
    assert len(sides.train) + len(sides.heldout) == 50 and sides.repeats == 20


def test_a_target_takes_its_twins_with_it():
    found = held({"a": [one(i) for i in range(50)], "t": [one(7), one(99)]}, target_only=["t"])
    assert found["t"] == {0, 1} and 7 in found["a"]


def test_documents_that_are_all_twins_are_refused():
    with pytest.raises(DataError, match="domain 'a': 9 different documents are too alike"):
        split_twins({"a": [one(i, "", "same") for i in range(9)]})
