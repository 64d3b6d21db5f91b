"""Where fits and mixtures are solved in float64: on the devices that have it.

TPUs have no float64; XLA emulates it with 15 to 30 times the work and minutes of compilation.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import jax

T = TypeVar("T")


@contextlib.contextmanager
def float64() -> Iterator[None]:
    """Arrays and programs in this block are of float64, on the CPU if the accelerators are TPUs."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.enable_x64(True))
        if _asked() is None and _platform() == "tpu" and (cpu := _cpu()):
            stack.enter_context(jax.default_device(cpu))
        yield


def solver_devices() -> tuple[Any, ...]:
    """The devices over which solvers spread their jobs.

    They are the default device of the scope, if there is one; else this process's accelerators; or
    the first CPU device alone: that one uses every core, and virtual ones beside it, which trainers
    ask for, can wait for one another's threads forever.
    """
    asked = _asked()
    if asked is not None:
        return tuple(jax.local_devices(backend=asked)[:1] if isinstance(asked, str) else (asked,))
    found = jax.local_devices()
    return tuple(found[:1] if found[0].platform == "cpu" else found)


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_this_scope(call: Callable[[], T]) -> Callable[[], T]:
    """The call with the precision and the device of this thread's scope, for another thread."""
    config: Any = jax.config
    wide, asked = config.jax_enable_x64, _asked()

    def carried() -> T:
        with jax.enable_x64(wide), jax.default_device(asked):
            return call()

    return carried


def place_notes(precision: Literal["float64", "float32"]) -> tuple[str, ...]:
    """What the readers of a fit should know of its precision and device; call it in its scope."""
    devices = solver_devices()
    on = f"{len(devices)} {devices[0].device_kind}"
    if precision == "float32":
        lost = "fitted in float32: the last digits of the objective are lost"
        coarse = f"{lost}; on {on} products are coarser still, and it may be off by .03%"
        return (coarse if devices[0].platform == "tpu" else lost,)
    if devices[0].platform == "cpu" and _platform() != "tpu":
        return ()
    if devices[0].platform == "cpu":
        return ("fitted in float64 on the CPU, because TPUs have no float64",)
    if devices[0].platform == "tpu":
        return (f"fitted in float64 as {on} emulates it, slowly: let JAX_PLATFORMS name cpu, too",)
    return (f"fitted in float64 on {on}",)


def _asked() -> Any:
    """The default device of the scope: a device, the name of a platform, or None."""
    config: Any = jax.config
    return config.jax_default_device


def _platform() -> str:
    return jax.local_devices()[0].platform


def _cpu() -> Any:
    """The first CPU device; None if JAX_PLATFORMS leaves the CPU out."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None
