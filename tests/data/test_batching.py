"""The iterator over a fleet's batches: order, ends, and restored positions."""

import numpy as np
import pytest

from jaxmix.data import DataError, MixtureSource, batches, pool


@pytest.fixture
def fleet(corpus) -> list[MixtureSource]:
    domains = {name: corpus.train(name, 16) for name in corpus.domains}
    shares = (0.0, 0.3, 1.0)
    return [MixtureSource(domains, {"greek": s, "latin": 1 - s}, 0, 8) for s in shares]


def tokens(iterator, count: int) -> list[np.ndarray]:
    return [next(iterator)["tokens"] for _ in range(count)]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_members_are_stacked_in_order_of_steps(fleet, threads):
    found = tokens(batches(fleet, threads=threads), 6)
    for step, batch in enumerate(found):
        assert batch.shape == (3, 8, 17)
        for member, source in zip(batch, fleet, strict=True):
            assert np.array_equal(member, source[step]["tokens"])


@pytest.mark.parametrize("threads", [0, 2])
def test_saved_state_gives_the_same_batches_again(fleet, threads):
    iterator = batches(fleet, threads=threads)
    tokens(iterator, 5)
    state = iterator.get_state()
    expected = tokens(iterator, 5)
    for restored in (iterator, batches(fleet), batches(fleet[:], start=2)):
        restored.set_state(state)
        assert all(map(np.array_equal, tokens(restored, 5), expected))
    started = batches(fleet, start=5, threads=threads)
    assert started.get_state() == state
    assert all(map(np.array_equal, tokens(started, 5), expected))


def test_it_ends_at_stop(fleet):
    assert len(list(batches(fleet, stop=4))) == 4
    assert len(list(batches(fleet, start=3, stop=4))) == 1
    assert list(batches(fleet, start=4, stop=4)) == []


def test_refusal_of_a_step_arrives(corpus):
    domains = {"greek": pool(corpus.train("greek", 16), "greek", 20, seed=0)}
    source = MixtureSource(domains, {"greek": 1.0}, 0, 8, forbid_repeat=True)
    iterator = batches([source])
    tokens(iterator, 2)
    with pytest.raises(DataError, match="domain 'greek' has 20 records"):
        next(iterator)


@pytest.mark.parametrize(("count", "start", "stop"), [(0, 0, 1), (1, -1, 1), (1, 3, 2)])
def test_bad_range_is_refused(fleet, count, start, stop):
    with pytest.raises(DataError, match="one mixture or more"):
        batches(fleet[:count], start=start, stop=stop)
