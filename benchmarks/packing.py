"""Captioned pictures packed into rows, beside one a row with padding behind it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from pictures import CAPTIONED, pictured
from turns import in_turn, ratio

from jaxmix.data import MixtureSource, PackedRows, batches
from jaxmix.models import Model, MultimodalConfig
from jaxmix.training import Layout, measure_rate


def packing(
    model: Model,
    config: MultimodalConfig,
    layout: Layout,
    shape: tuple[int, int, int],
    rounds: int,
    seconds: float,
) -> dict[str, Any]:
    """Shares of the positions that count, and the rates at which those are trained on.

    Args:
        model: early fusion.
        config: of the model.
        layout: of the fleet.
        shape: members, rows of a step and positions of a row; padded rows, which are shorter, take
            as many positions a step or a few less.
        rounds: of measurements in turn.
        seconds: of a measurement.
    """
    members, batch, length = shape
    packed = pictured("multimodal", config.grid, length)[CAPTIONED]
    assert isinstance(packed, PackedRows)
    found: dict[str, Any] = {}
    contestants: dict[str, Callable[[], float]] = {}
    for name, rows in {"packed": packed, "padded": padded(packed)}.items():
        # Multiples of 8 divide over devices, and into parts that fit a CPU's caches.
        number = max(8, batch * length // rows.length // 8 * 8)
        made = one_batch(rows, members, number)
        found[name] = {"rows": number, "length": rows.length, **shares(rows)}
        contestants[name] = trained(model, made, rows.length, layout, seconds)
    rates = in_turn(contestants, rounds)
    for name, values in rates.items():
        found[name]["tokens_per_second"] = values
        rates[name] = [value * found[name]["counted"] for value in values]
        found[name]["counted_per_second"] = rates[name]
    return found | {"counted, packed / padded": ratio(rates, "packed", "padded")}


def padded(packed: PackedRows) -> PackedRows:
    """One piece a row, in rows that are just long enough for the longest."""
    pieces = [piece for row in packed.rows for piece in row]
    longest = max(piece.positions for piece in pieces)
    return dataclasses.replace(packed, rows=tuple((one,) for one in pieces), length=longest)


def shares(rows: PackedRows) -> dict[str, float]:
    """Shares of all positions that hold a token or a patch, and at which the loss counts."""
    pieces = [piece for row in rows.rows for piece in row]
    text = sum(part.size for piece in pieces for part in piece.parts if not part.is_picture)
    unasked = sum(not piece.parts[0].is_picture for piece in pieces)  # a first token has no loss
    positions = len(rows) * rows.length
    return {"used": 1 - rows.waste, "counted": (text - unasked) / positions}


def one_batch(rows: PackedRows, members: int, number: int) -> dict[str, np.ndarray]:
    """Of a fleet that trains on these rows alone."""
    domains, weights = {CAPTIONED: rows}, {CAPTIONED: 1.0}
    sources = [MixtureSource(domains, weights, seed, number) for seed in range(members)]
    return next(batches(sources, threads=0))


def trained(
    model: Model, batch: dict[str, np.ndarray], length: int, layout: Layout, seconds: float
) -> Callable[[], float]:
    """A contestant."""
    return lambda: measure_rate(model, batch, length, layout, seconds=seconds)
