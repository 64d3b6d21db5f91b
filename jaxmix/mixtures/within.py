"""The optimal mixture within constraints, for the weighted loss or the worst target."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, stack
from jaxmix.mixtures.assembly import Problem, WorstCase, make_problem
from jaxmix.mixtures.constraints import Constraints, Polytope, constraints, polytope
from jaxmix.mixtures.feasible import check_feasible
from jaxmix.mixtures.optimize import Weights, optimize_many, target_weight_rows
from jaxmix.mixtures.optimum import Optima, Optimum
from jaxmix.mixtures.simplex import make_bounds
from jaxmix.mixtures.solve.certificate import Price, box_prices, find_prices
from jaxmix.mixtures.solve.lanes import predict
from jaxmix.mixtures.solving import solve_problem


def optimize_within(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    limits: Constraints | None = None,
    *,
    target_weights: Weights = None,
    worst_case: WorstCase | None = None,
    pull: float = 0.0,
    starts: int | None = None,
    key: int = 0,
) -> Optimum:
    """The mixture that minimizes a loss within constraints at one budget.

    Minima, maxima, pins and availability alone go to ``optimize``. Anything else goes to a
    feasible interior point (``jaxmix.mixtures.interior``) and ends with Newton's method on the
    active set, so that constraints hold to rounding and every one that binds has its price.

    Args:
        laws: one fitted law per target; the same law over the same domains.
        n_params: N of the big run; ``inf`` for the limit.
        tokens: D of the big run; ``inf`` for the limit, where no availability is given.
        limits: what the mixture must meet; None for nothing.
        target_weights: as for ``optimize``; a worst case is over the targets of weight above 0.
        worst_case: ``"loss"`` minimizes the largest loss of any target, ``"gap"`` the largest
            excess over its loss at ``limits.reference``; None the weighted loss.
        pull: ``pull * KL(h‖prior)`` is added to the objective; nats of loss per nat.
        starts: starting points; None for 1 where the problem is convex, else ``max(8, k + 4)``.
        key: seed of the random starts.

    Returns:
        The mixture with its certificate. ``multipliers`` are prices: what the objective gains per
        unit by which a constraint is loosened; ``worth_of`` says it in words, epochs among them.

    Raises:
        JaxmixError: constraints that no mixture meets, with those that clash and by how much;
            guardrails that no mixture meets; a name, weight or budget that is none; or a loss
            that is infinite at every mixture.

    Source: objective of eq. (13) of the paper; the duality gap is that of the Lagrangian over the
    box (Frank-Wolfe) plus the products of multipliers and slacks.
    """
    if not laws:
        raise JaxmixError("optimize_within needs at least one fitted law")
    limits = constraints(laws[0].domains) if limits is None else limits
    limits = in_order(limits, laws[0].domains)
    make_bounds(limits.domains, limits.minimum, limits.maximum)  # names sums that miss 1
    check_feasible(limits, tokens)
    bent = limits.guards or limits.kl_max is not None or pull or worst_case
    shape = polytope(limits, tokens)
    if not bent and not shape.mixed:
        return _boxed(laws, n_params, tokens, shape, target_weights, starts, key)
    problem = make_problem(
        laws, n_params, tokens, limits, target_weights, worst_case=worst_case, pull=pull
    )
    return _bent(problem, laws, target_weights, starts, key)


def in_order(limits: Constraints, domains: tuple[str, ...]) -> Constraints:
    """The same constraints in another order of the same domains.

    Raises:
        JaxmixError: other domains.
    """
    if set(limits.domains) != set(domains):
        odd = sorted(set(limits.domains) ^ set(domains))
        raise JaxmixError(
            f"the constraints and the laws are not over the same domains: {', '.join(odd)} "
            f"only in one; the laws have {', '.join(domains)}"
        )
    return replace(limits, domains=domains)


def _boxed(
    laws: Sequence[FittedLaw],
    n_params: float,
    tokens: float,
    shape: Polytope,
    target_weights: Weights,
    starts: int | None,
    key: int,
) -> Optimum:
    """Bounds alone: exponentiated gradient, its bounds named as they were typed."""
    box, names = shape.bounds, shape.bounds.domains
    found = optimize_many(
        laws,
        [n_params],
        [tokens],
        target_weights=target_weights,
        minimum=dict(zip(names, box.lower.tolist(), strict=True)),
        maximum=dict(zip(names, np.maximum(box.lower, box.upper).tolist(), strict=True)),
        starts=starts,
        key=key,
    )
    return _priced(found[0], box_prices(shape, found.multipliers[0]))


def _priced(optimum: Optimum, prices: Sequence[Price]) -> Optimum:
    return replace(
        optimum,
        active=tuple(price.label for price in prices),
        multipliers={price.label: price.price for price in prices},
        worth_of={price.label: price.worth for price in prices if price.worth},
    )


def _bent(
    problem: Problem,
    laws: Sequence[FittedLaw],
    target_weights: Weights,
    starts: int | None,
    key: int,
) -> Optimum:
    """Anything but bounds alone."""
    found, program, count, agreeing = solve_problem(problem, starts, key)
    proof = find_prices(problem, program, found)
    targets = tuple(law.target for law in laws)
    n, d = np.array([problem.n_params]), np.array([problem.tokens])
    weights = found.weights[None]
    with jax.enable_x64(True):
        budget = jnp.asarray(n), jnp.asarray(d)
        losses = np.asarray(predict(stack(laws), *budget, jnp.asarray(weights)))
    value = float(found.value)
    closed = proof.gap <= 1e-9 * (1 + abs(value)) and proof.residual <= 1e-6
    optimum = Optima(
        laws[0].domains,
        targets,
        n,
        d,
        target_weight_rows(target_weights, targets),
        weights,
        losses,
        np.array([value]),
        np.array([proof.gap]),
        np.zeros_like(weights),
        np.array([closed]),
        np.array([agreeing]),
        count,
        problem.proven,
        problem.reason,
        problem.shape.bounds,
        tuple(law.data for law in laws),
        laws[0].law.reads("unique"),
    )[0]
    worst = [
        g.target for g, share in zip(problem.guards, proof.shares, strict=True) if share > 1e-9
    ]
    notes = (f"the worst targets are {', '.join(worst)}",) if worst else ()
    priced = _priced(optimum, proof.prices)
    return replace(priced, residual=proof.residual, notes=(*notes, *optimum.notes))
