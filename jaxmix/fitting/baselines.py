"""Regressions that a law must beat; cheap enough to stand beside every law, and without a solver.

``own-weight``: E + A/N^alpha + B/(h_own D)^beta, for targets that are training domains.
``log-linear``: the log loss is linear in log N, log D and the weights.
``quadratic``: Scheffé's polynomial of degree two in the weights, plus log N and log D.
``neighbors``: the mean of the nearest mixtures that were measured, carried to N and D.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.inputs import read_inputs
from jaxmix.fitting.uncertainty.clusters import make_folds, mixture_labels
from jaxmix.laws.baselines import LOG_LINEAR
from jaxmix.runs import PointTable, RunTable

BASELINES = ("own-weight", "log-linear", "quadratic", "neighbors")
_PAIRED = 30  # domains whose products enter the quadratic: those whose weights vary most
_RIDGES = 10.0 ** np.arange(-8.0, 2.0)  # penalties of standardized columns, per row
_FOLDS = 5
_NEAREST = 5  # mixtures
_ROUNDS = 4  # of grids of exponents, each between the neighbors of the best of the last


@dataclass(frozen=True, eq=False)
class _Points:
    """Where losses are known or asked for: N, D [p], weights [p, k], index of the mixture [p]."""

    n_params: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray

    @property
    def scale(self) -> np.ndarray:
        """Logarithms of N and D, [p, 2]."""
        return np.log(np.stack([self.n_params, self.tokens], 1))

    def at(self, rows: np.ndarray) -> "_Points":
        """Some of the points."""
        return _Points(self.n_params[rows], self.tokens[rows], self.weights[rows])


def baseline_parameters(name: str, k: int) -> int:
    """Free parameters of a baseline for k domains.

    >>> [baseline_parameters(name, 3) for name in BASELINES]
    [5, 5, 8, 0]
    """
    pairs = min(k, _PAIRED)
    linear = k + 2
    return {
        "own-weight": 5,
        "log-linear": linear,
        "quadratic": linear + pairs * (pairs - 1) // 2,
        "neighbors": 0,
    }[name]


def predict_baselines(
    train: RunTable,
    at: RunTable | PointTable,
    targets: Sequence[str] | None = None,
    rows: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Losses that the baselines, fitted to some rows, predict at others.

    Args:
        train: p rows with losses.
        at: q rows to predict; their domains are those of ``train``, joined by name.
        targets: m names, None for all.
        rows: bool [m, p] rows of ``train`` to fit, None for all that have a loss.

    Returns:
        Nats [m, q] by the name of the baseline; NaN for targets without rows, and for
        ``own-weight`` if the target is not a domain.
    """
    names = train.target_names(targets)
    losses = train.losses(names)
    known = np.isfinite(losses) & (True if rows is None else rows)
    seen, asked = (_points(table, train.domains) for table in (train, at))
    own = np.array([train.domains.index(t) if t in train.domains else -1 for t in names])
    found = {name: np.full((len(names), len(asked.tokens)), np.nan) for name in BASELINES}
    for mask in np.unique(known[known.any(1)], axis=0):
        who = np.flatnonzero((known == mask).all(1))
        here, logs = seen.at(mask), np.log(losses[who][:, mask]).T  # [p', m']
        linear = _Regression.fit(_linear(here), here, logs)
        found["log-linear"][who] = linear.predict(_linear(asked), asked).T
        pairs = _quadratic_columns(here.weights)
        quadratic = _Regression.fit(_quadratic(here, pairs), here, logs)
        found["quadratic"][who] = quadratic.predict(_quadratic(asked, pairs), asked).T
        found["neighbors"][who] = np.exp(_neighbors(here, logs, asked, linear.base[1:])).T
        for j, t in enumerate(who):
            if own[t] >= 0:
                found["own-weight"][t] = _own_weight(here, np.exp(logs[:, j]), asked, own[t])
    return found


def _points(table: RunTable | PointTable, domains: tuple[str, ...]) -> _Points:
    x = read_inputs(table, LOG_LINEAR, domains)
    return _Points(x["n_params"], x["tokens"], x["weights"])


# --- log-linear and quadratic ---------------------------------------------------------------------


def _linear(points: _Points) -> np.ndarray:
    return points.weights


