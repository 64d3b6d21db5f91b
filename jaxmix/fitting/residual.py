"""What a law misses: a Gaussian process over mixtures on its residuals, pooled over sizes.

The law finds the basin; among its last candidates the measured neighbors say more. The model of a
residual is universal kriging: the law's parameters may move again, in the direction of its
derivatives, beside a smooth function of the mixture with a Matern 5/2 kernel, so that leaving a
mixture out has a closed form that counts what the law itself learned from that mixture
(Rasmussen and Williams 2006, sections 2.7 and 5.4.2).
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaws
from jaxmix.fitting.inputs import read_inputs
from jaxmix.fitting.precision import float64
from jaxmix.fitting.uncertainty.clusters import make_folds, mixture_labels
from jaxmix.laws import Law
from jaxmix.laws.baselines import LOG_LINEAR
from jaxmix.runs import RunTable

FEWEST = 12  # mixtures below which there is no residual
_SEARCHED = 400  # mixtures that the kernel's length and noise are chosen on, at most
_LENGTHS = np.geomspace(0.15, 3.0, 6)  # in median distances between mixtures
_NOISES = np.geomspace(0.03, 30.0, 7)  # variances, in units of the smooth part's
_FREEDOM = 0.5  # variance of what the law's parameters move, in units of the rest's
_CLIP = 4.0  # robust standard deviations beyond which a residual counts no more
_CLEAR = 1.0  # standard errors by which the error must fall


@dataclass(frozen=True, eq=False)
class Residual:
    """What to add to the predictions of fitted laws.

    Attributes:
        targets: [m] bare names.
        used: bool [m] targets for which held-out mixtures show that it helps; 0 is added to others.
        error: [m] mean absolute error at mixtures left out, nats, without it.
        corrected: [m] likewise with it.
        length: of the kernel, as a distance between mixtures.
        noise: variance of what is not smooth in the mixture, in units of what is.
    """

    targets: tuple[str, ...]
    used: np.ndarray
    error: np.ndarray
    corrected: np.ndarray
    length: float
    noise: float
    _slopes: "_Slopes" = field(repr=False)
    _mixtures: np.ndarray = field(repr=False)  # [u, k]
    _inverse: np.ndarray = field(repr=False)  # [m, u, u] of the covariance
    _solution: np.ndarray = field(repr=False)  # [m, u] the inverse times the residuals, nats
    _bound: np.ndarray = field(repr=False)  # [m] the largest residual seen, nats
    _spread: np.ndarray = field(repr=False)  # [m] amplitude; of the law's error if not used, nats

    def mean(self, weights: Any) -> np.ndarray:
        """Nats [m, ...] to add to the laws' predictions at mixtures [..., k].

        It is never more than the largest residual that was seen.
        """
        flat, shape = self._flat(weights)
        across, _ = self._covariance(flat)
        found = np.einsum("mqu,mu->mq", across, self._solution)
        bound = np.where(self.used, self._bound, 0.0)[:, None]
        return np.clip(found, -bound, bound).reshape(-1, *shape)

    def sd(self, weights: Any) -> np.ndarray:
        """Posterior standard deviation of the truth about the corrected prediction, [m, ...]."""
        flat, shape = self._flat(weights)
        across, prior = self._covariance(flat)
        variance = prior - np.einsum(
            "mqu,muv,mqv->mq", across, self._inverse, across, optimize=True
        )
        variance = np.where(self.used[:, None], np.maximum(variance, 0.0), 1.0)
        return (self._spread[:, None] * np.sqrt(variance)).reshape(-1, *shape)

    def _flat(self, weights: Any) -> tuple[np.ndarray, tuple[int, ...]]:
        weights = np.asarray(weights, float)
        return weights.reshape(-1, weights.shape[-1]), weights.shape[:-1]

    def _covariance(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the truth at [q, k] with the measured mixtures [m, q, u], and its own [m, q]."""
        there, here = self._slopes.at(weights), self._slopes.at(self._mixtures)
        free = _FREEDOM * (1.0 + self.noise)
        smooth = _matern(_squares(weights, self._mixtures), self.length)
        return smooth + free * there @ here.swapaxes(1, 2), 1.0 + free * np.sum(there**2, -1)


