"""How noisy losses are, from repeats that differ in their seed alone and from ``sem_`` columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.uncertainty.clusters import mixture_labels
from jaxmix.runs import RunTable

_PERMUTATIONS = 999
_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Noise:
    """The noise of one target's losses.

    Attributes:
        target: bare name.
        seed_sd: standard deviation over seeds, nats; NaN where no run was repeated.
        freedom: degrees of freedom of it: repeats beyond the first of each point.
        evaluation_sd: root mean square of ``sem_<target>``, nats; NaN where there is none.
        residual_sd: of the fit's residuals, robust (1.4826 times the median absolute one), nats.
        slope: change of log(variance over seeds) per unit of weight, by domain; empty where the
            repeats do not show that noise depends on the mixture.
        p_value: of no such dependence, by permutation of the points; NaN where it is not tested.
    """

    target: str
    seed_sd: float
    freedom: int
    evaluation_sd: float
    residual_sd: float
    slope: dict[str, float]
    p_value: float

    @property
    def floor(self) -> float:
        """Standard deviation of a loss about the truth, nats: the best that is known of it."""
        known = [x for x in (self.seed_sd, self.evaluation_sd) if np.isfinite(x)]
        return max(known, default=float("nan"))

    @property
    def unexplained(self) -> float:
        """Share of the residuals' variance that noise does not explain; NaN where unknown."""
        if not self.residual_sd > 0 or not np.isfinite(self.floor):
            return float("nan")
        return max(0.0, 1.0 - (self.floor / self.residual_sd) ** 2)

    def rows(self, runs: RunTable) -> np.ndarray:
        """Standard deviation over seeds at every row's mixture, nats [p]; 0 where unknown."""
        if not np.isfinite(self.seed_sd):
            return np.zeros(len(runs))
        slope = np.array([self.slope.get(d, 0.0) for d in runs.domains])
        tilt = np.exp(0.5 * (runs.weights @ slope)) if self.slope else np.ones(len(runs))
        return self.seed_sd * tilt / np.sqrt(np.mean(tilt**2))


def measure_noise(laws: Sequence[FittedLaw], runs: RunTable, *, seed: int = 0) -> tuple[Noise, ...]:
    """The noise of every target.

    Repeats are rows of one size, token count and mixture that belong to different runs.

    Args:
        laws: fits, one per target.
        runs: the rows.
        seed: of the permutations.
    """
    return tuple(_noise(law, runs, seed) for law in laws)


def _noise(law: FittedLaw, runs: RunTable, seed: int) -> Noise:
    losses = runs.losses([law.target])[0]
    points = _points(runs, losses)
    spreads = [(rows, losses[rows]) for rows in points]
    freedom = sum(len(x) - 1 for _, x in spreads)
    squares = sum(float(np.sum((x - x.mean()) ** 2)) for _, x in spreads)
    sems = runs.sems([law.target])
    known = sems[0][np.isfinite(sems[0])] if sems is not None else np.empty(0)
    predicted = law.predict(runs)
    residuals = (losses - predicted)[np.isfinite(losses) & np.isfinite(predicted)]
    slope, p_value = _dependence(runs.domains, runs.weights, spreads, seed)
    return Noise(
        law.target,
        float(np.sqrt(squares / freedom)) if freedom else float("nan"),
        freedom,
        float(np.sqrt(np.mean(known**2))) if len(known) else float("nan"),
        1.4826 * float(np.median(np.abs(residuals))),
        slope,
        p_value,
    )


def _points(runs: RunTable, losses: np.ndarray) -> list[np.ndarray]:
    """Rows of every point (N, D, h) that has losses of two runs or more."""
    mixtures = mixture_labels(runs.weights) if runs.domains else np.zeros(len(runs), int)
    keys = np.stack([runs.n_params, runs.tokens, mixtures.astype(float)], 1)
    found = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    present = np.isfinite(losses)
    groups = [np.flatnonzero((found == g) & present) for g in range(found.max() + 1)]
    return [rows for rows in groups if len(rows) > 1]


def _dependence(
    domains: tuple[str, ...],
    weights: np.ndarray,
    spreads: list[tuple[np.ndarray, np.ndarray]],
    seed: int,
) -> tuple[dict[str, float], float]:
    """Slopes of the log variance by weight where a permutation test finds any, and its p value."""
    k = len(domains)
    if k < 2 or len(spreads) < 3 * k:
        return {}, float("nan")
    at = np.stack([weights[rows[0]] for rows, _ in spreads])  # [g, k]
    centered = at - at.mean(0)
    log_variance = np.log([max(float(np.var(x, ddof=1)), 1e-30) for _, x in spreads])
    log_variance = np.maximum(log_variance, np.median(log_variance) - 6.0)  # ties are not certainty

    def fit(values: np.ndarray) -> tuple[np.ndarray, float]:
        slope = np.linalg.lstsq(centered, values - values.mean(), rcond=None)[0]
        return slope, float(np.sum((centered @ slope) ** 2))

    slope, explained = fit(log_variance)
    rng = np.random.default_rng(seed)
    beaten = sum(fit(rng.permutation(log_variance))[1] >= explained for _ in range(_PERMUTATIONS))
    p_value = (1 + beaten) / (1 + _PERMUTATIONS)
    shown = dict(zip(domains, slope.tolist(), strict=True)) if p_value < _SIGNIFICANT else {}
    return shown, p_value
