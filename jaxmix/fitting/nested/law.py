"""Nested laws (Ye et al. 2024): what they are, and what they predict at a budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fit import fit
from jaxmix.fitting.fitted import DataRange, FittedLaw
from jaxmix.fitting.nested.how import Nested, NestedReport
from jaxmix.fitting.nested.sizes import Layout, fit_sizes
from jaxmix.fitting.nested.steps import Steps
from jaxmix.fitting.problem import FitError
from jaxmix.fitting.scores import Score, align_weights, score_arrays
from jaxmix.laws import Law
from jaxmix.runs import RunTable, read_runs

_AT_ONCE = 32  # mixture laws in one batch, always as many: one compiled program serves all budgets


@dataclass(frozen=True, eq=False)
class NestedLaw:
    """Nested laws of one target: its step laws, and how to go on from them to any budget.

    Attributes:
        how: how they are fitted.
        target: bare name of the target loss.
        domains: bare names of the training domains, the order of every weight vector.
        mixtures: [u, k] the mixtures that were run.
        n_params: [c] size of each curve.
        mixture: [c] its row of ``mixtures``.
        steps: the step laws of the curves.
        data: ranges of the rows fitted.
        report: how it ended.
    """

    how: Nested
    target: str
    domains: tuple[str, ...]
    mixtures: np.ndarray
    n_params: np.ndarray
    mixture: np.ndarray
    steps: Steps
    data: DataRange
    report: NestedReport = field(repr=False)

    @property
    def law(self) -> Law:
        """The law of the mixture at a budget."""
        return self.how.law

    @property
    def layout(self) -> Layout:
        """Curves by mixture and size."""
        return Layout.of(self.n_params, self.mixture)

    def with_report(self, **changes: Any) -> "NestedLaw":
        """The same law with fields of its report replaced."""
        return replace(self, report=replace(self.report, **changes))

    def at(self, n_params: float, tokens: float) -> FittedLaw:
        """The mixture law at a budget: what optimizers, plots and exports take.

        Args:
            n_params: N; that of a fitted size uses its step laws, any other the size laws.
            tokens: D.

        Raises:
            FitError: the rows say nothing about this budget, or too little for the mixture law.
        """
        return nested_at([self], n_params, tokens)[0]

    def predict(self, n_params: Any, tokens: Any, weights: Any, unique: Any = None) -> np.ndarray:
        """Predicted losses; arguments as for ``FittedLaw.predict``, one mixture law per budget.

        Raises:
            FitError: as ``at`` does.
        """
        return predict_nested([self], n_params, tokens, weights)[0]


def nested_at(laws: Sequence[NestedLaw], n_params: float, tokens: float) -> tuple[FittedLaw, ...]:
    """The mixture laws of several targets at a budget, in one batch; raises as ``NestedLaw.at``."""
    found = _mixture_laws(laws, np.array([[n_params, tokens]], float))[0]
    return tuple(fitted for fitted in found if fitted is not None)


def predict_nested(
    laws: Sequence[NestedLaw], n_params: Any, tokens: Any, weights: Any, *, partial: bool = False
) -> np.ndarray:
    """Predicted losses [m, ...] of several targets; one mixture law per target and budget.

    Args:
        laws: of one fit.
        n_params: N, any shape that broadcasts with ``tokens``.
        tokens: D.
        weights: [..., k].
        partial: NaN at budgets of which too little is known, instead of an error.

    Raises:
        FitError: as ``NestedLaw.at`` does.
    """
    weights = np.asarray(weights, float)
    shape = np.broadcast_shapes(np.shape(n_params), np.shape(tokens), weights.shape[:-1])
    n, d = (np.broadcast_to(np.asarray(x, float), shape).reshape(-1) for x in (n_params, tokens))
    h = np.broadcast_to(weights, (*shape, weights.shape[-1])).reshape(-1, weights.shape[-1])
    budgets, which = np.unique(np.stack([n, d], 1), axis=0, return_inverse=True)
    found = _mixture_laws(laws, budgets, partial)
    out = np.full((len(laws), len(n)), np.nan)
    for b, fits in enumerate(found):
        here = which.reshape(-1) == b
        for t, fitted in enumerate(fits):
            if fitted is not None:
                out[t, here] = fitted.predict(n[here], d[here], h[here])
    return out.reshape(len(laws), *shape)


def losses_at(laws: Sequence[NestedLaw], budgets: np.ndarray) -> np.ndarray:
    """What the first two stages say of every mixture [m, b, u] at budgets (N, D) [b, 2]."""
    first = laws[0]
    tokens, row = np.unique(budgets[:, 1], return_inverse=True)
    how, steps = first.how, [law.steps for law in laws]
    sizes = fit_sizes(steps, first.layout, tokens, how.share_sizes, how.delta, how.residual)
    layout, out = first.layout, np.empty((len(laws), len(budgets), len(first.mixtures)))
    for n in np.unique(budgets[:, 0]):
        here = budgets[:, 0] == n
        out[:, here] = sizes.losses(layout, n)[:, row.reshape(-1)[here]]
    return out


def _mixture_laws(
    laws: Sequence[NestedLaw], budgets: np.ndarray, partial: bool = False
) -> list[tuple[FittedLaw | None, ...]]:
    """The third stage at budgets (N, D) [b, 2]: by budget and target, batched over both."""
    check_alike(laws)
    known = losses_at(laws, budgets)  # [m, b, u]
    enough = np.isfinite(known).sum(-1) >= laws[0].law.count(len(laws[0].domains))  # [m, b]
    if not (partial or enough.all()):
        t, b = np.argwhere(~enough)[0]
        raise _too_little(laws[t], budgets[b], known[t, b])
    asked = np.argwhere(enough.T)  # [f, 2] budget and target
    fits = iter(_fit_mixtures(laws[0], known[asked[:, 1], asked[:, 0]]))
    return [
        tuple(
            _named(next(fits), law, known[t, b]) if enough[t, b] else None
            for t, law in enumerate(laws)
        )
        for b in range(len(budgets))
    ]


def check_alike(laws: Sequence[NestedLaw]) -> None:
    """Raises ValueError where the laws were not fitted together."""
    first = laws[0]
    for law in laws:
        alike = law.how == first.how and law.domains == first.domains
        if not alike or not np.array_equal(law.mixture, first.mixture):
            raise JaxmixError("nested laws of one batch must come from one fit")


def _fit_mixtures(law: NestedLaw, losses: np.ndarray) -> list[FittedLaw]:
    """The mixture law on every row of losses [f, u]; NaN where a mixture says nothing."""
    fits: list[FittedLaw] = []
    for at in range(0, len(losses), _AT_ONCE):
        part = losses[at : at + _AT_ONCE]
        padded = np.concatenate([part, np.repeat(part[-1:], _AT_ONCE - len(part), 0)])
        fits += _fit_batch(law, padded)[: len(part)]
    return fits


def _fit_batch(law: NestedLaw, losses: np.ndarray) -> tuple[FittedLaw, ...]:
    count, how = len(law.mixtures), law.how
    columns: Mapping[str, Any] = {
        "run": [f"mixture {i}" for i in range(count)],
        "n_params": np.ones(count),
        "tokens": np.ones(count),
        **{f"w_{d}": w for d, w in zip(law.domains, law.mixtures.T, strict=True)},
        **{f"loss_{i}": values for i, values in enumerate(losses)},
    }
    return fit(
        read_runs(columns, source="step and size laws"),
        how.law,
        solver=how.solver,
        restarts=how.restarts,
        seed=how.seed,
        delta=how.delta,
        residual=how.residual,
    )


def _named(fitted: FittedLaw, law: NestedLaw, losses: np.ndarray) -> FittedLaw:
    """The mixture law under the name of its target, with what it stands on."""
    known, total, needed = (
        int(np.isfinite(losses).sum()),
        len(losses),
        law.law.count(len(law.domains)),
    )
    notes = [*fitted.report.notes, *law.report.notes]
    if known < total:
        silent = total - known
        notes.append(f"{silent} of {total} mixtures say nothing about this budget and take no part")
    if known < 2 * needed:  # on published runs 13 mixtures for 9 parameters went wrong by orders
        few = f"{known} mixtures are few for the {needed} parameters of the {law.law.name} law"
        notes.append(f"{few}: its losses at other mixtures may be far off")
    data = replace(law.data, mixtures=law.mixtures[np.isfinite(losses)])
    named = replace(fitted, target=law.target, data=data)
    return named.with_report(notes=tuple(notes))


def _too_little(law: NestedLaw, budget: np.ndarray, losses: np.ndarray) -> FitError:
    """Why there is no mixture law at a budget."""
    count, needed = int(np.isfinite(losses).sum()), law.law.count(len(law.domains))
    sizes = ", ".join(f"{n:.6g}" for n in np.unique(law.n_params))
    why = ""
    if not np.isclose(law.n_params, budget[0], rtol=1e-9, atol=0).any():
        beside = ", or 2 beside others" if law.how.share_sizes == "all" else ""
        why = f"; N is none of the fitted sizes ({sizes}) and a size law takes 3 sizes{beside}"
    return FitError(
        f"nested laws of target '{law.target}': at N = {budget[0]:.6g}, D = {budget[1]:.6g} they "
        f"know {count} of {len(losses)} mixtures and the {law.law.name} law has {needed} "
        f"parameters{why}; ask for a fitted size and fitted tokens, or add runs"
    )


def score_nested(laws: Sequence[NestedLaw], runs: RunTable) -> dict[str, Score]:
    """``score`` of nested laws, all targets in one batch; rows without any loss are not asked."""
    seen = runs.losses([law.target for law in laws])
    rows = np.isfinite(seen).any(0)
    h = align_weights(runs, laws[0].domains)
    predicted = predict_nested(laws, runs.n_params[rows], runs.tokens[rows], h[rows])
    return {
        law.target: score_arrays(p, y)
        for law, p, y in zip(laws, predicted, seen[:, rows], strict=True)
    }