def fit_residual(
    laws: FittedLaws, runs: RunTable, left_out: np.ndarray | None = None, parts: int = 5
) -> Residual | None:
    """Fits the residual of some laws on the rows that they were fitted on.

    Args:
        laws: m fits.
        runs: their p rows; those that have losses of all targets count.
        left_out: residuals [m, p], nats, under fits that left out the mixture of each row, NaN if
            unknown, as ``Selection.left_out`` gives them: what the law errs without the residual.
            If None, its error at a mixture left out is taken from its derivatives.
        parts: into which the mixtures were dealt for ``left_out``; the residual is judged so too.

    Returns:
        None if there are fewer than twelve mixtures, or no target for which the error at mixtures
        left out falls by more than a standard error.

    Raises:
        JaxmixError: ``left_out`` has another shape.
        RunTableError: a target or a domain of the laws is missing.
    """
    observed = runs.losses(laws.targets)  # [m, p]
    if left_out is not None and left_out.shape != observed.shape:
        raise JaxmixError(f"left_out must be [m, p] = {observed.shape}, not {left_out.shape}")
    x = read_inputs(runs, laws.law, laws.domains)
    weights = read_inputs(runs, LOG_LINEAR, laws.domains)["weights"]
    with float64():
        residual = observed - np.asarray(laws.stacked.losses(x))
    rows = np.isfinite(residual).all(0)
    if not rows.any() or mixture_labels(weights[rows]).max() + 1 < FEWEST:
        return None
    labels = mixture_labels(weights[rows])
    first = np.unique(labels, return_index=True)[1]
    means = _by_mixture(residual[:, rows], labels)
    apart = None if left_out is None else _by_mixture(left_out[:, rows], labels)
    slopes = _Slopes.of(laws, {n: v[rows] for n, v in x.items()}, weights[rows][first])
    folds = make_folds(np.arange(len(first)), len(first) if apart is None else parts, seed=0)
    return _fit(laws.targets, slopes, weights[rows][first], means, apart, folds)


