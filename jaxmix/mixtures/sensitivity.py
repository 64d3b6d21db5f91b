"""How the optimal mixture at one budget responds to everything it depends on, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, StackedLaws, stack
from jaxmix.mixtures.implicit import attach
from jaxmix.mixtures.optimize import Weights, optimize
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.simplex import make_bounds

Array = jax.Array
ByDomain = dict[str, float]


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Derivatives of the optimal mixture h*, each a change of weight by domain (with sum 0).

    Attributes:
        optimum: the mixture and its certificate.
        n_params: dh*/dN, per parameter; 0 at the limit N = inf.
        tokens: dh*/dD, per token; 0 at the limit D = inf.
        log_n_params: dh*/dlog N: the change as N grows e-fold, to first order.
        log_tokens: dh*/dlog D.
        target_weights: dh*/dw by target, at target weights with sum 1. Scaling all of w changes
            nothing, so the sum over targets of w times this is 0.
        params: dh*/d(parameter) by target and by label, such as ``["web"]["C[books]"]``, in the
            parameter's natural units.
        bounds: dh*/d(bound) by entry of ``optimum.active``: where the weight goes that the bound
            takes.
    """

    optimum: Optimum
    n_params: ByDomain
    tokens: ByDomain
    log_n_params: ByDomain
    log_tokens: ByDomain
    target_weights: dict[str, ByDomain]
    params: dict[str, dict[str, ByDomain]]
    bounds: dict[str, ByDomain]


def sensitivity(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    *,
    target_weights: Weights = None,
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
    starts: int | None = None,
    key: int = 0,
) -> Sensitivity:
    """The optimal mixture at one budget and its derivatives.

    Implicit derivatives of the optimality conditions (``jaxmix.mixtures.implicit``), exact where
    the set of active bounds does not change; ``optimal_weights`` is the same as a function to
    differentiate.

    Args:
        laws: as for ``optimize``, like all arguments.
        n_params: N.
        tokens: D.
        target_weights: w.
        minimum: smallest weight by domain.
        maximum: largest weight by domain.
        starts: starting points.
        key: seed of the random starts.

    Raises:
        JaxmixError: as ``optimize``, or an optimum that is not isolated and has no derivative.
    """
    best, found = optimum_jacobians(
        laws,
        n_params,
        tokens,
        target_weights=target_weights,
        minimum=minimum,
        maximum=maximum,
        starts=starts,
        key=key,
    )
    return _named(best, laws, *found)


def optimum_jacobians(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    *,
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
    **options: Any,
) -> tuple[Optimum, tuple[Any, ...]]:
    """The optimum and the arrays of its derivatives; arguments and errors of ``sensitivity``.

    Returns:
        The optimum and dh*/dx for the parameters (dict of [k, m, ...]), N, D [k], w [k, m] and
        the bounds [k, k].
    """
    if laws and not laws[0].law.reads("weights"):
        name = laws[0].law.name
        raise JaxmixError(f"the law '{name}' does not depend on the mixture: h* has no derivative")
    best = optimize(
        laws,
        n_params,
        tokens,
        minimum=minimum,
        maximum=maximum,
        **options,
    )
    bounds = make_bounds(best.domains, minimum, maximum)
    with jax.enable_x64(True):
        w = jnp.array([best.target_weights[law.target] for law in laws])
        inputs = (stack(laws), jnp.asarray(best.n_params), jnp.asarray(best.tokens), w)
        box = (jnp.asarray(bounds.lower), jnp.asarray(bounds.upper))
        found = _jacobians(*inputs, *box, jnp.asarray(best.weights))
    found = jax.tree.map(np.asarray, found)
    if not all(np.all(np.isfinite(x)) for x in jax.tree.leaves(found)):
        raise JaxmixError(
            f"the optimum is not isolated: the law '{laws[0].law.name}' is flat around it, so it "
            "has no derivative"
        )
    return best, found


@jax.jit
def _jacobians(
    laws: StackedLaws, n: Array, d: Array, w: Array, lower: Array, upper: Array, h: Array
) -> tuple[dict[str, Array], Array, Array, Array, Array, Array]:
    """dh*/dx for the parameters (dict of [k, m, ...]), N, D [k], w [k, m] and bounds [k, k]."""

    def weights(params: dict[str, Array], *rest: Array) -> Array:
        return attach(h, StackedLaws(params, laws.own, laws.law), *rest)

    return jax.jacrev(weights, argnums=tuple(range(6)))(laws.params, n, d, w, lower, upper)


def _named(
    best: Optimum,
    laws: Sequence[FittedLaw],
    params: dict[str, np.ndarray],
    n: np.ndarray,
    d: np.ndarray,
    w: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> Sensitivity:
    def by_domain(column: np.ndarray) -> ByDomain:
        return dict(zip(best.domains, column.tolist(), strict=True))

    bounds = {}
    for label in best.active:
        at_minimum = ">=" in label
        i = best.domains.index(label.rsplit(">=" if at_minimum else "<=", 1)[0])
        bounds[label] = by_domain((lower if at_minimum else upper)[:, i])
    return Sensitivity(
        best,
        by_domain(n),
        by_domain(d),
        by_domain(_per_log(n, best.n_params)),
        by_domain(_per_log(d, best.tokens)),
        {law.target: by_domain(w[:, i]) for i, law in enumerate(laws)},
        {
            law.target: {
                label: by_domain(column)
                for label, column in zip(
                    law.law.names(law.domains), _columns(law, params, i), strict=True
                )
            }
            for i, law in enumerate(laws)
        },
        bounds,
    )


def _columns(law: FittedLaw, params: dict[str, np.ndarray], target: int) -> np.ndarray:
    """Derivatives by one target's parameters in the order of its labels, [P, k]."""
    parts = [params[p.name][:, target].reshape(len(law.domains), -1) for p in law.law.parameters]
    return np.concatenate(parts, 1).T


def _per_log(derivative: np.ndarray, value: float) -> np.ndarray:
    """The derivative by the logarithm; 0 at the limit."""
    return derivative * (value if np.isfinite(value) else 0.0)
