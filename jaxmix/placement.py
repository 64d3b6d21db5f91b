"""Where a model's arrays lie while it is traced: the platform, and the axes of records.

Models are pure functions of arrays and know no devices. What must differ between platforms (kernels
of attention) or meshes (shardings of activations) reads the placement, which whoever compiles a
model sets. A program that is compiled here for another device is therefore the one that runs there.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass

import jax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P


@dataclass(frozen=True)
class Placement:
    """The devices that a model is compiled for.

    Attributes:
        platform: "cpu", "gpu" or "tpu".
        mesh: the mesh over which one model is spread; None if it has a device for itself.
        records: axes of the mesh that share the records of a batch.
        members: whether the model is one of several that are vmapped.
    """

    platform: str
    mesh: Mesh | None = None
    records: tuple[str, ...] = ()
    members: bool = False


_current: contextvars.ContextVar[Placement | None] = contextvars.ContextVar(
    "placement", default=None
)


@contextlib.contextmanager
def placed(placement: Placement) -> Iterator[None]:
    """Models that are traced in this block are for these devices."""
    token = _current.set(placement)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Placement:
    """The placement; without one, a device of the default backend."""
    return _current.get() or Placement(jax.default_backend())


def by_record(x: jax.Array) -> jax.Array:
    """Keeps activations [B, ...] on the devices that hold the batch's records.

    Without it the partitioner may follow the parameters, which are spread over the same devices,
    and keep the whole batch on each of them.
    """
    place = current()
    if place.mesh is None:
        return x
    return jax.lax.with_sharding_constraint(x, NamedSharding(place.mesh, P(place.records)))


def whole(x: jax.Array) -> jax.Array:
    """Gathers a parameter on every device before it is used."""
    place = current()
    if place.mesh is None:
        return x
    return jax.lax.with_sharding_constraint(x, NamedSharding(place.mesh, P()))
