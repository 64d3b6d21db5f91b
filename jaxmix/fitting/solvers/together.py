"""Fits whose parameters are drawn to common means, as one problem.

With f_t eq. (6) of fit t, u_t its unit, z_t its working vector, s_p the strength of parameter p::

    sum_t f_t(z_t) / u_t + 1/2 sum_p s_p sum_t (z_tp - mean_p)^2

Given the means every fit is one of its own with a quadratic prior, so that a step is one batch of
the ordinary lanes. The sum of the fits' minima is a function of the few means alone. Its slope and
curvature follow from those of the fits, and the means take Newton steps on it.
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.objective import Objective, Prior, Rows
from jaxmix.fitting.problem import Problem
from jaxmix.fitting.solvers.gauss_newton import GaussNewton
from jaxmix.fitting.solvers.lanes import POLISH, WARM
from jaxmix.fitting.solvers.multistart import solve
from jaxmix.fitting.solvers.newton import Newton, free_parameters

Array = jax.Array
_STILL = (1e-3, 1e-10)  # changes of the means that count as none: rough, exact
_FLAT = 1e-9  # eigenvalues of a scaled Hessian that count as 0


class Ties(NamedTuple):
    """Which parameters of F fits have common means. Fits lie group by group, equally many in each.

    Attributes:
        precision: [F, P] strengths in the units of eq. (6): 0 for none, infinite for one value.
        unit: [F] what each fit's eq. (6) is measured in.
        cell: [P] parameters of one cell have one mean over the fits of a group.
        groups: G.
    """

    precision: np.ndarray
    unit: np.ndarray
    cell: np.ndarray
    groups: int


class Together(NamedTuple):
    """Where fits ended: z [F, P], value [F] with the penalty, and their centers [F, P]."""

    z: np.ndarray
    value: np.ndarray
    center: np.ndarray


def with_prior(problem: Problem, center: np.ndarray, precision: np.ndarray) -> Problem:
    """The problem with a prior of its fits, both [F, P]."""
    kind = problem.rows.losses.dtype
    prior = Prior(jnp.asarray(center, kind), jnp.asarray(precision, kind))
    return replace(problem, rows=problem.rows._replace(prior=prior))


def fit_together(
    problem: Problem,
    ties: Ties,
    starts: np.ndarray,
    center: np.ndarray | None = None,
    *,
    exact: bool = False,
    steps: int = 8,
) -> Together:
    """Minimizes the joint objective from given starts.

    Args:
        problem: F fits.
        ties: what they have in common.
        starts: [n, F, P] working vectors.
        center: [F, P] first means; None for the medians of the first starts.
        exact: end at a stationary point to machine precision; the starts must be good.
        steps: most steps of the means.
    """
    means = _Means(problem, ties, exact)
    if center is None:
        center = means.medians(starts[0])
        starts = np.concatenate([starts, np.where(ties.precision > 0, center, starts)])
        if np.isinf(ties.precision).any():  # the others' optima come along a soft tie, not a jump
            soft = np.where(np.isinf(ties.precision), ties.unit[:, None], ties.precision)
            near = fit_together(problem, ties._replace(precision=soft), starts, center)
            center, starts = near.center, np.concatenate([near.z[None], starts])
    best = means.solve(center, starts)
    total, (slope, move) = means.total(best.value), means.newton(best)
    size = np.ones(len(total))  # of each group's next step, as a share of Newton's
    for _ in range(steps):
        step = size[:, None] * move
        going = np.abs(step).max(1) > _STILL[exact]
        if not going.any():
            break
        found = means.solve(best.center + means.spread(step), best.z[None])
        new, (new_slope, new_move) = means.total(found.value), means.newton(found)
        # Near the end rounding hides what a step gains: there the slope decides.
        level = (new <= total * (1 + 1e-9)) & (_largest(new_slope) < _largest(slope))
        better = going & ((new < total) | level)
        best = Together(*(_pick(means.of_fit(better), *ab) for ab in zip(found, best, strict=True)))
        total, slope, move = (
            _pick(better, *ab) for ab in ((new, total), (new_slope, slope), (new_move, move))
        )
        size = np.where(better, 1.0, 0.3 * size)
    return best


def _largest(slope: np.ndarray) -> np.ndarray:
    return np.abs(slope).max(1, initial=0.0)


def _pick(mask: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(mask.reshape(-1, *(1,) * (a.ndim - 1)), a, b)


class _Means:
    """The sum of the fits' minima as a function of c means in each of G groups."""

    def __init__(self, problem: Problem, ties: Ties, exact: bool) -> None:
        self.problem, self.ties, self.exact = problem, ties, exact
        self.each = len(ties.unit) // ties.groups
        self.columns = np.flatnonzero((ties.precision > 0).any(0))  # [q]
        cells = ties.cell[self.columns]
        self.of_cell = (cells[:, None] == np.unique(cells)).astype(float)  # [q, c]

    def of_fit(self, of_group: np.ndarray) -> np.ndarray:
        """[F, ...] values of each fit's group."""
        return np.repeat(of_group, self.each, 0)

    def spread(self, step: np.ndarray) -> np.ndarray:
        """Steps of the means [G, c] as those of the centers [F, P]."""
        moved = np.zeros_like(self.ties.precision)
        moved[:, self.columns] = self.of_fit(step @ self.of_cell.T)
        return moved

    def medians(self, z: np.ndarray) -> np.ndarray:
        """[F, P] centers: medians over the fits of a group and the parameters of a cell."""
        grouped = z.reshape(self.ties.groups, self.each, -1)
        center = np.median(grouped, 1)
        for column in self.of_cell.T:
            at = self.columns[column > 0]
            center[:, at] = np.median(grouped[:, :, at], (1, 2))[:, None]
        return self.of_fit(center)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """[G, ...] sums over the fits of each group in their units, of values [F, ...]."""
        scaled = values / self.ties.unit.reshape(-1, *(1,) * (values.ndim - 1))
        return scaled.reshape(self.ties.groups, self.each, *values.shape[1:]).sum(1)

    def total(self, value: np.ndarray) -> np.ndarray:
        """[G] the joint objective."""
        return self.sums(value)

    def solve(self, center: np.ndarray, starts: np.ndarray) -> Together:
        """The fits' minima at given centers [F, P], from the best of starts [n, F, P]."""
        objective, precision = self.problem.objective, self.ties.precision
        center = np.clip(center, *objective.law.bounds(objective.k))
        solver, stage = (Newton(), POLISH) if self.exact else (GaussNewton(), WARM)
        problem = with_prior(self.problem, center, precision)
        z, value = _lowest(problem, solver, starts, stage)
        return Together(np.where(np.isinf(precision), center, z), value, center)

    def newton(self, found: Together) -> tuple[np.ndarray, np.ndarray]:
        """Slope of the sum by the means, and their Newton step, both [G, c]."""
        rows = with_prior(self.problem, found.center, self.ties.precision).rows
        parts = _slopes(self.problem.objective, rows, jnp.asarray(found.z), self.columns)
        slope, curvature = (self.sums(np.asarray(x)) for x in parts)
        slope, curvature = slope @ self.of_cell, self.of_cell.T @ curvature @ self.of_cell
        least = 1e-12 * np.trace(curvature, axis1=1, axis2=2) + np.finfo(float).tiny
        curvature += least[:, None, None] * np.eye(curvature.shape[-1])
        return slope, np.clip(-np.linalg.solve(curvature, slope[..., None])[..., 0], -1.0, 1.0)


