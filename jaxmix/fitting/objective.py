"""The objective of a fit, eq. (6): the mean Huber loss of the residuals, and its derivatives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmix.laws import Law

Array = jax.Array


def tiny(x: Array) -> float:
    """The smallest normal number of x's precision, for denominators that may be 0."""
    return float(jnp.finfo(x.dtype).tiny)


class Rows(NamedTuple):
    """The rows that one or many fits share. p rows, m fits, k domains as the law sees them.

    Attributes:
        n_params: [p], in the law's units.
        tokens: [p], in the law's units.
        weights: [1 or m, p, k] mixture weights.
        losses: [m, p] observed losses, nats; anything where ``row_weights`` is 0.
        row_weights: [m, p], non-negative, each fit's sum is 1.
        unique: [p, k] unique tokens available, in the units of ``tokens``, for a law that knows
            repetition; else None.
    """

    n_params: Array
    tokens: Array
    weights: Array
    losses: Array
    row_weights: Array
    unique: Array | None = None

    def of_fit(self, fit: Array) -> "Rows":
        """The rows of one fit: ``weights`` [p, k], ``losses`` and ``row_weights`` [p]."""
        shared = self.weights.shape[0] == 1
        weights = self.weights[0] if shared else self.weights[fit]
        return self._replace(
            weights=weights, losses=self.losses[fit], row_weights=self.row_weights[fit]
        )


@dataclass(frozen=True)
class Objective:
    """Mean Huber of the residuals of one law, as functions of the working vector z [P].

    Attributes:
        law: the law.
        k: number of domains as the law sees them.
        delta: Huber threshold of eq. (6), nats (or relative, with ``residual="log"``).
        residual: ``"loss"`` for y - L, ``"log"`` for log y - log L.
    """

    law: Law
    k: int
    delta: float = 1e-3
    residual: str = "loss"

    def predict(self, z: Array, rows: Rows) -> Array:
        """Predicted losses [p]."""
        params = _available(self.law.from_working(z, self.k), rows.unique)
        return self.law.loss(params, rows.n_params, rows.tokens, rows.weights)

    def residuals(self, z: Array, rows: Rows) -> Array:
        """Observed minus predicted [p], on the scale that is fitted; 0 where the weight is 0."""
        return self._difference(rows, self.predict(z, rows))

    def value(self, z: Array, rows: Rows, delta: Any = None) -> Array:
        """Eq. (6) at z."""
        return self.mean_huber(self.residuals(z, rows), rows, delta)

    def mean_huber(self, residuals: Array, rows: Rows, delta: Any = None) -> Array:
        """Weighted mean Huber of residuals [p]."""
        delta = self.delta if delta is None else delta
        size = jnp.abs(residuals)
        small = jnp.minimum(size, delta)
        return jnp.sum(rows.row_weights * small * (size - 0.5 * small))

    def linearize(self, z: Array, rows: Rows) -> tuple[Array, Array]:
        """Residuals [p] and the Jacobian of the prediction on the fitted scale, [P, p].

        Each row's prediction is a scalar, so one reverse pass per row gives the whole Jacobian at
        a few times the cost of the predictions. It is taken in natural parameters and carried to
        the working ones by the elementwise slope of that map.
        """
        natural, slope = jax.jvp(
            lambda v: self.law.flatten(self.law.from_working(v, self.k)), (z,), (jnp.ones_like(z),)
        )

        def row(theta: Array, n: Array, d: Array, h: Array, unique: Array | None) -> Array:
            loss = self.law.loss(_available(self.law.unflatten(theta, self.k), unique), n, d, h)
            return jnp.log(loss) if self.residual == "log" else loss

        per_row = (rows.n_params, rows.tokens, rows.weights, rows.unique)
        gradient = jax.vmap(jax.value_and_grad(row), in_axes=(None, 0, 0, 0, 0), out_axes=(0, 1))
        fitted, jacobian = gradient(natural, *per_row)
        observed = jnp.log(rows.losses) if self.residual == "log" else rows.losses
        used = rows.row_weights > 0
        residuals = jnp.where(used, observed - fitted, 0.0)
        return residuals, jnp.where(used, jacobian, 0.0) * slope[:, None]

    def _difference(self, rows: Rows, predicted: Array) -> Array:
        if self.residual == "log":
            difference = jnp.log(rows.losses) - jnp.log(predicted)
        else:
            difference = rows.losses - predicted
        return jnp.where(rows.row_weights > 0, difference, 0.0)


def _available(params: Mapping[str, Array], unique: Array | None) -> Mapping[str, Array]:
    """The parameters, and beside them the unique tokens of the rows, if the law looks at them."""
    return params if unique is None else {**params, "unique": unique}
