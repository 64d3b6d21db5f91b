"""Refits on resampled rows as one value: intervals on parameters and on predictions."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw, StackedLaws, stack
from jaxmix.fitting.uncertainty.discrepancy import Discrepancy

Array = jax.Array


class Interval(NamedTuple):
    """An estimate and the ends of its interval."""

    low: float
    estimate: float
    high: float


class Intervals(NamedTuple):
    """The same as arrays of one shape."""

    low: np.ndarray
    estimate: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Elsewhere:
    """Whether refits end where a fresh multi-start of the same rows would.

    Attributes:
        probed: resamples that were fitted afresh.
        restarts: local solves of each.
        lower: share of them where the fresh search found an objective lower by more than 1%.
        higher: share where it ended higher by more than 1%.
        gap: mean of (refit - fresh) / fresh; negative where refits are the better ones.
    """

    probed: int
    restarts: int
    lower: float
    higher: float
    gap: float


@dataclass(frozen=True, eq=False)
class Ensemble:
    """B refits of m fitted laws on resampled rows: what ``bootstrap`` returns.

    In the resampled worlds the fitted laws are the truth, and each refit is what a study in that
    world would have found. How refits err about the laws is therefore how the laws are taken to
    err about the truth (the basic bootstrap; Davison and Hinkley 1997, section 5.2).

    Attributes:
        laws: [m] the fits on all rows.
        params: natural parameters by name, [m, B] or [m, B, k].
        method: ``"wild"``, ``"bayesian"``, ``"resample"`` or ``"noise"``.
        unit: ``"mixture"`` or ``"run"``.
        units: how many units there were.
        discrepancy: by how much the laws miss what they cannot follow, [m] each.
        elsewhere: how the refits compare with fresh searches; None where not probed.
        seed: of the resampling.
        notes: what a reader should know, one sentence each.
    """

    laws: tuple[FittedLaw, ...]
    params: dict[str, np.ndarray]
    method: str
    unit: str
    units: int
    discrepancy: Discrepancy
    elsewhere: Elsewhere | None
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def resamples(self) -> int:
        """B."""
        return next(iter(self.params.values())).shape[1]

    def only(self, target: str) -> "Ensemble":
        """The same of one target.

        Raises:
            JaxmixError: it is not among them.
        """
        names = [f.target for f in self.laws]
        if target not in names:
            raise JaxmixError(f"no target '{target}' among the refits: {', '.join(names)}")
        i = names.index(target)
        one = slice(i, i + 1)
        params = {name: value[one] for name, value in self.params.items()}
        missed = self.discrepancy.only(i)
        return replace(self, laws=self.laws[one], params=params, discrepancy=missed)

    @property
    def stacked(self) -> StackedLaws:
        """The refits as arrays with leading axes [B, m], for batched code; float64 scope."""
        params = {n: jnp.asarray(np.swapaxes(v, 0, 1)) for n, v in self.params.items()}
        return StackedLaws(params, stack(self.laws).own, self.laws[0].law)

    def losses(self, n_params: Any, tokens: Any, weights: Any) -> np.ndarray:
        """Losses of every refit, [m, B, ...], at N, D [...] and weights [..., k]."""
        with jax.enable_x64(True):
            points = [jnp.asarray(x, jnp.float64) for x in (n_params, tokens, weights)]
            found = [
                _losses(
                    StackedLaws(
                        {n: jnp.asarray(v[i]) for n, v in self.params.items()},
                        None if own is None else jnp.full(self.resamples, own),
                        f.law,
                    ),
                    points,
                )
                for i, f in enumerate(self.laws)
                for own in [f.own_domain]
            ]
            return np.stack([np.asarray(x) for x in found])

    def predict(self, n_params: Any, tokens: Any, weights: Any, *, level: float = 0.9) -> Intervals:
        """Predicted losses with intervals for the true ones; noise of a single run is not in them.

        Args:
            n_params: N, any shape [...] that broadcasts with ``tokens``.
            tokens: D.
            weights: [..., k] in the order of the laws' domains.
            level: probability that an interval is to cover.

        Returns:
            low, estimate and high, each [m, ...].
        """
        center = np.stack(
            [
                f.predict({"n_params": n_params, "tokens": tokens, "weights": weights})
                for f in self.laws
            ]
        )
        errors = self.losses(n_params, tokens, weights) - center[:, None]  # [m, B, ...]
        missed = self.discrepancy.draw(
            self.laws, errors.shape[1], n_params, tokens, np.asarray(weights), seed=self.seed
        )
        return basic(center, np.moveaxis(errors + missed, 1, 0), level)

    def parameter_intervals(self, level: float = 0.9) -> dict[str, dict[str, Interval]]:
        """Intervals on the natural parameters by target and label, such as ``"C[books]"``.

        On the scale that fits work in, so that they stay within a parameter's range; the order of
        domains is that of the law.
        """
        found: dict[str, dict[str, Interval]] = {}
        with jax.enable_x64(True):
            for i, f in enumerate(self.laws):
                labels = f.law.names(f.domains)
                refits = f.law.to_working({n: jnp.asarray(v[i]) for n, v in self.params.items()})
                own = f.law.to_working({n: jnp.asarray(v) for n, v in f.params.items()})
                edges = between(np.asarray(own), np.asarray(refits - own), level)
                natural = [np.asarray(_natural(f, x)) for x in edges]
                found[f.target] = {
                    name: Interval(*(float(x) for x in ends))
                    for name, *ends in zip(labels, *natural, strict=True)
                }
        return found


def _natural(f: FittedLaw, working: np.ndarray) -> Array:
    k = len(f.domains)
    return f.law.flatten(f.law.from_working(jnp.asarray(working), k))


@jax.jit
def _losses(refits: StackedLaws, points: list[Array]) -> Array:
    return refits.losses(dict(zip(("n_params", "tokens", "weights"), points, strict=True)))


def basic(center: np.ndarray, errors: np.ndarray, level: float) -> Intervals:
    """The interval of a quantity [...] whose estimate has errors distributed as [B, ...]."""
    tail = 50.0 * (1.0 - level)
    low, high = np.nanpercentile(errors, [tail, 100.0 - tail], axis=0)
    return Intervals(center - high, center, center - low)


def between(center: np.ndarray, errors: np.ndarray, level: float) -> Intervals:
    """Midway between the basic and the percentile interval, at each end.

    They are the same to first order. Where estimates answer to the data in a bent way, as
    parameters without much data do, each alone misses truths on one side.
    """
    here, mirrored = basic(center, errors, level), basic(center, -errors, level)
    low, high = 0.5 * (here.low + mirrored.low), 0.5 * (here.high + mirrored.high)
    return Intervals(low, center, high)