def _lowest(
    problem: Problem, solver: Any, starts: np.ndarray, stage: int
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest end of several starts [n, F, P] of every fit: z [F, P] and value [F]."""
    count, fits, size = starts.shape
    ended = solve(solver, problem, starts, stage)
    value = np.asarray(ended.value).reshape(count, fits)
    which = value.argmin(0), np.arange(fits)
    return np.asarray(ended.z).reshape(count, fits, size)[which], value[which]


@partial(jax.jit, static_argnames="objective")
def _slopes(objective: Objective, rows: Rows, z: Array, columns: Array) -> tuple[Array, Array]:
    """Slope [F, q] and curvature [F, q, q] of every fit's minimum by its center, at z [F, P].

    With M the curvature of eq. (6) in those parameters, all others at their best, and V the inverse
    precision, the minimum has the curvature (M^-1 + V)^-1.
    """

    def one(fit: Array) -> tuple[Array, Array]:
        own = rows.of_fit(fit)
        assert own.prior is not None
        alone, at = own._replace(prior=None), z[fit]
        grad = jax.grad(objective.value)(at, alone)
        inner = _at_best(objective, at, grad, jax.hessian(objective.value)(at, alone), columns)
        precision = own.prior.precision[columns]
        loose = jnp.eye(len(columns)) + inner / precision  # (I + M V), V is diagonal
        held = jnp.isinf(precision)
        apart = jnp.where(held, 0.0, precision) * (own.prior.center - at)[columns]
        curvature = jnp.linalg.solve(loose, inner)
        return jnp.where(held, grad[columns], apart), 0.5 * (curvature + curvature.T)

    return jax.lax.map(one, jnp.arange(z.shape[0]), batch_size=min(8, z.shape[0]))


def _at_best(objective: Objective, z: Array, grad: Array, hess: Array, columns: Array) -> Array:
    """Curvature [q, q] in some parameters, the free ones among the others at their best."""
    free = free_parameters(objective, z, grad).at[columns].set(False)
    diagonal = jnp.diag(hess)
    size = jnp.sqrt(jnp.where(free & (diagonal > 0), diagonal, 1.0))
    scaled = jnp.where(free[:, None] & free[None], hess, 0.0) / size[:, None] / size
    values, vectors = jnp.linalg.eigh(scaled)
    kept = jnp.abs(values) > _FLAT
    root = vectors * jnp.where(kept, jnp.abs(jnp.where(kept, values, 1.0)) ** -0.5, 0.0)
    across = root.T @ (jnp.where(free[:, None], hess[:, columns], 0.0) / size[:, None])
    inner = hess[columns][:, columns] - across.T @ across
    values, vectors = jnp.linalg.eigh(0.5 * (inner + inner.T))
    return (vectors * jnp.abs(values)) @ vectors.T
