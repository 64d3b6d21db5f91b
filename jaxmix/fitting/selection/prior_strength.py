"""How strongly to pull a proposed mixture to a reference, chosen by held-out evidence.

A law is optimistic where it is at its lowest. Minimizing ``L(h) + strength * KL(h | reference)``
trusts it less the farther it goes. Here the law picks among held-out mixtures by that sum, and what
counts is the loss that was observed for its pick.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.selection.choice import clustered
from jaxmix.fitting.selection.evidence import Cell, cells, default_objective, group_shares
from jaxmix.fitting.selection.trials import Trials
from jaxmix.runs import RunTable, RunTableError, bare

STRENGTHS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_KINDS = ("mixtures", "range")


@dataclass(frozen=True)
class PullRow:
    """One strength.

    Attributes:
        strength: nats of loss per nat of divergence.
        regret: mean observed loss of the picks above the lowest observed, nats.
        difference: its regret less the lowest of all strengths.
        standard_error: of that difference, over splits.
    """

    strength: float
    regret: float
    difference: float
    standard_error: float


@dataclass(frozen=True)
class Pull:
    """The pull that held-out mixtures support.

    Attributes:
        strength: the strongest one whose regret is within one standard error of the lowest.
        reference: weights by domain.
        objective: the target whose loss is minimized, or ``"mean"`` of them.
        rows: every strength tried, from none up.
        reference_regret: regret of always picking the mixture nearest to the reference, which
            needs no law.
        picks: how many picks are behind each row.
    """

    strength: float
    reference: dict[str, float]
    objective: str
    rows: tuple[PullRow, ...]
    reference_regret: float
    picks: int


def reference_weights(runs: RunTable, reference: str | Mapping[str, float]) -> dict[str, float]:
    """A reference mixture by domain.

    Args:
        runs: the table.
        reference: ``"uniform"``, ``"proportional"`` to the ``unique_<domain>`` columns, or
            weights by name, normalized; domains that are not named have weight 0.

    Raises:
        JaxmixError: an unknown word or domain, weights that are not a mixture, no such columns.
    """
    if isinstance(reference, str):
        sizes = {"uniform": _equal, "proportional": _unique}.get(reference)
        if sizes is None:
            raise JaxmixError(
                f"unknown reference '{reference}': name uniform, proportional or weights by domain"
            )
        values = sizes(runs)
    else:
        named = {bare(str(d), "w_"): float(w) for d, w in reference.items()}
        unknown = [d for d in named if d not in runs.domains]
        if unknown:
            raise JaxmixError(
                f"reference: unknown domain '{unknown[0]}'; known: {', '.join(runs.domains)}"
            )
        values = np.array([named.get(d, 0.0) for d in runs.domains])
    if not (np.all(np.isfinite(values)) and np.all(values >= 0) and values.sum() > 0):
        raise JaxmixError("reference: weights must be at least 0, and one above 0")
    return dict(zip(runs.domains, (values / values.sum()).tolist(), strict=True))


def _equal(runs: RunTable) -> np.ndarray:
    return np.ones(len(runs.domains))


def _unique(runs: RunTable) -> np.ndarray:
    columns = [f"unique_{d}" for d in runs.domains]
    held = {c: runs.frame[c].to_numpy(float) for c in columns if c in runs.frame.columns}
    missing = [c for c in columns if c not in held or not np.isfinite(held[c]).any()]
    if missing:
        raise RunTableError(
            f"{runs.source}: a proportional reference needs column {missing[0]}; name weights"
        )
    return np.array([float(np.nanmedian(held[c])) for c in columns])


def check_pull(kinds: Sequence[str], runs: RunTable, reference: str | Mapping[str, float]) -> None:
    """Raises ValueError where no pull can be chosen on splits of these kinds, before any fit."""
    if not set(kinds) & set(_KINDS):
        raise JaxmixError(f"a pull is chosen on splits by {' or '.join(_KINDS)}; add one")
    reference_weights(runs, reference)


def divergence(weights: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """KL(h | reference) of mixtures [..., k], nats; infinite where h leaves its support.

    >>> divergence(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0.5, 0.5])).round(4).tolist()
    [0.0, 0.6931]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(weights > 0, weights * np.log(weights / reference), 0.0)
    return terms.sum(-1)


def choose_pull(
    trials: Trials,
    candidate: int,
    reference: str | Mapping[str, float],
    strengths: Sequence[float] = STRENGTHS,
) -> Pull:
    """The strength of the pull by what its picks cost on held-out mixtures.

    Args:
        trials: with splits by mixtures or by range.
        candidate: index of the candidate whose predictions are pulled.
        reference: as in ``reference_weights``.
        strengths: nats of loss per nat of divergence; 0 is added.

    Raises:
        JaxmixError: no such split, or a strength below 0.
    """
    if not all(0 <= s < np.inf for s in strengths):
        raise JaxmixError(f"strengths must be at least 0 and finite, not {list(strengths)}")
    tried = np.unique([0.0, *strengths])
    check_pull([s.kind for s in trials.splits], trials.runs, reference)
    weights = reference_weights(trials.runs, reference)
    objective = default_objective(trials)
    kept = [
        c
        for c in cells(trials)
        if trials.splits[c.split].kind in _KINDS and c.objective == objective
    ]
    if not kept:
        raise JaxmixError(f"{trials.runs.source}: no held-out mixtures to pick among; add some")
    target = np.array(list(weights.values()))
    regret = np.stack([_regret(c, candidate, target, tried) for c in kept], 1)  # [s + 1, cells]
    at = np.array([c.split for c in kept])
    share = group_shares(trials.splits, at)
    rows = _rows(tried, regret[:-1], share, at)
    strength = max(r.strength for r in rows if r.difference <= r.standard_error * (1 + 1e-9))
    return Pull(strength, weights, objective, rows, float(regret[-1] @ share), len(kept))


def _regret(cell: Cell, candidate: int, reference: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """[s + 1] regret of the pick at each strength, and of the mixture nearest the reference."""
    far = divergence(cell.weights, reference)
    pulls = tried[:, None] * np.where(np.isfinite(far), far, 0.0)
    outside = (tried[:, None] > 0) & ~np.isfinite(far)
    pulled = np.where(outside, np.inf, cell.predicted[candidate] + pulls)
    # Where the reference has no weight for what every mixture holds, there is nothing to pull to.
    nearest = far if np.isfinite(far).any() else np.abs(cell.weights - reference).sum(-1)
    none = ~np.any(np.isfinite(pulled), axis=-1, keepdims=True)
    pulled = np.where(none, nearest, pulled)
    return cell.regret(np.concatenate([pulled, nearest[None]]))


def _rows(
    tried: np.ndarray, regret: np.ndarray, share: np.ndarray, split: np.ndarray
) -> tuple[PullRow, ...]:
    score = regret @ share
    gap = regret - regret[np.argmin(score)]
    spread = np.nan_to_num([clustered(g, share, split) for g in gap])  # too few splits: no ties
    return tuple(
        PullRow(float(s), float(score[i]), float(gap[i] @ share), float(spread[i]))
        for i, s in enumerate(tried)
    )
