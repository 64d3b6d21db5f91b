"""Every candidate fitted on every split: one batch for each law and residual.

The fits of a batch differ by the rows they use, so a split is a column of losses with gaps. Where a
burn-in or a size floor takes rows away, the search starts from the optima of the fit with the most
rows of the same split: the two share everything but those rows, and no held-out row is looked at.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmix.fitting.fit import DEFAULT_SOLVER
from jaxmix.fitting.objective import Objective, Rows
from jaxmix.fitting.precision import float64
from jaxmix.fitting.problem import FitError, Problem, make_problem
from jaxmix.fitting.selection.candidates import Candidate
from jaxmix.fitting.selection.splits import Split
from jaxmix.fitting.sharing import starts_of, ties
from jaxmix.fitting.solvers.lanes import WARM
from jaxmix.fitting.solvers.multistart import (
    SEARCHES,
    Pool,
    finish,
    perturbed,
    run_search,
    solve,
    values_at,
)
from jaxmix.fitting.solvers.together import fit_together
from jaxmix.laws import Law, Scales
from jaxmix.runs import RunTable

Array = jax.Array
Progress = Callable[[str, int, int], None]
# Optima of the parent that are looked at, and starts of a warm search: the best, and perturbations.
_ELITE, _OPTIMA, _PERTURBED = 8, 3, 1


@dataclass(frozen=True)
class FitSettings:
    """What all fits share; as in ``fit``."""

    restarts: int = 24
    seed: int = 0
    delta: float = 1e-3
    weighting: str = "equal"
    solver: str = DEFAULT_SOLVER


@dataclass(frozen=True, eq=False)
class Trials:
    """Predictions of C candidates from S splits, for m targets and p rows.

    Attributes:
        runs: the table.
        targets: [m] bare names.
        candidates: [C].
        splits: [S].
        predicted: [C, S, m, p] predicted losses, nats; NaN where a candidate could not be fitted.
        faults: [C] by index of the split, why it could not.
        fits: number of fits behind them.
    """

    runs: RunTable
    targets: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    splits: tuple[Split, ...]
    predicted: np.ndarray
    faults: tuple[dict[int, str], ...]
    fits: int

    def take(self, candidates: Sequence[int], splits: Sequence[int]) -> "Trials":
        """Those of some candidates and splits, in the order given."""
        at = {s: i for i, s in enumerate(splits)}
        faults = tuple(
            {at[s]: why for s, why in self.faults[c].items() if s in at} for c in candidates
        )
        return replace(
            self,
            candidates=tuple(self.candidates[c] for c in candidates),
            splits=tuple(self.splits[s] for s in splits),
            predicted=self.predicted[np.ix_(candidates, splits)],
            faults=faults,
        )


@dataclass(frozen=True, eq=False)
class _Task:
    """One set of fitted rows of one split, bool [m, p], and who asks for it."""

    split: int
    rows: np.ndarray
    candidates: tuple[int, ...]
    share: tuple[tuple[str, float], ...] = ()


def run_trials(
    runs: RunTable,
    targets: Sequence[str],
    candidates: Sequence[Candidate],
    splits: Sequence[Split],
    settings: FitSettings,
    progress: Progress | None = None,
) -> Trials:
    """Fits every candidate on the training rows of every split and predicts all rows.

    Args:
        runs: the table.
        targets: [m] bare names.
        candidates: as ``make_candidates`` gives them.
        splits: as ``make_splits`` gives them for these targets.
        settings: of all fits.
        progress: called with a label, the solves done and their total, for each batch.
    """
    shape = (len(candidates), len(splits), len(targets), len(runs))
    predicted = np.full(shape, np.nan)
    faults: list[dict[int, str]] = [{} for _ in candidates]
    fits = 0
    for law, residual in dict.fromkeys((c.law, c.residual) for c in candidates):
        own = [i for i, c in enumerate(candidates) if (c.law, c.residual) == (law, residual)]
        tasks = _tasks(runs, candidates, own, splits)
        objective = Objective(law, len(runs.domains), settings.delta)
        objective = replace(objective, residual=residual)
        report = partial(progress, f"{law.name}, {residual}") if progress else None
        with float64():
            found = _run_batch(runs, tuple(targets), objective, tasks, settings, report)
        for task, outcome in zip(tasks, found, strict=True):
            for i in task.candidates:
                if isinstance(outcome, str):
                    faults[i][task.split] = outcome
                else:
                    predicted[i, task.split] = outcome
                    fits += len(targets)
    return Trials(
        runs, tuple(targets), tuple(candidates), tuple(splits), predicted, tuple(faults), fits
    )


def _tasks(
    runs: RunTable, candidates: Sequence[Candidate], own: Sequence[int], splits: Sequence[Split]
) -> list[_Task]:
    """Distinct sets of rows, those of one split together, the largest first."""
    tasks = []
    for s, split in enumerate(splits):
        asked: dict[tuple[bytes, Any], list[int]] = {}
        masks = {i: candidates[i].trusted(runs, split.train) for i in own}
        rows = {mask.tobytes(): mask for mask in masks.values()}
        for i, mask in masks.items():
            asked.setdefault((mask.tobytes(), ()), [])  # fits that share start from those apart
            asked.setdefault((mask.tobytes(), candidates[i].share), []).append(i)
        found = [_Task(s, rows[key], tuple(who), share) for (key, share), who in asked.items()]
        tasks += sorted(found, key=lambda task: -int(task.rows.sum()))
    return tasks


def _run_batch(
    runs: RunTable,
    targets: tuple[str, ...],
    objective: Objective,
    tasks: Sequence[_Task],
    settings: FitSettings,
    report: Callable[[int, int], None] | None,
) -> list[np.ndarray | str]:
    """Predictions [m, p] of each task, or why it has none."""
    made = _problems(runs, targets, objective, tasks, settings.weighting)
    whole = {i: p for i, p in enumerate(made) if not isinstance(p, str)}
    first: dict[int, int] = {}  # of each split, the task with the most rows
    for i in whole:
        if not tasks[i].share:
            first.setdefault(tasks[i].split, i)
    bases = list(first.values())
    subs = [i for i in whole if i not in bases and not tasks[i].share]
    found: list[np.ndarray | str] = [p if isinstance(p, str) else np.empty(0) for p in made]
    if not bases:
        return found
    most, m = max(len(bases), len(subs)), len(targets)  # of one shape, for one program
    base = _joined([whole[i] for i in bases], most)
    search = SEARCHES[settings.solver]
    pool = run_search(search, base, settings.restarts, settings.seed, report)
    results = dict(zip(bases, _predictions(base, pool, m), strict=True))
    apart = {i: _part(pool, at, m) for at, i in enumerate(bases)}
    if subs:
        parents = [bases.index(first[tasks[i].split]) for i in subs]
        sub = _joined([whole[i] for i in subs], most)
        pool = _warm(sub, pool, parents, m)
        results |= dict(zip(subs, _predictions(sub, pool, m), strict=True))
        apart |= {i: _part(pool, at, m) for at, i in enumerate(subs)}
    results |= _shared(whole, tasks, apart)
    for i, losses in results.items():
        found[i] = losses
    return found


def _part(pool: Pool, task: int, m: int) -> Pool:
    """The fits of one task."""
    own = slice(task * m, (task + 1) * m)
    return Pool(pool.z[:, own], pool.value[:, own], pool.failed[:, own])


def _shared(
    whole: Mapping[int, Problem], tasks: Sequence[_Task], apart: Mapping[int, Pool]
) -> dict[int, np.ndarray]:
    """Predictions [m, p] of the tasks that share parameters, from the fits of the same rows."""
    own = [i for i in whole if tasks[i].share]
    if not own:
        return {}
    same = {(tasks[i].split, tasks[i].rows.tobytes()): i for i in apart}
    pools = [apart[same[tasks[i].split, tasks[i].rows.tobytes()]] for i in own]
    problem, m = _joined([whole[i] for i in own]), pools[0].value.shape[1]
    starts = [starts_of(whole[i], pool) for i, pool in zip(own, pools, strict=True)]
    tied = ties(problem, [dict(tasks[i].share) for i in own])
    found = fit_together(problem, tied, np.concatenate(starts, 1))
    losses = _predict(problem.objective, jnp.asarray(found.z), problem.rows)
    return dict(zip(own, np.asarray(losses).reshape(len(own), m, -1), strict=True))


def _problems(
    runs: RunTable,
    targets: tuple[str, ...],
    objective: Objective,
    tasks: Sequence[_Task],
    weighting: str,
) -> list[Problem | str]:
    """The fits of each task, m targets, or why they cannot be made."""
    try:
        whole = make_problem(runs, objective.law, targets, objective, weighting)
    except FitError as error:
        return [str(error)] * len(tasks)
    made = []
    for task in tasks:
        try:
            fault = _lacks_spread(runs, objective.law, task.rows)
            made.append(fault or whole.only(task.rows, weighting))
        except FitError as error:
            made.append(str(error))
    return made


def _lacks_spread(runs: RunTable, law: Law, rows: np.ndarray) -> str | None:
    columns = {"n_params": runs.n_params, "tokens": runs.tokens}
    for target_rows in rows:
        if not target_rows.any():
            return "no row is left to fit"
        for name, column in columns.items():
            if law.reads(name) and np.ptp(column[target_rows]) == 0:
                return (
                    f"the {law.name} law needs two values of {name} among the rows it is fitted on"
                )
    return None


def _joined(problems: Sequence[Problem], length: int | None = None) -> Problem:
    """Problems over the same rows as one, their fits one after another.

    Args:
        problems: one or more.
        length: of how many problems the arrays of rows are; some are repeated to fill them.
    """
    first, count = problems[0], length or len(problems)
    filled = [problems[i % len(problems)].rows for i in range(count)]
    rows = first.rows._replace(
        own={n: _together(rows.own[n] for rows in filled) for n in first.rows.own},
        losses=_together(rows.losses for rows in filled),
        row_weights=_together(rows.row_weights for rows in filled),
    )
    return replace(
        first,
        targets=tuple(t for p in problems for t in p.targets),
        rows=rows,
        scales=Scales(*(_together(s) for s in zip(*(p.scales for p in problems), strict=True))),
        used=np.concatenate([p.used for p in problems]),
        notes=tuple(n for p in problems for n in p.notes),
    )


def _together(parts: Iterable[Array]) -> Array:
    return jnp.concatenate(list(parts))


def _warm(problem: Problem, parents: Pool, parent: Sequence[int], m: int) -> Pool:
    """Local solves from those optima of each fit's parent that suit its own rows best.

    One more start perturbs the best. These four end lower on average than the four best optima of
    the parent and four perturbations of them.
    """
    fits = [p * m + t for p in parent for t in range(m)]
    elite = np.stack([parents.elite(f, _ELITE) for f in fits])  # [fits, e, P]
    values = np.asarray(values_at(problem.objective, jnp.asarray(elite), problem.rows))
    order = np.argsort(values, 1, kind="stable")[:, :_OPTIMA, None]
    best = np.take_along_axis(elite, order, 1).swapaxes(0, 1)
    keys = jax.random.split(jax.random.key(1), (_PERTURBED, len(fits)))
    starts = np.concatenate([best, perturbed(problem, best[:_PERTURBED], keys)])
    search = SEARCHES[DEFAULT_SOLVER]
    ended = solve(search.solver, problem, starts, WARM)
    return finish(search, problem, Pool.empty(len(fits), best.shape[-1]).add(ended, len(fits)))


def _predictions(problem: Problem, pool: Pool, m: int) -> np.ndarray:
    """[tasks, m, p] losses that the best optimum of each fit predicts."""
    fits = pool.value.shape[1]
    best = pool.z[np.argmin(pool.value, 0), np.arange(fits)]
    losses = _predict(problem.objective, jnp.asarray(best), problem.rows)
    return np.asarray(losses).reshape(fits // m, m, -1)


@partial(jax.jit, static_argnames="objective")
def _predict(objective: Objective, z: Array, rows: Rows) -> Array:
    """Predicted losses [F, p] at z [F, P]."""
    one = lambda fit: objective.predict(z[fit], rows.of_fit(fit))  # noqa: E731
    return jax.lax.map(one, jnp.arange(z.shape[0]), batch_size=min(16, z.shape[0]))