def _by_mixture(residual: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean residual [m, u] of the rows of each mixture; NaN if none is known."""
    known = np.isfinite(residual)
    sums = np.stack(
        [np.bincount(labels, np.where(k, r, 0.0)) for k, r in zip(known, residual, strict=True)]
    )
    counts = np.stack([np.bincount(labels, k) for k in known])
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _fit(
    targets: tuple[str, ...],
    slopes: "_Slopes",
    mixtures: np.ndarray,
    means: np.ndarray,
    apart: np.ndarray | None,
    folds: np.ndarray,
) -> Residual | None:
    size = np.maximum(1.4826 * np.median(np.abs(means), 1, keepdims=True), 1e-12)  # [m, 1]
    z = np.clip(means / size, -_CLIP, _CLIP)
    here = slopes.at(mixtures)  # [m, u, P]
    few = np.random.default_rng(0).permutation(len(mixtures))[:_SEARCHED]
    length, noise = _search(mixtures[few], z[:, few], here[:, few])
    kernel = _matern(_squares(mixtures, mixtures), length)
    loo = [_leave_one_out(np.linalg.eigh(kernel), noise, *one) for one in zip(z, here, strict=True)]
    cut = means / size - z  # what clipping took away counts as error all the same
    errors = np.abs(np.stack([one.parts(folds) for one in loo]) + cut) * size
    alone = _law_errors(z, here, noise) + cut if apart is None else apart / size
    alone = np.where(np.isfinite(alone), np.abs(alone) * size, errors)
    fall = alone - errors
    clear = fall.std(1, ddof=1) / np.sqrt(len(mixtures))
    used = fall.mean(1) > _CLEAR * clear
    if not used.any():
        return None
    amplitude = np.sqrt([np.mean(one.error**2 / one.variance) for one in loo]) * size[:, 0]
    root_mean_square = np.sqrt(np.mean(alone**2, 1))
    inverse = np.stack(
        [one.inverse() if u else np.zeros_like(kernel) for one, u in zip(loo, used, strict=True)]
    )
    solution = np.stack([one.solution for one in loo]) * size * used[:, None]
    return Residual(
        targets=targets,
        used=used,
        error=alone.mean(1),
        corrected=np.where(used, errors.mean(1), alone.mean(1)),
        length=length,
        noise=noise,
        _slopes=slopes,
        _mixtures=mixtures,
        _inverse=inverse,
        _solution=solution,
        _bound=np.abs(means).max(1),
        _spread=np.where(used, amplitude, root_mean_square),
    )


# --- the Gaussian process -------------------------------------------------------------------------


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances [q, u] of mixtures [q, k] and [u, k]."""
    return np.maximum(np.sum(a**2, 1)[:, None] + np.sum(b**2, 1) - 2.0 * a @ b.T, 0.0)


def _matern(squares: np.ndarray, length: float) -> np.ndarray:
    """Matern 5/2 covariance at squared distances."""
    d = np.sqrt(5.0 * squares) / length
    return (1.0 + d + d**2 / 3.0) * np.exp(-d)


@dataclass(frozen=True, eq=False)
class _LeftOut:
    """A fit of one target: at each mixture left out its error and variance [u], units of z."""

    error: np.ndarray
    variance: np.ndarray
    solution: np.ndarray
    rotated: tuple[np.ndarray, ...]

    def parts(self, folds: np.ndarray) -> np.ndarray:
        """Errors [u] with all mixtures of a part, equal in ``folds`` [u], left out together."""
        if len(np.unique(folds)) == len(folds):
            return self.error
        inverse, found = self.inverse(), np.empty(len(folds))
        for part in (folds == fold for fold in np.unique(folds)):
            found[part] = np.linalg.solve(inverse[np.ix_(part, part)], self.solution[part])
        return found

    def inverse(self) -> np.ndarray:
        """Of the covariance [u, u]."""
        vectors, scale, moved, core = self.rotated
        return (vectors * scale) @ vectors.T - moved @ core @ moved.T


def _leave_one_out(eigen: Any, noise: float, z: np.ndarray, slopes: np.ndarray) -> _LeftOut:
    """Closed form; the covariance is K + noise + freedom * slopes slopes', K by its eigenpairs."""
    values, vectors = eigen
    scale = 1.0 / (np.maximum(values, 0.0) + noise)
    turned = vectors.T @ slopes  # [u, P]
    moved = vectors @ (scale[:, None] * turned)
    prior = np.eye(slopes.shape[1]) / (_FREEDOM * (1.0 + noise))
    core = np.linalg.inv(prior + turned.T @ (scale[:, None] * turned))
    solution = vectors @ (scale * (vectors.T @ z))
    solution = solution - moved @ (core @ (slopes.T @ solution))
    diagonal = vectors**2 @ scale - np.sum(moved @ core * moved, 1)
    return _LeftOut(solution / diagonal, 1.0 / diagonal, solution, (vectors, scale, moved, core))


def _law_errors(z: np.ndarray, slopes: np.ndarray, noise: float) -> np.ndarray:
    """Errors [m, u] at mixtures left out if nothing is smooth: the law fitted without each."""
    nothing = np.zeros(z.shape[1]), np.eye(z.shape[1])
    found = (_leave_one_out(nothing, 1.0 + noise, *one) for one in zip(z, slopes, strict=True))
    return np.stack([one.error for one in found])


def _search(mixtures: np.ndarray, z: np.ndarray, slopes: np.ndarray) -> tuple[float, float]:
    """The length and noise under which mixtures left out are most likely, over all targets."""
    squares = _squares(mixtures, mixtures)
    unit = np.sqrt(np.median(squares[np.triu_indices(len(mixtures), 1)]))
    best = (np.inf, float(unit), float(_NOISES[-1]))
    for length in _LENGTHS * unit:
        eigen = np.linalg.eigh(_matern(squares, length))
        for noise in _NOISES:
            found = [_leave_one_out(eigen, noise, *one) for one in zip(z, slopes, strict=True)]
            best = min(best, (sum(map(_surprise, found)), float(length), float(noise)))
    return best[1:]


def _surprise(found: _LeftOut) -> float:
    """Negative log density of what was left out, at the best amplitude."""
    amplitude = np.mean(found.error**2 / found.variance) + 1e-300
    return float(np.sum(np.log(amplitude * found.variance)))


# --- the law's derivatives ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Slopes:
    """Derivatives of predicted losses in the laws' working parameters, at typical other inputs."""

    laws: FittedLaws
    inputs: dict[str, np.ndarray]  # all but the weights
    size: np.ndarray  # [m, P] root mean squares, infinite for parameters that only shift losses

    @staticmethod
    def of(laws: FittedLaws, x: dict[str, np.ndarray], mixtures: np.ndarray) -> "_Slopes":
        typical = {n: np.median(v, 0) for n, v in x.items() if n != "weights"}
        raw = _Slopes(laws, typical, np.ones((len(laws), 1))).at(mixtures)
        size = np.sqrt(np.mean(raw**2, 1))
        varies = raw.std(1) > 1e-6 * size.max(1, keepdims=True)
        return _Slopes(laws, typical, np.where(varies, size, np.inf))

    def at(self, weights: np.ndarray) -> np.ndarray:
        """At mixtures [q, k]: [m, q, P], each column in its root mean square."""
        law = self.laws.law
        rows = 1 << max(4, (len(weights) - 1).bit_length())  # few shapes, few programs
        padded = np.resize(weights, (rows, weights.shape[1]))
        seen = [padded if f.own_domain is None else padded[:, f.own_domain] for f in self.laws]
        with float64():
            z = jnp.stack([law.to_working(_arrays(f.params)) for f in self.laws])
            others = _arrays(self.inputs)
            found = _derivatives(
                law, len(self.laws.domains), z, jnp.asarray(np.stack(seen)), others
            )
        return np.nan_to_num(np.asarray(found))[:, : len(weights)] / self.size[:, None]


def _arrays(values: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    return {name: jnp.asarray(value, jnp.float64) for name, value in values.items()}


@partial(jax.jit, static_argnums=(0, 1))
def _derivatives(law: Law, k: int, z: Any, weights: Any, others: Any) -> Any:
    """[m, q, P] at working parameters [m, P] and weights [m, q] or [m, q, k]."""

    def loss(z: Any, weights: Any) -> Any:
        return jnp.asarray(law.loss(law.from_working(z, k), {**others, "weights": weights}), float)

    return jax.vmap(jax.vmap(jax.grad(loss), (None, 0)))(z, weights)
