"""Splits of texts: by content, without leaks, for any order and cap."""

import pytest

from jaxmix.data import DataError
from jaxmix.data.splits import split_texts


def documents(count: int, size: int = 500) -> list[str]:
    return [f"document {i} " + "x" * size for i in range(count)]


def test_copies_are_dropped_and_nothing_is_in_both_splits():
    held = documents(200)
    splits = split_texts("d", held + held[:50])
    assert splits.repeats == 50
    assert sorted(splits.train + splits.heldout) == sorted(held)
    assert not set(splits.train) & set(splits.heldout)


def test_order_of_the_documents_does_not_matter():
    assert split_texts("d", documents(100)) == split_texts("d", documents(100)[::-1])


@pytest.mark.parametrize("cap", [1, 5_000, 20_000])
def test_cap_leaves_the_heldout_split_alone(cap):
    whole, capped = (
        split_texts("d", documents(100)),
        split_texts("d", documents(100), max_bytes=cap),
    )
    assert capped.heldout == whole.heldout
    assert capped.train == whole.train[: len(capped.train)]
    size = sum(len(text) for text in capped.train)
    assert len(capped.train) == 1 or size <= cap
    assert capped.train


def test_sizes_of_the_heldout_split():
    small = split_texts("d", documents(1000, 990))  # about 1 MB: at most 12%
    assert 0.11 < len(small.heldout) / 1000 < 0.13
    large = split_texts("d", documents(2000, 9_990))  # about 20 MB: 3%
    assert 0.025 < len(large.heldout) / 2000 < 0.035


def test_target_only_is_all_heldout():
    splits = split_texts("d", documents(5), target_only=True)
    assert splits.train == [] and len(splits.heldout) == 5
    assert len(split_texts("d", documents(5), target_only=True, max_bytes=1100).heldout) == 2


@pytest.mark.parametrize(("held", "target_only"), [([], False), (["a"], False), ([" "], True)])
def test_too_few_documents_are_refused(held, target_only):
    with pytest.raises(DataError, match="domain 'd': "):
        split_texts("d", held, target_only=target_only)


def test_two_documents_are_enough():
    splits = split_texts("d", ["a", "b"])
    assert len(splits.train) == len(splits.heldout) == 1
