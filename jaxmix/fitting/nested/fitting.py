"""``fit_nested``: a run table in, nested laws out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxmix.fitting.fitted import DataRange, FittedLaw
from jaxmix.fitting.nested.curves import Curves, make_curves
from jaxmix.fitting.nested.how import Nested, NestedReport
from jaxmix.fitting.nested.law import NestedLaw, nested_at, predict_nested
from jaxmix.fitting.nested.sizes import fit_sizes, usable_sizes
from jaxmix.fitting.nested.steps import StepFit, fit_steps
from jaxmix.fitting.problem import FitError
from jaxmix.fitting.scores import score, score_arrays
from jaxmix.fitting.solvers.multistart import Progress
from jaxmix.runs import RunTable


def fit_nested(
    runs: RunTable,
    how: Nested | None = None,
    *,
    targets: Sequence[str] | None = None,
    weighting: str = "equal",
    held_out: RunTable | None = None,
    whole_way: bool = True,
    progress: Progress | None = None,
    **changes: Any,
) -> tuple[NestedLaw, ...]:
    """Fits nested laws (Ye et al. 2024): step laws, then size laws, then a law of the mixture.

    A step law E + B / D^beta goes through the rows of each size and mixture; what it says at a
    budget's D is carried to the budget's N by a size law E + A / N^alpha of each mixture; the
    mixture law is fitted to that. Only the first stage is fitted here, the others once a budget is
    known.

    Args:
        runs: the rows; checkpoints of a run, and runs of one size and mixture, make one curve.
        how: how to fit; None for ``Nested()``.
        targets: names of targets, None for all.
        weighting: ``"equal"``, or ``"sem"`` for rows of step laws weighed by 1 / ``sem_<target>``
            squared.
        held_out: rows to score on, by the whole way.
        whole_way: measure ``train_mre``, which takes a mixture law for every N and D of the rows.
        progress: called with the stages done and their number.
        **changes: fields of ``how`` to replace, such as ``restarts``.

    Returns:
        Nested laws in the order of ``targets``.

    Raises:
        FitError: the rows hold no curve for a step law, or too few mixtures for the mixture law.
        RunTableError: an unknown target.
        JaxmixError: an unknown law, solver or way to share.
    """
    how = replace(how or Nested(), **changes)
    names = runs.target_names(targets)
    tell = progress or (lambda done, total: None)
    curves = make_curves(runs, names, weighting)
    steps = fit_steps(curves, how.share_steps, how.delta, how.residual)
    tell(1, 3)
    laws = [_law(runs, how, curves, *pair) for pair in zip(names, steps, strict=True)]
    laws = _with_mixtures(runs, laws)
    tell(2, 3)
    laws = _with_errors(runs, laws) if whole_way else laws
    tell(3, 3)
    if held_out is not None:
        found = score(laws, held_out)
        laws = [
            f.with_report(held_out_mre=found[f.target].mre, held_out_rows=found[f.target].rows)
            for f in laws
        ]
    return tuple(laws)


def _law(runs: RunTable, how: Nested, curves: Curves, target: str, found: StepFit) -> NestedLaw:
    """The nested law of one target after the first stage."""
    known = np.isfinite(found.steps.E)
    if not known.any():
        raise FitError(
            f"{runs.source}: no size and mixture has enough checkpoints of target '{target}' for a "
            "step law; add checkpoints, or share exponents (share_steps, --share-steps)"
        )
    spans = found.steps.tokens[known]
    n = curves.n_params[known]
    used = np.unique(curves.mixture[known])
    data = DataRange(
        (float(n.min()), float(n.max())),
        (float(spans[:, 0].min()), float(spans[:, 1].max())),
        curves.mixtures[used],
    )
    report = NestedReport(
        objective=found.objective,
        gradient_norm=found.gradient,
        rows=found.rows,
        restarts=0,
        agreeing=0,
        at_bound=found.at_bound,
        delta=how.delta,
        residual=how.residual,
        solver=how.solver,
        notes=found.notes,
        n_parameters=2 * int(known.sum()) + found.exponents,
        curves=int(known.sum()),
        step_mre=found.mre,
    )
    layout = (curves.mixtures, curves.n_params, curves.mixture)
    return NestedLaw(how, target, runs.domains, *layout, found.steps, data, report)


def _at_largest(runs: RunTable, laws: list[NestedLaw]) -> tuple[float, tuple[FittedLaw, ...]]:
    """The most tokens, and mixture laws, of the largest size at which these can be fitted."""
    first: FitError | None = None
    for n in np.unique(runs.n_params)[::-1]:
        tokens = float(runs.tokens[runs.n_params == n].max())
        try:
            return tokens, nested_at(laws, n, tokens)
        except FitError as error:
            first = first or error
    assert first is not None
    raise first


def _with_mixtures(runs: RunTable, laws: list[NestedLaw]) -> list[NestedLaw]:
    """Adds what is known of the two later stages at the largest budget of the rows."""
    how, layout = laws[0].how, laws[0].layout
    tokens, mixed_laws = _at_largest(runs, laws)
    steps = [law.steps for law in laws]
    sizes = fit_sizes(steps, layout, np.array([tokens]), how.share_sizes, how.delta, how.residual)
    enough = usable_sizes(sizes.observed, layout, how.share_sizes)[:, 0]  # [m, u]
    out = []
    for i, (law, fitted) in enumerate(zip(laws, mixed_laws, strict=True)):
        mixed, count = fitted.report, int(enough[i].sum())
        exponents = min(count, 1) if how.share_sizes == "all" else count
        own = 2 * count + exponents + fitted.law.count(len(law.domains))
        out.append(
            law.with_report(
                restarts=mixed.restarts,
                agreeing=mixed.agreeing,
                condition=mixed.condition,
                n_parameters=law.report.n_parameters + own,
                size_mre=float(sizes.error[i, 0]),
                mixture_mre=mixed.train_mre,
                notes=(*law.report.notes, *_size_notes(law, enough[i])),
            )
        )
    return out


def _size_notes(law: NestedLaw, enough: np.ndarray) -> list[str]:
    sizes = np.unique(law.n_params[np.isfinite(law.steps.E)])
    if len(sizes) == 1:
        return [f"one size: no size law, and predictions for N = {sizes[0]:.6g} only"]
    count, total = int(enough.sum()), len(enough)
    if not count:
        return ["no mixture has enough sizes for a size law: predictions at fitted sizes only"]
    few = f"{total - count} of {total} mixtures have too few sizes for a size law"
    return [f"{few}: they take part at fitted sizes only"] if count < total else []


def _with_errors(runs: RunTable, laws: list[NestedLaw]) -> list[NestedLaw]:
    """Adds the error of the whole way on the rows themselves."""
    at = runs.n_params, runs.tokens, runs.weights
    predicted = predict_nested(laws, *at, partial=True)
    out = []
    for law, p, y in zip(laws, predicted, runs.losses([law.target for law in laws]), strict=True):
        scored = score_arrays(p, y)
        lost = f"{scored.diverged} rows lie at budgets with too few mixtures: not in the whole way"
        notes = (*law.report.notes, *([lost] if scored.diverged else ()))
        out.append(law.with_report(train_mre=scored.mre, notes=notes))
    return out
