"""Losses extrapolated to one size and token count, mixture by mixture (Ye et al. 2024).

A step law E + B / D^beta is fitted to the checkpoints of every size and mixture, and a size law
E + A / N^alpha to what the step laws of a mixture predict at the tokens asked for. The result is a
run table, to which any law of the mixture can be fitted. Source: Data Mixing Laws (arXiv
2403.16952), the nested use of scaling laws.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.power_laws import PowerLaws, fit_power_laws
from jaxmix.fitting.problem import FitError, row_weights
from jaxmix.fitting.selection.splits import mixture_ids
from jaxmix.runs import RunTable, read_runs

ShareSteps = Literal["none", "size", "all"]
ShareSizes = Literal["none", "all"]
Residual = Literal["loss", "log"]
_SAME = 1e-9  # relative difference below which two sizes or token counts are one
_FLAT = 1e-9  # relative change of a loss below which a curve is constant
_REMEDY = {
    "none": "3 checkpoints",
    "size": "3 checkpoints, or 2 beside others of its size",
    "all": "3 checkpoints, or 2 beside others",
}


@dataclass(frozen=True, eq=False)
class _Curves:
    """The rows by size and mixture: m targets, u mixtures, c curves of at most q rows.

    Attributes:
        targets: [m] bare names.
        mixtures: [u, k] weights.
        n_params: [c] size of each curve.
        mixture: [c] index of its mixture.
        names: [c] its first run.
        pooled: [c] whether it holds rows of several runs.
        tokens: [c, q], 1 in padding.
        losses: [m, c, q], 1 if there is none.
        weights: [m, c, q] row weights, 0 if there is no loss.
    """

    targets: tuple[str, ...]
    mixtures: np.ndarray
    n_params: np.ndarray
    mixture: np.ndarray
    names: np.ndarray
    pooled: np.ndarray
    tokens: np.ndarray
    losses: np.ndarray
    weights: np.ndarray


def extrapolate(
    runs: RunTable,
    n_params: float | Sequence[float],
    tokens: float | Sequence[float],
    *,
    targets: Sequence[str] | None = None,
    share_steps: ShareSteps = "size",
    share_sizes: ShareSizes = "all",
    delta: float = 1e-3,
    residual: Residual = "loss",
    weighting: Literal["equal", "sem"] = "equal",
) -> RunTable:
    """Predicts the losses of every mixture at one size N and token count D.

    At a size that was run, its step laws are used; at any other size, the size laws. Rows of one
    size and mixture form one curve, whichever runs they come from.

    Args:
        runs: rows with weights; several checkpoints per run, and for a new N several sizes.
        n_params: N; or several, which NumPy broadcasts with ``tokens``.
        tokens: D; likewise.
        targets: names of targets, None for all.
        share_steps: step laws with one exponent: ``"none"``, those of one ``"size"``, or ``"all"``.
        share_sizes: size laws with one exponent: ``"none"`` or ``"all"``.
        delta: Huber threshold of both fits, in nats, or relative for ``"log"``.
        residual: fit the ``"loss"`` or its ``"log"``.
        weighting: ``"equal"``, or ``"sem"`` to weight rows by 1 / ``sem_<target>`` squared.

    Returns:
        A run table with one row per mixture and budget. A loss is missing if the rows do not
        determine it; a mixture without any loss is left out. The notes say what was left out.

    Raises:
        FitError: the rows determine no loss at all at a budget.
        RunTableError: an unknown target.
        JaxmixError: an unknown option, or a budget that is not positive and finite.
    """
    chosen = ((share_steps, ShareSteps), (share_sizes, ShareSizes), (residual, Residual))
    for value, kinds in chosen:
        if value not in get_args(kinds):
            raise JaxmixError(f"unknown '{value}': choose one of {', '.join(get_args(kinds))}")
    n, d = (np.atleast_1d(x) for x in np.broadcast_arrays(n_params, tokens))
    if not np.all(np.isfinite([n, d])) or np.min([n, d]) <= 0:
        raise JaxmixError("n_params and tokens must be positive and finite")
    fitting: dict[str, Any] = {"delta": delta, "residual": residual}
    curves = _make_curves(runs, targets, weighting)
    steps, only_at, notes = _fit_steps(curves, share_steps, fitting)
    losses = np.empty((len(curves.targets), len(n), len(curves.mixtures)))  # [m, b, u]
    errors = np.full(len(curves.targets), np.nan)
    for at in np.unique(d):
        here = np.isnan(only_at) | np.isclose(only_at, at, rtol=_SAME, atol=0)
        at_d = _positive(np.where(here, steps.at(at), np.nan))  # [m, c]
        found = _at_sizes(curves, at_d, n[d == at], share_sizes, fitting)
        losses[:, d == at], errors = found[0], np.fmax(errors, found[1])
    notes += _error_note("size", curves.targets, errors)
    return _as_table(runs, curves, losses, (n, d), notes)


def _positive(losses: np.ndarray) -> np.ndarray:
    return np.where(losses > 0, losses, np.nan)


def _make_curves(runs: RunTable, targets: Sequence[str] | None, weighting: str) -> _Curves:
    """Sorts the rows into curves."""
    if not runs.domains:
        raise FitError(f"{runs.source}: extrapolation needs columns w_<domain>; there is none")
    names, ids = runs.target_names(targets), mixture_ids(runs)
    keys, curve = np.unique(np.stack([runs.n_params, ids]), axis=1, return_inverse=True)
    order = np.lexsort([runs.tokens, curve.reshape(-1)])
    curve = curve.reshape(-1)[order]
    starts = np.searchsorted(curve, np.arange(keys.shape[1]))
    position = np.arange(len(runs)) - starts[curve]

    def padded(rows: np.ndarray, fill: float) -> np.ndarray:
        out = np.full((*rows.shape[:-1], len(starts), position.max() + 1), fill)
        out[..., curve, position] = rows[..., order]
        return out

    losses = runs.losses(names)
    seen = np.isfinite(losses)
    run = runs.frame["run"].to_numpy().astype(str)[order]
    return _Curves(
        targets=names,
        mixtures=runs.weights[np.unique(ids, return_index=True)[1]],
        n_params=keys[0],
        mixture=keys[1].astype(int),
        names=run[starts],
        pooled=np.array([len(set(part)) > 1 for part in np.split(run, starts[1:])]),
        tokens=padded(runs.tokens, 1.0),
        losses=padded(np.where(seen, losses, 1.0), 1.0),
        weights=padded(row_weights(runs, names, seen, weighting), 0.0),
    )


def _fit_steps(
    curves: _Curves, share: str, fitting: dict[str, Any]
) -> tuple[PowerLaws, np.ndarray, list[str]]:
    """Step laws [m, c], the only tokens [m, c] at which a law holds (NaN for all), and notes.

    A law with an exponent of its own takes three checkpoints. Two are enough if other curves
    determine the exponent. A single token count gives a level that holds there alone.
    """
    by_size = np.unique(curves.n_params, return_inverse=True)[1].reshape(-1)
    classes = {"none": np.arange(len(by_size)), "size": by_size, "all": 0 * by_size}[share]
    seen = curves.weights > 0
    count = _distinct(np.broadcast_to(curves.tokens, seen.shape), seen)  # [m, c]
    member = classes[:, None] == np.arange(classes.max() + 1)
    determined = (np.maximum(count - 2, 0) @ member > 0)[:, classes]
    usable, single = (count >= 2) & determined, count == 1
    rows = curves.tokens, curves.losses, np.where(usable[..., None], curves.weights, 0.0)
    fitted = fit_power_laws(*rows, classes, **fitting)
    total = np.where(single, curves.weights.sum(-1), 1.0)
    level = ((curves.weights * curves.losses).sum(-1) / total, 0.0, 1.0)
    laws = PowerLaws(*(np.where(single, x, y) for x, y in zip(level, fitted, strict=True)))
    first = np.where(seen, curves.tokens, np.inf).min(-1)
    few = ~(usable | single) & (count > 0)
    start, end = (laws.at(x) for x in (first, np.where(seen, curves.tokens, 1.0).max(-1)))
    said = (
        (count == 0, "without a loss are left out"),
        (few, f"with too few checkpoints are left out; a step law takes {_REMEDY[share]}"),
        (single, "with one number of tokens are used at exactly those tokens"),
        (end > start * (1 + _FLAT), "rise with tokens"),
        (laws.floor == 0, "have a step law with the floor E = 0"),
        (laws.at_edge, "have a step law with an exponent at the edge of its range"),
        (np.broadcast_to(curves.pooled, count.shape), "pool several runs"),
    )
    notes = [_count(curves, which, text) for which, text in said if which.any()]
    notes += _error_note("step", curves.targets, fitted.error(*rows))
    return laws, np.where(single, first, np.nan), notes


def _distinct(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Number of different values among those seen, along the last axis."""
    ordered = np.sort(np.where(seen, values, np.nan), -1)  # the others go last
    fresh = np.isfinite(ordered)
    fresh[..., 1:] &= ordered[..., 1:] != ordered[..., :-1]
    return fresh.sum(-1)


