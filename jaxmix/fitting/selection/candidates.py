"""Candidates: a law, the residual it is fitted on, and which rows it trusts."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jaxmix.errors import JaxmixError
from jaxmix.fitting.evidence import repeated_rows
from jaxmix.fitting.selection.splits import any_target, mixture_ids, trajectory_share
from jaxmix.fitting.sharing import read_share, share_text, shares_to_try
from jaxmix.laws import Law, get_law
from jaxmix.laws.data_reuse import REPETITION
from jaxmix.runs import RunTable

_PER_DOMAIN = 3  # mixtures for each domain; fewer are few


@dataclass(frozen=True)
class Candidate:
    """One way to fit.

    Attributes:
        law: the law.
        residual: ``"loss"`` or ``"log"``.
        burn_in: rows before this share of their trajectory's tokens are not fitted.
        size_floor: rows of models with fewer parameters are not fitted.
        share: parameters that the targets share, and how strongly; see ``fitting.sharing``.
    """

    law: Law
    residual: str = "loss"
    burn_in: float = 0.0
    size_floor: float = 0.0
    share: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        """For people.

        >>> from jaxmix.laws import ADDITIVE
        >>> Candidate(ADDITIVE, "log", 0.25).name
        'additive, log, burn-in 0.25'
        """
        parts = [self.law.name, self.residual]
        parts += [f"burn-in {self.burn_in:g}"] if self.burn_in else []
        parts += [f"n_params >= {self.size_floor:.4g}"] if self.size_floor else []
        parts += [f"share {share_text(dict(self.share), self.law)}"] if self.share else []
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        names = ("residual", "burn_in", "size_floor")
        shared = share_text(dict(self.share), self.law)
        held = {name: getattr(self, name) for name in names}
        return {"law": self.law.name, **held, "share": shared}

    def trusted(self, runs: RunTable, rows: np.ndarray) -> np.ndarray:
        """Which of ``rows``, bool [m, p], are fitted; trajectories end where those rows do."""
        kept = trajectory_share(runs, any_target(rows)) >= self.burn_in
        return rows & kept & (runs.n_params >= self.size_floor)

    def count(self, k: int) -> int:
        """Free parameters per target for k domains."""
        return self.law.count(k)


def default_laws(runs: RunTable) -> tuple[str, ...]:
    """The laws to try on a table: those that read what varies in it, N, D and the mixture.

    ``experiments/laws`` is the evidence. With few mixtures for its domains, a law with one
    parameter for each domain predicts larger sizes and new mixtures best; with more of them, the
    richer laws do. If at least half of the mixtures repeat some domain more than twice, the laws
    know repetition.

    >>> from jaxmix.runs import read_runs
    >>> columns = {"w_a": [0.2, 0.5, 0.8], "w_b": [0.8, 0.5, 0.2], "loss_x": [3.0, 2.9, 3.1]}
    >>> default_laws(read_runs({"n_params": 1e6, "tokens": 1e9, **columns}))
    ('effective-fixed-nd', 'additive-fixed-nd')
    >>> default_laws(read_runs({"n_params": 1e6, "tokens": [1e9, 2e9, 3e9], **columns}))
    ('effective-fixed-n',)
    """
    if not runs.domains:
        return ("chinchilla",)
    by_size, by_tokens = (bool(np.ptp(x) > 0) for x in (runs.n_params, runs.tokens))
    ids = mixture_ids(runs)
    few = len(np.unique(ids)) < _PER_DOMAIN * len(runs.domains)
    first = "effective" if few else "additive"
    names = {
        (True, True): ("effective", "additive") if few else ("additive", "joint"),
        (True, False): (f"{first}-fixed-d",),
        (False, True): (f"{first}-fixed-n",),
        (False, False): ("effective-fixed-nd", "additive-fixed-nd"),
    }[by_size, by_tokens]
    repeated = len(np.unique(ids[repeated_rows(runs)[0]])) >= 0.5 * len(np.unique(ids))
    return tuple(f"{name}{REPETITION}" for name in names) if by_tokens and repeated else names


def make_candidates(
    laws: Sequence[Law | str],
    residuals: Sequence[str] = ("loss", "log"),
    burn_in: Sequence[float] = (0.0,),
    size_floors: Sequence[float] = (0.0,),
    share: Sequence[float] | Literal["auto"] = (0.0,),
) -> tuple[Candidate, ...]:
    """Every combination, in the order given.

    Raises:
        JaxmixError: an unknown law or one named twice, or a setting out of its range.
    """
    if not len(share):
        raise JaxmixError("share: name at least one strength, or auto")
    resolved = [get_law(law) for law in laws]
    names = [law.name for law in resolved]
    if not names or len(set(names)) != len(names):
        raise JaxmixError("name at least one law, and each law once")
    wrong = [r for r in residuals if r not in ("loss", "log")]
    if wrong or not residuals:
        raise JaxmixError(f"residual '{(*wrong, '')[0]}' is unknown: name loss, log or both")
    if not burn_in or not all(0 <= share < 1 for share in burn_in):
        raise JaxmixError(f"burn-in must be shares from 0 to below 1, not {list(burn_in)}")
    if not size_floors or not all(0 <= floor < np.inf for floor in size_floors):
        raise JaxmixError(f"size floors must be numbers of parameters, not {list(size_floors)}")
    return tuple(
        dict.fromkeys(
            Candidate(law, *settings, share=tuple(strengths.items()))
            for law in resolved
            for settings in itertools.product(residuals, burn_in, size_floors)
            for strengths in _shares(law, share)
        )
    )


def _shares(law: Law, share: Sequence[float] | Literal["auto"]) -> Sequence[dict[str, float]]:
    return shares_to_try(law) if share == "auto" else [read_share(s, law) for s in share]


def automatic_floors(runs: RunTable) -> tuple[float, ...]:
    """No floor, and every size that leaves four sizes from it on.

    Two of those are what a fit needs to see a trend in N, and two can be held out in turn.
    """
    sizes = np.unique(runs.n_params)
    return (0.0, *(float(s) for s in sizes[1 : max(1, len(sizes) - 3)]))


def resolve_floors(
    runs: RunTable, size_floors: Sequence[float] | Literal["auto"]
) -> tuple[float, ...]:
    """Floors as numbers; those at or below the smallest size mean none."""
    floors = automatic_floors(runs) if size_floors == "auto" else size_floors
    smallest = float(runs.n_params.min())
    return tuple(dict.fromkeys(0.0 if 0 <= f <= smallest else float(f) for f in floors))


def where_expression(candidate: Candidate) -> str | None:
    """The rows that a candidate trusts, as ``--where`` says it; None for all rows."""
    parts = [f"n_params >= {_number(candidate.size_floor)}"] if candidate.size_floor else []
    parts += [f"run_progress >= {candidate.burn_in!r}"] if candidate.burn_in else []
    return " and ".join(parts) or None


def _number(value: float) -> str:
    """A threshold: a shade lower than the value, so that a row at the value itself is kept."""
    return f"{value:.0f}" if value == round(value) else f"{value * (1 - 1e-9):.12g}"
