"""Costs read from compiled programs, against arithmetic by hand; and targets that are not here."""

import jax
import jax.numpy as jnp
import pytest

from jaxmix.errors import JaxmixError
from jaxmix.training.roofline import program_cost
from jaxmix.training.targets import CHIPS, Target, compile_step
from tests.training import toys

N, TURNS = 64, 7


def compiled(function, *shapes, kind=jnp.float32):
    arrays = [jax.ShapeDtypeStruct(shape, kind) for shape in shapes]
    return jax.jit(function).lower(*arrays).compile().as_text()


def test_products_in_loops_count_as_often_as_they_turn():
    def run(x, w):
        return jax.lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, None, length=TURNS)[0]

    cost = program_cost(compiled(run, (8, N), (N, N)), 1e9, 1e30)
    assert cost.flops == cost.wide == TURNS * 2 * 8 * N * N
    assert cost.seconds == pytest.approx(4 * cost.flops / 1e9)  # float32 at a quarter of the rate


def test_memory_bounds_what_has_no_products():
    cost = program_cost(compiled(lambda x: x + 1, (1024, 1024)), 1e30, 1e9)
    assert cost.flops == 0 and cost.moved == 2 * 4 * 1024**2
    assert cost.seconds == pytest.approx(cost.moved / 1e9)


def test_a_slice_of_a_buffer_counts_alone():
    def run(stack):
        return jax.lax.scan(lambda total, x: (total + x, None), jnp.zeros(N), stack)[0]

    cost = program_cost(compiled(run, (1000, N)), 1e30, 1e9)
    assert cost.moved < 20 * 1000 * N * 4  # and not 1,000 times the whole stack


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v5e-3", "known: v5e-1, v5e-4, v5e-8"),
        ("h20", "nearest: h200"),
        ("", "known: v4, v5e"),
        ("v5e-8x", "known: v5e-1"),
    ],
)
def test_unknown_targets(name, said):
    with pytest.raises(JaxmixError, match=f"unknown target '{name}'.*{said}"):
        Target.named(name)


def test_targets_have_topologies():
    assert Target.named("H200") == Target("h200", 1) and Target.named("v5p") == Target("v5p", 4)
    assert all(chip.topologies and chip.memory > 1e10 for chip in CHIPS.values())


def test_a_compiler_that_is_not_here_is_named(monkeypatch):
    from jax.experimental import topologies

    def refuse(*_, **__):
        raise RuntimeError("no such plugin\nat all")

    monkeypatch.setattr(topologies, "get_topology_desc", refuse)
    batch = {"tokens": toys.records(0, 1, 8)}
    with pytest.raises(JaxmixError, match=r"v5e: cannot be compiled .*install libtpu of"):
        compile_step(Target("v5e", 1), toys.Toy(), toys.fleet(1, (2,)), batch, fsdp=1)
