"""Rates as measured, and as a share of what the hardware could do."""

import pytest

from jaxmix.training import (
    default_parts,
    fleet_layout,
    fleet_memory,
    measure_rate,
    mfu,
    peak_flops,
    single_layout,
)
from tests.training import toys


@pytest.mark.parametrize(
    ("members", "layout"),
    [(3, None), (3, fleet_layout(2, "vmap")), (1, single_layout(2))],
    ids=["default", "vmap", "fsdp"],
)
def test_a_rate_is_measured(members, layout):
    batch = {"tokens": toys.records(0, members, 8)}
    rate = measure_rate(toys.Toy(), batch, toys.LENGTH, layout, seconds=0.05)
    assert 100 < rate < 1e9


@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("TPU v4", 275e12),
        ("TPU v5 lite", 197e12),
        ("TPU v5p", 459e12),
        ("TPU v6 lite", 918e12),
        ("cpu", None),
        (None, None),
    ],
)
def test_peaks_by_the_name_of_the_device(kind, peak):
    assert peak_flops(kind) == peak


def test_mfu():
    assert mfu(1e6, 1e6, 4e12) == pytest.approx(0.25)
    assert mfu(1e6, 1e6, None) is None


def test_a_fleet_may_take_part_of_the_memory():
    assert 1e8 < fleet_memory() < 1e14


def test_a_cpu_takes_batches_in_parts_of_a_few_hundred_tokens():
    fleet, single = fleet_layout(2), single_layout(1, devices=4)
    assert default_parts(fleet, 16, 128) == 8 and default_parts(fleet, 8, 128) == 4
    assert default_parts(single, 16, 128) == 2 and default_parts(single, 8, 32) == 1
    assert default_parts(fleet, 7, 100) == 1 and default_parts(fleet, 4, 1024) == 4
