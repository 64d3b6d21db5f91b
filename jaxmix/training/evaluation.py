"""Losses on fixed held-out records: mean, standard error over records, and bits per byte."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.extend.core import jaxprs_in_params

from jaxmix.errors import JaxmixError
from jaxmix.placement import placed
from jaxmix.training.sharding import Layout
from jaxmix.training.types import Batch, HeldOut, Losses, Model, Params


@dataclass(frozen=True)
class Measured:
    """The loss of one target.

    Attributes:
        loss: nats per token.
        sem: its standard error over records; NaN if there is only one.
        bits_per_byte: the loss in bits per byte of text; NaN if the bytes are unknown.
        parts: means of the components of the loss, by name.
    """

    loss: float
    sem: float
    bits_per_byte: float
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Judge:
    """What is computed for records: a `Model` whose losses may be any arrays [B]."""

    init: Callable[[jax.Array], Params]
    losses: Callable[[Params, Batch], Any]


class OverRecords:
    """Fixed records, cut into equal chunks and kept on the devices.

    Args:
        model: its `losses` are computed for every record.
        layout: how members and records lie on devices.
        batch: arrays of the records, [n, ...].
        chunk: most records in one call; None for 64, or for what fits on an accelerator.
        members: number of members, padding included.
    """

    def __init__(
        self,
        model: Model | Judge,
        layout: Layout,
        batch: Mapping[str, np.ndarray],
        chunk: int | None = None,
        members: int = 1,
    ) -> None:
        self._count = len(next(iter(batch.values())))
        if chunk is None:
            record = {name: x[:1] for name, x in batch.items()}
            chunk = fitting_chunk(model, layout, record, members, layout.device_memory)
        size = _rounded(min(chunk, self._count), layout.record_parts)
        self._chunks = [layout.put_heldout(c) for c in _chunks(batch, size)]
        over = layout.over_members(model.losses, shared=(1,))
        self._run: Callable[..., Any] = jax.jit(over, out_shardings=layout.results)

    def __call__(self, params: Any) -> list[Any]:
        """Returns the arrays of every member, [n] each; `params` lead with members."""
        found = [jax.tree.map(np.asarray, self._run(params, chunk)) for chunk in self._chunks]
        whole = jax.tree.map(lambda *chunks: np.concatenate(chunks, 1)[:, : self._count], *found)
        members = len(jax.tree.leaves(whole)[0])
        return [jax.tree.map(lambda x, i=i: x[i], whole) for i in range(members)]


class Evaluator:
    """Losses on the held-out records of all targets.

    Args:
        model: the model.
        layout: how members and records lie on devices.
        heldout: records by target.
        chunk: as of `OverRecords`.
        members: number of members, padding included.

    Raises:
        JaxmixError: there are no records.
    """

    def __init__(
        self,
        model: Model,
        layout: Layout,
        heldout: Mapping[str, HeldOut],
        chunk: int | None = None,
        members: int = 1,
    ) -> None:
        self._heldout = dict(heldout)
        self._sizes = [len(next(iter(one.batch.values()))) for one in heldout.values()]
        if not heldout:
            raise JaxmixError("there are no held-out records to evaluate on")
        parts = [one.batch for one in heldout.values()]
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        self._losses = OverRecords(model, layout, whole, chunk, members)

    def __call__(self, params: Any) -> list[dict[str, Measured]]:
        """Returns the losses of every member, by target; `params` lead with members."""
        return [self._by_target(losses) for losses in self._losses(params)]

    def _by_target(self, losses: Losses) -> dict[str, Measured]:
        """Measures the losses of one member, arrays over all records, by target."""
        found, start = {}, 0
        for (name, held), size in zip(self._heldout.items(), self._sizes, strict=True):
            of: Any = jax.tree.map(lambda x, at=slice(start, start + size): x[at], losses)
            found[name] = measure(of.sums, of.counts, held.bytes, of.parts)
            start += size
        return found


def fitting_chunk(
    model: Model | Judge,
    layout: Layout,
    record: Mapping[str, Any],
    members: int,
    memory: float | None,
    most: int = 64,
) -> int:
    """Records of one call: those whose largest arrays fill a tenth of a device's memory.

    A device evaluates all its members together, and a few arrays of the size of the largest one,
    usually float32 logits, are alive at once.

    Args:
        model: the model.
        layout: how members and records lie on devices.
        record: arrays or shapes of one record, [1, ...].
        members: number of members.
        memory: bytes of a device's memory; None if it is not scarce.
        most: most records.
    """
    if memory is None:
        return most
    params = jax.eval_shape(model.init, jax.random.key(0))
    with placed(layout.placement):
        few, more = (_array_sizes(model, params, record, n) for n in (2, 3))
    each = max(b - a for a, b in zip(few, more, strict=True))  # parameters do not grow
    own = -(-members // (layout.mesh.size if layout.is_fleet else 1))
    fits = 0.1 * memory / (3 * each * own) * layout.record_parts
    return max(1, min(most, int(fits)))


def _array_sizes(
    model: Model | Judge, params: Any, record: Mapping[str, Any], count: int
) -> list[int]:
    """Bytes of every array that the losses of so many records make."""
    batch = {
        name: jax.ShapeDtypeStruct((count, *x.shape[1:]), x.dtype) for name, x in record.items()
    }
    return list(_sizes(jax.make_jaxpr(model.losses)(params, batch).jaxpr))


def _sizes(jaxpr: Any) -> Iterator[int]:
    for eqn in jaxpr.eqns:
        shaped = (v.aval for v in eqn.outvars if hasattr(v.aval, "shape"))
        yield from (aval.size * aval.dtype.itemsize for aval in shaped)
        for inner in jaxprs_in_params(eqn.params):
            yield from _sizes(inner)


def measure(
    sums: np.ndarray,
    counts: np.ndarray,
    text_bytes: int = 0,
    parts: Mapping[str, np.ndarray] | None = None,
) -> Measured:
    """Mean loss of records and its standard error; the records are a sample of the domain.

    Args:
        sums: nats of each record, [n].
        counts: number of tokens of each record, [n].
        text_bytes: bytes of text behind all these tokens; 0 if unknown.
        parts: sums of the components of the loss by name, [n] each.
    """
    sums, counts = sums.astype(np.float64), counts.astype(np.float64)
    loss = sums.sum() / counts.sum()
    n = len(sums)
    # The variance of a ratio of means to first order.
    spread = np.sqrt(np.sum((sums - loss * counts) ** 2) / (n - 1)) if n > 1 else math.nan
    sem = spread * math.sqrt(n) / counts.sum()
    bits = sums.sum() / math.log(2) / text_bytes if text_bytes else math.nan
    means = {name: float(part.sum() / counts.sum()) for name, part in (parts or {}).items()}
    return Measured(float(loss), float(sem), float(bits), means)


def _chunks(batch: Mapping[str, np.ndarray], size: int) -> list[dict[str, np.ndarray]]:
    """Equal chunks, so that one program runs all; the last chunk is filled with the last record."""
    n = len(next(iter(batch.values())))
    index = np.minimum(np.arange(_rounded(n, size)), n - 1).reshape(-1, size)
    return [{name: value[rows] for name, value in batch.items()} for rows in index]


def _rounded(n: int, to: int) -> int:
    return -(-n // to) * to
