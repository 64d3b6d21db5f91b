"""One run over many devices: data parallel and FSDP train as one device does."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxmix.models import get_preset, vision_model
from jaxmix.training import fleet_layout, single_layout, train
from jaxmix.training.program import Program
from jaxmix.training.sharding import fsdp_spec
from tests.training import toys

SOURCE = {"vocabulary": 64, "length": 8}


def trained(folder, model, layout, **optimizer) -> np.ndarray:
    fleet = toys.fleet(1, (2, 4), rates=(0.01,), **optimizer)
    outcome = train(model, fleet, toys.feed(1, batch=16, **SOURCE), folder, layout=layout)
    names = ("train_loss", "loss_a", "loss_b", "sem_a")
    return np.array([[row[n] for n in names] for row in outcome.rows])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return trained(folder, toys.transformer(), single_layout(devices=1))


@pytest.mark.slow
@pytest.mark.parametrize("fsdp", [1, 2, 8])
def test_many_devices_train_a_transformer_as_one(tmp_path, plain, fsdp):
    found = trained(tmp_path, toys.transformer(), single_layout(fsdp))
    np.testing.assert_allclose(found, plain, rtol=2e-4)


@pytest.fixture(scope="module")
def plain_toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain_toy")
    return trained(folder, toys.Toy(64), single_layout(devices=1))


@pytest.mark.parametrize("fsdp", [1, 2, 8])
def test_many_devices_train_as_one(tmp_path, plain_toy, fsdp):
    found = trained(tmp_path, toys.Toy(64), single_layout(fsdp))
    np.testing.assert_allclose(found, plain_toy, rtol=1e-5)


def test_accumulation_over_many_devices(tmp_path, plain_toy):
    found = trained(tmp_path, toys.Toy(64), single_layout(2), accumulate=2)
    np.testing.assert_allclose(found, plain_toy, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [toys.transformer(remat="full"), toys.transformer(remat="dots", scan=False)],
    ids=["full-scan", "dots-unrolled"],
)
def test_accumulation_and_remat_over_many_devices(tmp_path, plain, model):
    found = trained(tmp_path, model, single_layout(2), accumulate=2)
    np.testing.assert_allclose(found, plain, rtol=2e-4)


def test_parameters_and_moments_are_cut_over_fsdp_devices():
    program = Program(toys.transformer(), toys.fleet(1), single_layout(4))
    state = program.init()
    whole, ours = 0, 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        part = leaf.addressable_shards[0].data
        whole, ours = whole + leaf.size, ours + part.size
        if leaf.size >= 4096:
            assert part.size == leaf.size // 4, path
            # Neither members nor layers are cut: scan takes whole layers.
            layered = any(getattr(key, "key", None) == "blocks" for key in path)
            assert part.shape[: 1 + layered] == leaf.shape[: 1 + layered], path
    assert ours < 0.3 * whole


def test_layers_of_a_vision_model_are_not_cut():
    settings = {"width": 252, "heads": 6, "decoder_width": 250, "decoder_heads": 5}
    config = get_preset("lvm-gpu-256", 257, **settings, depth=4, decoder_depth=4)
    program = Program(vision_model(config), toys.fleet(1), single_layout(4))
    params = program.shardings.params
    for stack in ("encoder", "decoder"):
        for found in jax.tree.leaves(params[stack]):
            assert all(axis is None for axis in found.spec[:2]), found


def test_a_step_keeps_its_arrays_where_they_are():
    program = Program(toys.Toy(64), toys.fleet(1), single_layout(2))
    batch = {"tokens": toys.records(0, 1, 8, **SOURCE)}
    before = program.init()
    lying = jax.tree.map(lambda x: x.sharding, before)
    after, metrics = program.step(before, program.place(batch), 0)
    assert jax.tree.map(lambda x: x.sharding, after) == lying
    assert metrics.loss.is_fully_replicated


def test_fsdp_spec_cuts_the_largest_axis_that_divides():
    assert fsdp_spec((1, 2, 64, 96), 8, first=2) == P(None, None, None, "fsdp")
    assert fsdp_spec((1, 2, 64, 97), 8, first=2) == P(None, None, "fsdp")
    assert fsdp_spec((1, 8, 63, 97), 8, first=2) == P()
    assert fsdp_spec((1, 64, 64), 1, first=1) == P()


@pytest.mark.parametrize("fsdp", [0, 3, 16])
def test_devices_that_do_not_divide_are_refused(fsdp):
    with pytest.raises(ValueError, match=f"8 devices do not divide into groups of {fsdp}"):
        single_layout(fsdp)


def test_records_that_do_not_divide_over_devices_are_refused(tmp_path):
    with pytest.raises(ValueError, match="6 records per step are not divisible by 8 devices"):
        train(toys.Toy(), toys.fleet(1), toys.feed(1, batch=6), tmp_path, layout=single_layout())


def test_layouts_know_their_processes():
    assert single_layout(2).host == fleet_layout().host == (0, 1)
    assert single_layout(2).record_parts == 8
    assert single_layout(devices=2).mesh.size == 2
