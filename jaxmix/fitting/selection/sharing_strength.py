"""How strongly targets share parameters, chosen by held-out mixtures and sizes."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.selection.candidates import Candidate
from jaxmix.fitting.selection.choice import paired
from jaxmix.fitting.selection.evidence import Groups, held_out_errors
from jaxmix.fitting.selection.splits import Split, SplitError, any_target, make_splits, mixture_ids
from jaxmix.fitting.selection.trials import FitSettings, run_trials
from jaxmix.fitting.sharing import share_text, shares_to_try
from jaxmix.laws import Law
from jaxmix.runs import RunTable

_FOLDS = 5
_FEW = 10  # mixtures that are held out one by one
_SIZES = 3  # from fewer the trend in N is a guess, whatever is shared


def choose_share(
    runs: RunTable,
    law: Law,
    targets: Sequence[str],
    *,
    residual: str = "loss",
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> tuple[dict[str, float], str]:
    """The strengths that held-out rows support, and a sentence on them.

    Separate fits if they err least on held-out mixtures (and held-out sizes, if there are enough),
    else the weakest sharing within one standard error of the lowest error: a fold sees fewer
    mixtures than the fit will, which overrates strong sharing.

    Args:
        runs: the rows to fit.
        law: the law.
        targets: bare names.
        residual: as in ``fit``.
        progress: called with the solves done and their total.
        **settings: of ``FitSettings``.

    Raises:
        JaxmixError: no split, or one side of each is too small for the law.
    """
    splits = splits_of(runs, targets, settings.get("seed", 0))
    shares = shares_to_try(law)
    candidates = [Candidate(law, residual, share=tuple(s.items())) for s in shares]
    report = (lambda _, done, total: progress(done, total)) if progress else None
    trials = run_trials(runs, targets, candidates, splits, FitSettings(**settings), report)
    fitted = [i for i in range(len(splits)) if not any(i in faults for faults in trials.faults)]
    if not fitted:
        why = next(iter(trials.faults[0].values()))
        raise JaxmixError(f"no split can choose a strength of sharing ({why}); give a number")
    groups = held_out_errors(trials.take(range(len(candidates)), fitted))
    score, best = groups.score(), choose_strength(groups)
    kinds = dict.fromkeys(splits[i].kind for i in fitted)
    what = " and ".join({"mixtures": "mixtures", "size": "sizes"}[kind] for kind in kinds)
    return shares[best], (
        f"strength of sharing by held-out {what}: {share_text(shares[best], law)}, error "
        f"{score[best]:.3g}%; separate fits {score[0]:.3g}%"
    )


def choose_strength(groups: Groups) -> int:
    """Index of the choice among candidates in the order of ``shares_to_try``."""
    lowest = int(np.argmin(groups.score()))
    tied = (i for i in range(1, lowest + 1) if paired(groups, i, lowest).within(1.0))
    return next(tied, 0)


def splits_of(
    runs: RunTable, targets: Sequence[str], seed: int, rows: np.ndarray | None = None
) -> list[Split]:
    """By mixtures, and by size if there are enough; arguments as for ``make_splits``."""
    here = runs if rows is None else runs.select(any_target(rows))
    folds = _FOLDS if len(np.unique(mixture_ids(here))) > _FEW else _FEW
    options: dict[str, Any] = {"targets": targets, "rows": rows}
    try:
        found = list(make_splits(runs, ("mixtures",), folds=folds, seed=seed, **options))
    except SplitError as error:
        raise JaxmixError(f"{error}; or give a strength of sharing as a number") from None
    with contextlib.suppress(SplitError):
        found += make_splits(runs, ("size",), **options)
    return [s for s in found if s.kind != "size" or _sizes(runs, s) >= _SIZES]


def _sizes(runs: RunTable, split: Split) -> int:
    return len(np.unique(runs.n_params[any_target(split.train)]))
