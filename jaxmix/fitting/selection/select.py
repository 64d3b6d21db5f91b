"""``select``: which law, fitted how and on which rows, by the way it will be used."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from jaxmix.display import Parts, Shown, axes_or_new, plain
from jaxmix.errors import JaxmixError
from jaxmix.fitting.selection import evidence
from jaxmix.fitting.selection.candidates import (
    Candidate,
    default_laws,
    make_candidates,
    resolve_floors,
    where_expression,
)
from jaxmix.fitting.selection.choice import (
    NestedScore,
    Verdict,
    choose,
    nested_score,
    paired,
)
from jaxmix.fitting.selection.prior_strength import Pull, check_pull, choose_pull
from jaxmix.fitting.selection.reasons import SelectionRow, explain, explain_baselines
from jaxmix.fitting.selection.rivals import BaselineRow, find_rivals, prefer_unbeaten
from jaxmix.fitting.selection.splits import Split, SplitError, make_splits, mixture_ids
from jaxmix.fitting.selection.trials import FitSettings, Progress, Trials, run_trials
from jaxmix.laws import Law
from jaxmix.runs import RunTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEFAULT_BY = ("size", "mixtures", "range")
_FEW = 7  # mixtures that are held out one by one


@dataclass(frozen=True, repr=False)
class Selection(Shown):
    """What ``select`` found.

    Attributes:
        choice: the pick.
        rows: every candidate that could be fitted on every split, lowest score first.
        reasons: why this pick and by how little, one sentence each.
        nested: the error of the procedure beside that of the pick; None where not asked for.
        baselines: regret by kind of picks without a law: ``median`` mixture and ``uniform``.
        where: the rows the pick trusts, as ``--where`` of ``jaxmix fit`` takes it; None for all.
        dropped: candidates left out and why, by name.
        pull: the pull to a reference that held-out mixtures support; None where not asked for.
        notes: kinds of split that the table does not allow, and why.
        baseline_rows: regressions on the same splits, lowest score first.
        beaten_by: the baseline with the lowest error, if that is lower than the pick's by more than
            a standard error: no law is recommended over it then. None otherwise.
        trials: every prediction behind it.
    """

    choice: Candidate
    rows: tuple[SelectionRow, ...]
    reasons: tuple[str, ...]
    nested: NestedScore | None
    baselines: dict[str, dict[str, float]]
    where: str | None
    dropped: dict[str, str]
    pull: Pull | None
    notes: tuple[str, ...]
    baseline_rows: tuple[BaselineRow, ...]
    beaten_by: str | None
    trials: Trials = field(repr=False, compare=False)

    @property
    def headline(self) -> str:
        """The law to fit, or that none is better than a baseline."""
        law, row = self.choice.law.name, next(r for r in self.rows if r.candidate == self.choice)
        if self.beaten_by:
            return (
                f"no law is recommended: the baseline {self.beaten_by} predicts better than {law}"
            )
        return f"fit {self.choice.name}: it predicts rows held out to {row.score:.3g}%"

    def _shown(self) -> Parts:
        laws = [{**row.flat(), "candidate": row.candidate.name} for row in self.best_of_laws()]
        shown = ("n_parameters", "mean_error", "difference", "standard_error", "mean_regret")
        best = pd.DataFrame(laws).set_index("candidate")[list(shown)]
        why = dict(enumerate(self.reasons, 1))
        tables = {"each law at its best settings, held-out error in percent": best, "why": why}
        return Parts(self.headline, tables, self.notes)

    def to_frame(self) -> pd.DataFrame:
        """One row per candidate, lowest error first."""
        return pd.DataFrame([row.flat() for row in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` of ``jaxmix select``, but for the options of ``jaxmix fit``."""
        splits = [
            {
                "kind": s.kind,
                "name": s.name,
                "train_rows": int(s.train.sum()),
                "test_rows": int(s.test.sum()),
            }
            for s in self.trials.splits
        ]
        return {
            "choice": self.choice.to_dict(),
            "where": self.where,
            "targets": self.trials.targets,
            "reasons": self.reasons,
            "rows": [row.to_dict() for row in self.rows],
            "splits": splits,
            "baselines": self.baselines,
            "nested": None if self.nested is None else asdict(self.nested),
            "pull": None if self.pull is None else asdict(self.pull),
            "dropped": self.dropped,
            "notes": self.notes,
            "baseline_rows": [row.to_dict() for row in self.baseline_rows],
            "beaten_by": self.beaten_by,
        }

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Held-out error of each law at its best settings, with the standard error of the gap."""
        ax, rows = axes_or_new(ax), self.best_of_laws()
        gaps = [r.difference.standard_error for r in rows]
        errors = [gap if np.isfinite(gap) else 0.0 for gap in gaps]
        ax.errorbar([r.score for r in rows], range(len(rows)), xerr=errors, fmt="o", capsize=3)
        ax.set_yticks(range(len(rows)), [plain(r.candidate.law.name) for r in rows])
        ax.invert_yaxis()
        ax.set(xlabel="error on rows held out, %")
        return ax

    def left_out(self) -> np.ndarray:
        """Residuals [m, p] of the pick under fits that left out the mixture of each row, nats.

        NaN for rows without a loss, and everywhere if no split holds out mixtures.
        """
        trials, pick = self.trials, self.trials.candidates.index(self.choice)
        ids, observed = mixture_ids(trials.runs), trials.runs.losses(trials.targets)
        found = np.full(observed.shape, np.nan)
        for split, predicted in zip(trials.splits, trials.predicted[pick], strict=True):
            held = np.isin(ids, ids[split.choices]) & (split.kind == "mixtures")
            found[:, held] = (observed - predicted)[:, held]
        return found

    def best_of_laws(self) -> tuple[SelectionRow, ...]:
        """The row with the lowest score of each law, and the pick's for its own."""
        own = {self.choice.law.name: next(r for r in self.rows if r.candidate == self.choice)}
        for row in self.rows:
            own.setdefault(row.candidate.law.name, row)
        return tuple(sorted(own.values(), key=lambda r: r.score))


