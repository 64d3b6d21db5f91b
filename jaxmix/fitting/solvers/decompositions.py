"""LAPACK in lanes: on a CPU, matrices of a batch are decomposed one after the other.

For a batch, LAPACK's calls hand parts to XLA's pool of threads and wait for them inside that pool.
If as many programs do so at a time as the pool has threads, they wait for one another for ever
(seen with jaxlib 0.10.2, two threads and two cores). The matrices are small, so nothing is lost.
"""

from collections.abc import Callable
from typing import Any

import jax


def one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function; under ``vmap``, a CPU runs it for one element of the batch after the other."""
    alone = jax.custom_batching.sequential_vmap(function)

    def run(*arrays: jax.Array) -> Any:
        return jax.lax.platform_dependent(*arrays, cpu=alone, default=function)

    return run
