"""The split: by content, without leaks, whatever the order and the cap."""

import pytest

from jaxmix.data import DataError
from jaxmix.data.split import split


def documents(count: int, size: int = 500) -> list[str]:
    return [f"document {i} " + "x" * size for i in range(count)]


def test_twins_are_dropped_and_nothing_is_on_both_sides():
    held = documents(200)
    sides = split("d", held + held[:50])
    assert sides.repeats == 50
    assert sorted(sides.train + sides.heldout) == sorted(held)
    assert not set(sides.train) & set(sides.heldout)


def test_order_of_the_documents_does_not_matter():
    assert split("d", documents(100)) == split("d", documents(100)[::-1])


@pytest.mark.parametrize("cap", [1, 5_000, 20_000])
def test_cap_leaves_the_heldout_side_alone(cap):
    whole, capped = split("d", documents(100)), split("d", documents(100), max_bytes=cap)
    assert capped.heldout == whole.heldout
    assert capped.train == whole.train[: len(capped.train)]
    size = sum(len(text) for text in capped.train)
    assert len(capped.train) == 1 or size <= cap
    assert capped.train


def test_sizes_of_the_heldout_side():
    small = split("d", documents(1000, 990))  # about 1 MB: at most 12%
    assert 0.11 < len(small.heldout) / 1000 < 0.13
    large = split("d", documents(2000, 9_990))  # about 20 MB: 3%
    assert 0.025 < len(large.heldout) / 2000 < 0.035


def test_target_only_is_all_heldout():
    sides = split("d", documents(5), target_only=True)
    assert sides.train == [] and len(sides.heldout) == 5
    assert len(split("d", documents(5), target_only=True, max_bytes=1100).heldout) == 2


@pytest.mark.parametrize(("held", "target_only"), [([], False), (["a"], False), ([" "], True)])
def test_too_few_documents_are_refused(held, target_only):
    with pytest.raises(DataError, match="domain 'd': "):
        split("d", held, target_only=target_only)


def test_two_documents_are_enough():
    sides = split("d", ["a", "b"])
    assert len(sides.train) == len(sides.heldout) == 1
