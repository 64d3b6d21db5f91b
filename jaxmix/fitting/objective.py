"""The objective of a fit, eq. (6): the mean Huber loss of the residuals, and its derivatives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmix.laws import Law

Array = jax.Array


def tiny(x: Array) -> float:
    """The smallest normal number of x's precision, for denominators that may be 0."""
    return float(jnp.finfo(x.dtype).tiny)


class Prior(NamedTuple):
    """Where the parameters of each fit are thought to be: a quadratic penalty in working space.

    Attributes:
        center: [m, P] working vectors.
        precision: [m, P] curvature of the penalty, in the units of eq. (6); 0 for none, infinite
            for a parameter that is held at its center.
    """

    center: Array
    precision: Array

    def hold(self, z: Array) -> Array:
        """Working vectors [m, P] with the held parameters at their centers."""
        return jnp.where(jnp.isinf(self.precision), self.center, z)

    @property
    def curvature(self) -> Array:
        """The precision of what is not held."""
        return jnp.where(jnp.isinf(self.precision), 0.0, self.precision)


class Rows(NamedTuple):
    """The rows that one or many fits share. p rows, m fits, k domains.

    In solvers the rows may be grouped by mixture (``jaxmix.fitting.grid``). The axis p then becomes
    two axes: rows within a group, and groups.

    Attributes:
        x: inputs of the law by name, in the law's units: [p], or [p, k] for those per domain.
        own: inputs of each fit's own domain by name, [m, p]; empty for the rows of one fit.
        losses: [m, p] observed losses, nats; anything if ``row_weights`` is 0.
        row_weights: [m, p], non-negative, each fit's sum is 1.
        prior: of the working vectors of the m fits; None if they are free.
    """

    x: dict[str, Array]
    own: dict[str, Array]
    losses: Array
    row_weights: Array
    prior: Prior | None = None

    def of_fit(self, fit: Array) -> "Rows":
        """The rows of one fit: every input in ``x``, ``losses`` and ``row_weights`` [p]."""
        own = {name: values[fit] for name, values in self.own.items()}
        prior = jax.tree.map(lambda values: values[fit], self.prior)
        return Rows(self.x | own, {}, self.losses[fit], self.row_weights[fit], prior)

    def alone(self, fit: Array) -> "Rows":
        """The rows of one fit as those of a table with that target alone (m = 1)."""
        one = self.of_fit(fit)
        losses, weights, prior = jax.tree.map(
            lambda values: values[None], (one.losses, one.row_weights, one.prior)
        )
        return one._replace(losses=losses, row_weights=weights, prior=prior)

    def held(self, z: Array) -> Array:
        """The working vector [P] of one fit with what the prior holds in its place."""
        return z if self.prior is None else self.prior.hold(z)

    def penalized(self, value: Array, z: Array) -> Array:
        """Eq. (6) of one fit at z [P], and what its prior adds."""
        if self.prior is None:
            return value
        return value + 0.5 * jnp.sum(self.prior.curvature * (z - self.prior.center) ** 2)


@dataclass(frozen=True)
class Objective:
    """Mean Huber of the residuals of one law, as functions of the working vector z [P].

    Attributes:
        law: the law.
        k: number of domains.
        delta: Huber threshold of eq. (6), nats (or relative, with ``residual="log"``).
        residual: ``"loss"`` for y - L, ``"log"`` for log y - log L.
    """

    law: Law
    k: int
    delta: float = 1e-3
    residual: str = "loss"

    def predict(self, z: Array, rows: Rows) -> Array:
        """Predicted losses [p]."""
        loss = self.law.loss(self.law.from_working(rows.held(z), self.k), rows.x)
        return jnp.broadcast_to(loss, rows.losses.shape)

    def residuals(self, z: Array, rows: Rows) -> Array:
        """Observed minus predicted [p], on the scale that is fitted; 0 where the weight is 0."""
        return self._difference(rows, self.predict(z, rows))

    def value(self, z: Array, rows: Rows, delta: Any = None) -> Array:
        """Eq. (6) at z, and what a prior adds to it."""
        return rows.penalized(self.mean_huber(self.residuals(z, rows), rows, delta), z)

    def mean_huber(self, residuals: Array, rows: Rows, delta: Any = None) -> Array:
        """Weighted mean Huber of residuals [p]."""
        delta = self.delta if delta is None else delta
        size = jnp.abs(residuals)
        small = jnp.minimum(size, delta)
        return jnp.sum(rows.row_weights * small * (size - 0.5 * small))

    def fitted(self, loss: Array) -> Array:
        """Losses on the scale that is fitted."""
        return jnp.log(loss) if self.residual == "log" else loss

    def natural(self, z: Array, rows: Rows) -> tuple[dict[str, Array], dict[str, Array]]:
        """Natural parameters at z [P], and the elementwise slopes of that map."""
        return jax.jvp(
            lambda v: self.law.from_working(rows.held(v), self.k), (z,), (jnp.ones_like(z),)
        )

    def linearize(self, z: Array, rows: Rows) -> tuple[Array, Array]:
        """Residuals [p] and the Jacobian of the prediction on the fitted scale, [P, p].

        Each row's prediction is a scalar, so one reverse pass per row gives the whole Jacobian at
        a few times the cost of the predictions. It is taken in natural parameters and carried to
        the working ones by the elementwise slope of that map.
        """
        params, slopes = self.natural(z, rows)

        def row(params: dict[str, Array], x: dict[str, Array]) -> Array:
            return self.fitted(self.law.loss(params, x))

        fitted, gradient = _over_rows(jax.value_and_grad(row), rows.losses.shape)(params, rows.x)
        # Parameters are joined after the reverse pass: otherwise every entry would be a sum over
        # all of them. They are joined along the first axis: ``Law.flatten`` is a tenth slower.
        scaled = {name: gradient[name] * slopes[name] for name in gradient}
        jacobian = jnp.concatenate(
            [
                scaled[p.name][None] if p.shape == "scalar" else jnp.moveaxis(scaled[p.name], -1, 0)
                for p in self.law.parameters
            ]
        )
        used = rows.row_weights > 0
        return jnp.where(used, self.fitted(rows.losses) - fitted, 0.0), jnp.where(
            used, jacobian, 0.0
        )

    def _difference(self, rows: Rows, predicted: Array) -> Array:
        difference = self.fitted(rows.losses) - self.fitted(predicted)
        return jnp.where(rows.row_weights > 0, difference, 0.0)


def _over_rows(one: Callable[..., Any], shape: tuple[int, ...]) -> Callable[..., Any]:
    """Maps a function of parameters and the inputs of one row over rows of one or two axes.

    Inputs that are equal within a group stay outside the inner map, so that terms that depend on
    the mixture alone are computed once per group.
    """
    if len(shape) == 1:
        return jax.vmap(one, in_axes=(None, 0))

    def group(params: Any, x: dict[str, Array]) -> Any:
        same = {name: values[0] for name, values in x.items() if values.shape[0] == 1}
        each = {name: values for name, values in x.items() if values.shape[0] > 1}
        return jax.vmap(lambda own: one(params, same | own), axis_size=shape[0])(each)

    return jax.vmap(group, in_axes=(None, 1), out_axes=1)
