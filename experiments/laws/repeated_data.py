"""Repeated data of one domain: the published form beside the other laws, in sample and beyond."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.laws.cases import datablations
from experiments.masked_fits import Deal, errors, predictions
from jaxmix.fitting import float64, read_inputs
from jaxmix.laws import R_D_STAR, R_N_STAR, get_law
from jaxmix.runs import RunTable

# Muennighoff et al. 2023: chinchilla+repetition is their form, all its parameters fitted.
LAWS = (
    "chinchilla",
    "chinchilla+repetition",
    "chinchilla+repetition+harm",
    "chinchilla+scarcity",
    "chinchilla+scarcity+harm",
    "chinchilla+floor",
    "chinchilla+repetition+floor",
    "chinchilla+scarcity+floor",
    "effective+repetition",
    "effective+repetition+harm",
    "effective+repetition+floor",
    "additive+repetition",
)
PUBLISHED = {
    "E": np.exp(0.6254804),
    "A": np.exp(6.255414),
    "B": np.exp(7.3049974),
    "alpha": 0.3526596,
    "beta": 0.3526596,
    "R_D_star": R_D_STAR,
    "R_N_star": R_N_STAR,
}
LARGEST = 2.8e9  # parameters from which on sizes are held out
LONGEST = 6e10  # tokens beyond which runs are
EPOCHS = 20  # beyond which rows are


def compared(restarts: int) -> Iterator[dict[str, Any]]:
    """R2 and mean relative error of every law in sample, and on rows that were not fitted.

    The published coefficients come first; they were fitted to all rows.
    """
    runs = datablations()
    known = np.ones(len(runs), bool)
    held = _held(runs)
    deals = [Deal(0, 1, known, known), *(Deal(0, 1, ~rows, rows) for rows in held.values())]
    tests = {"in sample": known, **held}
    yield _row("published coefficients", 7, [_published(runs)] * len(tests), runs, tests)
    for name in LAWS:
        law = get_law(name)
        found = predictions(runs, law, ("c4",), deals, restarts)[:, 0]
        yield _row(name, law.count(len(runs.domains)), list(found), runs, tests)


def _row(
    name: str,
    count: int,
    found: Sequence[np.ndarray],
    runs: RunTable,
    tests: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    row: dict[str, Any] = {"law": name, "parameters": count}
    for (test, rows), predicted in zip(tests.items(), found, strict=True):
        row |= {f"{test}, R2": r2(runs, predicted, rows)}
        row |= {f"{test}, %": errors(runs, "c4", predicted, rows)}
    return row


def _published(runs: RunTable) -> np.ndarray:
    """What the published form predicts, its coefficients at their values."""
    x = read_inputs(runs, get_law("chinchilla+repetition"), runs.domains)
    with float64():
        return np.asarray(get_law("chinchilla+repetition").loss(PUBLISHED, x))


def _held(runs: RunTable) -> dict[str, np.ndarray]:
    epochs = runs.tokens / runs.frame["unique_c4"].to_numpy(float)
    return {
        "larger": runs.n_params >= LARGEST,
        "longer": runs.tokens > LONGEST,
        "more epochs": epochs > EPOCHS,
    }


def r2(runs: RunTable, predicted: np.ndarray, rows: np.ndarray) -> float:
    """Share of the variance of the loss that is explained on some rows."""
    seen = runs.losses(["c4"])[0][rows]
    left = np.sum((seen - predicted[rows]) ** 2)
    return float(1 - left / np.sum((seen - seen.mean()) ** 2))
