"""Accelerators that programs are compiled for without having one, and what that tells.

A TPU program is compiled by libtpu, a CUDA program by the plugin and XLA's compiler of the
jax-cuda13 packages; both run on a machine without a device.
"""

import contextlib
import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from jaxmix.errors import JaxmixError, clip, hint
from jaxmix.training.program import Program
from jaxmix.training.roofline import Cost, program_cost
from jaxmix.training.sharding import Layout
from jaxmix.training.throughput import PEAKS
from jaxmix.training.types import Fleet, Model


@dataclass(frozen=True)
class Chip:
    """One device as a compiler sees it, from the vendors' data sheets.

    Attributes:
        platform: "tpu" or "gpu".
        memory: bytes of its memory.
        flops: dense bfloat16 FLOP/s.
        bandwidth: bytes per second of its memory.
        links: bytes per second that it gives out to other devices.
        topologies: names of topologies by number of devices.
        config: XLA's description of a GPU.
    """

    platform: str
    memory: float
    flops: float
    bandwidth: float
    links: float
    topologies: Mapping[int, str]
    config: str = ""


_FLAT = {1: "1x1", 4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8"}
_CUBES = {4: "2x2x1", 8: "2x2x2", 16: "2x2x4", 32: "2x4x4", 64: "4x4x4"}
_HOST = {n: f"1x1x{n}" for n in (1, 2, 4, 8)}
_GIB = 2**30


def _hopper(name: str, kind: str, memory: int, bandwidth: int) -> Chip:
    """A GPU of compute capability 9.0, described in the fields that XLA's compiler reads."""
    config = (
        "gpu_device_info { threads_per_block_limit: 1024 threads_per_warp: 32 "
        "shared_memory_per_block: 49152 shared_memory_per_core: 233472 "
        "threads_per_core_limit: 2048 fpus_per_core: 128 block_dim_limit_x: 2147483647 "
        "block_dim_limit_y: 65535 block_dim_limit_z: 65535 l2_cache_size: 52428800 "
        "shared_memory_per_block_optin: 232448 registers_per_core_limit: 65536 "
        "registers_per_block_limit: 65536 core_count: 132 clock_rate_ghz: 1.98 "
        f"memory_bandwidth: {bandwidth} device_memory_size: {memory} "
        'cuda_compute_capability { major: 9 } } platform_name: "CUDA" '
        f'dnn_version_info {{ major: 9 minor: 10 }} device_description_str: "{name}"'
    )
    return Chip("gpu", memory, PEAKS[kind], bandwidth, 450e9, _HOST, config)


CHIPS: dict[str, Chip] = {
    "v4": Chip("tpu", 32 * _GIB, PEAKS["TPU v4"], 1228e9, 300e9, _CUBES),
    "v5e": Chip("tpu", 16 * _GIB, PEAKS["TPU v5e"], 819e9, 200e9, _FLAT),
    "v5p": Chip("tpu", 95 * _GIB, PEAKS["TPU v5p"], 2765e9, 600e9, _CUBES),
    "v6e": Chip("tpu", 32 * _GIB, PEAKS["TPU v6e"], 1640e9, 448e9, _FLAT),
    "h100": _hopper("NVIDIA H100 80GB HBM3", "NVIDIA H100", 85520809984, 3352320000000),
    "h200": _hopper("NVIDIA H200", "NVIDIA H200", 151397597184, 4800000000000),
}
_PACKAGES = {"tpu": "libtpu", "gpu": "jax-cuda13-plugin and jax-cuda13-pjrt"}


@dataclass(frozen=True)
class Target:
    """So many chips of a kind: ``v5e-8``, ``h200``."""

    chip: str
    count: int = 1

    @classmethod
    def named(cls, name: str) -> "Target":
        """The target of a name.

        Raises:
            JaxmixError: there is no such chip, or no topology of so many.

        >>> Target.named("v5e-8")
        Target(chip='v5e', count=8)
        """
        kind, _, count = name.lower().partition("-")
        if kind not in CHIPS:
            raise JaxmixError(f"unknown target '{name}'; {hint(kind, CHIPS)}, as v5e-8 or h200")
        sizes = CHIPS[kind].topologies
        if count and not (count.isdigit() and int(count) in sizes):
            known = ", ".join(f"{kind}-{n}" for n in sizes)
            raise JaxmixError(f"unknown target '{name}'; known: {known}")
        return cls(kind, int(count) if count else min(sizes))

    @property
    def name(self) -> str:
        """Its name, with the number of chips."""
        return f"{self.chip}-{self.count}"

    @property
    def spec(self) -> Chip:
        """The chip."""
        return CHIPS[self.chip]

    def devices(self) -> list[Any]:
        """Devices to compile for.

        Raises:
            JaxmixError: the compiler of the platform is not installed, or not of JAX's version.
        """
        from jax.experimental import topologies

        chip = self.spec
        options = {"target_config": chip.config} if chip.config else {}
        shape = chip.topologies[self.count]
        try:
            if chip.platform == "tpu":
                found = topologies.get_topology_desc(
                    platform="tpu", topology_name=f"{self.chip}:{shape}", **options
                )
            else:
                found = topologies.get_topology_desc(platform="cuda", topology=shape, **options)
        except Exception as error:  # of plugins, which raise errors of many kinds
            raise JaxmixError(
                f"{self.chip}: cannot be compiled for here ({clip(error, 100)}); install "
                f"{_PACKAGES[chip.platform]} of the version that fits JAX {jax.__version__}"
            ) from None
        return list(found.devices)

    def layout(self, fsdp: int | None = None) -> Layout:
        """A layout over all chips: of one run if `fsdp` is given, else of a fleet's members.

        Raises:
            JaxmixError: the compiler is missing, or `fsdp` does not divide the chips.
        """
        if fsdp is not None and self.count % fsdp:
            raise JaxmixError(f"{self.count} devices do not divide into groups of {fsdp}")
        chips, platform, auto = np.array(self.devices()), self.spec.platform, AxisType.Auto
        if fsdp is None:
            return Layout(Mesh(chips, ("fleet",), axis_types=(auto,)), platform=platform)
        mesh = Mesh(chips.reshape(-1, fsdp), ("data", "fsdp"), axis_types=(auto,) * 2)
        return Layout(mesh, platform=platform)


@contextlib.contextmanager
def assumed_cudnn() -> Iterator[None]:
    """Traces cuDNN's attention although neither the library nor a GPU is here."""
    fused = importlib.import_module("jax._src.cudnn.fused_attention_stablehlo")
    answers = {"check_cudnn_version": 91900, "check_compute_capability": True}
    answers |= {"is_cuda_compute_capability_equal": False}
    held = {name: getattr(fused, name) for name in answers if hasattr(fused, name)}
    for name in held:
        setattr(fused, name, lambda *_, answer=answers[name]: answer)
    try:
        yield
    finally:
        for name, function in held.items():
            setattr(fused, name, function)


def _passes(kernels: Mapping[str, float]) -> float:
    """Work of fused attention in a step, of one forward and one backward pass, which is twice."""
    backward = sum(n for name, n in kernels.items() if re.search("[Bb]ackward|dkv|dq", name))
    forward = sum(kernels.values()) - backward
    return (forward / backward + 2) / 3 if backward else 0.0


@dataclass(frozen=True)
class Compiled:
    """A training step, compiled for a target.

    Attributes:
        target: the target.
        state: bytes of parameters and moments on each device.
        peak: most bytes in use on a device during a step.
        cost: what a step does on a device; see `program_cost`.
        attention: FLOPs of fused attention on a device, which the compiled program does not tell.
    """

    target: Target
    state: float
    peak: float
    cost: Cost
    attention: float

    @property
    def room(self) -> float:
        """Bytes that a step leaves on a device, besides a tenth for evaluations and fragments."""
        return 0.9 * self.target.spec.memory - self.peak

    @property
    def fits(self) -> bool:
        """Whether a step's memory fits."""
        return self.room >= 0

    @property
    def seconds(self) -> float:
        """Modeled time of a step; communication runs beside computation."""
        chip = self.target.spec
        computing = self.cost.seconds + self.attention / chip.flops
        return max(computing, sum(self.cost.collectives.values()) / chip.links)

    def mfu(self, flops: float) -> float:
        """Modeled share of the chips' peak that a step of so many FLOPs uses."""
        return flops / (self.target.count * self.target.spec.flops * self.seconds)


def compile_step(
    target: Target,
    model: Model,
    fleet: Fleet,
    batch: Mapping[str, Any],
    fsdp: int | None = None,
    attention: float = 0.0,
) -> Compiled:
    """Compiles a fleet's training step for a target; no array is made.

    Args:
        target: the target.
        model: model of all members.
        fleet: the fleet.
        batch: arrays or shapes of a step's records, [M, B, ...].
        fsdp: number of devices that share the parameters of a single run; None for a fleet.
        attention: FLOPs of attention of a step, all members, forward and backward.

    Raises:
        JaxmixError: the target's compiler is missing, or refuses the program.
    """
    program = Program(model, fleet, target.layout(fsdp))
    try:
        with assumed_cudnn():
            compiled = program.lower(batch).compile()
    except (jax.errors.JaxRuntimeError, NotImplementedError, ValueError) as error:
        used = re.search(r"Used ([\d.]+[GMK]) of ([\d.]+[GMK]) hbm", str(error))
        reason = f"needs {used.group(1)} of {used.group(2)}" if used else clip(error, 160)
        raise JaxmixError(f"{target.name}: does not compile ({reason})") from None
    memory, chip = compiled.memory_analysis(), target.spec
    cost = program_cost(compiled.as_text(), chip.flops, chip.bandwidth)
    opaque = attention / target.count * _passes(cost.opaque)
    held = memory.argument_size_in_bytes
    peak = max(memory.peak_memory_in_bytes, held + memory.temp_size_in_bytes * bool(chip.config))
    return Compiled(target, held, peak, cost, opaque)
