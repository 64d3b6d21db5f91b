"""Which rows are fitted and which are tested: the deals of one table."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from experiments.laws.cases import Case
from experiments.masked_fits import Deal
from jaxmix.fitting.selection import mixture_ids, trajectory_share
from jaxmix.laws import Law
from jaxmix.runs import RunTable

ALL = "all"
HELD = 0.2  # share of the mixtures that is held out where "all" are fitted
LATE = 0.5  # share of a run from which on its rows are tested; longer runs are those behind it


@dataclass(frozen=True, eq=False)
class Task(Deal):
    """One fit of a law and what it is tested on.

    Attributes:
        label: the number of mixtures in the results.
        tests: bool [p] rows by the name of the test.
        choices: bool [p] rows among whose mixtures the law picks; None if it does not.
    """

    label: str
    tests: dict[str, np.ndarray]
    choices: np.ndarray | None = None


def tasks(runs: RunTable, case: Case) -> Iterator[Task]:
    """All deals: in each of the random orders the first mixtures, and all mixtures.

    With all of them mixtures are held out a fifth at a time.
    """
    ids, held, share = mixture_ids(runs), held_out(runs, case), trajectory_share(runs)
    sizes, late = np.unique(runs.n_params), share >= LATE
    name = "size" if len(sizes) > 1 else "mixtures"
    mixtures = np.unique(ids[~held])
    rng = np.random.default_rng(0)

    def whole(draw: int, label: str, order: np.ndarray) -> Iterator[Task]:
        dealt = np.isin(ids, order) & ~held
        rest = ~np.isin(ids, order) & ~held & late
        tests = {name: held & late}
        tests |= {"mixtures": rest} if rest.any() and name == "size" else {}
        yield Task(draw, len(order), dealt, rest, label, tests, _choices(runs, held))
        if np.ptp(share[dealt]) > 0:
            tests = {"longer": dealt & (share > LATE)}
            yield Task(draw, len(order), dealt & (share <= LATE), rest, label, tests)

    for draw in range(case.draws):
        order = rng.permutation(mixtures)
        for count in case.counts:
            if count < len(mixtures):
                yield from whole(draw, str(count), order[:count])
        if name == "size":
            some = np.isin(ids, order[: round(len(order) * HELD)]) & ~held
            fitted = ~held & ~some
            yield Task(draw, len(order), fitted, some, ALL, {"mixtures": some & late})
    yield from whole(0, ALL, mixtures)


def held_out(runs: RunTable, case: Case) -> np.ndarray:
    """Rows [p] that are never dealt: those that the case names, or those of the largest size."""
    if case.tested:
        return np.isin(runs.frame["run"], runs.where(case.tested).frame["run"])
    return runs.n_params == runs.n_params.max()


def _choices(runs: RunTable, held: np.ndarray) -> np.ndarray:
    """Held-out rows at the tokens at which most mixtures were measured, the last such ones."""
    at = [held & (np.abs(runs.tokens / d - 1) < 0.01) for d in np.unique(runs.tokens[held])]
    counts = [len(np.unique(mixture_ids(runs)[rows])) for rows in at]
    return at[max(i for i, count in enumerate(counts) if count == max(counts))]


def at_point(task: Task, runs: RunTable, case: Case, law: Law) -> Task:
    """The task of a law that does not see N or D: fitted and tested on rows of one N, or N and D.

    It still picks among the mixtures of the largest size: that takes no N and no D.
    """
    fixed_n, fixed_d = not law.reads("n_params"), not law.reads("tokens")
    if not case.point or not (fixed_n or fixed_d):
        return task
    here = np.isin(runs.frame["run"], runs.where(case.point).frame["run"]) & ~held_out(runs, case)
    if fixed_d:
        here &= runs.tokens >= 0.99 * runs.tokens[here].max()
    tests = {} if fixed_d else {"longer": task.tests.get("longer", np.zeros(len(runs), bool))}
    tests |= {"mixtures": task.tests["mixtures"]} if "mixtures" in task.tests else {}
    tests = {name: rows & here for name, rows in tests.items() if (rows & here).any()}
    return replace(task, fitted=task.fitted & here, unseen=task.unseen & here, tests=tests)
