"""One candidate's figures, and the choice in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmix.fitting.selection.candidates import Candidate
from jaxmix.fitting.selection.choice import Difference, NestedScore, Verdict
from jaxmix.fitting.selection.rivals import BaselineRow
from jaxmix.quantities import count


@dataclass(frozen=True)
class SelectionRow:
    """One candidate.

    Attributes:
        candidate: law, residual, burn-in and size floor.
        n_parameters: free parameters per target.
        error: mean relative error on held-out rows by kind of split, percent.
        score: mean of these over kinds, what candidates are compared by.
        regret: observed loss of its pick among the mixtures of a split less the lowest observed,
            by kind, nats; of the mean of the targets where there are several.
        mean_regret: mean of these over kinds.
        target_regret: likewise where mixtures are picked for one target alone, by target.
        difference: its score less that of the pick, percentage points.
        tied: whether it is within one standard error of the lowest error of those eligible.
        high_regret: whether its regret is more than two standard errors above the lowest; it is not
            eligible then, whatever its error.
    """

    candidate: Candidate
    n_parameters: int
    error: dict[str, float]
    score: float
    regret: dict[str, float]
    mean_regret: float
    target_regret: dict[str, float]
    difference: Difference
    tied: bool
    high_regret: bool

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        names = ("n_parameters", "error", "regret", "mean_regret", "target_regret")
        return {
            **self.candidate.to_dict(),
            **{name: getattr(self, name) for name in (*names, "tied", "high_regret")},
            "mean_error": self.score,
            "difference": self.difference.mean,
            "standard_error": self.difference.standard_error,
        }

    def flat(self) -> dict[str, Any]:
        """The same as one row of a table: no values in values but ``error_<kind>``."""
        errors = {f"error_{kind}": error for kind, error in self.error.items()}
        return {**{n: v for n, v in self.to_dict().items() if not isinstance(v, dict)}, **errors}


def explain(
    rows: Sequence[SelectionRow], verdict: Verdict, nested: NestedScore | None
) -> tuple[str, ...]:
    """Why the pick and by how little, one sentence each.

    Args:
        rows: in the order of the verdict's indices.
        verdict: the choice.
        nested: its nested score, if there is one.
    """
    pick, lowest = rows[verdict.picked], rows[verdict.lowest]
    said = [f"picked {pick.candidate.name}: held-out error {pick.score:.3f}%{_costs(pick)}"]
    if pick is not lowest:
        gap = lowest.difference
        said.append(
            f"{lowest.candidate.name} errs by {_points(gap)} less, a tie: {_why(pick, lowest)}"
        )
    rivals = _rivals(rows, pick, lowest)
    return (*said, *map(_against, rivals), *_nested_reasons(nested))


def _costs(row: SelectionRow) -> str:
    known = np.isfinite(row.mean_regret)
    return f", its mixtures cost {row.mean_regret:.4f} nats above the best known" if known else ""


def _points(gap: Difference) -> str:
    known = np.isfinite(gap.standard_error)
    return f"{abs(gap.mean):.3f}" + (f" ± {gap.standard_error:.3f} points" if known else " points")


def _why(pick: SelectionRow, lowest: SelectionRow) -> str:
    if pick.n_parameters < lowest.n_parameters:
        few = count(pick.n_parameters, "parameter is", "parameters are")
        return f"{few} fewer than {lowest.n_parameters}"
    return "the settings were named first"


def _rivals(
    rows: Sequence[SelectionRow], pick: SelectionRow, lowest: SelectionRow
) -> list[SelectionRow]:
    """The best row of every law that has not been spoken of; eligible rows go first."""
    best: dict[str, SelectionRow] = {}
    for row in sorted(rows, key=lambda r: (r.high_regret, r.score)):
        best.setdefault(row.candidate.law.name, row)
    spoken = (pick.candidate.law.name, lowest.candidate.law.name)
    return [row for name, row in best.items() if name not in spoken]


def _against(row: SelectionRow) -> str:
    name, gap = row.candidate.name, row.difference
    if not np.isfinite(row.score):
        return f"{name} diverges on some held-out row"
    if row.high_regret:
        return f"{name} is not eligible: its mixtures cost {row.mean_regret:.4f} nats"
    side = "more" if gap.mean >= 0 else "less"
    tie = ", a tie" if abs(gap.mean) <= gap.standard_error else ""
    return f"{name} errs by {_points(gap)} {side}{tie}"


def explain_baselines(rows: Sequence[BaselineRow]) -> tuple[str, ...]:
    """Whether the pick beats the best baseline whose mixtures cost no more, one sentence or none.

    Args:
        rows: lowest error first, each beside the pick.
    """
    best = next((row for row in rows if not row.high_regret), None)
    if best is None:
        return ("no baseline picks mixtures as well",) if rows else ()
    name, gap = f"{best.name} ({best.score:.3f}%)", best.difference
    if best.beats:
        return (
            f"no law is recommended over the baseline {name}: it errs by {_points(gap)} less than "
            "the pick",
        )
    if gap.mean < 0:
        return (f"no better than the baseline {name}: it errs by {_points(gap)} less, a tie",)
    return (f"beats every baseline: {name}, the best, errs by {_points(gap)} more",)


def _nested_reasons(nested: NestedScore | None) -> list[str]:
    if nested is None or not nested.picks:
        return []
    count = len(nested.picks)
    return [
        f"nested: chosen without the {count} outer split{'s' * (count > 1)} the error there is "
        f"{nested.error:.3f}%; the pick, which was chosen with them, errs by "
        f"{nested.naive_error:.3f}%"
    ]
