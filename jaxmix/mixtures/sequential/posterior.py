"""What runs tell about fitted laws: beliefs about their parameters, and what a run would add.

Everything is the Laplace approximation at the fit. A target's working parameters z have a normal
prior with the spread of the law's own starting points, and each run adds Gauss-Newton information::

    Cov(z)^-1 = diag(prior)^-1 + sum over runs of mean over its rows of g g^T / noise^2

with g the gradient of a row's prediction. A run counts as one observation however many checkpoints
it has, because the errors of its checkpoints are nearly the same.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.problem import Problem
from jaxmix.fitting.uncertainty.clusters import run_labels

Array = jax.Array

_PRIOR_DRAWS = 256
_REACH = 3.0  # prior standard deviations within which derivatives are taken
_LEAST_NOISE = 2e-4
_TYPICAL_NOISE = 2e-3  # standard deviation of final losses over seeds in published runs


class Beliefs(NamedTuple):
    """What runs tell about m targets; a pytree of float64 arrays.

    Attributes:
        z: [m, P] working parameters at which derivatives are taken.
        covariance: [m, P, P] of the working parameters.
        noise: [m] standard deviation of one run's loss, on the scale that was fitted.
    """

    z: Any
    covariance: Any
    noise: Any


def believe(
    problem: Problem, laws: Sequence[FittedLaw], *, noise: float | None = None
) -> tuple[Beliefs, tuple[str, ...]]:
    """Beliefs about the parameters after the runs, and notes on how the noise was found.

    Args:
        problem: the laws' problem (``jaxmix.fitting.uncertainty.influence.pose``).
        laws: the fits, m of them.
        noise: standard deviation of one run's loss; None to take it from the residuals.
    """
    mean, spread = (np.asarray(x) for x in _prior(problem.objective, problem.scales))
    z = np.stack([np.asarray(problem.working(f.params)) for f in laws])
    sd, notes = np.full(len(z), noise if noise else np.nan), ()
    if noise is None:
        residuals = np.asarray(_linearize(problem.objective, jnp.asarray(z), problem.rows)[0])
        pairs = zip(residuals, problem.used, strict=True)
        sd = np.array([_robust_sd(r[used], z.shape[1]) for r, used in pairs])
        if np.isnan(sd).any():
            sd = np.where(np.isnan(sd), _TYPICAL_NOISE, sd)
            notes = (f"too few runs to estimate their noise: taken as {_TYPICAL_NOISE:g} nats",)
    z = np.clip(z, mean - _REACH * spread, mean + _REACH * spread)
    jacobian = _linearize(problem.objective, jnp.asarray(z), problem.rows)[1]
    shares = np.stack([_run_shares(run_labels(problem.runs), used) for used in problem.used])
    covariance = _covariance(jacobian, jnp.asarray(shares), jnp.asarray(sd), jnp.asarray(spread))
    return Beliefs(jnp.asarray(z), covariance, jnp.asarray(sd)), notes


@partial(jax.jit, static_argnums=0)
def _prior(objective: Objective, scales: Any) -> tuple[Array, Array]:
    """Median and standard deviation [m, P] of the law's starting points."""
    keys = jax.random.split(jax.random.key(0), _PRIOR_DRAWS)

    def one(scale: Any) -> Array:
        draw = jax.vmap(lambda key: objective.law.sample_start(key, scale, objective.k))
        return draw(keys)

    draws = jax.vmap(one)(scales)  # [m, draws, P]
    return jnp.median(draws, 1), jnp.maximum(jnp.std(draws, 1), 0.1)


@partial(jax.jit, static_argnums=0)
def _linearize(objective: Objective, z: Array, rows: Rows) -> tuple[Array, Array]:
    """Residuals [m, p] and Jacobians [m, P, p] on the fitted scale; 0 if not finite."""
    fits = jnp.arange(z.shape[0])
    found = jax.vmap(lambda one, fit: objective.linearize(one, rows.of_fit(fit)))(z, fits)
    return jax.tree.map(lambda x: jnp.where(jnp.isfinite(x), x, 0.0), found)


def _robust_sd(residuals: np.ndarray, parameters: int) -> float:
    """Standard deviation by the median absolute residual, NaN if there are too few.

    A fit with nearly absolute residuals passes through as many rows as it has parameters, so the
    smallest ones are left out.
    """
    left = np.sort(np.abs(residuals))[parameters:]
    return max(1.4826 * float(np.median(left)), _LEAST_NOISE) if len(left) >= 4 else np.nan


