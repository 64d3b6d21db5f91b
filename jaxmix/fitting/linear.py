"""The linear model of a fit's residuals at a point, and the normal equations of reweighted steps.

Rows of a mixture share its terms (``jaxmix.fitting.terms``). With u_t [P_t] the slopes of term t by
the parameters that it depends on, and v_t [R] those of the R predictions by the term, the Jacobian
of a mixture's rows is made of the blocks u_t v_t^T. Its normal equations need sums over the rows
for pairs of terms alone, and products over mixtures: much less work than those of the Jacobian.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.terms import Terms, find_terms
from jaxmix.laws import Inputs, Params

Array = jax.Array
_MOST = 8  # terms; the work grows with the square of their number


class Dense(NamedTuple):
    """By the Jacobian.

    Attributes:
        residuals: observed minus predicted, shaped like the rows; 0 where the weight is 0.
        jacobian: [P, ...] of the prediction.
    """

    residuals: Array
    jacobian: Array

    def normal(self, weights: Array) -> tuple[Array, Array]:
        """``J W J^T`` [P, P] and ``J W r`` [P] for weights W of the rows.

        One symmetric product of the stacked (J, r): on a CPU this ran 3 to 10 times faster than
        two products. The barrier keeps XLA from fusing the Jacobian into the product and
        recomputing it.
        """
        jacobian = self.jacobian.reshape(len(self.jacobian), -1)
        stacked = jnp.concatenate([jacobian, self.residuals.reshape(1, -1)])
        stacked = jax.lax.optimization_barrier(stacked * jnp.sqrt(weights.ravel()))
        gram = stacked @ stacked.T
        return gram[:-1, :-1], gram[:-1, -1]


class ByTerms(NamedTuple):
    """By the terms of M mixtures with R rows each.

    Attributes:
        residuals: [R, M], likewise.
        of_terms: for each term, its slopes [P_t, M] by the parameters on which it depends. Those
            with the most come first, so that most of the work is in few products.
        of_rows: for each term, the slopes [R, M] of the predictions by it.
        order: [P] where each parameter stands if those of the terms are joined.
    """

    residuals: Array
    of_terms: tuple[Array, ...]
    of_rows: tuple[Array, ...]
    order: np.ndarray

    def normal(self, weights: Array) -> tuple[Array, Array]:
        """As ``Dense.normal``. The residuals stand as a last term with one parameter of slope 1."""
        rows = (*self.of_rows, self.residuals)
        terms = (*self.of_terms, jnp.ones_like(self.residuals[:1]))
        upper = []  # [t][s]: the block of term t and the s-th after it
        for t, (own, slope) in enumerate(zip(self.of_terms, self.of_rows, strict=True)):
            sums = (jnp.sum(weights * slope * other, 0) for other in rows[t:])
            later = jnp.concatenate([u * m for u, m in zip(terms[t:], sums, strict=True)])
            product = own @ jax.lax.optimization_barrier(later).T
            ends = np.cumsum([len(u) for u in terms[t:-1]])
            upper.append(jnp.split(product, ends, axis=1))
        lines = [[*(upper[s][t - s].T for s in range(t)), *upper[t]] for t in range(len(upper))]
        gram = jnp.concatenate([jnp.concatenate(line, 1) for line in lines])[self.order]
        return gram[:, self.order], gram[:, -1]


def linear_model(objective: Objective, z: Array, rows: Rows) -> Dense | ByTerms:
    """The model at z [P] of one fit: by terms if its rows are grouped by mixture and few suffice.

    The terms must share no parameter and depend on all of them.
    """
    by_terms = _by_terms(objective, z, rows) if rows.losses.ndim == 2 else None
    return by_terms or Dense(*objective.linearize(z, rows))


def _by_terms(objective: Objective, z: Array, rows: Rows) -> ByTerms | None:
    mixture = {name: x[0] for name, x in rows.x.items() if x.shape[0] == 1}
    own = {name: x for name, x in rows.x.items() if x.shape[0] > 1}
    params, slopes = objective.natural(z, rows)
    first = jax.tree.map(lambda x: x[0], mixture), jax.tree.map(lambda x: x[0, 0], own)
    terms = find_terms(objective.law, params, *first)
    if terms is None or len(terms.reads) > _MOST:
        return None
    places = _places(objective, terms)
    ranks = sorted(range(len(places)), key=lambda t: -len(places[t]))
    joined = np.concatenate([places[t] for t in ranks])
    if not np.array_equal(np.sort(joined), np.arange(len(z))):
        return None
    of_terms = [_slopes_of_term(terms, t, params, slopes, mixture) for t in ranks]
    fitted, of_rows = _slopes_of_rows(objective, terms, params, mixture, own, len(rows.losses))
    used = rows.row_weights > 0
    return ByTerms(
        residuals=jnp.where(used, objective.fitted(rows.losses) - fitted, 0.0),
        of_terms=tuple(jnp.where(jnp.any(used, 0), u, 0.0) for u in of_terms),
        of_rows=tuple(jnp.where(used, of_rows[t], 0.0) for t in ranks),
        order=np.argsort(joined),
    )


def _places(objective: Objective, terms: Terms) -> list[np.ndarray]:
    """For each term, where the parameters on which it depends stand in the working vector."""
    law, k = objective.law, objective.k
    numbers = law.unflatten(np.arange(law.count(k)), k)
    return [np.concatenate([np.atleast_1d(numbers[n]) for n in sorted(s)]) for s in terms.reads]


def _slopes_of_rows(
    objective: Objective, terms: Terms, params: Params, mixture: Inputs, own: Inputs, count: int
) -> tuple[Array, tuple[Array, ...]]:
    """Predictions [R, M] on the fitted scale, and their slopes by each term."""
    one = jax.value_and_grad(lambda *given: objective.fitted(terms.of_row(*given)))
    of_mixture = jax.vmap(one, (None, None, 0), axis_size=count)
    given = jax.vmap(terms.of_mixture, (None, 0))(params, mixture)
    return jax.vmap(of_mixture, (0, 0, 1), out_axes=1)(*given, own)


def _slopes_of_term(
    terms: Terms, number: int, params: Params, slopes: Params, mixture: Inputs
) -> Array:
    """The slopes [P_t, M] of a term by the working values of its parameters, in their order."""
    names = sorted(terms.reads[number])

    def term(some: Params, one: Inputs) -> Array:
        return terms.of_mixture({**params, **some}, one)[0][number]

    found = jax.vmap(jax.grad(term), (None, 0))({n: params[n] for n in names}, mixture)
    scaled = [found[name] * slopes[name] for name in names]
    return jnp.concatenate([jnp.atleast_2d(x.T) for x in scaled])
