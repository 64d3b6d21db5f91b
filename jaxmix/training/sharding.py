"""Sharding of arrays: of a fleet by member, of a single run by data and by parameter.

This is the only file that uses meshes; everything else uses a `Layout`.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmix.errors import JaxmixError
from jaxmix.placement import Placement, placed

STACKS = ("blocks", "encoder", "decoder")  # parameters with a leading axis for the layers


@dataclass(frozen=True)
class Layout:
    """A mesh and the shardings of a fleet's arrays on it.

    Attributes:
        mesh: axes ("fleet",), or ("data", "fsdp") for a single run.
        members: whether a device trains its members together ("vmap") or one after the other
            ("map").
        platform: what programs are made for, "cpu", "gpu" or "tpu"; None for the mesh's own.
    """

    mesh: Mesh
    members: Literal["vmap", "map"] = "vmap"
    platform: str | None = None

    @property
    def is_fleet(self) -> bool:
        """Whether members are spread over devices, rather than records and parameters."""
        return "fleet" in self.mesh.axis_names

    @property
    def host(self) -> tuple[int, int]:
        """(index, count) of this process among those of the mesh."""
        spanned = sorted({device.process_index for device in self.mesh.devices.flat})
        return spanned.index(jax.process_index()), len(spanned)

    @property
    def device_memory(self) -> float | None:
        """Bytes of memory of one accelerator; None on a CPU, or if it does not say."""
        return device_memory(self.mesh.local_devices[0])

    @property
    def record_parts(self) -> int:
        """Number of devices over which the records of a batch are spread."""
        return 1 if self.is_fleet else self.mesh.size

    def padded(self, members: int) -> int:
        """Number of members, rounded up to a multiple of the devices."""
        size = self.mesh.shape["fleet"] if self.is_fleet else 1
        return -(-members // size) * size

    def state(self, tree: Any) -> Any:
        """Shardings of a state whose leaves lead with members (scalars are replicated)."""
        return jax.tree_util.tree_map_with_path(self._state, tree)

    def _state(self, path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        if not leaf.shape:
            return NamedSharding(self.mesh, P())
        if self.is_fleet:
            return NamedSharding(self.mesh, P("fleet"))
        # Axis 0 counts members and, in stacked blocks, axis 1 counts layers: neither is cut.
        first = 2 if any(getattr(key, "key", None) in STACKS for key in path) else 1
        spec = fsdp_spec(leaf.shape, self.mesh.shape["fsdp"], first)
        return NamedSharding(self.mesh, spec)

    @property
    def batch(self) -> NamedSharding:
        """Sharding of batches [M, B, ...]."""
        spec = P("fleet") if self.is_fleet else P(None, ("data", "fsdp"))
        return NamedSharding(self.mesh, spec)

    @property
    def heldout(self) -> NamedSharding:
        """Sharding of held-out records [n, ...], which all members share."""
        return NamedSharding(self.mesh, P() if self.is_fleet else P(("data", "fsdp")))

    @property
    def replicated(self) -> NamedSharding:
        """Sharding of arrays that every device holds."""
        return NamedSharding(self.mesh, P())

    @property
    def results(self) -> NamedSharding:
        """Sharding of results by member, [M, ...], which every process reads."""
        return NamedSharding(self.mesh, P("fleet") if self.is_fleet else P())

    def put_batch(self, batch: Any) -> Any:
        """This process's part of a batch, as global arrays.

        Raises:
            JaxmixError: the number of devices does not divide its records.
        """
        records = next(iter(batch.values())).shape[1] * self.host[1]
        if records % self.record_parts:
            raise JaxmixError(
                f"{records} records per step are not divisible by {self.record_parts} devices"
            )
        make = jax.make_array_from_process_local_data
        return {name: make(self.batch, value) for name, value in batch.items()}

    def put_heldout(self, batch: Any) -> Any:
        """Held-out records that every process has, as global arrays."""
        return jax.tree.map(lambda x: put(x, self.heldout), batch)

    def wait(self, where: str) -> None:
        """Waits until all processes of the mesh are here."""
        if self.host[1] > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices(where)

    def largest(self, value: int) -> jax.Array:
        """The largest of the values that the processes of the mesh give, for all of them.

        The devices compute it in turn with the steps; whoever reads it later does not wait.
        """
        spread = NamedSharding(self.mesh, P(self.mesh.axis_names))
        own = np.full(len(self.mesh.local_devices), value, np.int32)
        return _largest(self.replicated)(jax.make_array_from_process_local_data(spread, own))

    @property
    def placement(self) -> Placement:
        """What a model that is traced for this layout is told of its devices."""
        platform = self.platform or self.mesh.devices.flat[0].platform
        if self.is_fleet:
            return Placement(platform, members=self.members == "vmap")
        return Placement(platform, self.mesh, ("data", "fsdp"))

    def _placed(self, one: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            with placed(self.placement):
                return one(*args)

        return run

    def over_members(self, one: Callable[..., Any], shared: tuple[int, ...]) -> Callable[..., Any]:
        """Returns a function of all members.

        Args:
            one: a pure function of one member's arrays.
            shared: indices of arguments that all members share.
        """
        one = self._placed(one)
        if not self.is_fleet:
            return _squeezed(one, shared)
        lead = P("fleet")

        def run(*args: Any) -> Any:
            specs = tuple(P() if i in shared else lead for i in range(len(args)))
            many = _each(one, shared, self.members)
            # Members do not communicate, so there is nothing to check.
            return jax.shard_map(
                many, mesh=self.mesh, in_specs=specs, out_specs=lead, check_vma=False
            )(*args)

        return run


def device_memory(device: Any) -> float | None:
    """Bytes of memory of an accelerator; None of a CPU, or if it does not say."""
    stats = None if device.platform == "cpu" else device.memory_stats()
    return float(stats["bytes_limit"]) if stats and "bytes_limit" in stats else None


@functools.cache
def _largest(replicated: NamedSharding) -> Callable[[jax.Array], jax.Array]:
    return jax.jit(jnp.max, out_shardings=replicated)


def _squeezed(one: Callable[..., Any], shared: tuple[int, ...]) -> Callable[..., Any]:
    """One member without a vmap, which fused attention and FSDP would suffer from."""

    def run(*args: Any) -> Any:
        inner = [a if i in shared else jax.tree.map(lambda x: x[0], a) for i, a in enumerate(args)]
        return jax.tree.map(lambda x: x[None], one(*inner))

    return run


def _each(
    one: Callable[..., Any], shared: tuple[int, ...], members: Literal["vmap", "map"]
) -> Callable[..., Any]:
    """Runs all members of a device together, or one after the other."""

    def run(*args: Any) -> Any:
        if members == "vmap":
            axes = tuple(None if i in shared else 0 for i in range(len(args)))
            return jax.vmap(one, in_axes=axes)(*args)
        own = tuple(a for i, a in enumerate(args) if i not in shared)

        def body(member: tuple[Any, ...]) -> Any:
            rest = iter(member)
            return one(*(a if i in shared else next(rest) for i, a in enumerate(args)))

        return jax.lax.map(body, own)

    return run


def fsdp_spec(shape: tuple[int, ...], size: int, first: int = 0) -> P:
    """Shards the largest axis from `first` on that `size` divides; vectors stay whole.

    >>> tuple(fsdp_spec((1, 512, 1024), 4, first=1))
    (None, None, 'fsdp')
    >>> tuple(fsdp_spec((1, 7), 4, first=1))
    ()
    """
    fits = [i for i in range(first, len(shape)) if shape[i] % size == 0]
    if size == 1 or not fits or len(shape) - first < 2 or int(np.prod(shape)) < 4096:
        return P()
    axis = max(fits, key=lambda i: shape[i])
    return P(*[None] * axis, "fsdp")


def put(array: np.ndarray, sharding: NamedSharding) -> jax.Array:
    """A global array, from one that every process holds as a whole."""
    array = np.asarray(array)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def fleet_layout(
    devices: int | None = None, members: Literal["vmap", "map"] | None = None
) -> Layout:
    """A layout of members over this process's devices.

    Args:
        devices: most devices to use; None for all.
        members: see `Layout`; None for "map" on a CPU, where batched small products run at half the
            speed of single ones, and "vmap" elsewhere.
    """
    chosen = jax.local_devices()[:devices]
    mesh = Mesh(np.array(chosen), ("fleet",), axis_types=(AxisType.Auto,))
    return Layout(mesh, members or ("map" if chosen[0].platform == "cpu" else "vmap"))


def single_layout(fsdp: int = 1, devices: int | None = None) -> Layout:
    """A layout of one run over the devices of all processes.

    Args:
        fsdp: number of devices that share the parameters; records are spread over all devices.
        devices: number of devices, from the first; None for all.

    Raises:
        JaxmixError: `fsdp` does not divide the number of devices.
    """
    chosen = jax.devices()[:devices]
    if fsdp < 1 or len(chosen) % fsdp:
        raise JaxmixError(f"{len(chosen)} devices do not divide into groups of {fsdp}")
    grid = np.array(chosen).reshape(-1, fsdp)
    return Layout(Mesh(grid, ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2))
