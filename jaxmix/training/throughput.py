"""Measured training speed, and the share of the hardware's peak that it uses."""

import os
import time
from collections.abc import Mapping

import jax
import numpy as np

from jaxmix.training.optimizer import OptimizerConfig
from jaxmix.training.program import Program
from jaxmix.training.sharding import Layout, device_memory, fleet_layout, single_layout
from jaxmix.training.types import Fleet, Member, Model

# Dense bfloat16 FLOP/s of one device by the prefix of its name, from the vendors' data sheets. A
# TPU7x chip is two devices.
PEAKS = {
    "NVIDIA H100": 989e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100 NVL": 835e12,
    "NVIDIA H200": 989e12,
    "NVIDIA GH200": 989e12,
    "NVIDIA B200": 2250e12,
    "NVIDIA GB200": 2500e12,
    "NVIDIA A100": 312e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5p": 459e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "TPU7x": 1153.5e12,
}


def fleet_memory() -> float:
    """Bytes that a fleet may use: part of the accelerators' memory, or of the machine's."""
    devices = jax.local_devices()
    if memory := device_memory(devices[0]):
        return 0.6 * memory * len(devices)
    return 0.25 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def default_parts(layout: Layout, batch: int, length: int) -> int:
    """The fastest number of parts of a batch that are computed one after the other.

    It is 1 on accelerators. A CPU is up to twice as fast on parts of about 256 tokens, whose arrays
    fit into its caches; only the order of summation changes.

    Args:
        layout: how records lie on devices.
        batch: number of records per step.
        length: number of tokens of a record.
    """
    if layout.mesh.devices.flat[0].platform != "cpu":
        return 1
    share = batch // layout.record_parts
    fits = [p for p in range(1, share + 1) if share % p == 0 and share // p * length >= 256]
    return max(fits, default=1)


def measure_rate(
    model: Model,
    batch: Mapping[str, np.ndarray],
    length: int,
    layout: Layout | None = None,
    seconds: float = 2.0,
    parts: int | None = None,
) -> float:
    """Trains a fleet on one batch for a while and returns its tokens per second.

    Data, evaluations and compilation are left out.

    Args:
        model: model of the members.
        batch: a batch, arrays [M, B, ...] for M members; in a group of processes, this process's
            share of B.
        length: number of tokens of a record.
        layout: see `train`.
        seconds: duration of the measurement, without compilation.
        parts: number of parts of a batch, one after the other; None for `default_parts`.

    Returns:
        Tokens per second of all members.
    """
    members, share = next(iter(batch.values())).shape[:2]
    layout = layout or (fleet_layout(members) if members > 1 else single_layout())
    records = share * layout.host[1]
    runs = tuple(Member(str(i), i, 1e-4) for i in range(members))
    parts = parts or default_parts(layout, records, length)
    fleet = Fleet(runs, (1,), records * length, OptimizerConfig(1, 0, accumulate=parts))
    steps, taken = _timed(Program(model, fleet, layout), batch, seconds)
    return steps * members * records * length / taken


def _timed(program: Program, batch: Mapping[str, np.ndarray], seconds: float) -> tuple[int, float]:
    """Number of steps and the time that they took, after two that compile and warm up."""
    state = program.init()
    for number in range(2):
        state, metrics = program.step(state, program.place(batch), number)
        jax.block_until_ready(metrics)
    steps, begun = 0, time.monotonic()
    while not steps or time.monotonic() - begun < seconds:
        before = metrics
        state, metrics = program.step(state, program.place(batch), steps)
        jax.block_until_ready(before)  # one step ahead, as in training
        steps += 1
    jax.block_until_ready(state)
    return steps, time.monotonic() - begun


def peak_flops(device_kind: str | None = None) -> float | None:
    """Dense bfloat16 FLOP/s of a device, None if it is not known (for example a CPU).

    Args:
        device_kind: JAX's name of the device; None for this process's first device.

    >>> peak_flops("NVIDIA H100 80GB HBM3")
    989000000000000.0
    """
    kind = device_kind or jax.devices()[0].device_kind
    names = [name for name in PEAKS if kind.startswith(name)]
    return PEAKS[max(names, key=len)] if names else None


def mfu(tokens_per_second: float, flops_per_token: float, peak: float | None) -> float | None:
    """Model FLOPs utilization: the share of the peak that training uses, None if unknown.

    Args:
        tokens_per_second: rate of all devices together.
        flops_per_token: FLOPs of a training step, with causal attention counted as causal.
        peak: FLOP/s of all devices together; None if unknown.

    >>> mfu(1e6, 6e8, 989e12)
    0.60667
    """
    return tokens_per_second * flops_per_token / peak if peak else None
