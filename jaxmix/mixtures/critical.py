"""Critical ratios of continual pre-training: how much new data before the old is forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.fitted import FittedLaw
from jaxmix.fitting.inputs import budget_inputs
from jaxmix.fitting.uncertainty.ensemble import Ensemble
from jaxmix.mixtures.constraints import Constraints
from jaxmix.mixtures.simplex import kl
from jaxmix.runs.names import resolve

_MET = 1e-12  # a constraint missed by less is met
_GRID = 2001  # ratios at which the law is asked; roots lie on straight lines between them


@dataclass(frozen=True)
class CriticalRatio:
    """Where along a line of mixtures a target's loss stays at or below a limit, at one budget.

    Attributes:
        target: whose loss.
        tokens: D of the continued training.
        limit: loss not to be exceeded, nats.
        intervals: ranges of the ratio that keep the limit, ascending; none where no ratio does.
        low: lower end of the ratio's interval over refits; NaN without refits.
        high: its upper end.
    """

    target: str
    tokens: float
    limit: float
    intervals: tuple[tuple[float, float], ...]
    low: float = float("nan")
    high: float = float("nan")

    @property
    def ratio(self) -> float:
        """The largest ratio that keeps the limit; NaN where none does."""
        return self.intervals[-1][1] if self.intervals else float("nan")


def critical_ratio(
    law: FittedLaw,
    limit: float,
    old: Mapping[str, float],
    new: Mapping[str, float],
    tokens: Sequence[float],
    *,
    n_params: float | None = None,
    constraints: Constraints | None = None,
    others: Sequence[FittedLaw] = (),
    at: Mapping[str, Any] | None = None,
    refits: Ensemble | None = None,
    level: float = 0.9,
) -> tuple[CriticalRatio, ...]:
    """The ratios r at which ``(1 - r) old + r new`` keeps a target's loss at or below a limit.

    With a law fitted on continued runs and the loss of the model that they start from as the limit,
    its upper end is the critical mixture ratio: with more new data the old target gets worse.

    Args:
        law: fitted law of the old target, D being the tokens of the continued training.
        limit: nats.
        old: mixture at ratio 0; weights by domain, those left out being 0.
        new: mixture at ratio 1.
        tokens: budgets D.
        n_params: N; None for the largest that the law was fitted on.
        constraints: what the mixture must meet as well; None for nothing.
        others: laws of the targets that guardrails name.
        at: other inputs of the law by name.
        refits: of the law, from `jaxmix.fitting.bootstrap`, for the interval of the ratio.
        level: share of the refits' ratios inside the interval. It shows what noise does and not
            what the law cannot follow; a refit that keeps the limit nowhere counts as ratio 0.

    Returns:
        One answer per budget.

    Raises:
        JaxmixError: an unknown domain, weights that do not sum to 1, or no budget above 0.
    """
    budgets = np.asarray(tokens, float).reshape(-1)
    if not budgets.size or not np.all(budgets > 0):
        raise JaxmixError("critical_ratio needs budgets of tokens above 0")
    ratios = np.linspace(0.0, 1.0, _GRID)
    ends = [_weights(law, mixture, name) for mixture, name in ((old, "old"), (new, "new"))]
    path = (1 - ratios)[:, None] * ends[0] + ratios[:, None] * ends[1]  # [G, k]
    known = (law, *(one for one in others if one.target != law.target))
    given = (constraints or Constraints()).over(law.domains, [one.target for one in known])
    n = law.data.n_params[1] if n_params is None else n_params
    answers = []
    for d in budgets.tolist():
        x = budget_inputs(law.law, law.domains, n, d, available=given.available, at=at)
        x = {**x, "weights": path}
        over = _excess(given, known, x, d)
        low = high = float("nan")
        if refits is not None:
            found = refits.losses(x)[refits.laws.targets.index(law.target)]  # [B, G]
            tops = [
                _largest(intervals_below(ratios, np.maximum(row - limit, over))) for row in found
            ]
            low, high = np.quantile(tops, [(1 - level) / 2, (1 + level) / 2]).tolist()
        kept = intervals_below(ratios, np.maximum(law.predict(x) - limit, over))
        answers.append(CriticalRatio(law.target, d, float(limit), kept, low, high))
    return tuple(answers)


def _excess(
    given: Constraints, laws: Sequence[FittedLaw], x: Mapping[str, Any], tokens: float
) -> np.ndarray:
    """By how much mixtures ``x["weights"]`` [G, k] break constraints at worst; [G]."""
    domains, path = laws[0].domains, x["weights"]
    rows = given.rows(domains, tokens, reads_unique=laws[0].law.reads("unique"))
    over = [path @ row.slope - row.bound for row in rows]
    if given.kl_max is not None:
        over.append(np.asarray(kl(path, given.mixture("prior", domains))) - given.kl_max)
    if given.guards:
        reference = {**x, "weights": given.mixture("reference", domains)}
        by_target = {one.target: one for one in laws}
        for name, more in given.guards.items():
            one = by_target[name]
            over.append(one.predict(x) - one.predict(reference) - more)
    return np.max([np.full(len(path), -np.inf), *over], axis=0) - _MET


def _weights(law: FittedLaw, mixture: Mapping[str, float], name: str) -> np.ndarray:
    given = resolve(mixture, law.domains, "domain")
    total = sum(given.values())
    if abs(total - 1) > 0.005 or min(given.values()) < 0:
        raise JaxmixError(f"the {name} mixture's weights sum to {total:g}; make them sum to 1")
    return np.array([given.get(domain, 0.0) for domain in law.domains]) / total


def _largest(intervals: Sequence[tuple[float, float]]) -> float:
    return intervals[-1][1] if intervals else 0.0


def intervals_below(x: np.ndarray, y: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Ranges of x in which a curve through the points (x, y) is at most 0.

    Args:
        x: [n] ascending.
        y: [n]; where it is not finite the curve is above 0.

    >>> intervals_below(np.array([0.0, 1.0, 2.0]), np.array([-1.0, 1.0, -1.0]))
    ((0.0, 0.5), (1.5, 2.0))
    """
    y = np.where(np.isfinite(y), y, np.inf)
    below = y <= 0
    edges = np.flatnonzero(below[1:] != below[:-1])
    a, b = y[edges], y[edges + 1]
    share = np.where(np.isinf(a), 1.0, a / np.where(np.isinf(a - b), np.inf, a - b))
    roots = (x[edges] + share * (x[edges + 1] - x[edges])).tolist()
    points = [*([float(x[0])] if below[0] else []), *roots, *([float(x[-1])] if below[-1] else [])]
    return tuple(zip(points[::2], points[1::2], strict=True))
