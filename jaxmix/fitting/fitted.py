"""A fitted law: a law, its parameters in natural units, and what is known about the fit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.laws import Law

Array = jax.Array


@dataclass(frozen=True)
class DataRange:
    """What a law was fitted on: the edges beyond which it extrapolates.

    Attributes:
        n_params: smallest and largest N of the rows.
        tokens: smallest and largest D of the rows.
        mixtures: the distinct mixtures that were run, [u, k].
    """

    n_params: tuple[float, float]
    tokens: tuple[float, float]
    mixtures: np.ndarray


@dataclass(frozen=True)
class FitReport:
    """How one fit ended.

    Attributes:
        objective: eq. (6) at the parameters, in the units of ``residual``.
        gradient_norm: largest absolute entry of its gradient in working parameters.
        rows: rows used.
        restarts: starts that were run.
        agreeing: how many of them ended within 1% of the best objective.
        at_bound: labels of parameters that ended at the edge of their range.
        condition: ratio of the largest to the smallest eigenvalue of the Gauss-Newton matrix of
            the scaled working parameters; above about 1e12 some parameters are not identified.
        delta: Huber threshold.
        residual: ``"loss"`` or ``"log"``.
        solver: name of the solver.
        train_mre: mean relative error on the rows fitted, percent.
        held_out_mre: the same on rows that took no part, NaN where none were given.
        held_out_rows: how many those were.
        notes: everything else a reader should know, one sentence each.
    """

    objective: float
    gradient_norm: float
    rows: int
    restarts: int
    agreeing: int
    at_bound: tuple[str, ...] = ()
    condition: float = float("nan")
    delta: float = 1e-3
    residual: str = "loss"
    solver: str = ""
    train_mre: float = float("nan")
    held_out_mre: float = float("nan")
    held_out_rows: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FittedLaw:
    """One law fitted to one target.

    Attributes:
        law: the law.
        target: bare name of the target loss.
        domains: bare names of the training domains, the order of every weight vector.
        params: natural parameters; scalars as 0-d and per-domain ones as [k] float64 arrays.
        data: ranges of the rows it was fitted on.
        report: how the fit ended.
    """

    law: Law
    target: str
    domains: tuple[str, ...]
    params: dict[str, np.ndarray]
    data: DataRange
    report: FitReport

    @property
    def own_domain(self) -> int | None:
        """Index of the domain that the target is, for laws that see only its weight."""
        return self.domains.index(self.target) if self.law.own_weight else None

    def with_report(self, **changes: Any) -> "FittedLaw":
        """The same law with fields of its report replaced."""
        return replace(self, report=replace(self.report, **changes))

    def loss(self, n_params: Any, tokens: Any, weights: Any, unique: Any = None) -> Array:
        """Predicted loss as a pure JAX function in the ambient precision.

        Args:
            n_params: N, any shape that broadcasts with ``tokens``; ``inf`` is the limit.
            tokens: D.
            weights: [..., k] in the order of ``domains``.
            unique: [..., k] unique tokens available, for a law that knows repetition; without
                them nothing repeats. Laws that do not look at them take no notice.
        """
        return stack([self]).losses(n_params, tokens, weights, unique)[0]

    def predict(self, n_params: Any, tokens: Any, weights: Any, unique: Any = None) -> np.ndarray:
        """Predicted loss in float64, whatever the global precision; arguments as for ``loss``."""
        with jax.enable_x64(True):
            points = [n_params, tokens, weights, *([] if unique is None else [unique])]
            return np.asarray(self.loss(*(jnp.asarray(x, jnp.float64) for x in points)))


@partial(jax.tree_util.register_dataclass, data_fields=["params", "own"], meta_fields=["law"])
@dataclass(frozen=True)
class StackedLaws:
    """One law fitted to m targets as arrays: what batched code and derivatives run on.

    Attributes:
        params: natural parameters with a leading axis m.
        own: [m] index of each target's own domain, or None.
        law: the law (static).
    """

    params: dict[str, Array]
    own: Array | None
    law: Law

    def losses(self, n_params: Any, tokens: Any, weights: Any, unique: Any = None) -> Array:
        """Predicted losses [m, ...] at N, D [...], weights and unique tokens [..., k]."""
        weights = jnp.asarray(weights)
        # A law that does not look at N, D or h still answers once per point.
        points = (jnp.shape(n_params), jnp.shape(tokens), weights.shape[:-1])
        shape = jnp.broadcast_shapes(*points)
        given = {} if unique is None or "unique" not in self.law.uses else {"unique": unique}

        def one(params: dict[str, Array], own: Array | None) -> Array:
            seen = weights if own is None else jnp.take(weights, own[None], axis=-1)
            return jnp.broadcast_to(
                self.law.loss({**params, **given}, n_params, tokens, seen), shape
            )

        return jax.vmap(one, in_axes=(0, None if self.own is None else 0))(self.params, self.own)


def stack(laws: Sequence[FittedLaw]) -> StackedLaws:
    """Fits of one law over the same domains as one pytree, targets in the order given.

    Raises:
        JaxmixError: different laws or domains.
    """
    first = laws[0]
    if any(f.law != first.law or f.domains != first.domains for f in laws):
        raise JaxmixError("stack needs fits of one law over the same domains")
    params = {
        p.name: jnp.stack([jnp.asarray(f.params[p.name]) for f in laws])
        for p in first.law.parameters
    }
    own = [f.own_domain for f in laws]
    return StackedLaws(params, None if None in own else jnp.asarray(own), first.law)
