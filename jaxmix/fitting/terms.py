"""A law's loss in two parts: terms of the mixture, and a function of those and of a row's inputs.

A loss such as ``E + bias(h) + A(h) / N^alpha`` sees the mixture and the parameters through a few
numbers: E + bias(h), log A(h) and alpha. They are read off the traced program of the loss.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.extend import core

from jaxmix.laws import Inputs, Law, Params

Array = jax.Array


class Terms(NamedTuple):
    """A loss in two parts.

    Attributes:
        of_mixture: from parameters and the inputs of a mixture to the terms, scalars that depend
            on parameters, and to values that do not and that rows read, too.
        of_row: from these two and the other inputs of a row to its loss.
        reads: for each term, the names of the parameters on which it depends.
    """

    of_mixture: Callable[[Params, Inputs], tuple[tuple[Array, ...], tuple[Array, ...]]]
    of_row: Callable[[tuple[Array, ...], tuple[Array, ...], Inputs], Array]
    reads: tuple[frozenset[str], ...]


def find_terms(law: Law, params: Params, mixture: Inputs, row: Inputs) -> Terms | None:
    """The terms of a law; None if one of them is an array, such as one number for each domain.

    Args:
        law: the law.
        params: its parameters; their shapes and precision matter, as of the following.
        mixture: the inputs of one row that are equal in all rows of its mixture.
        row: the other inputs of that row.
    """
    closed = jax.make_jaxpr(lambda p, m, r: law.loss(p, {**m, **r}))(params, mixture, row)
    program = closed.jaxpr
    count = len(params) + len(mixture)
    given, own = program.invars[:count], program.invars[count:]
    names = dict(zip(given, sorted(params), strict=False))
    depends = {v: frozenset([names[v]] if v in names else []) for v in given}
    depends |= dict.fromkeys(program.constvars, frozenset())
    early, late = [], []
    for step in program.eqns:
        read = [v for v in step.invars if isinstance(v, core.Var)]
        of_mixture_alone = all(v in depends for v in read)
        (early if of_mixture_alone else late).append(step)
        if of_mixture_alone:
            found = frozenset[str]().union(*(depends[v] for v in read))
            depends |= dict.fromkeys(step.outvars, found)
    read = [v for step in late for v in step.invars] + program.outvars
    cut = list(dict.fromkeys(v for v in read if isinstance(v, core.Var) and v in depends))
    terms, values = ([v for v in cut if bool(depends[v]) is wanted] for wanted in (True, False))
    kind = jax.numpy.result_type(*params.values())
    if any((v.aval.shape, v.aval.dtype) != ((), kind) for v in terms):  # pyright: ignore
        return None

    def part(steps: list[Any], reads: list[Any], makes: list[Any]) -> Callable[..., Any]:
        some = program.replace(eqns=steps, invars=reads, outvars=makes)
        return core.jaxpr_as_fun(closed.replace(jaxpr=some))

    first = part(early, given, terms + values)
    second = part(late, terms + values + own, program.outvars)

    def of_mixture(params: Params, mixture: Inputs) -> Any:
        found = first(*jax.tree.leaves((params, mixture)))
        return tuple(found[: len(terms)]), tuple(found[len(terms) :])

    def of_row(terms: tuple[Array, ...], values: tuple[Array, ...], row: Inputs) -> Array:
        return second(*terms, *values, *jax.tree.leaves(row))[0]

    return Terms(of_mixture, of_row, tuple(depends[v] for v in terms))
