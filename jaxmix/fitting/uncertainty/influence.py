"""What every row does to a fit: implicit derivatives of the minimizer of eq. (6).

At the fitted z* the gradient of eq. (6) in the free parameters is 0. For a row's loss y_j and its
weight w_j, with r the residuals, psi the slope of the Huber loss, H the Hessian and f the fitted
prediction, therefore::

    dz*/dy_j     = H^-1 w_j psi'(r_j) (dr_j/dy_j) grad f_j
    dz*/dlog w_j = H^-1 w_j psi(r_j) grad f_j

A row beyond the Huber threshold has psi' = 0: a small change of its loss changes nothing, but its
weight still counts.

They hold for small changes. As a whole mixture is left out, rows cross the threshold, and
``jaxmix.mixtures.leave_one_out`` goes on to where the fit ends without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown
from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, stack
from jaxmix.fitting.inputs import read_inputs
from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.precision import float64
from jaxmix.fitting.problem import Problem, make_problem
from jaxmix.fitting.sharing import prior_of
from jaxmix.fitting.solvers.multistart import to_bottom
from jaxmix.fitting.solvers.newton import free_parameters
from jaxmix.laws import Inputs, Params
from jaxmix.runs import RunTable

Array = jax.Array
_MOST_ROWS = 12  # rows of a run table that are shown
_STATIONARY = 1e-9  # largest gradient that counts as 0
_GAIN, _ANY = 1e-9, 1e-2  # what a direction, and all of them, may still gain, share of eq. (6)
_FLAT = 1e-12  # smallest eigenvalue of the scaled Hessian, as a share of the largest


@dataclass(frozen=True, repr=False)
class Influence(Shown):
    """Derivatives of one fit by its p rows.

    Attributes:
        fitted: the fit, at the very bottom of its basin.
        by_loss: derivative of each natural parameter by each row's loss; the parameter's shape and
            then [p].
        by_weight: likewise by the logarithm of each row's weight. To first order, leaving the row
            out changes the parameter by minus this.
        undetermined: number of directions in which eq. (6) is flat, or falls as far as one goes, as
            along an E that the data draw to 0; the fit does not move there.
    """

    fitted: FittedLaw
    by_loss: dict[str, np.ndarray]
    by_weight: dict[str, np.ndarray]
    undetermined: int

    def __repr__(self) -> str:
        rows = next(iter(self.by_loss.values())).shape[-1]
        return f"Influence({self.fitted.target!r}, {rows} rows)"

    def _shown(self) -> Parts:
        frame = self.to_frame()
        moved = (frame / frame.std().replace(0.0, 1.0)).abs().max(axis=1)
        first = frame.loc[moved.sort_values(ascending=False).index[:_MOST_ROWS]]
        said = f"row {first.index[0]} of {len(frame)} does most to the fit of {self.fitted.target}"
        return Parts(said, {"change of the parameters without a row, to first order": first})

    def to_frame(self) -> pd.DataFrame:
        """One row per row of the run table: how each parameter moves if it is left out."""
        law, rows = self.fitted.law, next(iter(self.by_weight.values())).shape[-1]
        columns = [np.reshape(-self.by_weight[p.name], (-1, rows)) for p in law.parameters]
        names = pd.Index(law.names(self.fitted.domains))
        return pd.DataFrame(np.concatenate(columns).T, columns=names).rename_axis("row")

    def on(self, function: Callable[[Params], Array]) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of any function of the natural parameters by the rows.

        Args:
            function: from the parameters to an array [...].

        Returns:
            Two arrays [..., p]: by loss, by log weight.
        """
        with float64():
            params = {n: jnp.asarray(v) for n, v in self.fitted.params.items()}
            push = jax.jit(
                jax.vmap(lambda t: jax.jvp(function, (params,), (t,))[1], in_axes=-1, out_axes=-1)
            )
            return np.asarray(push(self.by_loss)), np.asarray(push(self.by_weight))

    def on_prediction(self, x: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of the losses predicted at inputs by name, two arrays [..., p]."""
        one = stack([self.fitted])
        return self.on(
            lambda p: one.replace_params({n: v[None] for n, v in p.items()}).losses(x)[0]
        )


def influence(fitted: FittedLaw, runs: RunTable, *, weighting: str = "equal") -> Influence:
    """Derivatives of a fit by the rows that it was fitted on, means of shared parameters held.

    Args:
        fitted: a fit in float64. If it ended short of the bottom of its basin, it goes there first.
        runs: the very rows it was fitted on.
        weighting: as in the fit.

    Raises:
        JaxmixError: the fit was not made on these rows, or no stationary point is near it.
    """
    with float64():
        problem = pose([fitted], runs, weighting)
        z = problem.working(fitted.params)
        check_same_rows(problem, 0, z, fitted)
        objective, alone = problem.objective, np.zeros(1, int)
        z = jnp.asarray(to_bottom(objective, problem.rows, z[None], alone).z[0])
        parts = _row_slopes(objective, z, problem.rows.of_fit(jnp.asarray(0)))
        grad, hess, by_loss, by_weight = (np.asarray(x) for x in parts)
        free = np.asarray(free_parameters(objective, z, jnp.asarray(grad)))
        low, high = objective.law.bounds(objective.k)
        free = free & (np.asarray(z) > low + 1e-6) & (np.asarray(z) < high - 1e-6)
        value = float(objective.value(z, problem.rows.of_fit(jnp.asarray(0))))
        worst = float(np.max(np.abs(grad[free]), initial=0.0))
        inverse, gain, flat = _inverse(hess, grad * (worst > _STATIONARY), free, value)
        if gain > _ANY * value:
            raise JaxmixError(
                f"the fit of '{fitted.target}' reaches no stationary point on {runs.source} "
                f"(gradient {worst:.1e}), so it has no derivative; fit again with more restarts"
            )
        apart = float(objective.value(z, problem.rows.of_fit(jnp.asarray(0))._replace(prior=None)))
        natural = jax.jacobian(lambda v: natural_params(problem, v))(z)
        chain = {name: np.asarray(slope) @ inverse for name, slope in natural.items()}
        params = problem.natural(z)
    report = replace(fitted.report, objective=apart, gradient_norm=worst)
    return Influence(
        replace(fitted, params=params, report=report),
        {name: slope @ by_loss for name, slope in chain.items()},
        {name: slope @ by_weight for name, slope in chain.items()},
        flat,
    )


def check_same_rows(problem: Problem, index: int, z: Array, fitted: FittedLaw) -> None:
    """Refuses rows on which a fit with working vector z [P] has another objective.

    Raises:
        JaxmixError: the fit was not made on these rows.
    """
    rows = problem.rows.of_fit(jnp.asarray(index))._replace(prior=None)
    value = float(problem.objective.value(jnp.asarray(z), rows))
    count, known = int(problem.used[index].sum()), fitted.report.objective
    exact = 1e-9 * problem.objective.delta**2  # without noise only rounding is left
    if count != fitted.report.rows or abs(value - known) > 1e-6 * known + exact:
        raise JaxmixError(
            f"{problem.runs.source}: the law of '{fitted.target}' was fitted on other rows "
            f"({fitted.report.rows} with objective {known:.6g}; here {count} with {value:.6g}); "
            "give the same rows, or fit again"
        )


def pose(laws: Sequence[FittedLaw], runs: RunTable, weighting: str = "equal") -> Problem:
    """Fitted laws and their rows as a problem, with the domains in the order of the laws.

    Raises:
        JaxmixError: fits that differ in more than the target, or runs that lack what laws read.
    """
    first = laws[0]
    if len({(f.law, f.domains, f.report.residual, f.report.delta) for f in laws}) > 1:
        raise JaxmixError("the laws must be fits of one law with the same settings and domains")
    if first.law.reads("weights"):
        read_inputs(runs, first.law, first.domains)  # refuses a table without them
        runs = replace(runs, domains=first.domains)
    report, k = first.report, len(first.domains)
    objective = Objective(first.law, k, report.delta, report.residual)
    targets = tuple(f.target for f in laws)
    return prior_of(make_problem(runs, first.law, targets, objective, weighting), laws)


def natural_params(problem: Problem, z: Array) -> dict[str, Array]:
    """A working vector [P] as natural parameters; the inverse of ``problem.working``."""
    law, (n_unit, d_unit) = problem.objective.law, problem.units
    params = law.from_working(z, problem.objective.k)
    return dict(law.rescale(params, 1.0 / n_unit, 1.0 / d_unit)) if law.rescale else params


@partial(jax.jit, static_argnames="objective")
def _row_slopes(objective: Objective, z: Array, rows: Rows) -> tuple[Array, Array, Array, Array]:
    """Gradient [P], Hessian [P, P], and the right-hand sides [P, p] of both derivatives."""
    residuals, jacobian = objective.linearize(z, rows)
    inside = jnp.abs(residuals) < objective.delta
    slope = jnp.clip(residuals, -objective.delta, objective.delta)  # psi
    per_loss = 1.0 / rows.losses if objective.residual == "log" else 1.0
    by_loss = jacobian * (rows.row_weights * inside * per_loss)
    by_weight = jacobian * (rows.row_weights * slope)
    grad, hess = jax.grad(objective.value)(z, rows), jax.hessian(objective.value)(z, rows)
    return grad, hess, by_loss, by_weight


def _inverse(
    hess: np.ndarray, grad: np.ndarray, free: np.ndarray, value: float
) -> tuple[np.ndarray, float, int]:
    """Inverse [P, P] of the free block without its flat directions.

    Working parameters differ in scale, so flatness is judged after scaling to unit diagonal. A
    direction in which a Newton step would still gain has no minimum that a fit could follow.

    Returns:
        The inverse, what a Newton step would gain, and how many directions are flat.
    """
    inverse = np.zeros_like(hess)
    block = hess[np.ix_(free, free)]
    size = np.sqrt(np.maximum(np.abs(np.diag(block)), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(block / np.outer(size, size))
    curved = np.abs(values) > _FLAT * np.max(np.abs(values), initial=0.0)
    gain = (vectors.T @ (grad[free] / size)) ** 2 / (2 * np.where(curved, np.abs(values), np.inf))
    keep = curved & (gain <= _GAIN * value)
    scaled = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
    inverse[np.ix_(free, free)] = scaled / np.outer(size, size)
    return inverse, float(gain.sum()), int(np.sum(~keep))
