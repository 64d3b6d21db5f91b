"""HeldOut-out losses: what they are, how sure, and that chunks and devices do not matter."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmix.training import Evaluator, HeldOut, fleet_layout, measure, single_layout
from tests.training import toys


def test_measure_weighs_tokens_alike():
    found = measure(np.array([2.0, 9.0]), np.array([1.0, 3.0]), text_bytes=10)
    assert found.loss == pytest.approx(11 / 4)
    assert found.bits_per_byte == pytest.approx(11 / math.log(2) / 10)
    assert math.isnan(measure(np.ones(2), np.ones(2)).bits_per_byte)


@pytest.mark.parametrize("equal", [True, False])
def test_sem_is_that_of_a_bootstrap_over_records(equal):
    rng = np.random.default_rng(0)
    n = 200
    counts = np.full(n, 50) if equal else rng.integers(5, 100, n)
    sums = counts * rng.normal(3.0, 0.4, n)
    drawn = rng.integers(0, n, (20_000, n))
    spread = np.std(sums[drawn].sum(1) / counts[drawn].sum(1))
    assert measure(sums, counts).sem == pytest.approx(spread, rel=0.03)
    if equal:
        assert measure(sums, counts).sem == pytest.approx(np.std(sums / 50, ddof=1) / n**0.5)


def test_a_single_record_has_no_spread():
    assert np.isnan(measure(np.array([3.0]), np.array([2.0])).sem)


HELD = {
    "a": HeldOut({"tokens": toys.records(1, 7)}, bytes=500),
    "b": HeldOut({"tokens": toys.records(2, 30)}),
    "c": HeldOut({"tokens": toys.records(3, 1)}),
}


def direct(params, held: HeldOut) -> float:
    found = toys.Toy().losses(params, held.batch)
    return float(found.sums.sum() / found.counts.sum())


@pytest.mark.parametrize("chunk", [5, 64])
@pytest.mark.parametrize("layout", ["one", "fleet", "single"])
def test_chunks_and_devices_do_not_change_losses(chunk, layout):
    lies = {
        "one": fleet_layout(1),
        "fleet": fleet_layout(2, "vmap"),
        "single": single_layout(2),
    }[layout]
    members = 1 if layout == "single" else 2
    params = [toys.Toy().init(jax.random.key(i)) for i in range(members)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
    shardings = lies.state(jax.eval_shape(lambda: stacked))
    found = Evaluator(toys.Toy(), lies, HELD, chunk)(jax.device_put(stacked, shardings))
    for own, measured in zip(params, found, strict=True):
        assert list(measured) == list(HELD)
        for name, held in HELD.items():
            assert measured[name].loss == pytest.approx(direct(own, held), rel=1e-5)
        nats = measured["a"].loss * 7 * toys.LENGTH
        assert measured["a"].bits_per_byte == pytest.approx(nats / math.log(2) / 500)
        assert math.isnan(measured["b"].bits_per_byte)
