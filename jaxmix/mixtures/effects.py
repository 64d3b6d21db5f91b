"""What each domain does to each target: the slope of the loss, with intervals from refits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new
from jaxmix.fitting.fitted import FittedLaw, StackedLaws
from jaxmix.fitting.precision import float64
from jaxmix.fitting.programs import compile_quickly
from jaxmix.fitting.uncertainty.ensemble import Ensemble, interval
from jaxmix.laws import Inputs
from jaxmix.mixtures.optimize import as_laws

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = jax.Array


@dataclass(frozen=True, eq=False, repr=False)
class DomainEffects(Shown):
    """How the loss of m targets changes as weight moves to each of k domains.

    Weight goes to one domain and comes from all others in proportion to theirs.

    Attributes:
        targets: bare names.
        domains: bare names.
        inputs: where the slope is taken: ``weights`` [k], N, D and whatever else the law reads.
        slope: [m, k] nats per unit of weight; negative where the domain helps.
        low: [m, k] lower ends of the intervals, NaN if there were no refits.
        high: [m, k] upper ends.
        level: probability that an interval is to cover.
    """

    targets: tuple[str, ...]
    domains: tuple[str, ...]
    inputs: dict[str, np.ndarray]
    slope: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float

    @property
    def mixture(self) -> np.ndarray:
        """[k] the mixture at which the slope is taken."""
        return self.inputs["weights"]

    @property
    def significant(self) -> np.ndarray:
        """Whether an interval has 0 outside it, bool [m, k]."""
        return (self.low > 0) | (self.high < 0)

    def _shown(self) -> Parts:
        mean = self.slope.mean(0)
        best, worst = self.domains[int(mean.argmin())], self.domains[int(mean.argmax())]
        said = (
            f"more {best} lowers the mean loss most ({0.1 * mean.min():+.3f} nats per 10 points), "
            f"more {worst} least ({0.1 * mean.max():+.3f})"
        )
        index, columns = pd.Index(self.targets, name="target"), pd.Index(self.domains)
        frame = pd.DataFrame(0.1 * self.slope, index=index, columns=columns)
        return Parts(said, {"change of the loss per 10 points more, nats": frame})

    def to_frame(self) -> pd.DataFrame:
        """One row per target and domain: the slope, nats per unit of weight, and its interval."""
        index = pd.MultiIndex.from_product([self.targets, self.domains], names=["target", "domain"])
        columns = {name: getattr(self, name).ravel() for name in ("slope", "low", "high")}
        return pd.DataFrame(columns, index=index)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """What ten points more of each domain do to each target; stars: intervals without 0."""
        from jaxmix.mixtures.pictures import draw_effects

        ax = axes_or_new(ax)
        draw_effects(ax, self.targets, self.domains, 0.1 * self.slope, self.significant)
        return ax


def domain_effects(
    laws: Sequence[FittedLaw],
    x: Inputs,
    *,
    ensemble: Ensemble | None = None,
    level: float = 0.9,
) -> DomainEffects:
    """The effect of every domain on every target at one mixture.

    Args:
        laws: fits of one law.
        x: inputs by name at one budget, with ``weights`` [k] in the order of the laws' domains; a
            weight of 0 can give infinite slopes.
        ensemble: refits of the laws (``jaxmix.fitting.bootstrap``) for the intervals.
        level: probability that an interval is to cover.

    Source: the pairwise slopes of section 5 of the paper in direction ``e_i - h_-i / (1 - h_i)``.
    """
    laws = as_laws(laws)
    given = {name: np.asarray(value, float) for name, value in x.items()}
    with float64():
        slope = np.asarray(_slopes(laws.stacked, given))
        low = high = np.full(slope.shape, np.nan)
        if ensemble is not None:
            many = np.asarray(_slopes_of_refits(ensemble.stacked, given))  # [B, m, k]
            low, _, high = interval(slope, many - slope, level)
    return DomainEffects(laws.targets, laws.domains, given, slope, low, high, level)


def _direction(h: Array) -> Array:
    """Row i moves weight to domain i and takes it from the others in proportion; [k, k]."""
    others = h[None, :] * (1.0 - jnp.eye(h.shape[0]))
    total = jnp.sum(others, 1, keepdims=True)
    return jnp.eye(h.shape[0]) - others / jnp.where(total > 0, total, 1.0)


@compile_quickly()
def _slopes(laws: StackedLaws, x: dict[str, Any]) -> Array:
    h = x["weights"]
    grad = jax.jacrev(lambda h: laws.losses({**x, "weights": h}))(h)  # [m, k]
    return grad @ _direction(h).T


@compile_quickly()
def _slopes_of_refits(refits: StackedLaws, x: dict[str, Any]) -> Array:
    return jax.vmap(lambda params: _slopes(refits.replace_params(params), x))(refits.params)