def _quadratic_columns(weights: np.ndarray) -> np.ndarray:
    return np.sort(np.argsort(-weights.var(0), kind="stable")[:_PAIRED])


def _quadratic(points: _Points, columns: np.ndarray) -> np.ndarray:
    """Weights and the products of two, [p, k + pairs]."""
    h = points.weights[:, columns]
    i, j = np.triu_indices(len(columns), 1)
    return np.concatenate([points.weights, h[:, i] * h[:, j]], 1)


@dataclass(frozen=True, eq=False)
class _Regression:
    """Ridge regression of log losses; the constant, log N and log D are not penalized.

    Attributes:
        center: of log N and log D, [2].
        base: constant and slopes in log N and log D, [3, m].
        coefficients: of the columns, in units of their standard deviations, [c, m].
        mean: of the columns, [c].
        size: their standard deviations, 1 for a column that is constant, [c].
        range: log losses beyond which nothing is predicted, [2, m]: as far again as those seen.
    """

    center: np.ndarray
    base: np.ndarray
    coefficients: np.ndarray
    mean: np.ndarray
    size: np.ndarray
    range: np.ndarray

    @staticmethod
    def fit(columns: np.ndarray, points: _Points, logs: np.ndarray) -> "_Regression":
        """With the penalty that predicts mixtures best that were left out, for each target."""
        mean, size = columns.mean(0), columns.std(0)
        size = np.where(size > 1e-12, size, 1.0)
        center = points.scale.mean(0)
        free, x = _with_constant(points.scale - center), (columns - mean) / size
        folds = make_folds(mixture_labels(points.weights), _FOLDS, seed=0)
        squares = np.zeros((len(_RIDGES), logs.shape[1]))
        for held in (folds == fold for fold in np.unique(folds) if not (folds == fold).all()):
            base, slope = _ridges(free[~held], x[~held], logs[~held])
            squares += np.sum((free[held] @ base + x[held] @ slope - logs[held]) ** 2, 1)
        base, slope = _ridges(free, x, logs)
        best, m = np.argmin(squares, 0), np.arange(logs.shape[1])
        low, high = logs.min(0), logs.max(0)
        reach = np.stack([2 * low - high, 2 * high - low])
        return _Regression(center, base[best, :, m].T, slope[best, :, m].T, mean, size, reach)

    def predict(self, columns: np.ndarray, points: _Points) -> np.ndarray:
        """Nats, [q, m]."""
        logs = _with_constant(points.scale - self.center) @ self.base
        logs += (columns - self.mean) / self.size @ self.coefficients
        return np.exp(np.clip(logs, *self.range))


def _with_constant(scale: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(scale), 1)), scale], 1)


