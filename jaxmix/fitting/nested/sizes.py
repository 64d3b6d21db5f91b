"""The second stage: a size law for every mixture, on what its step laws say at some D."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.fitting.nested.curves import distinct
from jaxmix.fitting.nested.power import fit_power_laws, power_law
from jaxmix.fitting.nested.steps import Steps

_SAME = 1e-9  # relative difference of two numbers of parameters that are one size


@dataclass(frozen=True, eq=False)
class Layout:
    """Which curve belongs to which mixture and size.

    Attributes:
        n_params: [u, s] sizes of each mixture, 1 where there are fewer.
        curve: [u, s] curve, -1 where there are fewer.
    """

    n_params: np.ndarray
    curve: np.ndarray

    @staticmethod
    def of(n_params: np.ndarray, mixture: np.ndarray) -> "Layout":
        """From the size and the mixture of each curve, [c] and [c]."""
        count = np.bincount(mixture)
        shape = (len(count), int(count.max()))
        curve = np.full(shape, -1)
        for u in range(len(count)):
            own = np.flatnonzero(mixture == u)
            curve[u, : len(own)] = own
        return Layout(np.where(curve < 0, 1.0, n_params[curve]), curve)

    def spread(self, losses: np.ndarray) -> np.ndarray:
        """Losses [..., c] of curves as [..., u, s], NaN where there is none."""
        return np.where(self.curve < 0, np.nan, losses[..., self.curve])


@dataclass(frozen=True, eq=False)
class SizeFit:
    """Size laws E + A / N^alpha of m targets and u mixtures at g numbers of tokens; NaN where none.

    Attributes:
        E: [m, g, u] floors, nats.
        A: [m, g, u] coefficients.
        alpha: [m, g, u] exponents.
        observed: [m, g, u, s] what the step laws say, the losses that were fitted.
        error: [m, g] mean relative error on them, percent; NaN where nothing was fitted.
    """

    E: np.ndarray
    A: np.ndarray
    alpha: np.ndarray
    observed: np.ndarray
    error: np.ndarray

    def losses(self, layout: Layout, n_params: float) -> np.ndarray:
        """Losses [m, g, u] at N: by the step law of that size where there is one, or the size law.

        NaN where a mixture has neither, or where the law says less than 0.
        """
        found = power_law((self.E, self.A, self.alpha), n_params)
        at = np.isclose(layout.n_params, n_params, rtol=_SAME, atol=0) & (layout.curve >= 0)
        direct = np.nansum(np.where(at, self.observed, np.nan), -1)
        has = (at & np.isfinite(self.observed)).any(-1)
        found = np.where(has, direct, found)
        return np.where(found > 0, found, np.nan)


def fit_sizes(
    steps: Sequence[Steps],
    layout: Layout,
    tokens: np.ndarray,
    share: str,
    delta: float,
    residual: str,
) -> SizeFit:
    """All size laws of all targets at all D [g] in one compiled call."""
    observed = layout.spread(np.stack([s.losses(tokens) for s in steps]))  # [m, g, u, s]
    usable = usable_sizes(observed, layout, share)
    weights = np.where(usable[..., None] & np.isfinite(observed), 1.0, 0.0)
    total = weights.sum((-1, -2), keepdims=True)
    weights = weights / np.where(total > 0, total, 1.0)
    losses = np.where(weights > 0, observed, 1.0)
    m, g, u, s = observed.shape
    classes = np.zeros(u, int) if share == "all" else np.arange(u)
    if not usable.any():
        nothing = np.full((m, g, u), np.nan)
        return SizeFit(nothing, nothing, nothing, observed, np.full((m, g), np.nan))
    flat = (losses.reshape(m * g, u, s), weights.reshape(m * g, u, s))
    found = fit_power_laws(layout.n_params, *flat, classes, delta=delta, residual=residual)
    predicted = found.predicted.reshape(m, g, u, s)
    error = 100.0 * np.sum(weights * np.abs(predicted - losses) / losses, (-1, -2))
    error = np.where(usable.any(-1), error, np.nan)
    fitted = (found.floor, found.coefficient, found.exponent)
    floor, coefficient, exponent = (x.reshape(m, g, u) for x in fitted)
    return SizeFit(floor, coefficient, exponent, observed, error)


def usable_sizes(observed: np.ndarray, layout: Layout, share: str) -> np.ndarray:
    """[m, g, u] mixtures with enough sizes: three, or two beside others that fix the exponent."""
    seen = np.isfinite(observed)
    count = distinct(np.broadcast_to(layout.n_params, observed.shape), seen)
    if share == "none":
        return count >= 3
    return (count >= 2) & (np.maximum(count - 2, 0).sum(-1, keepdims=True) > 0)
