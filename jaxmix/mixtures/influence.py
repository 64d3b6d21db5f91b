"""What every run does to the optimal mixture: the derivatives of the fit and of h*, chained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.uncertainty.influence import Influence
from jaxmix.mixtures.optimum import Optimum
from jaxmix.mixtures.sensitivity import optimum_jacobians


@dataclass(frozen=True)
class MixtureInfluence:
    """Derivatives of h* [k] by the p rows that each of m targets was fitted on.

    Attributes:
        optimum: h* and its certificate.
        by_loss: by target, [k, p]: dh* per nat of a row's loss.
        by_weight: by target, [k, p]: dh* by the logarithm of a row's weight; minus this is to
            first order what leaving the row out would do.
    """

    optimum: Optimum
    by_loss: dict[str, np.ndarray]
    by_weight: dict[str, np.ndarray]


def mixture_influence(
    influences: Sequence[Influence],
    n_params: float,
    tokens: float,
    *,
    target_weights: Mapping[str, float] | None = None,
    minimum: Mapping[str, float] | None = None,
    maximum: Mapping[str, float] | None = None,
) -> MixtureInfluence:
    """Influence of every row on the optimal mixture at one budget.

    Args:
        influences: of each target's fit (``jaxmix.fitting.uncertainty.influence``), one law.
        n_params: N.
        tokens: D.
        target_weights: as in ``optimize``.
        minimum: smallest weight by domain.
        maximum: largest weight by domain.
    """
    laws: list[FittedLaw] = [i.fitted for i in influences]
    optimum, jacobians = optimum_jacobians(
        laws,
        n_params,
        tokens,
        target_weights=target_weights,
        minimum=minimum,
        maximum=maximum,
    )
    by_params = jacobians[0]  # name -> [k, m, ...]
    loss, weight = {}, {}
    for i, one in enumerate(influences):
        at = {name: slope[:, i] for name, slope in by_params.items()}
        loss[one.fitted.target] = _chain(at, one.by_loss)
        weight[one.fitted.target] = _chain(at, one.by_weight)
    return MixtureInfluence(optimum, loss, weight)


def _chain(slopes: Mapping[str, Any], inner: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sum over parameters of dh*/dparam [k, ...] times dparam/drow [..., p]."""
    parts = [
        np.tensordot(slope, inner[name], axes=np.ndim(slope) - 1) for name, slope in slopes.items()
    ]
    return np.sum(parts, axis=0)