def _run_shares(run: np.ndarray, used: np.ndarray) -> np.ndarray:
    """[p] weights of rows whose sum over the used rows of every run is 1."""
    rows = np.bincount(run, used.astype(float))
    return np.where(used, 1.0 / np.maximum(rows[run], 1.0), 0.0)


@jax.jit
def _covariance(jacobian: Array, shares: Array, noise: Array, spread: Array) -> Array:
    """Cov(z) [m, P, P], by an inverse scaled with the prior's spread."""

    def one(j: Array, share: Array, sd: Array, scale: Array) -> Array:
        scaled = j * scale[:, None]  # [P, p]
        gram = (scaled * (share / sd**2)) @ scaled.T
        inverse = jnp.linalg.inv(gram + jnp.eye(len(scale)))
        return 0.5 * (inverse + inverse.T) * scale[:, None] * scale[None, :]

    return jax.vmap(one)(jacobian, shares, noise, spread)


def run_gradients(problem: Problem, z: Array, x: Mapping[str, np.ndarray]) -> Array:
    """Gradients g [c, m, r, P] of c runs with r checkpoints each; not finite if a law is not.

    Args:
        problem: the laws' problem.
        z: [m, P].
        x: inputs of the law by name, [c, r] or [c, r, k].
    """
    objective, fits = problem.objective, len(problem.targets)
    count, steps = x["tokens"].shape
    flat = {name: jnp.asarray(v).reshape(count * steps, *v.shape[2:]) for name, v in x.items()}
    scaled = objective.law.in_units(flat, problem.units)
    at = np.array(
        [problem.runs.domains.index(t) for t in problem.targets if t in problem.runs.domains]
    )
    own = {i.name: scaled.pop(i.name).T[at] for i in objective.law.inputs if i.per == "own"}
    ones = jnp.ones((fits, count * steps))
    gradients = _linearize_raw(objective, z, Rows(scaled, own, ones, ones))  # [m, P, c * r]
    return gradients.reshape(fits, -1, count, steps).transpose(2, 0, 3, 1)


@partial(jax.jit, static_argnums=0)
def _linearize_raw(objective: Objective, z: Array, rows: Rows) -> Array:
    fits = jnp.arange(z.shape[0])
    return jax.vmap(lambda one, fit: objective.linearize(one, rows.of_fit(fit))[1])(z, fits)


@jax.jit
def expected(covariance: Array, root: Array) -> Array:
    """The criterion ``sum_i tr(B_i^T Cov(z_i) B_i)``; B [m, P, k]."""
    return jnp.einsum("mpk,mpq,mqk->", root, covariance, root)


@jax.jit
def reductions(beliefs: Beliefs, root: Array, gradients: Array) -> Array:
    """By how much each of c runs lowers the criterion; gradients [c, m, r, P] -> [c].

    Rank-r updates (Woodbury): each checkpoint of a run has r times the noise's variance.
    """
    toward = jnp.einsum("mpk,mpq->mqk", root, beliefs.covariance)  # Cov B

    def one(g: Array) -> Array:
        q = jnp.einsum("mrp,mpk->mrk", g, toward)
        return jnp.sum(q * jnp.linalg.solve(_inner(beliefs, g), q))

    return jax.vmap(one)(gradients)


def _inner(beliefs: Beliefs, g: Array) -> Array:
    """``G Cov G^T + r noise^2 I`` [m, r, r] for one run's gradients [m, r, P]."""
    steps = g.shape[1]
    noise = (steps * beliefs.noise**2)[:, None, None] * jnp.eye(steps)
    return jnp.einsum("mrp,mpq,msq->mrs", g, beliefs.covariance, g) + noise


@jax.jit
def update(beliefs: Beliefs, g: Array) -> Beliefs:
    """Beliefs after a run with gradients [m, r, P]."""
    seen = jnp.einsum("mrp,mpq->mrq", g, beliefs.covariance)
    gain = jnp.linalg.solve(_inner(beliefs, g), seen)
    covariance = beliefs.covariance - jnp.einsum("mrp,mrq->mpq", seen, gain)
    return beliefs._replace(covariance=0.5 * (covariance + covariance.transpose(0, 2, 1)))
