"""``fit``: a run table and a law in, fitted laws out."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FitReport, FittedLaw, FittedLaws
from jaxmix.fitting.objective import Objective
from jaxmix.fitting.precision import float64, place_notes
from jaxmix.fitting.problem import FitError as FitError
from jaxmix.fitting.problem import Problem, diagnose, make_problem
from jaxmix.fitting.scores import score, score_arrays
from jaxmix.fitting.sharing import (
    Share,
    center_of,
    read_share,
    search_shared,
    settle,
    share_note,
)
from jaxmix.fitting.solvers.multistart import SEARCHES, Pool, Progress, polish, run_search
from jaxmix.fitting.solvers.newton import free_parameters
from jaxmix.laws import Law, get_law
from jaxmix.runs import RunTable, read_runs

SOLVERS = tuple(SEARCHES)
DEFAULT_SOLVER = "pooled-hopping"


def fit(
    runs: RunTable | pd.DataFrame | str | os.PathLike[str],
    law: Law | str,
    *,
    targets: Sequence[str] | None = None,
    solver: str = DEFAULT_SOLVER,
    restarts: int = 192,
    seed: int = 0,
    delta: float = 1e-3,
    residual: Literal["loss", "log"] = "loss",
    weighting: Literal["equal", "sem"] = "equal",
    share: Share = 0.0,
    held_out: RunTable | None = None,
    precision: Literal["float64", "float32"] = "float64",
    progress: Progress | None = None,
) -> FittedLaws:
    """Fits one law to many targets in one compiled batch; eq. (6) of the paper.

    Args:
        runs: the rows to fit: a run table, a data frame with its columns, or a file.
        law: a law or its name.
        targets: names of targets, None for all.
        solver: one of ``SOLVERS``.
        restarts: local solves per target.
        seed: of the starting points. The result depends on it, the rows and the settings alone,
            not on which other targets are fitted beside it.
        delta: Huber threshold, nats; relative with ``residual="log"``.
        residual: fit the loss or its logarithm.
        weighting: ``"equal"``, or ``"sem"`` for rows weighed by 1 / ``sem_<target>`` squared.
        share: how strongly parameters are drawn to their means over the targets (and, if there is
            one per domain, over the domains): 0 for separate fits, ``"auto"`` for the strength with
            the lowest error on held-out mixtures and sizes, a number or infinity for every
            parameter, or numbers by parameter. See ``jaxmix.fitting.sharing``.
        held_out: rows to score the fits on; they take no part in fitting.
        precision: ``"float64"`` is solved on the CPU if the accelerators are TPUs, which lack it;
            ``"float32"`` on them: the last digits of the objective are lost. The report says so.
        progress: called with the local solves done and their total.

    Returns:
        Fitted laws in the order of ``targets``.

    Raises:
        FitError: fewer rows than the law has parameters, or columns that it needs are missing.
        RunTableError: an unknown target.
        JaxmixError: an unknown law, solver or parameter, or no split to choose a strength by.
    """
    runs = read_runs(runs)
    law = get_law(law) if isinstance(law, str) else law
    if solver not in SEARCHES:
        raise JaxmixError(f"unknown solver '{solver}': choose one of {', '.join(SOLVERS)}")
    names = _target_names(runs, targets)
    k = len(runs.domains)
    why: tuple[str, ...] = ()
    if share == "auto":
        from jaxmix.fitting.selection.sharing_strength import choose_share

        options = {"residual": residual, "delta": delta, "weighting": weighting, "seed": seed}
        share, chosen = choose_share(runs, law, names, progress=progress, **options)
        why = (chosen,)
    strengths = read_share(share, law)
    with float64() if precision == "float64" else jax.enable_x64(False):
        extra = (*place_notes(precision), *why)
        problem = make_problem(runs, law, names, Objective(law, k, delta, residual), weighting)
        pool = run_search(SEARCHES[solver], problem, restarts, seed, progress)
        _check_found(problem, pool)
        if strengths:
            some = (strengths, pool, restarts, seed)
            problem, pool = search_shared(SEARCHES[solver], problem, *some, progress)
            extra = (share_note(law, strengths, len(names)), *extra)
        best = polish(problem, pool)
        if strengths:
            problem, best = settle(problem, strengths, best)
        fits = [_finish(problem, i, best, pool, solver, extra) for i in range(len(names))]
        if strengths:
            centers = [center_of(problem, i) for i in range(len(names))]
            shared = zip(fits, centers, strict=True)
            fits = [f.with_report(share=strengths, center=center) for f, center in shared]
    return FittedLaws(fits if held_out is None else [_with_held_out(f, held_out) for f in fits])


def _target_names(runs: RunTable, targets: Sequence[str] | None) -> tuple[str, ...]:
    names = runs.target_names(targets)
    twice = [n for n in names if names.count(n) > 1]
    if twice:
        raise FitError(f"{runs.source}: target '{twice[0]}' is named twice")
    return names


def _check_found(problem: Problem, pool: Pool) -> None:
    for name, value in zip(problem.targets, pool.value.min(0), strict=True):
        if not np.isfinite(value):
            raise FitError(
                f"{problem.runs.source}: no start of the {problem.objective.law.name} law gave a "
                f"finite objective for target '{name}'; look at its losses or raise --restarts"
            )


def _finish(
    problem: Problem, i: int, best: Pool, pool: Pool, solver: str, extra: tuple[str, ...]
) -> FittedLaw:
    """The fitted law of target i from its polished candidates."""
    objective = problem.objective
    z: Any = best.z[np.argmin(best.value[:, i]), i]
    found = diagnose(objective, z, problem.rows, np.asarray(i))
    at: dict[str, Any] = {name: np.asarray(one) for name, one in found.items()}
    low, high = objective.law.bounds(objective.k)
    edge = (z <= low + 1e-6) | (z >= high - 1e-6)
    free = free_parameters(objective, z, at["grad"]) & ~edge
    gram = at["gram"]
    free &= np.diag(gram) > 0 if problem.rows.prior is not None else True  # not held
    labels = objective.law.names(problem.runs.domains)
    value, ends = float(at["value"]), pool.value[:, i]
    misfit = value if problem.rows.prior is None else _misfit(problem, i, z)
    seen = np.where(problem.used[i], problem.runs.losses([problem.targets[i]])[0], np.nan)
    report = FitReport(
        objective=misfit,
        gradient_norm=float(np.max(np.abs(at["grad"][free]), initial=0.0)),
        rows=int(problem.used[i].sum()),
        restarts=len(ends),
        agreeing=int(np.sum(ends <= 1.01 * value)),
        at_bound=tuple(n for n, is_at in zip(labels, edge, strict=True) if is_at),
        condition=_condition(gram[np.ix_(free, free)]),
        delta=objective.delta,
        residual=objective.residual,
        solver=solver,
        train_mre=score_arrays(at["predicted"], seen).mre,
        notes=(*problem.notes[i], *extra),
    )
    unknown = objective.law.unknown(objective.k)
    unseen = (np.diag(gram) == 0) & np.isfinite(unknown)
    notes = _unknown(objective.law, labels, unseen)
    report = replace(report, notes=(*report.notes, *notes))
    natural = problem.natural(np.where(unseen, unknown, z))
    domains = problem.runs.domains
    return FittedLaw(objective.law, problem.targets[i], domains, natural, problem.range(i), report)


def _misfit(problem: Problem, i: int, z: np.ndarray) -> float:
    """Eq. (6) without what a prior adds."""
    rows = problem.rows.of_fit(jnp.asarray(i))._replace(prior=None)
    return float(problem.objective.value(jnp.asarray(z), rows))


def _unknown(law: Law, labels: Sequence[str], unseen: np.ndarray) -> list[str]:
    """A note on each parameter that no row depends on and that is taken as something stated."""
    found = []
    for p in law.parameters:
        names = [n for n, not_seen in zip(labels, unseen, strict=True) if not_seen]
        mine = [n[len(p.name) + 1 : -1] for n in names if n.startswith(f"{p.name}[")]
        if mine:
            found.append(f"no row depends on {p.name} of {', '.join(mine)}: taken as {p.unknown:g}")
    return found


def _condition(gram: np.ndarray) -> float:
    """Ratio of the extreme eigenvalues of a Gauss-Newton matrix scaled to unit diagonal."""
    size = np.sqrt(np.diag(gram))
    if not size.size or not np.all(size > 0):
        return float("inf")
    values = np.linalg.eigvalsh(gram / np.outer(size, size))
    return float(values[-1] / values[0]) if values[0] > 0 else float("inf")


def _with_held_out(fitted: FittedLaw, runs: RunTable) -> FittedLaw:
    held = score([fitted], runs)[fitted.target]
    return fitted.with_report(held_out_mre=held.mre, held_out_rows=held.rows)
