"""Ye et al.'s law for a validation set whose domains nobody named: ``ye-implicit-S``.

Their loss of such a set is a sum over S implicit domains (arXiv 2403.16952), each following M4, and
with shares pi_s that are fitted too: L(h) = sum_s pi_s [c_s + k_s exp(sum_j t_sj h_j)]. Losses tell
sum_s pi_s c_s and each product pi_s k_s, and nothing finer, so these are the parameters: E and C_1
to C_S. The functions are the same, without 2 S - 2 parameters that no data could settle.
"""

import functools
import re
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jaxmix.errors import JaxmixError
from jaxmix.laws.law import WEIGHTS, Array, Inputs, Law, Parameter, Params, Scales
from jaxmix.laws.terms import start_amplitude, start_floor

FAMILY = "ye-implicit-S"
FORMULA = "E + sum_s C_s exp(sum_i gamma_s,i h_i)"
SOURCE = "Ye et al. 2024, mixture law with S implicit domains fitted end to end"
MOST = 30  # domains: as many as Ye et al. use
_NAME = re.compile(r"ye-implicit-(\d+)")


@dataclass(frozen=True)
class _Sum:
    """The loss for S implicit domains; alike where S is."""

    count: int

    def __call__(self, p: Params, x: Inputs) -> Array:
        parts = [
            p[f"C_{s}"] * jnp.exp(jnp.sum(p[f"gamma_{s}"] * x["weights"], -1))
            for s in range(1, self.count + 1)
        ]
        return p["E"] + functools.reduce(jnp.add, parts)


@dataclass(frozen=True)
class _Start:
    count: int

    def __call__(self, u: Params, scales: Scales, k: int) -> Params:
        found = {"E": start_floor(u["E"], scales)}
        for s in range(1, self.count + 1):
            found[f"C_{s}"] = start_amplitude(u[f"C_{s}"], scales) / self.count
            found[f"gamma_{s}"] = 3.0 * jax.scipy.special.ndtri(u[f"gamma_{s}"])
        return found


def implicit_domains(count: int) -> Law:
    """M4 summed over implicit domains; with one it is M4.

    Args:
        count: S, from 1 to 30.

    Raises:
        JaxmixError: S is out of that range.

    Example:
        >>> law = implicit_domains(2)
        >>> law.name, law.count(k=3), [p.name for p in law.parameters]
        ('ye-implicit-2', 9, ['E', 'C_1', 'gamma_1', 'C_2', 'gamma_2'])
    """
    if not 1 <= count <= MOST:
        raise JaxmixError(
            f"{FAMILY}: S is the number of implicit domains, 1 to {MOST}, not {count}"
        )
    parameters = [Parameter("E")]
    for s in range(1, count + 1):
        parameters += [Parameter(f"C_{s}"), Parameter(f"gamma_{s}", "domain", "real")]
    return Law(
        f"ye-implicit-{count}",
        tuple(parameters),
        _Sum(count),
        start=_Start(count),
        inputs=(WEIGHTS,),
        convex=lambda p: None,  # sums of exponentials with C > 0
        formula=FORMULA.replace("sum_s", f"sum_s<={count}"),
        source=SOURCE,
    )


def find_implicit(name: str) -> Law | None:
    """The law that ``ye-implicit-3`` names; None for a name of another form.

    Raises:
        JaxmixError: S is out of range.
    """
    found = _NAME.fullmatch(name)
    return implicit_domains(int(found[1])) if found else None
