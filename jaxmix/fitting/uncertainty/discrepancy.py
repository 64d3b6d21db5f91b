"""What a law misses: errors that neither noise nor the estimation of parameters explains.

No law is true. Where its form is wrong, its errors at mixtures that took no part in a fit are
larger than the scatter of refits accounts for, and so are those on sizes beyond the fitted ones.
Both are measured by leaving rows out, and enter intervals as further random errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.hull import hull_distance

_PER_TARGET = ("mixture", "outside", "drift_n", "drift_d", "per_log_n", "per_log_d")
_FARTHEST = 1e6  # factor beyond the data


@dataclass(frozen=True, eq=False)
class Discrepancy:
    """Standard deviations of a law's own errors, nats, each [m].

    Attributes:
        mixture: at a mixture that was not run, among those that were, at the middle of the data.
        outside: further, per unit of distance from the convex hull of those that were run.
        drift_n: further, per unit of log N from the middle of the data and of distance from the
            mean of the mixtures that were run.
        drift_d: likewise per unit of log D.
        per_log_n: in common to all mixtures, per unit of log N beyond the largest size.
        per_log_d: likewise per unit of log D beyond the longest run.
        middle: [2] geometric means of N and D of the data.
        distance: distance of mixtures [] at which their errors are unrelated.
        correlation: [m, m] of the targets' errors at one mixture.
        freedom: of Student's t, from which errors are drawn: their sizes come from few mixtures.
        seen: [q, k] the mixtures that were run.
    """

    mixture: np.ndarray
    outside: np.ndarray
    drift_n: np.ndarray
    drift_d: np.ndarray
    per_log_n: np.ndarray
    per_log_d: np.ndarray
    middle: np.ndarray
    distance: float
    correlation: np.ndarray
    freedom: float
    seen: np.ndarray

    @staticmethod
    def none(targets: int) -> "Discrepancy":
        """Of laws that are taken to be true."""
        zero = np.zeros(targets)
        return Discrepancy(
            zero,
            zero,
            zero,
            zero,
            zero,
            zero,
            middle=np.ones(2),
            distance=1.0,
            correlation=np.eye(targets),
            freedom=30.0,
            seen=np.zeros((0, 0)),
        )

    def only(self, target: int) -> "Discrepancy":
        """The same of one target."""
        one = slice(target, target + 1)
        parts = {name: getattr(self, name)[one] for name in _PER_TARGET}
        return replace(self, **parts, correlation=self.correlation[one, one])

    def beyond(
        self, laws: Sequence[FittedLaw], n_params: Any, tokens: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """How far N and D lie beyond each law's data, in natural logarithms; two [m, ...].

        At most a factor of a million, which stands for the limits too.
        """

        def excess(value: Any, most: float) -> np.ndarray:
            return np.log(np.clip(np.asarray(value) / most, 1.0, _FARTHEST))

        n = np.stack([excess(n_params, f.data.n_params[1]) for f in laws])
        d = np.stack([excess(tokens, f.data.tokens[1]) for f in laws])
        return n, d

    def common(self, laws: Sequence[FittedLaw], n_params: Any, tokens: Any) -> np.ndarray:
        """Standard deviation of the error that all mixtures share at a budget, [m, ...]."""
        n, d = self.beyond(laws, n_params, tokens)
        return np.hypot(_per(self.per_log_n, n) * n, _per(self.per_log_d, d) * d)

    def single(
        self,
        laws: Sequence[FittedLaw],
        n_params: Any,
        tokens: Any,
        weights: Any,
    ) -> np.ndarray:
        """Standard deviation of the error of mixtures [..., k] about the shared one, [m, ...]."""
        points = np.shape(weights)[:-1]
        shape = np.broadcast_shapes(np.shape(n_params), np.shape(tokens), points)
        n, d = (
            np.broadcast_to(np.log(np.clip(x / m, 1 / _FARTHEST, _FARTHEST)), shape)
            for x, m in zip((n_params, tokens), self.middle, strict=True)
        )
        far, away = self.outside_by(weights), self._away(weights)
        like = np.empty((1, *shape))
        parts = (
            _per(self.mixture, like) + 0 * n,
            _per(self.outside, like) * far,
            _per(self.drift_n, like) * n * away,
            _per(self.drift_d, like) * d * away,
        )
        return np.sqrt(sum(x**2 for x in parts))

    def _away(self, weights: Any) -> np.ndarray:
        """Distance of mixtures [..., k] from the mean of those that were run, [...]."""
        if not len(self.seen):
            return np.zeros(np.shape(weights)[:-1])
        return np.linalg.norm(np.asarray(weights) - self.seen.mean(0), axis=-1)

    def outside_by(self, weights: np.ndarray) -> np.ndarray:
        """Distance of mixtures [..., k] from the convex hull of those that were run, [...]."""
        points = np.reshape(weights, (-1, np.shape(weights)[-1]))
        if not self.outside.any():
            return np.zeros(np.shape(weights)[:-1])
        far = [hull_distance(self.seen, h) for h in points]
        return np.reshape(far, np.shape(weights)[:-1])

    def correlated(self, size: np.ndarray) -> np.ndarray:
        """Covariance [m, m] of errors of size [m]."""
        return self.correlation * np.outer(size, size)

    def draw(
        self,
        laws: Sequence[FittedLaw],
        count: int,
        n_params: Any,
        tokens: Any,
        weights: Any,
        *,
        seed: int,
    ) -> np.ndarray:
        """Random errors [m, count, ...] of predictions at N, D [...] and weights [..., k]."""
        points = np.shape(weights)[:-1]
        n, d = (
            np.broadcast_to(x, np.broadcast_shapes(np.shape(x), points)) for x in (n_params, tokens)
        )
        size = np.hypot(self.common(laws, n, d), self.single(laws, n, d, weights))  # [m, ...]
        root = np.linalg.cholesky(self.correlation + 1e-9 * np.eye(len(size)))
        drawn = root @ self.standard(count, len(size), seed)
        return drawn.reshape(drawn.shape + (1,) * (size.ndim - 1)) * size[:, None]

    def standard(self, count: int, rows: int, seed: int) -> np.ndarray:
        """Draws [rows, count] of Student's t, those of one column with one denominator."""
        rng = np.random.default_rng(seed)
        scale = np.sqrt(self.freedom / rng.chisquare(self.freedom, count))
        return rng.standard_normal((rows, count)) * scale


def _per(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Values [m] shaped to broadcast with [m, ...]."""
    return values.reshape((-1,) + (1,) * (like.ndim - 1))