def _at_sizes(
    curves: _Curves, losses: np.ndarray, n_params: np.ndarray, share: str, fitting: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Losses [m, b, u] at sizes N [b] from those of the curves [m, c]; errors [m] of size laws."""
    sizes, size = np.unique(curves.n_params, return_inverse=True)
    x = np.broadcast_to(sizes, (len(curves.mixtures), len(sizes)))  # [u, s]
    grid = np.full((len(losses), *x.shape), np.nan)
    grid[:, curves.mixture, size.reshape(-1)] = losses
    count = np.isfinite(grid).sum(-1)  # [m, u]
    determined = (count > 2).any(-1, keepdims=True) & (share == "all")
    usable = (count > 2) | (count == 2) & determined
    weights = np.where(np.isfinite(grid) & usable[..., None], 1.0, 0.0)
    rows = x, np.where(weights > 0, grid, 1.0), weights
    laws = fit_power_laws(*rows, np.arange(len(x)) * (share == "none"), **fitting)
    same = np.isclose(sizes, n_params[:, None], rtol=_SAME, atol=0)  # [b, s]
    found = np.stack([laws.at(n) for n in n_params], 1)
    for b, s in np.argwhere(same):
        found[:, b] = np.where(np.isfinite(grid[..., s]), grid[..., s], found[:, b])
    return _positive(found), laws.error(*rows)


def _as_table(
    runs: RunTable,
    curves: _Curves,
    losses: np.ndarray,
    budgets: tuple[np.ndarray, np.ndarray],
    notes: list[str],
) -> RunTable:
    """The run table of losses [m, b, u] at budgets N [b] and D [b]."""
    known = np.isfinite(losses).any(0)  # [b, u]
    for n, d, count in zip(*budgets, known.sum(1), strict=True):
        if not count:
            raise FitError(_nothing_known(runs, curves, n, d))
        if count < len(curves.mixtures):
            left, every = len(curves.mixtures) - count, len(curves.mixtures)
            said = f"{left} of {every} mixtures {'is' if left == 1 else 'are'} left out"
            notes = [*notes, f"{said} at N = {n:.6g}, D = {d:.6g}: the rows do not determine them"]
    b, u = np.nonzero(known)
    n, d = (x[b] for x in budgets)
    names = curves.names[np.unique(curves.mixture, return_index=True)[1]]
    if len(set(names)) < len(names):  # a run whose mixture changed
        names = np.array([f"mixture-{i}" for i in range(len(names))])
    columns: dict[str, Any] = {
        "run": [f"{name}@{size:.6g}" for name, size in zip(names[u], n, strict=True)],
        "n_params": n,
        "tokens": d,
    }
    for name in {"tokenizer", "schedule"} & set(runs.frame.columns):
        values = list(set(runs.frame[name]))
        columns |= {name: values * len(b)} if len(values) == 1 else {}
    columns |= {f"w_{name}": curves.mixtures[u, i] for i, name in enumerate(runs.domains)}
    columns |= {f"loss_{t}": x[b, u] for t, x in zip(curves.targets, losses, strict=True)}
    made = read_runs(columns, source=f"{runs.source}, extrapolated")
    return replace(made, notes=(*runs.notes, *notes, *made.notes))


def _nothing_known(runs: RunTable, curves: _Curves, n: float, d: float) -> str:
    sizes = ", ".join(f"{size:.6g}" for size in np.unique(curves.n_params))
    return (
        f"{runs.source}: the rows determine no loss at N = {n:.6g}, D = {d:.6g}; a step law takes "
        f"3 checkpoints of one size and mixture, a new size takes 3 sizes of one mixture (there "
        f"are {sizes}); add runs, share exponents, or ask for a size and tokens that were run"
    )


def _count(curves: _Curves, which: np.ndarray, text: str) -> str:
    """A note on the curves ``which`` [m, c]; targets are named unless all are meant."""
    (target, curve), total = (sorted(set(x.tolist())) for x in np.nonzero(which)), len(which[0])
    names = ", ".join(curves.targets[t] for t in target)
    of = "" if len(target) == len(which) else f" of target {names}"
    first = curves.names[curve[0]]
    return f"{len(curve)} of {total} curves{of} (the first is run {first}) {text}"


def _error_note(kind: str, targets: Sequence[str], errors: np.ndarray) -> list[str]:
    """The mean relative error of the laws of one kind on what they were fitted to."""
    if not np.isfinite(errors).any():
        return []
    worst = int(np.nanargmax(errors))
    mean = f"{kind} laws: mean relative error {np.nanmean(errors):.3g}% on what they are fitted to"
    of = f", at most {errors[worst]:.3g}% (target {targets[worst]})" if len(targets) > 1 else ""
    return [mean + of]
