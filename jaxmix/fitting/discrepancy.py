"""What a law misses: errors that neither noise nor the estimation of parameters explains.

No law is true. Where its form is wrong, its errors at mixtures that took no part in a fit are
larger than the scatter of refits accounts for, and so are those on sizes beyond the fitted ones.
Both are measured by leaving rows out, and enter intervals as further random errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.fitted import FittedLaw


@dataclass(frozen=True, eq=False)
class Discrepancy:
    """Standard deviations of a law's own errors, nats, each [m].

    Attributes:
        mixture: at a mixture that was not run, within the range of sizes and tokens.
        per_log_n: in common to all mixtures, per unit of log N beyond the largest size.
        mixture_per_log_n: of single mixtures about that, per unit of log N.
        per_log_d: in common to all, per unit of log D beyond the longest run.
        distance: distance of mixtures [] at which their errors are unrelated.
        correlation: [m, m] of the targets' errors at one mixture.
    """

    mixture: np.ndarray
    per_log_n: np.ndarray
    mixture_per_log_n: np.ndarray
    per_log_d: np.ndarray
    distance: float
    correlation: np.ndarray

    @staticmethod
    def none(targets: int) -> "Discrepancy":
        """Of laws that are taken to be true."""
        zero = np.zeros(targets)
        return Discrepancy(zero, zero, zero, zero, 1.0, np.eye(targets))

    def only(self, target: int) -> "Discrepancy":
        """The same of one target."""
        one = slice(target, target + 1)
        return Discrepancy(
            self.mixture[one],
            self.per_log_n[one],
            self.mixture_per_log_n[one],
            self.per_log_d[one],
            self.distance,
            self.correlation[one, one],
        )

    def beyond(
        self, laws: Sequence[FittedLaw], n_params: np.ndarray, tokens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """How far N and D lie beyond each law's data, in natural logarithms; two [m, ...].

        The limits (infinite N or D) count as ten times the data.
        """

        def excess(value: np.ndarray, most: float) -> np.ndarray:
            return np.log(np.clip(value / most, 1.0, 10.0 if np.isinf(value).any() else np.inf))

        n = np.stack([excess(n_params, f.data.n_params[1]) for f in laws])
        d = np.stack([excess(tokens, f.data.tokens[1]) for f in laws])
        return n, d

    def common(
        self, laws: Sequence[FittedLaw], n_params: np.ndarray, tokens: np.ndarray
    ) -> np.ndarray:
        """Standard deviation of the error that all mixtures share at a budget, [m, ...]."""
        n, d = self.beyond(laws, n_params, tokens)
        return np.hypot(_per(self.per_log_n, n) * n, _per(self.per_log_d, d) * d)

    def single(
        self, laws: Sequence[FittedLaw], n_params: np.ndarray, tokens: np.ndarray
    ) -> np.ndarray:
        """Standard deviation of the error of one mixture about the shared one, [m, ...]."""
        n, _ = self.beyond(laws, n_params, tokens)
        return np.hypot(_per(self.mixture, n), _per(self.mixture_per_log_n, n) * n)

    def correlated(self, size: np.ndarray) -> np.ndarray:
        """Covariance [m, m] of errors of size [m]."""
        return self.correlation * np.outer(size, size)

    def draw(
        self,
        laws: Sequence[FittedLaw],
        count: int,
        n_params: np.ndarray,
        tokens: np.ndarray,
        *,
        seed: int,
    ) -> np.ndarray:
        """Random errors [m, count, ...] of predictions at N, D [...]."""
        both = np.broadcast_arrays(np.asarray(n_params, float), np.asarray(tokens, float))
        size = np.hypot(self.common(laws, *both), self.single(laws, *both))  # [m, ...]
        root = np.linalg.cholesky(self.correlation + 1e-9 * np.eye(len(size)))
        normal = root @ np.random.default_rng(seed).standard_normal((len(size), count))
        return normal.reshape(normal.shape + (1,) * (size.ndim - 1)) * size[:, None]


def _per(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Values [m] shaped to broadcast with [m, ...]."""
    return values.reshape((-1,) + (1,) * (like.ndim - 1))
