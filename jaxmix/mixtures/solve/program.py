"""A mixture problem with any constraints as arrays, and its functions with their derivatives.

In x = (h, t), h [k] a mixture and t a scalar, one program is::

    minimize    objective . F(h) + cost . x
    subject to  mix F(h) + matrix x <= right,  lower <= x <= upper,  sum h = 1

where F(h) [m + 1] are the losses of m targets and KL(h‖prior). With rows ``F_i(h) - t <= 0`` and
the cost t it is the worst case over targets; without an objective it finds a mixture that meets
guardrails.
"""

from dataclasses import dataclass
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.fitted import StackedLaws
from jaxmix.fitting.precision import float64
from jaxmix.fitting.programs import compile_quickly
from jaxmix.laws import Inputs
from jaxmix.mixtures.polytope import Polytope, Row
from jaxmix.mixtures.solve.lanes import map_targets, weighted_loss

_TINY = 1e-300  # stands for a weight of 0 in a logarithm


@compile_quickly()
def _first(laws: StackedLaws, x: Inputs, h: jax.Array) -> jax.Array:
    """Losses and their slopes at h [k], in one array [m, 1 + k]."""

    def both(law: StackedLaws) -> jax.Array:
        return jnp.append(*jax.value_and_grad(lambda h: law.losses({**x, "weights": h})[0])(h))

    return map_targets(both, laws)


@compile_quickly()
def _second(laws: StackedLaws, x: Inputs, w: jax.Array, h: jax.Array) -> jax.Array:
    """Hessian [k, k] of the losses' sum with weights w [m], none negative."""
    return jax.jacfwd(jax.grad(partial(weighted_loss, laws, x, w)))(h)


class Terms:
    """F(h) with derivatives, float64; the programs behind it are compiled once for each shape.

    Args:
        laws: m targets.
        x: inputs at one budget but the weights.
        counted: [m] which targets count; the others' losses, which may be infinite, are given as 0.
        prior: [k] that KL is measured from.
    """

    def __init__(
        self, laws: StackedLaws, x: Inputs, counted: np.ndarray, prior: np.ndarray
    ) -> None:
        self._counted, self._prior = counted, np.where(prior > 0, prior, 1.0)
        self._given = laws, {name: np.asarray(value, float) for name, value in x.items()}
        self._last: tuple[bytes, np.ndarray, np.ndarray] = b"", prior, prior

    def __call__(self, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """F [m + 1] and its slopes [m + 1, k] at h [k]."""
        if self._last[0] != h.tobytes():
            with float64():
                found = np.asarray(_first(*self._given, h))
            found = np.where(self._counted[:, None], found, 0.0)
            logs = np.log(np.maximum(h, _TINY) / self._prior)
            far = float(np.sum(np.where(h > 0, h * logs, 0.0)))
            values, slopes = np.append(found[:, 0], far), np.vstack([found[:, 1:], logs + 1.0])
            self._last = h.tobytes(), values, slopes
        return self._last[1:]

    def curvature(self, weights: np.ndarray, h: np.ndarray) -> np.ndarray:
        """Hessian [k, k] of ``weights . F`` at h > 0."""
        with float64():
            w = np.where(self._counted, weights[:-1], 0.0)
            found = np.asarray(_second(*self._given, w, h))
        return found + np.diag(weights[-1] / h)


@dataclass(frozen=True, eq=False)
class Program:
    """One problem as arrays; n = k + 1.

    Attributes:
        rows: [r] what the general rows are.
        shape: the linear constraints that the box comes from.
        objective: [m + 1] coefficients of F.
        cost: [n].
        mix: [r, m + 1].
        matrix: [r, n].
        right: [r].
        lower: [n]; equal to ``upper`` for a variable that is fixed.
        upper: [n].
    """

    rows: tuple[Row, ...]
    shape: Polytope
    objective: np.ndarray
    cost: np.ndarray
    mix: np.ndarray
    matrix: np.ndarray
    right: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def free(self) -> np.ndarray:
        """Which variables can move, bool [n]."""
        return self.upper > self.lower

    @property
    def bent(self) -> np.ndarray:
        """Rows with losses in them, bool [r]."""
        return np.any(self.mix != 0, 1)

    @cached_property
    def equal(self) -> np.ndarray:
        """Rows whose opposite is a row as well, bool [r]: the two halves of an equation."""
        linear = np.append(self.matrix, self.right[:, None], 1)
        linear[self.bent] = np.nan
        return np.any(np.all(np.abs(linear[:, None] + linear[None]) <= 1e-12, 2), 1)

    @cached_property
    def equations(self) -> tuple[np.ndarray, np.ndarray]:
        """Independent equations on the free variables, [e, n] and [e]; sum h = 1 is the first."""
        first = np.append(np.ones(len(self.cost) - 1), [0.0, 1.0])
        kept, basis = [first], [np.where(self.free, first[:-1], 0.0)]
        for row in np.append(self.matrix, self.right[:, None], 1)[self.equal]:
            more = [*basis, np.where(self.free, row[:-1], 0.0) / np.abs(row[:-1]).max()]
            if np.linalg.matrix_rank(np.array(more), tol=1e-9) == len(more):
                kept, basis = [*kept, row / np.abs(row[:-1]).max()], more
        return np.array(kept)[:, :-1], np.array(kept)[:, -1]

    def value(self, terms: Terms, x: np.ndarray) -> float:
        """The objective at x [n]."""
        return float(self.objective @ terms(x[:-1])[0] + self.cost @ x)

    def room(self, terms: Terms, x: np.ndarray) -> np.ndarray:
        """Room at every row, [r]; negative if it is not met, 0 for equations."""
        room = self.right - self.mix @ terms(x[:-1])[0] - self.matrix @ x
        return np.where(self.equal, 0.0, room)

    def slopes(self, terms: Terms, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient [n] of the objective and Jacobian [r, n] of the rows."""
        slopes = np.append(terms(x[:-1])[1], np.zeros((len(self.objective), 1)), 1)
        return self.objective @ slopes + self.cost, self.mix @ slopes + self.matrix

    def excess(self, terms: Terms, x: np.ndarray) -> float:
        """By how much x misses the worst constraint; 0 if it meets all."""
        table, right = self.equations
        return float(np.max([*-self.room(terms, x), *np.abs(table @ x - right), 0.0]))

    def lifted(self, terms: Terms, h: np.ndarray) -> np.ndarray:
        """X = (h, t) with the smallest t that its rows allow."""
        x, share = np.append(h, np.clip(0.0, self.lower[-1], self.upper[-1])), -self.matrix[:, -1]
        if self.free[-1] and (share > 0).any():
            over = self.matrix[:, -1] * x[-1] - self.room(terms, x)
            least = np.max(over[share > 0] / share[share > 0])
            x[-1] = np.clip(least, self.lower[-1], self.upper[-1])
        return x