def select(
    runs: RunTable,
    laws: Sequence[Law | str] | None = None,
    *,
    targets: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    residuals: Sequence[str] = ("loss", "log"),
    burn_in: Sequence[float] = (0.0, 0.1, 0.25),
    size_floors: Sequence[float] | Literal["auto"] = "auto",
    share: Sequence[float] | Literal["auto"] = (0.0,),
    outer: Sequence[str] | None = None,
    reference: str | Mapping[str, float] | None = None,
    folds: int = 5,
    best: float = 0.25,
    late: float = 0.5,
    restarts: int = 24,
    seed: int = 0,
    delta: float = 1e-3,
    weighting: Literal["equal", "sem"] = "equal",
    progress: Progress | None = None,
) -> Selection:
    """Picks a law, its residual and the rows to trust by the error on what is held out.

    Every candidate is scored on the same rows; burn-in and size floor change what is fitted only.
    An error above 100% of a loss counts as 100%. Those whose picks among mixtures cost within two
    standard errors of the least are eligible; of these, those within one standard error of the
    lowest error tie, and the one with the fewest parameters is picked. The baselines of
    ``jaxmix.fitting.baselines`` are scored on the same rows, and the result says if one of them
    beats the pick.

    Args:
        runs: the table.
        laws: laws or their names; None for those of ``default_laws``.
        targets: names, None for all; they count equally.
        by: kinds of split, see ``jaxmix.fitting.selection.splits.KINDS``; they count equally. None
            for those of ``DEFAULT_BY`` that the table allows; notes say which it does not.
        residuals: fit the loss, its logarithm, or try both.
        burn_in: shares of each trajectory to leave out at its start.
        size_floors: smallest numbers of parameters to fit; ``"auto"`` tries none and each size
            that leaves enough larger ones.
        share: strengths of shared parameters, as of ``fit``; ``"auto"`` for those of
            ``jaxmix.fitting.sharing.shares_to_try``.
        outer: kinds of split on which the whole procedure is scored, splitting their training
            rows again to choose; None for the first kind of ``by``, empty for none.
        reference: mixture for which a pull is chosen, as in ``reference_weights``.
        folds: parts into which mixtures are dealt; with ``by=None`` each of up to seven mixtures is
            a part, so that small tables keep rows to fit.
        best: share of the mixtures that ``range`` holds out.
        late: test rows are those at least this far along their trajectory.
        restarts: local solves of each fit; fewer than for a final fit suffice to compare.
        seed: of starts and folds.
        delta: Huber threshold.
        weighting: as in ``fit``.
        progress: called with a label, the solves done and their total.

    Raises:
        JaxmixError: one line: unknown names, a table that cannot be split as asked, or no
            candidate that can be fitted on every split.
    """
    names = runs.target_names(targets)
    floors = resolve_floors(runs, size_floors)
    laws = default_laws(runs) if laws is None else laws
    candidates = make_candidates(laws, residuals, burn_in, floors, share)
    asked = DEFAULT_BY if by is None else tuple(by)
    strange = [kind for kind in outer or () if kind not in asked]
    if strange:
        raise JaxmixError(f"outer split '{strange[0]}' is not one of by ({', '.join(asked)})")
    if restarts < 1:
        raise JaxmixError("restarts must be at least 1")
    if reference is not None:
        check_pull(asked, runs, reference)

    mixtures = len(np.unique(mixture_ids(runs)))
    parts = max(folds, mixtures) if by is None and mixtures <= _FEW else folds

    def split(kind: str, rows: np.ndarray | None = None) -> tuple[Split, ...]:
        options = {"folds": parts, "best": best, "late": late, "seed": seed, "rows": rows}
        return make_splits(runs, (kind,), targets=names, size_floor=max(floors), **options)

    if by is None:
        main, notes = _possible(split)
    else:
        main, notes = [s for kind in dict.fromkeys(asked) for s in split(kind)], []
    kinds = tuple(dict.fromkeys(s.kind for s in main))
    held = kinds[:1] if outer is None else outer
    inner = {o: _within(split, kinds, s.train) for o, s in enumerate(main) if s.kind in held}
    flat = [*main, *(s for splits in inner.values() for s in splits)]
    settings = FitSettings(restarts, seed, delta, weighting)
    trials = run_trials(runs, names, candidates, flat, settings, progress)
    whole = list(range(len(main)))
    if by is None:
        whole, more = _fitted(trials, whole)
        notes += more
    usable, dropped = _usable(trials, whole)
    of_inner, at = {}, len(main)
    for o, splits in inner.items():
        if o in whole:
            of_inner[whole.index(o)] = range(at, at + len(splits))
        at += len(splits)
    return _selection(trials, usable, dropped, whole, of_inner, reference, notes)


