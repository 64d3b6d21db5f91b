"""Losses on fixed held-out records: mean, standard error over records, and bits per byte."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxmix.training.sharding import Layout
from jaxmix.training.step import eval_step
from jaxmix.training.types import Held, Model


@dataclass(frozen=True)
class Measured:
    """The loss of one target.

    Attributes:
        loss: nats per token.
        sem: its standard error over records.
        bits_per_byte: of the text; NaN where bytes are not known.
    """

    loss: float
    sem: float
    bits_per_byte: float


class Evaluator:
    """Held-out records of all targets, cut into equal chunks and kept on the devices.

    Args:
        model: whose losses.
        layout: where members and records lie.
        held: records by target.
        chunk: most records in one call.

    Raises:
        ValueError: no records.
    """

    def __init__(
        self, model: Model, layout: Layout, held: Mapping[str, Held], chunk: int = 64
    ) -> None:
        self._held = dict(held)
        self._sizes = [len(next(iter(h.batch.values()))) for h in held.values()]
        if not held:
            raise ValueError("there are no held-out records to evaluate on")
        parts = [h.batch for h in held.values()]
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        size = _rounded(min(chunk, sum(self._sizes)), layout.record_parts)
        self._chunks = [layout.put_held(c) for c in _chunks(whole, size)]
        over = layout.over_members(eval_step(model), shared=(1,))
        self._run: Callable[..., Any] = jax.jit(over, out_shardings=layout.results)

    def __call__(self, params: Any) -> list[dict[str, Measured]]:
        """Returns the losses of every member, by target; `params` lead with members."""
        found = [self._run(params, chunk) for chunk in self._chunks]
        sums, counts = (
            np.concatenate([np.asarray(getattr(f, name)) for f in found], axis=1)
            for name in ("sums", "counts")
        )
        return [self._by_target(s, c) for s, c in zip(sums, counts, strict=True)]

    def _by_target(self, sums: np.ndarray, counts: np.ndarray) -> dict[str, Measured]:
        ends = np.cumsum(self._sizes)
        slices = [slice(end - size, end) for end, size in zip(ends, self._sizes, strict=True)]
        return {
            name: measure(sums[at], counts[at], held.bytes)
            for at, (name, held) in zip(slices, self._held.items(), strict=True)
        }


def measure(sums: np.ndarray, counts: np.ndarray, text_bytes: int = 0) -> Measured:
    """Mean loss of records and its standard error, the records being a sample of the domain.

    Args:
        sums: [n] nats of each record.
        counts: [n] tokens of each record.
        text_bytes: that all these tokens stand for.
    """
    sums, counts = sums.astype(np.float64), counts.astype(np.float64)
    loss = sums.sum() / counts.sum()
    n = len(sums)
    # The variance of a ratio of means, to first order.
    spread = np.sqrt(np.sum((sums - loss * counts) ** 2) / max(n - 1, 1))
    sem = spread * math.sqrt(n) / counts.sum()
    bits = sums.sum() / math.log(2) / text_bytes if text_bytes else math.nan
    return Measured(float(loss), float(sem), float(bits))


def _chunks(batch: Mapping[str, np.ndarray], size: int) -> list[dict[str, np.ndarray]]:
    """Equal chunks, so that one program serves all; the last record fills up the last chunk."""
    n = len(next(iter(batch.values())))
    index = np.minimum(np.arange(_rounded(n, size)), n - 1).reshape(-1, size)
    return [{name: value[rows] for name, value in batch.items()} for rows in index]


def _rounded(n: int, to: int) -> int:
    return -(-n // to) * to
