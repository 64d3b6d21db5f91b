"""Mixtures: evenly interleaved, pure functions of the step, equal walks, hosts, repetition."""

import math

import numpy as np
import pytest

from jaxmix.data import DataError, MixtureSource, pool
from jaxmix.data.interleave import Interleave
from jaxmix.data.order import Order, permutation


class Numbers:
    """Records that say where they come from: x = start + index."""

    def __init__(self, start: int, count: int) -> None:
        self.start, self.count = start, count

    def __len__(self) -> int:
        return self.count

    def take(self, indices, draws=None):
        assert indices.max() < self.count
        return {"x": self.start + indices.astype(np.int64), "y": np.ones((indices.size, 2))}


DOMAINS = {"a": Numbers(0, 700), "b": Numbers(1000, 90), "c": Numbers(2000, 11)}


def source(weights, *, domains=DOMAINS, seed=3, batch=12, **options) -> MixtureSource:
    return MixtureSource(domains, weights, seed, batch, **options)


def stream(made: MixtureSource, steps: int) -> np.ndarray:
    """x of the first batches, one after the other."""
    return np.concatenate([made[step]["x"] for step in range(steps)])


def random_weights(seed: int) -> np.ndarray:
    """Dirichlet draws of 1 to 9 domains; some entries are exact zeros, some draws vertices."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 10))
    h = rng.dirichlet(np.full(k, rng.choice([0.05, 0.5, 5.0])))
    h[rng.random(k) < 0.2] = 0
    if seed % 7 == 0 or h.sum() == 0:
        h = np.eye(k)[rng.integers(k)]
    return h / h.sum()


def by_sorting(h: np.ndarray, count: int) -> np.ndarray:
    """Domains of the first `count` records, from the definition."""
    records = [
        ((j + 0.5) / h[d], d) for d in np.flatnonzero(h) for j in range(int(count * h[d]) + 20)
    ]
    return np.array([d for _, d in sorted(records)[:count]])


@pytest.mark.parametrize("seed", range(40))
def test_interleave_is_its_definition_from_any_position(seed):
    h = random_weights(seed)
    made, expected = Interleave(h), by_sorting(h, 600)
    for first, last in [(0, 600), (0, 1), (17, 18), (100, 164), (599, 600), (300, 300)]:
        before, domains = made.domains(first, last)
        assert domains.tolist() == expected[first:last].tolist()
        assert before.tolist() == np.bincount(expected[:first], minlength=h.size).tolist()


@pytest.mark.parametrize("seed", range(40))
def test_shares_are_kept_at_every_position(seed):
    h = random_weights(seed)
    domains = Interleave(h).domains(0, 3000)[1]
    counts = np.cumsum(domains[:, None] == np.arange(h.size), axis=0)
    position = np.arange(1, 3001)[:, None]
    assert (np.abs(counts - position * h) <= 1 + h.size * h / 2).all()
    assert not counts[:, h == 0].any()


def test_far_positions_are_exact():
    h = np.array([0.1, 0.2, 0.3, 0.4])
    made, far = Interleave(h), 10**11 + 7
    parts = [made.domains(far + i, far + i + 1)[1][0] for i in range(40)]
    assert parts == made.domains(far, far + 40)[1].tolist()
    assert np.abs(made.before(far) - far * h).max() < 3


@pytest.mark.parametrize("tie", [[0.5, 0.5], [0.25] * 4, [1 / 3] * 3, [0.5, 0.25, 0.25]])
def test_ties_take_turns(tie):
    h = np.array(tie)
    expected = by_sorting(h, 200)
    parts = [Interleave(h).domains(i, i + 1)[1][0] for i in range(200)]
    assert parts == expected.tolist()


def test_batch_is_a_pure_function_of_the_step():
    weights = {"a": 0.6, "b": 0.3, "c": 0.1}
    made = source(weights)
    walked = [made[step]["x"] for step in range(30)]
    for step in (29, 3, 17, 0):
        assert np.array_equal(source(weights)[step]["x"], walked[step])


def test_batch_size_does_not_change_the_stream():
    weights = {"a": 0.6, "b": 0.3, "c": 0.1}
    whole = stream(source(weights, batch=12), 10)
    assert np.array_equal(stream(source(weights, batch=5), 24), whole)


@pytest.mark.parametrize("hosts", [2, 3, 4])
def test_hosts_share_the_global_batch(hosts):
    weights = {"a": 0.55, "b": 0.4, "c": 0.05}
    parts = [source(weights, host=host, hosts=hosts) for host in range(hosts)]
    for step in (0, 5, 40):
        whole = source(weights)[step]
        for host, part in enumerate(parts):
            for name, values in part[step].items():
                assert np.array_equal(values, whole[name][host::hosts])


def walk(x: np.ndarray, start: int) -> list[int]:
    return x[x // 1000 == start // 1000].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_two_mixtures_walk_every_domain_in_the_same_order(seed):
    rng = np.random.default_rng(seed)
    one, two = (
        stream(source(dict(zip("abc", rng.dirichlet(np.ones(3)), strict=True))), 20)
        for _ in range(2)
    )
    for domain in DOMAINS.values():
        first, second = walk(one, domain.start), walk(two, domain.start)
        both = min(len(first), len(second))
        assert first[:both] == second[:both]


def test_order_depends_on_seed_and_name_and_on_nothing_else():
    alone = {"b": DOMAINS["b"]}
    first = stream(source({"b": 1.0}, domains=alone), 5).tolist()
    among = walk(stream(source({"a": 0.5, "b": 0.5}), 10), 1000)
    assert first[: len(among)] == among[: len(first)]
    assert stream(source({"b": 1.0}, domains=alone, seed=4), 5).tolist() != first
    renamed = {"z": DOMAINS["b"]}
    assert stream(source({"z": 1.0}, domains=renamed), 5).tolist() != first


def test_every_epoch_has_every_record_once_in_a_new_order():
    x = stream(source({"c": 1.0}, batch=11), 4).reshape(4, 11)
    assert all(sorted(row) == list(range(2000, 2011)) for row in x)
    assert len({tuple(row) for row in x}) == 4


def test_batch_longer_than_several_epochs():
    x = source({"c": 1.0}, batch=33)[0]["x"]
    assert sorted(x.tolist()) == sorted([*range(2000, 2011)] * 3)
    assert np.array_equal(x, stream(source({"c": 1.0}, batch=11), 3))


def test_permutation_is_the_same_forever():
    pinned = [7, 5, 0, 1, 4, 6, 3, 2]
    assert permutation(0, "web", 8, 0).tolist() == pinned
    assert permutation(0, "web", 8, 1).tolist() != pinned
    assert sorted(permutation(5, "é", 1000, 2).tolist()) == list(range(1000))


def test_order_reads_across_epochs():
    order = Order(1, "d", 10)
    whole = order(0, 35)
    assert np.array_equal(whole[8:23], order(8, 23))
    assert order(5, 5 + 1).tolist() == whole[5:6].tolist()


def test_consumed_counts_what_was_read():
    weights = {"a": 0.7, "b": 0.25, "c": 0.05}
    made = source(weights)
    for steps in (1, 7, 60):
        x = stream(made, steps)
        used = made.consumed(steps)
        assert used.records == {n: len(walk(x, d.start)) for n, d in DOMAINS.items()}
        assert used.epochs == {n: used.records[n] / d.count for n, d in DOMAINS.items()}
        assert math.isclose(sum(used.weights.values()), 1)
    assert made.consumed(0).weights == made.weights
    assert made.consumed(0).records == {"a": 0, "b": 0, "c": 0}


@pytest.mark.parametrize("seed", range(10))
def test_realized_weights_are_within_a_thousandth(seed):
    h = np.random.default_rng(seed).dirichlet(np.ones(8))
    names = "abcdefgh"
    domains = {name: Numbers(0, 50) for name in names}
    made = source(dict(zip(names, h, strict=True)), domains=domains, batch=64)
    for steps in (100, 1000, 10_000):
        got = np.array(list(made.consumed(steps).weights.values()))
        assert np.abs(got - h).max() < 1e-3


def test_forbidden_repetition_is_refused_before_and_during():
    made = source({"a": 0.5, "b": 0.5}, forbid_repeat=True)
    made.check(15)
    stream(made, 15)
    message = r"domain 'b' has 90 records and 16 steps would need 96: .* lower its weight"
    with pytest.raises(DataError, match=message):
        made.check(16)
    with pytest.raises(DataError, match="domain 'b' has 90 records and this step would need 96"):
        made[15]
    source({"a": 0.5, "b": 0.5}).check(10**6)


def test_weights_may_leave_domains_out_and_be_slightly_off():
    assert source({"a": 1}).weights == {"a": 1.0, "b": 0.0, "c": 0.0}
    made = source({"a": 0.6, "b": 0.403})
    assert math.isclose(sum(made.weights.values()), 1)
    order = source({"b": 0.4, "a": 0.6}, domains=dict(reversed(DOMAINS.items())))
    assert np.array_equal(order[2]["x"], source({"a": 0.6, "b": 0.4})[2]["x"])


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ({"a": 0.5, "bb": 0.5}, {}, "weights name 'bb', which is not a domain; "),
        ({"a": 1.5, "b": -0.5}, {}, "weight of 'b' is -0.5"),
        ({"a": math.nan}, {}, "weight of 'a' is nan"),
        ({"a": 0.5, "b": 0.4}, {}, "weights sum to 0.9; make them sum to 1"),
        ({}, {}, "weights sum to 0"),
        ({"a": 1.0}, {"batch": 10, "hosts": 3}, "must be divisible"),
        ({"a": 1.0}, {"host": 2, "hosts": 2}, "hosts count from 0"),
        ({"a": 1.0}, {"domains": {"a": Numbers(0, 0)}}, "domain 'a' has no records"),
    ],
)
def test_bad_mixture_is_refused(weights, options, message):
    with pytest.raises(DataError, match=message):
        source(weights, **options)


def test_empty_domain_of_weight_zero_is_legal():
    made = source({"a": 1.0, "b": 0.0}, domains={"a": DOMAINS["a"], "b": Numbers(0, 0)})
    assert made[3]["x"].shape == (12,)
    assert made.consumed(3).epochs["b"] == 0


def test_domains_of_different_shapes_are_refused():
    class Other(Numbers):
        def take(self, indices, draws=None):
            return {"x": np.zeros((indices.size, 3), np.int64), "y": np.ones((indices.size, 2))}

    domains = {"a": DOMAINS["a"], "o": Other(0, 10)}
    with pytest.raises(DataError, match="domain 'o': its records differ in 'x'"):
        source({"a": 0.5, "o": 0.5}, domains=domains)[0]


def test_tokens_keep_their_dtype(corpus):
    domains = {name: corpus.train(name, 16) for name in corpus.domains}
    batch = MixtureSource(domains, {"greek": 0.5, "latin": 0.5}, 0, 8)[0]
    assert batch["tokens"].shape == (8, 17) and batch["tokens"].dtype == np.uint16


def test_pools_are_nested_and_chosen_by_seed():
    def read(count, seed=0):
        found = pool(DOMAINS["a"], "a", count, seed)
        assert len(found) == count
        return set(found.take(np.arange(count))["x"].tolist())

    assert len(read(50)) == 50 and read(50) < read(200) < read(700)
    assert read(50) == read(50) != read(50, seed=1)
    assert max(read(50)) > 500  # from everywhere, not from the beginning
    repeated = source({"a": 1.0}, domains={"a": pool(DOMAINS["a"], "a", 24, seed=0)})
    assert set(stream(repeated, 2)) == set(stream(repeated, 6)) == read(24)


STAGES = [(0, {"a": 0.9, "b": 0.1}), (3, {"a": 0.5, "b": 0.3, "c": 0.2}), (7, {"b": 1.0})]


def test_domains_go_on_over_a_change_of_weights():
    made = source(STAGES)
    x = stream(made, 10)
    for name, domain in DOMAINS.items():
        seen, alone = walk(x, domain.start), source({name: 1.0})
        assert seen == stream(alone, 10)[: len(seen)].tolist()  # nothing again, nothing left out
        assert made.consumed(10).records[name] == len(seen)
    first = source(STAGES[0][1])
    assert np.array_equal(x[: 3 * 12], stream(first, 3))
    assert {int(i) // 1000 for i in made[7]["x"]} == {1}
    assert np.array_equal(made[5]["x"], source(STAGES)[5]["x"])
    whole = source([(0, STAGES[0][1]), (36, STAGES[1][1]), (84, STAGES[2][1])], batch=1)
    assert np.array_equal(stream(whole, 120), x)  # whatever the batch
    assert made.nominal(5) == pytest.approx({"a": 3.7 / 5, "b": 0.9 / 5, "c": 0.4 / 5})
    assert made.nominal(0) == made.weights and made.nominal(3) == pytest.approx(made.weights)
    assert made.nominal(14)["b"] == pytest.approx((0.3 + 1.2 + 7) / 14)


def test_a_mixture_after_another_reads_what_is_unread_first():
    first = source({"a": 0.5, "b": 0.3, "c": 0.2})
    again = source({"a": 0.2, "b": 0.3, "c": 0.5}, seed=4, after=(first, 3))
    third = source({"b": 1.0}, seed=5, after=(again, 4))
    x, y, z = stream(first, 3), stream(again, 12), stream(third, 5)
    for name, domain in DOMAINS.items():
        read, fresh = walk(x, domain.start), walk(y, domain.start)
        unread = max(domain.count - len(read), 0)
        assert not set(read) & set(fresh[:unread])
        assert len(set(fresh[:unread])) == min(unread, len(fresh))
        if len(fresh) >= unread + domain.count:  # then everything, once an epoch
            assert len(set(fresh[unread:][: domain.count])) == domain.count
        assert name != "b" or fresh != stream(source({"b": 1.0}, seed=4), 12)[: len(fresh)].tolist()
    known = {*walk(x, 1000), *walk(stream(again, 4), 1000)}
    assert not known & set(z[: 90 - len(known)])  # the chain goes on
    tight = source({"b": 1.0}, after=(first, 3), forbid_repeat=True)
    with pytest.raises(DataError, match="domain 'b' has 79 unread records and 7 steps would need"):
        tight.check(7)
    with pytest.raises(DataError, match="domain 'b' has 9 records and had 90 before"):
        source({"b": 1.0}, domains={"b": Numbers(0, 9)}, after=(first, 3))


def test_bad_stages_and_repeats_in_them_are_refused():
    with pytest.raises(DataError, match=r"stages begin at steps \[0, 4, 4\]; begin at 0 and"):
        source([(0, {"a": 1.0}), (4, {"b": 1.0}), (4, {"c": 1.0})])
    with pytest.raises(DataError, match=r"weights sum to 0\.5"):
        source([(0, {"a": 1.0}), (4, {"b": 0.5})])
    tight = source([(0, {"a": 0.5, "b": 0.5}), (10, {"b": 1.0})], forbid_repeat=True)
    tight.check(12)
    with pytest.raises(DataError, match="domain 'b' has 90 records and 13 steps would need 96"):
        tight.check(13)