def _possible(split: Callable[[str], tuple[Split, ...]]) -> tuple[list[Split], list[str]]:
    """Splits of the default kinds that the table allows, and why it does not allow the others.

    Where it allows none of them, the late part of its trajectories is held out.
    """
    found: list[Split] = []
    why: list[SplitError] = []
    for kind in (*DEFAULT_BY, "tokens"):
        if kind == "tokens" and found:
            break
        try:
            found += split(kind)
        except SplitError as error:
            why.append(error)
    if not found:
        raise why[0]
    return found, [f"not held out by {error.kind}: the table has {error.lack}" for error in why]


def _within(
    split: Callable[[str, np.ndarray], tuple[Split, ...]], kinds: Sequence[str], rows: np.ndarray
) -> list[Split]:
    """Splits of the rows of an outer split, of those kinds that they allow."""
    found: list[Split] = []
    for kind in kinds:
        with contextlib.suppress(JaxmixError):
            found += split(kind, rows)
    return found


def _fitted(trials: Trials, main: Sequence[int]) -> tuple[list[int], list[str]]:
    """Splits of the kinds on which some candidate could be fitted, and why not on the others."""
    whole, notes = [], []
    for kind in dict.fromkeys(trials.splits[s].kind for s in main):
        own = [s for s in main if trials.splits[s].kind == kind]
        faults = [[f[s] for s in own if s in f] for f in trials.faults]
        if all(faults):
            why = faults[0][0].removeprefix(f"{trials.runs.source}: ")
            notes.append(f"not held out by {kind}: {why}")
        else:
            whole += own
    return whole, notes if whole else []


