"""The mixture with the best lower bound of its gain over one that was run.

The optimum of a law is where its errors look most favorable. The lower confidence bound of the gain
subtracts what refits and the law's own error leave open, so that a proposal leaves the mixtures
that were run only as far as the runs support it.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy

from jaxmix.fitting.hull import nearest_inside
from jaxmix.fitting.residual import Residual
from jaxmix.fitting.uncertainty.ensemble import Ensemble, finite
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.solve.problem import problem_of
from jaxmix.mixtures.solve.refits import losses_at, meets, objective_of

_STEPS = 20  # points on the way from one mixture to another
_STARTS = 4  # of the local search
_ROUNDS = 20  # cuts of the hull
_FTOL = 1e-10
_APART = 0.1  # of the length of the residual: mixtures farther apart err independently


@dataclass(frozen=True, eq=False, kw_only=True)
class Risk:
    """What is asked of a mixture: its gain over a baseline less what is not known of it.

    Attributes:
        optimum: the laws, budget, objective and constraints.
        ensemble: refits of the laws.
        baseline: [k] the mixture that gains are counted from.
        residual: what measured neighbors say of the laws' errors at this budget; None if nothing.
        level: probability that the interval of the gain should cover.
        confidence: probability with which the gain should exceed its bound.
    """

    optimum: Optimum
    ensemble: Ensemble
    baseline: np.ndarray
    residual: Residual | None
    level: float
    confidence: float

    def gain(self, h: np.ndarray) -> np.ndarray:
        """Estimated gains [...] of mixtures [..., k] over the baseline, nats."""
        return self._estimate(self.baseline) - self._estimate(h)

    def errors(self, h: np.ndarray) -> np.ndarray:
        """Errors [B, ...] that refits make in the gains of mixtures [..., k]."""
        gains = self._refits(self.baseline).reshape(-1, *(1,) * (h.ndim - 1)) - self._refits(h)
        predicted = self._predicted(self.baseline) - self._predicted(h)
        return finite(gains - predicted)

    def model_error(self, h: np.ndarray) -> np.ndarray:
        """Standard deviation [...] of the law's own error in these gains within the data."""
        far = {**self.optimum.inputs, "weights": h}
        distance = np.linalg.norm(h - self.baseline, axis=-1)
        return self.ensemble.model_error.difference_sd(far, self.optimum.w, distance)

    def bound(self, h: np.ndarray) -> np.ndarray:
        """Lower bounds [...] of the gains of mixtures [..., k]; 0 at the baseline.

        The law's own error is that at the edge of the data. How it grows beyond widens the interval
        of the gain, but it scales the effects of all mixtures alike and so favors none.
        """
        return self.gain(h) - scipy.special.ndtri(self.confidence) * self.spread(h)

    def spread(self, h: np.ndarray) -> np.ndarray:
        """Standard deviations [...] of the errors of these gains, within the data.

        The residual knows both what refits and what the law's own error would add.
        """
        if self.residual is None:
            return np.hypot(self.errors(h).std(0), self.model_error(h))
        sizes = (self._weighted(self.residual.sd(x)) for x in (h, self.baseline))
        apart = np.linalg.norm(h - self.baseline, axis=-1) / (_APART * self.residual.length)
        return np.hypot(*sizes) * np.sqrt(-np.expm1(-(apart**2)))

    def _weighted(self, sizes: np.ndarray) -> np.ndarray:
        """Standard deviations [...] of the objective from those of the targets [m, ...]."""
        w, correlation = self.optimum.w, self.ensemble.model_error.correlation
        scaled = np.moveaxis(sizes, 0, -1) * w  # [..., m]
        return np.sqrt(np.einsum("...i,ij,...j->...", scaled, correlation, scaled))

    def _estimate(self, h: np.ndarray) -> np.ndarray:
        if self.residual is None:
            return self._predicted(h)
        return self._predicted(h) + np.einsum("m,m...->...", self.optimum.w, self.residual.mean(h))

    def _predicted(self, h: np.ndarray) -> np.ndarray:
        return objective_of(self.optimum, partial(losses_at, self.optimum), h)

    def _refits(self, h: np.ndarray) -> np.ndarray:
        return objective_of(self.optimum, self.ensemble.losses, h)


def safest_gain(risk: Risk, others: np.ndarray) -> np.ndarray:
    """The mixture [k] within the constraints of the optimum with the highest bound.

    Candidates lie on the ways from the baseline to the optimum and to others [s, k]; the best of
    them are improved by sequential quadratic programming if all constraints are linear.
    """
    ends = np.vstack([risk.optimum.h, others])
    share = np.linspace(0.0, 1.0, _STEPS + 1)[:, None, None]
    points = (risk.baseline + share * (ends - risk.baseline)).reshape(-1, len(risk.baseline))
    points = points[meets(risk.optimum, points)]
    values = risk.bound(points)
    best = points[np.argsort(-values, kind="stable")]
    linear = problem_of(risk.optimum).program(risk.optimum.laws.stacked).mix
    if not linear.any() and not risk.optimum.pull and not risk.optimum.worst_case:
        found = [_improved(risk, h) for h in best[:: max(1, len(best) // 50)][:_STARTS]]
        best = np.vstack([best[:1], *found])
    return best[int(np.argmax(risk.bound(best)))]


def _improved(risk: Risk, start: np.ndarray) -> np.ndarray:
    """A mixture near a start with a higher bound; the start if there is none inside."""
    shape = problem_of(risk.optimum).shape
    rows = [(row.slope, row.bound) for row in shape.mixed]
    region, h = risk.optimum.constraints.region, start
    for _ in range(_ROUNDS if region and region.within == "hull" else 1):
        h = _searched(risk, start, shape.lower, shape.upper, rows)
        cut = region.cut(h) if region and region.within == "hull" else None
        if cut is None:
            return h if meets(risk.optimum, h) else start
        rows.append(cut)
    assert region is not None
    return nearest_inside(region.support.mixtures, h)


def _searched(
    risk: Risk,
    start: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    rows: list[tuple[np.ndarray, float]],
) -> np.ndarray:
    """SciPy's sequential quadratic programming with differences for slopes, in one batch each."""
    slopes = np.array([slope for slope, _ in rows]).reshape(-1, len(start))
    right = np.array([bound for _, bound in rows])
    limits = [{"type": "eq", "fun": lambda h: h.sum() - 1.0, "jac": np.ones_like}]
    if rows:
        inside = {"fun": lambda h: right - slopes @ h, "jac": lambda h: -slopes}
        limits.append({"type": "ineq", **inside})
    found = scipy.optimize.minimize(
        lambda h: _value_and_slope(risk, h),
        start,
        jac=True,
        method="SLSQP",
        bounds=np.stack([lower, np.maximum(lower, upper)], axis=1),
        constraints=limits,
        options={"ftol": _FTOL, "maxiter": 100},
    )
    h = np.clip(found.x, lower, np.maximum(lower, upper))
    return h / h.sum()


def _value_and_slope(risk: Risk, h: np.ndarray, step: float = 1e-5) -> tuple[float, np.ndarray]:
    """The bound's negative with its slope [k] by differences toward each vertex and away."""
    k = len(h)
    ways = np.where(h < step, 1.0, -1.0)  # weights stay non-negative
    values = -risk.bound(np.vstack([h, h + step * np.diag(ways)]))
    values = np.nan_to_num(values, nan=1e6, posinf=1e6)
    return float(values[0]), (values[1:] - values[0]) / (step * ways) if k else h
