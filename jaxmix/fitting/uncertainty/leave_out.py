"""Predictions of rows by fits that did not see them."""

from typing import NamedTuple

import numpy as np

from jaxmix.fitting.uncertainty.clusters import folds
from jaxmix.fitting.uncertainty.refit import Refitter


class LeftOut(NamedTuple):
    """One target's rows under the full fit and under fits that left them out; each [p].

    Attributes:
        fitted: losses of the full fit.
        predicted: losses of the fits that did not see the row's unit.
        residuals: observed less predicted, on the scale that is fitted; 0 where the target has
            no loss.
    """

    fitted: np.ndarray
    predicted: np.ndarray
    residuals: np.ndarray


def leave_out(refitter: Refitter, keys: np.ndarray, seed: int) -> LeftOut:
    """Every unit predicted by a fit of the others (of at most 64 folds of whole units).

    Args:
        refitter: one target.
        keys: [p] unit of each row.
        seed: of the folds.
    """
    fold = folds(keys, seed)
    masks = np.arange(fold.max() + 1)[:, None] != fold  # [F, p] rows that are kept
    refits = refitter.run(None, masks.astype(float))
    by_fold = refitter.predict(refits.z)  # [F, p]
    fitted = refitter.predict(refitter.starts[:1])[0]
    predicted = by_fold[fold, np.arange(len(fold))]
    outer = residuals(refitter, predicted)
    # Without its unit a law may have no finite loss there.
    found = np.where(np.isfinite(outer), outer, residuals(refitter, fitted))
    return LeftOut(fitted, predicted, found)


def residuals(refitter: Refitter, predicted: np.ndarray) -> np.ndarray:
    """Observed minus predicted on the fitted scale [p]; 0 where there is no loss."""
    rows = refitter.rows
    observed, used = np.asarray(rows.losses)[0], np.asarray(rows.row_weights)[0] > 0
    log = refitter.problem.objective.residual == "log"
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.log(observed) - np.log(predicted) if log else observed - predicted
    return np.where(used, found, 0.0)
