"""The noise of losses, from runs repeated with other seeds and from ``sem_`` columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.inputs import read_inputs
from jaxmix.fitting.uncertainty.clusters import mixture_labels
from jaxmix.runs import RunTable

_SMALLEST = 6.0  # natural logarithms by which a group's variance may lie below the median one


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The noise of one target's losses.

    Attributes:
        target: bare name.
        seed_sd: standard deviation over seeds, nats; NaN if no run was repeated.
        freedom: its degrees of freedom: repeats beyond the first of each point.
        evaluation_sd: root mean square of ``sem_<target>``, nats; NaN if there is no such column.
        residual_sd: of the fit's residuals, robust (1.4826 times the median absolute one), nats.
        slope: change of log(variance over seeds) per unit of weight, by domain; empty if the
            repeats do not show that the noise depends on the mixture.
        p_value: of the permutation test for that dependence; NaN if it was not tested.
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
        """The larger of the two known standard deviations, nats; NaN if neither is known."""
        known = [x for x in (self.seed_sd, self.evaluation_sd) if np.isfinite(x)]
        return max(known, default=float("nan"))

    @property
    def unexplained(self) -> float:
        """Share of the residuals' variance that noise does not explain; NaN if unknown."""
        if not self.residual_sd > 0 or not np.isfinite(self.floor):
            return float("nan")
        return max(0.0, 1.0 - (self.floor / self.residual_sd) ** 2)

    def rows(self, runs: RunTable) -> np.ndarray:
        """Standard deviation over seeds at every row's mixture, nats [p]; 0 if unknown."""
        if not np.isfinite(self.seed_sd):
            return np.zeros(len(runs))
        slope = np.array([self.slope.get(d, 0.0) for d in runs.domains])
        tilt = np.exp(0.5 * (runs.weights @ slope)) if self.slope else np.ones(len(runs))
        return self.seed_sd * tilt / np.sqrt(np.mean(tilt**2))


def measure_noise(
    laws: Sequence[FittedLaw],
    runs: RunTable,
    *,
    permutations: int = 999,
    significance: float = 0.05,
    seed: int = 0,
) -> tuple[Noise, ...]:
    """The noise of every target's losses.

    Repeats are rows with the same N, D, mixture and other inputs of the law.

    Args:
        laws: fits, one per target.
        runs: the rows.
        permutations: of the test whether the noise depends on the mixture.
        significance: p value below which it is taken to depend on it.
        seed: of the permutations.
    """
    return tuple(_noise(law, runs, permutations, significance, seed) for law in laws)


def _noise(
    law: FittedLaw, runs: RunTable, permutations: int, significance: float, seed: int
) -> Noise:
    x, losses = read_inputs(runs, law.law, law.domains), runs.losses([law.target])[0]
    groups = _repeats(runs, x, np.isfinite(losses))
    freedom = sum(len(rows) - 1 for rows in groups)
    squares = sum(float(np.var(losses[rows]) * len(rows)) for rows in groups)
    sems = runs.sems([law.target])
    known = sems[0][np.isfinite(sems[0])] if sems is not None else np.empty(0)
    residuals = losses - law.predict(x)
    slope, p_value = _dependence(runs, losses, groups, permutations, seed)
    return Noise(
        target=law.target,
        seed_sd=float(np.sqrt(squares / freedom)) if freedom else float("nan"),
        freedom=freedom,
        evaluation_sd=float(np.sqrt(np.mean(known**2))) if len(known) else float("nan"),
        residual_sd=1.4826 * float(np.median(np.abs(residuals[np.isfinite(residuals)]))),
        slope=slope if p_value < significance else {},
        p_value=p_value,
    )


def _repeats(runs: RunTable, x: Mapping[str, np.ndarray], present: np.ndarray) -> list[np.ndarray]:
    """Rows of every point that has two losses or more."""
    mixtures = mixture_labels(runs.weights) if runs.domains else np.zeros(len(runs), int)
    others = [np.asarray(v).reshape(len(runs), -1) for name, v in x.items() if name != "weights"]
    points = np.column_stack([runs.n_params, runs.tokens, mixtures, *others])
    labels = np.unique(points, axis=0, return_inverse=True)[1].ravel()
    groups = [np.flatnonzero((labels == g) & present) for g in range(labels.max() + 1)]
    return [rows for rows in groups if len(rows) > 1]


def _dependence(
    runs: RunTable, losses: np.ndarray, groups: list[np.ndarray], permutations: int, seed: int
) -> tuple[dict[str, float], float]:
    """Slopes of the log variance by weight and the p value of a permutation test."""
    k = len(runs.domains)
    if k < 2 or len(groups) < 3 * k:
        return {}, float("nan")
    weights = np.stack([runs.weights[rows[0]] for rows in groups])  # [g, k]
    centered = weights - weights.mean(0)
    variance = np.array([np.var(losses[rows], ddof=1) for rows in groups])
    log_variance = np.log(np.maximum(variance, 1e-30))
    # Repeats that agree by chance would otherwise decide the slope.
    log_variance = np.maximum(log_variance, np.median(log_variance) - _SMALLEST)
    project = np.linalg.pinv(centered)  # [k, g]

    def explained(values: np.ndarray) -> float:
        return float(np.sum((centered @ (project @ (values - values.mean()))) ** 2))

    rng, observed = np.random.default_rng(seed), explained(log_variance)
    beaten = sum(explained(rng.permutation(log_variance)) >= observed for _ in range(permutations))
    slope = project @ (log_variance - log_variance.mean())
    return dict(zip(runs.domains, slope.tolist(), strict=True)), (1 + beaten) / (1 + permutations)
