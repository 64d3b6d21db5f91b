"""How programs are compiled that run seldom: compiling them costs more than running them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
from jax.core import Tracer

from jaxmix.fitting.precision import solver_devices

# On CPUs. Without the fusion emitters of JAX 0.10 programs compile in half the time and those of
# mixtures run as fast; LLVM's optimizations take most of the other half. JAX 0.12 has no such
# emitters, and refuses an option that it does not know.
_EVEN: dict[str, Any] = (
    {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {}
)
_QUICK = {**_EVEN, "xla_backend_optimization_level": 0}


def compile_quickly(*, optimize: bool = False, **static: Any) -> Callable[..., Any]:
    """Decorates a function like ``jax.jit``, for programs that take longer to compile than to run.

    On CPUs they compile in a fifth of the time and run two to ten times slower. Called while
    another function is traced they are a part of its program, like any other.

    Args:
        optimize: leave out only what takes long and gains nothing, for programs that run for long.
        **static: options of ``jax.jit``, such as ``static_argnames``.
    """
    options = _EVEN if optimize else _QUICK

    def decorate(function: Callable[..., Any]) -> Any:
        usual = jax.jit(function, **static)
        quick = jax.jit(function, compiler_options=options, **static)

        @wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            return (quick if _alone(args, named) else usual)(*args, **named)

        call.lower = usual.lower  # type: ignore[attr-defined]
        return call

    return decorate


def _alone(*given: Any) -> bool:
    """Whether a call is a program of its own, on a CPU."""
    traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(given))
    return not traced and solver_devices()[0].platform == "cpu"
