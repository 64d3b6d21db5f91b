"""How fast pictures are decoded, augmented and cut, beside what fleets of tiny models consume."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from packing import packing, trained
from pictures import KINDS, VOCABULARY, Domains, images, large, opened, pictured
from turns import Rates, in_turn, ratio
from workloads import WORKLOADS, Workload

from jaxmix.data import MixtureSource, TextRows, batches
from jaxmix.models import get_preset
from jaxmix.training import fleet_layout, single_layout

THREADS, TARGET = (1, 2), 3.0  # that read ahead; times what is consumed


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        members: of the fleets.
        widths: of the models that consume.
        depth: of them.
        rounds: in turn.
        seconds: of a measurement.
    """

    members: tuple[int, ...] = (1, 16)
    widths: tuple[int, ...] = (24, 32, 48, 64)
    depth: int = 3
    rounds: int = 3
    seconds: float = 1.0


def even(domains: Domains, members: int, batch: int) -> list[MixtureSource]:
    """Members of a fleet on an even mixture, each with an order of its own."""
    weights = dict.fromkeys(domains, 1 / len(domains))
    return [MixtureSource(domains, weights, seed, batch) for seed in range(members)]


def stream_rate(sources: list[MixtureSource], length: int, threads: int, seconds: float) -> float:
    """Tokens per second of all members."""
    iterator = batches(sources, threads=threads)
    for _ in range(5):  # threads start, and the steps that were read ahead are used up
        next(iterator)
    steps, begun = 0, time.monotonic()
    while not steps or time.monotonic() - begun < seconds:
        next(iterator)
        steps += 1
    taken = time.monotonic() - begun
    return steps * len(sources) * sources[0].batch * length / taken


def cold_rate(work: Workload, grid: Any, threads: int, seconds: float) -> float:
    """Images per second of one member whose pictures are all decoded for the first time."""
    (source,) = even(opened(work.family, grid, work.length), 1, work.batch)
    epoch = int(1 / max(source.consumed(1000).epochs.values()) * 1000)
    count, begun = 0, time.monotonic()
    for batch in batches([source], stop=max(1, epoch), threads=threads):
        count += images(batch, grid)
        if time.monotonic() - begun > seconds:
            break
    return count / (time.monotonic() - begun)


def large_rates(seconds: float) -> dict[str, dict[str, float]]:
    """Pictures of 224 pixels a second, decoded every time, and a second of a core's work."""
    found = {}
    for kind in KINDS:
        iterator, count = batches(even({kind: large(kind)}, 1, 96)), 0
        next(iterator)
        begun, worked = time.monotonic(), time.process_time()
        while not count or time.monotonic() - begun < seconds:
            count += next(iterator)["patches"].shape[1]
        taken, work = time.monotonic() - begun, time.process_time() - worked
        found[kind] = {"images_per_second": count / taken, "per_core": count / work}
    return found


def warm(domains: Domains) -> None:
    """Reads every record with pictures once, so that all are decoded."""
    for records in domains.values():
        if not isinstance(records, TextRows):
            for indices in np.array_split(np.arange(len(records)), 1 + len(records) // 64):
                records.take(indices)


def image_section(family: str, extent: Extent) -> dict[str, Any]:
    """Rates of the pipeline and of its consumers, in turns, and their ratios."""
    work = WORKLOADS[family]
    names = [f"{work.prefix}{width}" for width in extent.widths]
    configs = {name: get_preset(name, VOCABULARY, depth=extent.depth) for name in names}
    grid = configs[names[0]].grid
    cold = {n: cold_rate(work, grid, n, 3 * extent.seconds) for n in THREADS}
    warm(pictured(family, grid, work.length))
    rates = in_turn(pipelines(work, grid, extent) | consumers(work, configs, extent), extent.rounds)
    most = max(extent.members)
    positions = most * work.batch * work.length
    per_token = images(work.make(configs[names[0]], most), grid) / positions
    return {
        "batches": work.origin,
        "images_per_token": per_token,
        "cold_images_per_second": cold,
        "rounds": rates,
        "pipeline": [
            compared(rates, names, per_token, *which) for which in product(extent.members, THREADS)
        ],
    }


def pipelines(work: Workload, grid: Any, extent: Extent) -> dict[str, Callable[[], float]]:
    """The pipeline by members and threads."""
    domains, found = pictured(work.family, grid, work.length), {}
    for members, threads in product(extent.members, THREADS):
        sources = even(domains, members, work.batch)
        run = partial(stream_rate, sources, work.length, threads, extent.seconds)
        found[data_name(members, threads)] = run
    return found


def consumers(
    work: Workload, configs: Mapping[str, Any], extent: Extent
) -> dict[str, Callable[[], float]]:
    """The training of every size by members, on both cores."""
    found = {}
    for (name, config), members in product(configs.items(), extent.members):
        layout = fleet_layout() if members > 1 else single_layout()
        parts = work.model(config), work.make(config, members), work.length, layout, extent.seconds
        found[fleet_name(name, members)] = trained(*parts)
    return found


def data_name(members: int, threads: int) -> str:
    return f"data, {members} members, {threads} threads"


def fleet_name(preset: str, members: int) -> str:
    return f"{preset}, {members} members"


def compared(
    rates: Rates, presets: Sequence[str], per_token: float, members: int, threads: int
) -> dict[str, Any]:
    """A form of the pipeline with its ratios to what fleets as large consume."""
    name = data_name(members, threads)
    tokens = statistics.median(rates[name])
    needs = {preset: fleet_name(preset, members) for preset in presets}
    return {
        "members": members,
        "threads": threads,
        "tokens_per_second": tokens,
        "images_per_second": tokens * per_token,
        "consumed_images": {p: statistics.median(rates[n]) * per_token for p, n in needs.items()},
        "ratios": {preset: ratio(rates, name, one) for preset, one in needs.items()},
    }


def captions(extent: Extent) -> dict[str, Any]:
    """Packed captions beside padded ones, in the largest fleet of the smallest size."""
    work, members = WORKLOADS["multimodal"], max(extent.members)
    config = get_preset(f"{work.prefix}{extent.widths[0]}", VOCABULARY, depth=extent.depth)
    layout = fleet_layout() if members > 1 else single_layout()
    shape = (members, work.batch, work.length)
    return packing(work.model(config), config, layout, shape, extent.rounds, extent.seconds)


def slots(extent: Extent) -> float:
    """Share of a vision record's places for a caption that hold a counted token."""
    work = WORKLOADS["vision"]
    config = get_preset(f"{work.prefix}{extent.widths[0]}", VOCABULARY)
    return float(work.make(config, max(extent.members))["counted"].mean())


def lines(section: dict[str, Any]) -> list[str]:
    """What a section found, to read."""
    cold = ", ".join(f"{n} threads {v:,.0f}" for n, v in section["cold_images_per_second"].items())
    found = [f"{section['batches']}; images/s when decoded for the first time: {cold}"]
    for row in section["pipeline"]:
        ratios = "; ".join(f"{r['median']:.1f} x {p}" for p, r in row["ratios"].items())
        least = min(r["median"] for r in row["ratios"].values())
        what = f"{row['members']:2} members, {row['threads']} threads"
        below = "" if least >= TARGET else f"  BELOW {TARGET:g}"
        found.append(f"{what} {row['images_per_second']:9,.0f} images/s  {ratios}{below}")
    return found
