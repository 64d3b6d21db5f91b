"""Accuracies of tasks as targets: ``accuracy_<name>`` is -log of the column ``metric_<name>``.

Such a target is used if it is asked for by its name or a pattern, and fitted like any loss: smaller
is better, and exp(-loss) is the accuracy. Rows that are not above chance (the column
``chance_<name>``, or 0) or have no wrong answer have no such loss.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from jaxmix.errors import clip
from jaxmix.quantities import count
from jaxmix.runs.errors import RunTableError
from jaxmix.runs.reading import number

PREFIX, _METRIC, _CHANCE = "accuracy_", "metric_", "chance_"


def accuracy_targets(frame: pd.DataFrame) -> tuple[str, ...]:
    """Returns the targets ``accuracy_<name>`` of the columns ``metric_<name>``."""
    names = [str(c).removeprefix(_METRIC) for c in frame.columns if str(c).startswith(_METRIC)]
    return tuple(PREFIX + name for name in names if name)


def accuracies(frame: pd.DataFrame, target: str, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns accuracies [p], NaN if missing, and those of guessing, [p].

    Args:
        frame: rows with a column ``metric_<name>``.
        target: ``accuracy_<name>``.
        source: what messages call the rows.

    Raises:
        RunTableError: the column holds something else than shares from 0 to 1.
    """
    name = target.removeprefix(PREFIX)
    column = _METRIC + name
    found = _shares(frame, column, source)
    if _CHANCE + name not in frame.columns:
        return found, np.zeros(len(found))
    return found, np.nan_to_num(_shares(frame, _CHANCE + name, source))


def _shares(frame: pd.DataFrame, column: str, source: str) -> np.ndarray:
    cells = frame[column].tolist()
    values = np.array([np.inf if (x := number(cell)) is None else x for cell in cells])
    bad = ~(np.isnan(values) | ((values >= 0) & (values <= 1)))
    if bad.any():
        row = int(np.argmax(bad))
        raise RunTableError(
            f"{source}: column {column!r}, row {row + 1}: {clip(cells[row], 40)} is not a share "
            "from 0 to 1; divide percentages by 100"
        )
    return values


def accuracy_losses(frame: pd.DataFrame, target: str, source: str) -> np.ndarray:
    """Returns -log accuracy in nats, [p]; NaN where it is missing, not above chance, or 1."""
    found, chance = accuracies(frame, target, source)
    kept = (found > chance) & (found < 1)
    return np.where(kept, -np.log(np.where(kept, found, 1.0)), np.nan)


def mostly_above_chance(frame: pd.DataFrame, target: str, source: str) -> bool:
    """Returns whether an accuracy is above chance in at least half of the rows that have one."""
    found, chance = accuracies(frame, target, source)
    return 2 * (found > chance).sum() >= max(np.isfinite(found).sum(), 1)


def left_out(frame: pd.DataFrame, target: str, source: str) -> str:
    """Returns which rows a target ``accuracy_<name>`` leaves out, or an empty text."""
    if target not in accuracy_targets(frame):
        return ""
    found, chance = accuracies(frame, target, source)
    low, full = int((found <= chance).sum()), int((found == 1).sum())
    why = [f"{low} not above chance"] * bool(low) + [f"{full} with no wrong answer"] * bool(full)
    rows = count(int(np.isfinite(found).sum()), "row")
    return f"of {rows}, {' and '.join(why)} left out" if why else ""
