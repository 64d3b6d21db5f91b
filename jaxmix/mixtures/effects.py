"""What each domain does to each target: the slope of the loss, with intervals from refits."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.fitted import FittedLaw, StackedLaws, stack
from jaxmix.fitting.uncertainty.ensemble import Ensemble, interval
from jaxmix.laws import Law

Array = jax.Array


@dataclass(frozen=True, eq=False)
class DomainEffects:
    """How the loss of m targets changes as weight moves to each of k domains.

    Weight goes to one domain and comes from all others in proportion to theirs.

    Attributes:
        targets: bare names.
        domains: bare names.
        mixture: [k] where the slope is taken.
        n_params: N.
        tokens: D.
        slope: [m, k] nats per unit of weight; negative where the domain helps.
        low: [m, k] lower ends of the intervals, NaN where there were no refits.
        high: [m, k] upper ends.
        level: probability that an interval is to cover.
    """

    targets: tuple[str, ...]
    domains: tuple[str, ...]
    mixture: np.ndarray
    n_params: float
    tokens: float
    slope: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float

    @property
    def significant(self) -> np.ndarray:
        """Whether an interval has 0 outside it, bool [m, k]."""
        return (self.low > 0) | (self.high < 0)


def domain_effects(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    mixture: np.ndarray,
    *,
    ensemble: Ensemble | None = None,
    level: float = 0.9,
) -> DomainEffects:
    """The effect of every domain on every target at one mixture.

    Args:
        laws: fits of one law.
        n_params: N.
        tokens: D.
        mixture: [k] in the order of the laws' domains; a weight of 0 can give infinite slopes.
        ensemble: refits of the laws (``jaxmix.fitting.bootstrap``) for the intervals.
        level: probability that an interval is to cover.

    Source: the pairwise slopes of section 5 in direction ``e_i - h_-i / (1 - h_i)``.
    """
    laws = tuple(laws)
    with jax.enable_x64(True):
        stacked = stack(laws)
        point = [jnp.asarray(x, jnp.float64) for x in (n_params, tokens, mixture)]
        slope = np.asarray(_slopes(stacked.law, stacked.params, stacked.own, point))
        low = high = np.full(slope.shape, np.nan)
        if ensemble is not None:
            refits = ensemble.stacked
            many = np.asarray(_many(refits.law, refits.params, refits.own, point))  # [B, m, k]
            low, _, high = interval(slope, many - slope, level)
    names = tuple(f.target for f in laws), laws[0].domains
    budget = float(n_params), float(tokens)
    return DomainEffects(*names, np.asarray(mixture), *budget, slope, low, high, level)


def _direction(h: Array) -> Array:
    """Row i moves weight to domain i and takes it from the others in proportion; [k, k]."""
    others = h[None, :] * (1.0 - jnp.eye(h.shape[0]))
    total = jnp.sum(others, 1, keepdims=True)
    return jnp.eye(h.shape[0]) - others / jnp.where(total > 0, total, 1.0)


def _slopes_of(law: Law, params: Any, own: Array | None, point: list[Array]) -> Array:
    n, d, h = point
    grad = jax.jacrev(
        lambda x: StackedLaws(params, own, law).losses({"n_params": n, "tokens": d, "weights": x})
    )(h)  # [m, k]
    return grad @ _direction(h).T


@partial(jax.jit, static_argnums=0)
def _slopes(law: Law, params: Any, own: Array | None, point: list[Array]) -> Array:
    return _slopes_of(law, params, own, point)


@partial(jax.jit, static_argnums=0)
def _many(law: Law, params: Any, own: Array | None, point: list[Array]) -> Array:
    return jax.vmap(lambda p: _slopes_of(law, p, own, point))(params)