def _ridges(free: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares at every penalty: coefficients of ``free`` [r, f, m] and of ``x`` [r, c, m]."""
    inverse = np.linalg.pinv(free, rcond=1e-9)
    rest = x - free @ (inverse @ x)
    values, vectors = np.linalg.eigh(rest.T @ rest)
    along = vectors.T @ (rest.T @ y)  # [c, m]
    slope = vectors @ (along / (values[:, None] + len(y) * _RIDGES[:, None, None]))
    return inverse @ (y - x @ slope), slope


# --- the mean of measured neighbors ---------------------------------------------------------------


def _neighbors(seen: _Points, logs: np.ndarray, at: _Points, slopes: np.ndarray) -> np.ndarray:
    """Log losses [q, m]: each neighbor's at its nearest N and D, carried along the slopes."""
    flat, found = logs - seen.scale @ slopes, at.scale @ slopes
    labels = mixture_labels(seen.weights)
    first = np.unique(labels, return_index=True)[1]
    asked, which = np.unique(at.weights, axis=0, return_inverse=True)
    shares = _neighbor_shares(asked, seen.weights[first])[which.reshape(-1)]  # [q, u]
    for u in range(len(first)):
        mine, near = labels == u, np.flatnonzero(shares[:, u])
        values = _nearest_values(seen.scale[mine], flat[mine], at.scale[near])
        found[near] += shares[near, u, None] * values
    return found


def _nearest_values(scale: np.ndarray, values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """At each place [s, 2] the mean of the values [n, m] whose log N and log D are nearest."""
    off = np.abs(places[:, None] - scale).sum(-1)  # [s, n]
    near = off <= off.min(1, keepdims=True) + 1e-9
    return near @ values / near.sum(1, keepdims=True)


def _neighbor_shares(asked: np.ndarray, mixtures: np.ndarray) -> np.ndarray:
    """[a, u] what the nearest mixtures count: by their inverse square distance."""
    lengths = np.sum(asked**2, 1)[:, None] + np.sum(mixtures**2, 1)
    squares = np.maximum(lengths - 2.0 * asked @ mixtures.T, 0.0)
    count = min(_NEAREST, len(mixtures))
    edge = np.sort(squares, 1)[:, count - 1 : count]
    share = (squares <= edge) / (squares + 1e-6 * edge + 1e-12)
    return share / share.sum(1, keepdims=True)


# --- own weight -----------------------------------------------------------------------------------


def _own_weight(seen: _Points, losses: np.ndarray, at: _Points, own: int) -> np.ndarray:
    """Losses [q] of the law ``own-weight``.

    The law is infinite where its domain has no weight: half the smallest weight stands for none.
    """
    known = seen.weights[:, own]
    floor = 0.5 * known[known > 0].min() if known.any() else 1.0
    unit = _own_logs(seen, own, floor).mean(1, keepdims=True)
    alpha, beta, (e, a, b) = _best_powers(_own_logs(seen, own, floor) - unit, losses)
    log_n, log_d = _own_logs(at, own, floor) - unit
    return e + a * np.exp(-alpha * log_n) + b * np.exp(-beta * log_d)


def _own_logs(points: _Points, own: int, floor: float) -> np.ndarray:
    """Logarithms of N and of the domain's own tokens, [2, p]."""
    own_tokens = np.maximum(points.weights[:, own], floor) * points.tokens
    return np.log(np.stack([points.n_params, own_tokens]))


def _best_powers(logs: np.ndarray, losses: np.ndarray) -> tuple[float, float, np.ndarray]:
    """alpha, beta and E, A, B >= 0 with the least squares of relative errors.

    For given exponents the law is linear; these are searched on grids that close in.
    """
    alpha = beta = np.geomspace(0.02, 1.2, 13)
    least, best = np.inf, (1.0, 1.0, np.zeros(3))
    for _ in range(_ROUNDS):
        n, d = (
            np.exp(-np.outer(powers, log_x)) / losses
            for powers, log_x in zip((alpha, beta), logs, strict=True)
        )
        squares, x = _nonnegative(1.0 / losses, n, d)
        i, j = np.unravel_index(np.argmin(squares), squares.shape)
        if squares[i, j] < least:
            least, best = squares[i, j], (alpha[i], beta[j], x[i, j])
        nearer = np.geomspace(alpha[0] / alpha[1], alpha[1] / alpha[0], 9)
        alpha, beta = best[0] * nearer, best[1] * nearer
    return best


def _nonnegative(one: np.ndarray, n: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of ``E one + A n + B d = 1`` over E, A, B >= 0 for every n [a, p] and d [b, p].

    Returns:
        Squares [a, b] and solutions [a, b, 3]: the best of those with any set of zeros.
    """
    cells = (len(n), len(d))
    gram, right = np.empty((*cells, 3, 3)), np.empty((*cells, 3))
    columns = (one[None, None], n[:, None], d[None])  # [a or 1, b or 1, p]
    for i, first in enumerate(columns):
        right[..., i] = first.sum(-1)
        for j, second in enumerate(columns):
            gram[..., i, j] = n @ d.T if {i, j} == {1, 2} else np.sum(first * second, -1)
    gram += 1e-11 * np.eye(3) * gram[..., :1, :1]
    squares, found = np.full(cells, np.inf), np.zeros((*cells, 3))
    for size in (1, 2, 3):
        for free in map(list, itertools.combinations(range(3), size)):
            x = np.zeros((*cells, 3))
            part = gram[..., free, :][..., free]
            x[..., free] = np.linalg.solve(part, right[..., free, None])[..., 0]
            left = one.size - np.sum(right * x, -1)
            better = (x >= 0).all(-1) & (left < squares)
            squares, found = np.where(better, left, squares), np.where(better[..., None], x, found)
    return squares, found
