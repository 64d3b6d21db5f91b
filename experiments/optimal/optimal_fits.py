"""Laws fitted on the small sizes of a study, and the mixtures that they hold for the best."""

import csv
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from jaxmix.fitting import FittedLaw, fit
from jaxmix.mixtures import optimize
from jaxmix.runs import RunTable, read_runs

Fits = Mapping[str, Sequence[FittedLaw]]


def ladder_and_larger(runs: pathlib.Path) -> tuple[RunTable, RunTable]:
    """Rows of all sizes but the largest, and of that."""
    table = read_runs(runs)
    is_larger = table.n_params == table.n_params.max()
    return table.select(~is_larger), table.select(is_larger)


def fitted(
    ladder: RunTable, laws: Sequence[str], targets: Sequence[str], restarts: int
) -> dict[str, Any]:
    """Laws on the ladder, as the source's study fits them."""
    return {
        law: fit(ladder, law, targets=targets, restarts=restarts, residual="log") for law in laws
    }


def better_law(scores: pathlib.Path, laws: Sequence[str]) -> str:
    """That with the lower error on mixtures that were kept from its fit."""
    with scores.open(newline="") as file:
        errors = {row["law"]: float(row["unseen_mixtures"]) for row in csv.DictReader(file)}
    return min(laws, key=errors.__getitem__)


def optima(
    fits: Fits, goals: Mapping[str, Sequence[str]], n_params: float, tokens: float
) -> dict[tuple[str, str], Any]:
    """The optimum of every law and goal at one budget."""
    return {
        (law, goal): optimize(laws, n_params, tokens, target_weights=dict.fromkeys(targets, 1.0))
        for law, laws in fits.items()
        for goal, targets in goals.items()
    }


def restricted(mixture: Mapping[str, float], domains: Sequence[str]) -> dict[str, float]:
    """A mixture's weights of the domains that the corpus has: all of them but in a trial."""
    kept = {d: mixture.get(d, 0.0) for d in domains}
    total = sum(kept.values())
    if total == 0:  # nothing of the best mixture is there
        return dict.fromkeys(domains, 1 / len(domains))
    return {d: weight / total for d, weight in kept.items()}