def _usable(trials: Trials, main: Sequence[int]) -> tuple[list[int], dict[str, str]]:
    """Candidates fitted on every main split, distinct ones, and why the others are left out."""
    usable, dropped, seen = [], {}, {}
    for c, candidate in enumerate(trials.candidates):
        faults = {s: why for s, why in trials.faults[c].items() if s in main}
        if faults or not main:
            s, why = next(iter((faults or trials.faults[c]).items()))
            dropped[candidate.name] = f"{trials.splits[s].name}: {why}"
            continue
        fitted = [candidate.trusted(trials.runs, trials.splits[s].train).tobytes() for s in main]
        key = (candidate.law, candidate.residual, candidate.share, *fitted)
        if key in seen:
            dropped[candidate.name] = f"fits the very rows of {seen[key]}"
            continue
        seen[key] = candidate.name
        usable.append(c)
    if not usable:
        why = next(iter(dropped.values()))
        raise JaxmixError(
            f"{trials.runs.source}: no candidate can be fitted on every split ({why})"
        )
    return usable, dropped


def _selection(
    trials: Trials,
    usable: Sequence[int],
    dropped: dict[str, str],
    main: Sequence[int],
    inner: Mapping[int, Sequence[int]],
    reference: str | Mapping[str, float] | None,
    notes: Sequence[str],
) -> Selection:
    shown = trials.take(usable, main)
    found = evidence.gather(shown)
    counts = [c.count(len(trials.runs.domains)) for c in shown.candidates]
    verdict = choose(found, counts)
    if verdict is None:
        raise JaxmixError(
            f"{trials.runs.source}: every law diverges on some held-out row; choose other laws"
        )
    rivals = find_rivals(shown)
    verdict = prefer_unbeaten(rivals, verdict, counts)
    rows, against = _rows(shown, found, verdict, counts), rivals.against(verdict.picked)
    nested = _nested(trials, usable, found, verdict, counts, inner) if inner else None
    choice = shown.candidates[verdict.picked]
    ordered = tuple(sorted(rows, key=lambda r: r.score))
    return Selection(
        choice=choice,
        rows=ordered,
        reasons=(*explain(rows, verdict, nested), *explain_baselines(against)),
        nested=nested,
        baselines=evidence.baselines(shown),
        where=where_expression(choice),
        dropped=dropped,
        pull=None if reference is None else choose_pull(shown, verdict.picked, reference),
        notes=tuple(notes),
        baseline_rows=against,
        beaten_by=next((row.name for row in against if row.beats), None),
        trials=shown,
    )


def _rows(
    trials: Trials, found: evidence.Evidence, verdict: Verdict, counts: Sequence[int]
) -> list[SelectionRow]:
    kinds = dict.fromkeys(s.kind for s in trials.splits)
    of = {kind: [i for i, s in enumerate(trials.splits) if s.kind == kind] for kind in kinds}
    error, regret = (
        {k: np.full(len(counts), np.nan) if g is None else g.of_splits(at) for k, at in of.items()}
        for g in (found.error, found.regret)
    )
    total = np.full(len(counts), np.nan) if found.regret is None else found.regret.score()
    scores = found.error.score()
    alone = {t: evidence.regrets(trials, t) for t in trials.targets}
    by_target = {t: g.score() for t, g in alone.items() if g is not None}
    return [
        SelectionRow(
            candidate=candidate,
            n_parameters=counts[i],
            error={kind: float(error[kind][i]) for kind in kinds},
            score=float(scores[i]),
            regret={kind: float(regret[kind][i]) for kind in kinds},
            mean_regret=float(total[i]),
            target_regret={t: float(score[i]) for t, score in by_target.items()},
            difference=paired(found.error, i, verdict.picked),
            tied=i in verdict.tied,
            high_regret=i in verdict.high_regret,
        )
        for i, candidate in enumerate(trials.candidates)
    ]


def _nested(
    trials: Trials,
    usable: Sequence[int],
    found: evidence.Evidence,
    verdict: Verdict,
    counts: Sequence[int],
    inner: Mapping[int, Sequence[int]],
) -> NestedScore:
    judged: list[evidence.Evidence | str] = [
        evidence.gather(trials.take(usable, list(at)))
        if len(at)
        else "too few sizes or mixtures remain to split again"
        for at in inner.values()
    ]
    names = [trials.candidates[c].name for c in usable]
    splits = {o: trials.splits[o].name for o in inner}
    return nested_score(found, splits, judged, verdict.picked, names, counts)
