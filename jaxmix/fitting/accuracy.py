"""Accuracies by two steps: the loss of a task by its law, and the accuracy by a sigmoid of it.

The other way, one step, is a law of -log accuracy: the target ``accuracy_<name>`` of any law.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaws
from jaxmix.runs import RunTable
from jaxmix.runs.accuracies import PREFIX, accuracies, accuracy_targets
from jaxmix.runs.names import is_task

LINK_PARAMETERS = 3
_LEAST = 4  # rows
_STEEP, _FLAT = 0.01, 3.0  # widths that are tried, in units of the range of the losses


@dataclass(frozen=True)
class Link:
    """Accuracy as a sigmoid of a loss, between chance and a ceiling.

    Attributes:
        chance: accuracy at large losses, that of guessing.
        ceiling: accuracy at small losses.
        middle: loss at which the accuracy is halfway between them.
        width: loss over which it changes: at ``middle - width`` it has come 73% of the way.
    """

    chance: float
    ceiling: float
    middle: float
    width: float

    def __call__(self, losses: np.ndarray) -> np.ndarray:
        """Accuracies at losses, of the same shape."""
        share = scipy.special.expit((self.middle - np.asarray(losses, np.float64)) / self.width)
        return self.chance + (self.ceiling - self.chance) * share


def fit_link(losses: np.ndarray, accuracy: np.ndarray, chance: float) -> Link:
    """Fits the sigmoid by least squares to all rows, those at and below chance too.

    Args:
        losses: [p], NaN if missing.
        accuracy: [p], likewise.
        chance: accuracy of guessing.

    Raises:
        JaxmixError: fewer than four rows, or losses that do not vary.

    >>> truth = Link(0.25, 0.9, 2.0, 0.2)
    >>> losses = np.linspace(1.0, 3.0, 20)
    >>> found = fit_link(losses, truth(losses), 0.25)
    >>> round(found.ceiling, 6), round(found.middle, 6), round(found.width, 6)
    (0.9, 2.0, 0.2)
    """
    held = np.isfinite(losses) & np.isfinite(accuracy)
    x, y = losses[held], accuracy[held]
    if len(x) < _LEAST or np.ptp(x) <= 0:
        raise JaxmixError(
            f"{len(x)} rows with loss and accuracy: a sigmoid needs {_LEAST} with different losses"
        )
    span, low = float(np.ptp(x)), float(x.min())
    # Far outside the rows, the middle and the ceiling trade off and neither is known.
    bounds = (chance, low - 3 * span, _STEEP * span), (1.0, low + 4 * span, _FLAT * span)

    def errors(z: np.ndarray) -> np.ndarray:
        return Link(chance, *z)(x) - y

    middles, widths = low + span * np.linspace(-0.5, 1.5, 5), span * np.array([0.05, 0.2, 0.8])
    top = float(np.clip(y.max(), chance + 1e-3, 1 - 1e-3))
    starts = [(c, m, w) for c in (top, 0.5 * (1 + top)) for m in middles for w in widths]
    found = [
        scipy.optimize.least_squares(errors, z, bounds=bounds, x_scale=(1, span, span), xtol=1e-12)
        for z in starts
    ]
    best = min(found, key=lambda one: one.cost)
    return Link(chance, *map(float, best.x))


def task_of(target: str) -> str:
    """The target whose loss goes with an accuracy: ``task_sums`` with ``accuracy_sums``."""
    return f"task_{target.removeprefix(PREFIX)}"


def fit_links(runs: RunTable, tasks: Sequence[str]) -> dict[str, Link]:
    """Sigmoids of tasks with losses and accuracies, by target ``accuracy_<name>``.

    Args:
        runs: rows with columns ``loss_task_<name>`` and ``metric_<name>``.
        tasks: names ``<name>``; those without either column are left out.

    Raises:
        JaxmixError: as ``fit_link``; names the target.
    """
    found = {}
    for target in (PREFIX + name for name in tasks):
        if target in accuracy_targets(runs.frame) and task_of(target) in runs.targets:
            seen, chance = accuracies(runs.frame, target, runs.source)
            losses = runs.losses([task_of(target)])[0]
            try:
                found[target] = fit_link(losses, seen, float(np.mean(chance)))
            except JaxmixError as error:
                raise JaxmixError(f"{runs.source}: {target}: {error}") from None
    return found


def predicted_accuracies(laws: FittedLaws, x: Any, runs: RunTable | None) -> dict[str, np.ndarray]:
    """Accuracies that laws of tasks predict at points, by column.

    Args:
        laws: fits of ``accuracy_<name>``, which give ``pred_metric_<name>``, and of
            ``task_<name>``, which give ``pred_metric_<name>_by_loss``.
        x: points, as for ``FittedLaws.predict``.
        runs: rows that sigmoids of losses are fitted on; None for none.

    Raises:
        JaxmixError: as ``fit_links``.
    """
    losses = laws.predict(x)
    direct = [target for target in laws.targets if target.startswith(PREFIX)]
    found = {f"pred_metric_{t.removeprefix(PREFIX)}": np.exp(-losses[t].to_numpy()) for t in direct}
    tasks = [target.removeprefix("task_") for target in laws.targets if is_task(target)]
    for target, link in fit_links(runs, tasks).items() if runs is not None else ():
        at = link(losses[task_of(target)].to_numpy())
        found[f"pred_metric_{target.removeprefix(PREFIX)}_by_loss"] = at
    return found
