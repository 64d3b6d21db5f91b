"""Hundreds of fits of one law, each on other rows of one table, in one batch; and their errors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from jaxmix.fitting.selection import Candidate, FitSettings, Split, mixture_ids, run_trials
from jaxmix.laws import TOKENS, WEIGHTS, Law, get_law
from jaxmix.runs import RunTable


@dataclass(frozen=True, eq=False)
class Deal:
    """Mixtures dealt to a fit and to its test.

    Attributes:
        draw: which random order of the mixtures.
        count: mixtures that are fitted, the first ones of that order.
        fitted: bool [p] rows to fit.
        unseen: bool [p] rows of the mixtures that are not fitted.
    """

    draw: int
    count: int
    fitted: np.ndarray
    unseen: np.ndarray


def deal(
    runs: RunTable, counts: Sequence[int], draws: int, rows: np.ndarray | None = None, seed: int = 0
) -> list[Deal]:
    """The first few mixtures of random orders, for each of `counts` and each of `draws` orders.

    Args:
        runs: the table.
        counts: mixtures to fit.
        draws: random orders; the smaller sets of one order are parts of its larger ones.
        rows: bool [p] rows that are dealt, None for all; others are neither fitted nor unseen.
        seed: of the orders.
    """
    rows = np.ones(len(runs), bool) if rows is None else rows
    ids, rng = mixture_ids(runs), np.random.default_rng(seed)
    found = []
    for draw in range(draws):
        order = rng.permutation(np.unique(ids[rows]))
        for count in counts:
            chosen = np.isin(ids, order[:count])
            found.append(Deal(draw, count, rows & chosen, rows & ~chosen))
    return found


def predictions(
    runs: RunTable,
    law: Law,
    targets: Sequence[str],
    deals: Sequence[Deal],
    restarts: int,
    residual: str = "log",
) -> np.ndarray:
    """Predicted losses [deals, m, p] of all rows; NaN where a law has too few rows to be fitted."""
    known = np.isfinite(runs.losses(targets))  # [m, p]
    none = np.zeros(len(runs), bool)
    splits = [
        Split("deal", f"{d.count} mixtures", d.fitted & known, d.unseen & known, none)
        for d in deals
    ]
    candidate = Candidate(law, residual)
    made = run_trials(runs, targets, [candidate], splits, FitSettings(restarts=restarts))
    return made.predicted[0]


def errors(runs: RunTable, target: str, predicted: np.ndarray, rows: np.ndarray) -> float:
    """Mean relative error in percent on some rows, bool [p].

    Infinite where a prediction is, NaN where there are no rows or no predictions (a law that could
    not be fitted).
    """
    seen = runs.losses([target])[0]
    rows = rows & np.isfinite(seen)
    if not rows.any() or np.isnan(predicted[rows]).all():
        return float("nan")
    off = np.abs(predicted[rows] - seen[rows]) / seen[rows]
    return 100 * float(np.mean(np.where(np.isnan(off), np.inf, off)))


# What makes the term in N vanish: then one size is enough.
_GONE = {"A": 1e-30, "alpha": 1.0, "C_A": 1e-30, "gamma_A": 1.0}


@lru_cache(maxsize=16)  # compiled programs know a law by its functions
def at_one_size(name: str) -> Law:
    """A law of N, D and h without its term in N, for models of one size."""
    law = get_law(name)
    begin, rescale = law.start, law.rescale
    assert begin is not None and rescale is not None
    gone = {p.name: _GONE[p.name] for p in law.parameters if p.name in _GONE}

    def filled(params):
        like = params["C"]
        given = {
            n: np.full(like.shape, v) if n == "C_A" else np.asarray(v) for n, v in gone.items()
        }
        return {**params, **given}

    def without(params):
        return {n: v for n, v in params.items() if n not in gone}

    def start(u, scales, k):
        middle = {n: np.full(k, 0.5) if n == "C_A" else 0.5 for n in gone}
        return without(begin({**middle, **u}, scales, k))

    return Law(
        f"{name}, one size",
        tuple(p for p in law.parameters if p.name not in gone),
        loss=lambda p, x: law.loss(filled(p), {**x, "n_params": 1.0}),
        start=start,
        rescale=lambda p, n, d: without(rescale(filled(p), n, d)),
        inputs=(TOKENS, WEIGHTS),
        formula=law.formula,
        source=law.source,
    )


FIXED = ", one N and D"
_CONSTANT = {"A": 1e-30, "alpha": 1.0, "B": 1e-30, "beta": 1.0}


@lru_cache(maxsize=16)
def at_one_point(name: str) -> Law:
    """A law of N, D and h without its terms in N and D, for models of one size and one D."""
    law = get_law(name)
    begin, names = law.start, [p.name for p in law.parameters]
    assert begin is not None
    gone = {n: v for n, v in _CONSTANT.items() if n in names}

    def start(u, scales, k):
        made = begin({**dict.fromkeys(gone, 0.5), **u}, scales, k)
        return {n: v for n, v in made.items() if n not in gone}

    return Law(
        f"{name}{FIXED}",
        tuple(p for p in law.parameters if p.name not in gone),
        loss=lambda p, x: law.loss({**p, **gone}, {**x, "n_params": 1.0, "tokens": 1.0}),
        start=start,
        inputs=(WEIGHTS,),
        formula=law.formula,
        source=law.source,
    )


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Lower quartile, median and upper quartile of those that are numbers; infinite ones count."""
    known = np.array([v for v in values if not np.isnan(v)])
    parts = np.quantile(known, (0.25, 0.5, 0.75), method="nearest") if len(known) else [np.nan] * 3
    return dict(zip(("lower", "median", "upper"), map(float, parts), strict=True))


def grouped(rows: Sequence[dict], *keys: str) -> Iterator[tuple[dict, list[dict]]]:
    """Rows by the values of some of their columns, in the order in which they first come."""
    for key in dict.fromkeys(tuple(r[k] for k in keys) for r in rows):
        yield (
            dict(zip(keys, key, strict=True)),
            [r for r in rows if tuple(r[k] for k in keys) == key],
        )
