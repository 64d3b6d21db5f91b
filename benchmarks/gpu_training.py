"""The sections of bench_train.py that need a GPU: MFU of large models, and fleets of proxies."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
from packing import packing, trained
from pictures import VOCABULARY
from turns import in_turn, summary
from workloads import WORKLOADS, flops_per_token

from jaxmix.models import MultimodalConfig, get_preset
from jaxmix.training import fleet_layout, mfu, peak_flops, single_layout


@dataclass(frozen=True)
class Accelerated:
    """What is measured of a family on a GPU.

    Attributes:
        family: "text", "multimodal" or "vision".
        large: presets of the large models.
        batch: records a step and device of the large models.
        length: of these records, in positions.
        proxy: preset of the proxies.
        lengths: of their records; they have as many a step as on a CPU.
        vocabulary: of the large models.
        members: of the fleet of proxies.
        overrides: of all presets.
    """

    family: str
    large: tuple[str, ...]
    batch: int
    length: int
    proxy: str
    lengths: tuple[int, ...]
    vocabulary: int = 50_432
    members: int = 64
    overrides: Mapping[str, Any] = field(default_factory=lambda: {"compute": "bfloat16"})


def _toy(family: str, proxy: str, lengths: tuple[int, ...]) -> Accelerated:
    overrides = {"compute": "bfloat16", "depth": 1}
    overrides |= {"decoder_depth": 1} if family == "vision" else {}
    large = (2, lengths[0] * 2, proxy, lengths, VOCABULARY, 2, overrides)
    return Accelerated(family, (proxy,), *large)


# Pictures of 224 pixels have 256 patches, to which captions add up to 64 tokens.
PLANS = {
    plan.family: plan
    for plan in (
        Accelerated("text", ("llama-412m",), 32, 1024, "tiny-128", (128, 512)),
        Accelerated("multimodal", ("nmm-275m",), 32, 1024, "nmm-tiny-128", (128, 512)),
        Accelerated("vision", ("lvm-89m", "lvm-157m", "lvm-306m"), 96, 320, "lvm-tiny-128", (32,)),
    )
}
# They show anywhere that the code runs.
TOYS = {
    plan.family: plan
    for plan in (
        _toy("text", "tiny-16", (16,)),
        _toy("multimodal", "nmm-tiny-16", (64,)),
        _toy("vision", "lvm-tiny-16", (32,)),
    )
}


def on_gpu(plan: Accelerated, rounds: int, seconds: float) -> dict[str, Any]:
    """All that is measured of a family."""
    found: dict[str, Any] = {
        "large": [large_model(plan, name, rounds, seconds) for name in plan.large],
        "proxies": [proxies(plan, length, rounds, seconds) for length in plan.lengths],
    }
    if plan.family == "multimodal":
        found["packing"] = packed(plan, rounds, seconds)
    return found


def large_model(plan: Accelerated, preset: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Tokens per second and MFU of one large run over all devices, bfloat16."""
    work, devices = WORKLOADS[plan.family], jax.device_count()
    config = get_preset(preset, plan.vocabulary, plan.length, **plan.overrides)
    model, records = work.model(config), plan.batch * devices
    batch = work.make(config, 1, records, plan.length)
    run = trained(model, batch, plan.length, single_layout(), seconds)
    rates = in_turn({preset: run}, rounds)[preset]
    flops, peak = flops_per_token(model, config, batch, plan.length), peak_flops()
    rate = statistics.median(rates)
    return {
        "preset": preset,
        "devices": devices,
        "batch": records,
        "length": plan.length,
        "n_params_total": model.count().n_params_total,
        "tokens_per_second": rate,
        "rounds": rates,
        "flops_per_token": flops,
        "peak_flops": peak,
        "mfu": mfu(rate, flops, peak and peak * devices),
    }


def packed(plan: Accelerated, rounds: int, seconds: float) -> dict[str, Any]:
    """Packed captions against padded ones in the first of the large models."""
    config = get_preset(plan.large[0], plan.vocabulary, **plan.overrides)
    assert isinstance(config, MultimodalConfig)
    shape = (1, plan.batch * jax.device_count(), plan.length)
    model = WORKLOADS[plan.family].model(config)
    return packing(model, config, single_layout(), shape, rounds, seconds)


def proxies(plan: Accelerated, length: int, rounds: int, seconds: float) -> dict[str, Any]:
    """A fleet against one run at a time, on one device, bfloat16."""
    work = WORKLOADS[plan.family]
    config = get_preset(plan.proxy, VOCABULARY, **plan.overrides)
    model = work.model(config)

    def rate(members: int, layout: Any) -> Any:
        batch = work.make(config, members, length=length)
        return trained(model, batch, length, layout, seconds)

    contestants = {
        "jaxmix single": rate(1, single_layout(devices=1)),
        f"jaxmix fleet of {plan.members}": rate(plan.members, fleet_layout(1)),
    }
    what: dict[str, Any] = {"preset": plan.proxy, "length": length, "batch": work.batch}
    what["n_params_total"] = model.count().n_params_total
    return what | summary(in_turn(contestants, rounds))
