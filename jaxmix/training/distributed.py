"""Groups of processes: one program on the devices of many machines."""

import os

import jax

from jaxmix.errors import JaxmixError


def initialize(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> bool:
    """Joins this process to its group; call it before anything else of JAX.

    Missing arguments are read from ``JAX_COORDINATOR_ADDRESS``, ``JAX_NUM_PROCESSES`` and
    ``JAX_PROCESS_ID``; if these are not set either, there is no group. Under Slurm, Open MPI,
    Kubernetes and on Cloud TPUs, "auto" for the coordinator is enough.

    Args:
        coordinator: host:port of process 0, or "auto".
        processes: number of processes.
        process: index of this process, from 0.

    Returns:
        Whether there is a group.

    Raises:
        JaxmixError: the arguments are incomplete, or "auto" finds no group.

    Example:
        >>> initialize()
        False
    """
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    processes = _number("JAX_NUM_PROCESSES") if processes is None else processes
    process = _number("JAX_PROCESS_ID") if process is None else process
    if coordinator is None:
        if processes is not None or process is not None:
            raise JaxmixError("a group of processes needs a coordinator: host:port, or auto")
        return False
    if coordinator == "auto":
        _auto(processes, process)
    elif processes is None or process is None:
        raise JaxmixError(
            f"coordinator {coordinator}: give the number of processes and the index of this one"
        )
    else:
        if not 0 <= process < processes:
            raise JaxmixError(f"process {process} of {processes}: processes count from 0")
        jax.distributed.initialize(coordinator, processes, process)
    return True


def is_first() -> bool:
    """Whether this process speaks for its group: the first one, or the only one."""
    return jax.process_index() == 0


def _auto(processes: int | None, process: int | None) -> None:
    if os.environ.get("JAX_COORDINATOR_ADDRESS") == "auto":
        del os.environ["JAX_COORDINATOR_ADDRESS"]  # which JAX would use as an address
    try:
        jax.distributed.initialize(num_processes=processes, process_id=process)
    except ValueError as error:  # nothing says where the others are
        raise JaxmixError(
            f"no group of processes found here ({error}); name the coordinator as host:port"
        ) from error


def _number(variable: str) -> int | None:
    text = os.environ.get(variable)
    if text is None:
        return None
    if not text.isdecimal():
        raise JaxmixError(f"{variable}={text} is not a number")
    return int(text)
