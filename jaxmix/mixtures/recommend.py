"""From a run table to the mixture that the runs support, and what it gains."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jaxmix import fitting
from jaxmix.display import Parts, Shown, axes_or_new, ink, legend_above, plain
from jaxmix.errors import JaxmixError
from jaxmix.fitting.fit import fit
from jaxmix.fitting.residual import fit_residual
from jaxmix.fitting.selection.candidates import default_laws
from jaxmix.fitting.selection.select import select
from jaxmix.fitting.sharing import Share
from jaxmix.fitting.support import mixture_support
from jaxmix.fitting.uncertainty.bootstrap import bootstrap
from jaxmix.fitting.uncertainty.ensemble import Ensemble, Interval, interval
from jaxmix.laws import Law
from jaxmix.mixtures.constraints import Constraints
from jaxmix.mixtures.measured import MeasuredMixtures, measured_mixtures
from jaxmix.mixtures.optimize import (
    Weights,
    optimize,
    optimize_anew,
    target_weight_rows,
    unit_notes,
)
from jaxmix.mixtures.optimum import (
    Optimum,
    budget_notes,
    measured_notes,
    mixture_notes,
    unread_sizes,
)
from jaxmix.mixtures.risk import Risk, safest_gain
from jaxmix.mixtures.solve.refits import meets
from jaxmix.mixtures.uncertainty import Baselines, check_baselines
from jaxmix.notes import GUESS, MINOR, UNSAFE, Note, rank_of, ranked
from jaxmix.runs import RunTable, read_runs
from jaxmix.runs.reading import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVEL = 0.9
CONFIDENCE = 0.7
BEST_RUN = "best run"  # the name of the best mixture that was run among baselines
_MOST_WAYS = 12  # measured mixtures toward which candidates lie
_RESTARTS = 48
_RUN = 0.02  # distance from a mixture that was run within which a mixture counts as run
_MANY = 60  # mixtures from which residuals say more than noise
_NEAR = 1.5  # factor beyond the largest N and D within which residuals still count
_SAME = 5e-4  # nats: a smaller difference of a target's loss is not worth a word
_CHOICE = {"residuals": ("loss",), "burn_in": (0.0,), "size_floors": (0.0,), "outer": ()}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Recommendation(Shown):
    """A mixture that the runs support.

    Attributes:
        optimum: the laws' optimum inside the region that the runs support.
        law_optimum: their optimum within the same limits, wherever it lies: a diagnostic.
        h: [k] the recommended weights in the order of ``domains``.
        predicted: predicted loss by target at h with its interval, nats.
        gains: what h gains over each baseline, nats of the weighted loss, with intervals.
        baselines: [k] weights by name.
        by_target: what h gains over each baseline, nats of each target's loss: by baseline and
            target, with intervals.
        anchor: name of the baseline that ``h`` was to beat: of those that were run, the one with
            the lowest estimated loss.
        level: probability that the intervals should cover.
        ensemble: the refits behind them.
        measured: the mixtures of the largest runs; None if no run has all targets.
        reasons: why this law, one sentence each.
        notes: what a reader should know before training with h, one sentence each.
        next_step: what to run or to do next, one sentence.
    """

    optimum: Optimum
    law_optimum: Optimum
    h: np.ndarray
    predicted: dict[str, Interval]
    gains: dict[str, Interval]
    baselines: dict[str, np.ndarray]
    by_target: dict[str, dict[str, Interval]]
    anchor: str
    level: float
    ensemble: Ensemble
    measured: MeasuredMixtures | None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    next_step: str = ""

    @property
    def domains(self) -> tuple[str, ...]:
        """Bare names, the order of ``h``."""
        return self.optimum.domains

    @property
    def weights(self) -> dict[str, float]:
        """The recommended weights by domain."""
        return dict(zip(self.domains, self.h.tolist(), strict=True))

    @property
    def named_baselines(self) -> dict[str, dict[str, float]]:
        """The baselines' weights by name and domain."""
        named = self.baselines.items()
        return {n: dict(zip(self.domains, h.tolist(), strict=True)) for n, h in named}

    @cached_property
    def headline(self) -> str:
        """The mixture and its gain over the anchor in one sentence."""
        order = [i for i in np.argsort(-self.h, kind="stable") if self.h[i] >= 0.005]
        parts = [f"{_percent(float(self.h[i]))} {self.domains[i]}" for i in order]
        where = ", outside what was run" if _far(self.optimum, self.h) else ""
        gain, said = self.gains[self.anchor], f"Train on {', '.join(parts)}{where}"
        if np.allclose(self.h, self.baselines[self.anchor]):
            return f"{said}: no mixture is shown to beat the {called(self.anchor)}"
        return (
            f"{said}: gain over the {called(self.anchor)} {_nats(gain.estimate)} "
            f"nats ({100 * self.level:g}%: {_nats(gain.low)} to {_nats(gain.high)})"
        )

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` of ``jaxmix recommend``."""
        best, law = self.law_optimum, self.optimum.laws
        return {
            "weights": self.weights,
            "law_optimum": best.weights,
            "gain": {name: i._asdict() for name, i in self.gains.items()},
            "baselines": self.named_baselines,
            "anchor": self.anchor,
            "predicted": {name: i._asdict() for name, i in self.predicted.items()},
            "gain_by_target": {
                name: {t: i._asdict() for t, i in gains.items()}
                for name, gains in self.by_target.items()
            },
            "n_params": self.optimum.n_params,
            "tokens": self.optimum.tokens,
            "level": self.level,
            "within": self.optimum.constraints.within,
            "law": law.law.name,
            "rows": law[0].report.rows,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "next": self.next_step,
            **dict.fromkeys(unread_sizes(law)),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per domain: recommended, by the law alone, the baselines, and the runs' range."""
        columns = {"recommended": self.h, "law alone": self.law_optimum.h, **self.baselines}
        support = self.optimum.counted.laws.support
        if support is not None:
            columns |= {"least run": support.low, "most run": support.high}
        return pd.DataFrame(columns, index=pd.Index(self.domains, name="domain"))

    def _shown(self) -> Parts:
        gains = pd.DataFrame(self.gains.values(), index=pd.Index(self.gains, name="over"))
        tables = {"": self.to_frame(), f"gain, nats, {100 * self.level:g}%": gains}
        last = f"next: {self.next_step}" if self.next_step else ""
        return Parts(self.headline, tables, self.notes, last)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The recommended weights, those of the law alone and of the anchor, in the runs' range."""
        ax = axes_or_new(ax)
        place = np.arange(len(self.h))[::-1]
        support = self.optimum.counted.laws.support
        if support is not None:
            ax.barh(
                place,
                support.high - support.low,
                left=support.low,
                color="C7",
                alpha=0.3,
                label="run",
            )
        ax.plot(self.h, place, "o", color="C0", label="recommended")
        ax.plot(self.law_optimum.h, place, "x", color="C3", label="law alone")
        ax.plot(
            self.baselines[self.anchor],
            place,
            "|",
            c=ink(),
            markersize=12,
            label=plain(self.anchor),
        )
        ax.set_yticks(place, map(plain, self.domains))
        ax.set(xlabel="weight", xlim=(-0.02, 1.02))
        legend_above(ax)
        return ax


def recommend(
    runs: Table | RunTable,
    n_params: float,
    tokens: float,
    constraints: Constraints | None = None,
    *,
    law: Law | str | None = None,
    targets: Sequence[str] | None = None,
    target_weights: Weights = None,
    baselines: Baselines | None = None,
    level: float = LEVEL,
    confidence: float = CONFIDENCE,
    resamples: int | None = None,
    share: Share = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
    **question: Any,
) -> Recommendation:
    """The mixture that a table of runs supports for one big run.

    A law is chosen by held-out evidence, fitted and refitted; among the mixtures inside the region
    that was run, the one with the best lower confidence bound of its gain is recommended.

    Args:
        runs: the table: a path, a DataFrame, columns by name or a ``RunTable``.
        n_params: N of the big run.
        tokens: D of the big run.
        constraints: what the mixture must meet; their ``within`` is ``"range"`` if not given.
        law: the law to use; None to choose one (``select``).
        targets: names of the losses that count, or patterns; None for all.
        target_weights: as for ``optimize``.
        baselines: mixtures to compare with by name, each a weight per domain with sum 1. The
            uniform mixture and the best one that was run are always there.
        level: probability that intervals should cover.
        confidence: probability with which the gain should exceed the bound that is maximized: near
            .5 the law is believed, near 1 little is left but the best mixture that was run. On
            simulated studies .6 to .7 had the lowest regret (``benchmarks/regret.py``).
        resamples: refits; None for as many as intervals need, as in ``bootstrap``.
        share: how strongly the targets share parameters, as in ``fit``.
        seed: of searches and resampling.
        progress: called with a label, the steps done and their total.
        **question: ``worst_case``, ``pull``, ``at`` and ``starts`` of ``optimize``.

    Raises:
        JaxmixError: the table cannot be read or fitted, fewer than six runs, or no mixture meets
            the constraints.
    """
    table = read_runs(runs)
    names = table.target_names(targets)
    if target_weights is None and targets not in (None, "all", ["all"], ("all",)):
        # Tasks that are named count too.
        target_weights = dict.fromkeys(names, 1.0)
    if len(table.domains) < 2:
        raise JaxmixError(
            f"{table.source}: {len(table.domains)} columns w_<domain>; a recommendation needs the "
            "weights of at least two domains"
        )
    if len(mixture_support(table.weights, table.domains).mixtures) < 2:
        raise JaxmixError(
            f"{table.source}: all rows have one mixture, so they say nothing about any other; add "
            "runs on several mixtures (jaxmix study plan designs them)"
        )
    given = (constraints or Constraints()).over(table.domains, names)
    if np.isfinite(tokens):
        given.check(table.domains, tokens, reads_unique=True)
    check_baselines(baselines, table.domains)
    (w,) = target_weight_rows(target_weights, names)
    counted = tuple(n for n, one in zip(names, w, strict=True) if one > 0 or n in given.guards)
    chosen, reasons, where = _chosen(table, law, counted, seed, progress)
    rows = table if where is None else table.where(where)
    refits: dict[str, Any] = {"resamples": resamples, "seed": seed, "progress": progress}
    refits["share"] = share
    ensemble, left = _refitted(rows, chosen, names, counted, **refits)
    laws = ensemble.laws
    weights = {name: one for name, one in zip(names, w, strict=True) if name in laws.targets}
    optimum = optimize(laws, n_params, tokens, given, target_weights=weights, seed=seed, **question)
    found = recommend_mixture(
        optimum, ensemble, rows, baselines=baselines, level=level, confidence=confidence
    )
    notes = (*table.notes, *unit_notes(names, w), *left, *found.notes)
    return replace(found, reasons=reasons, notes=notes)


def _refitted(
    rows: RunTable,
    law: Law | str,
    targets: tuple[str, ...],
    counted: tuple[str, ...],
    *,
    resamples: int | None,
    share: Share,
    seed: int,
    progress: Progress | None,
) -> tuple[Ensemble, list[str]]:
    """Refits of a law; a target that does not count is left out, with a note, if it has no fit."""
    steps = {name: _step(progress, name) for name in ("fitting", "refitting")}
    try:
        options: dict[str, Any] = {"restarts": _RESTARTS, "progress": steps["fitting"]}
        options["share"] = share
        laws = fit(rows, law, targets=targets, seed=seed, **options)
        options = {"resamples": resamples, "progress": steps["refitting"]}
        return bootstrap(laws, rows, seed=seed, **options), []
    except JaxmixError as error:
        if counted == targets:
            raise
        options = {"resamples": resamples, "share": share, "seed": seed, "progress": progress}
        left = ", ".join(name for name in targets if name not in counted)
        found, _ = _refitted(rows, law, counted, counted, **options)
        return found, [f"{left}: weight 0, left out, because not every target has a fit ({error})"]


def refit(optimum: Optimum, runs: RunTable, **options: Any) -> tuple[Optimum, Ensemble]:
    """Refits of the laws of an optimum, and the optimum without laws that do not count if need be.

    Args:
        optimum: whose laws.
        runs: the rows that they were fitted on.
        **options: of ``bootstrap``.

    Raises:
        JaxmixError: as ``bootstrap``, for a target that has a weight or a guardrail.
    """
    try:
        return optimum, fitting.bootstrap(optimum.laws, runs, **options)
    except JaxmixError as error:
        counted = optimum.counted
        if counted is optimum:
            raise
        left = ", ".join(name for name in optimum.targets if name not in counted.targets)
        note = f"{left}: weight 0, left out, because not every target can be refitted ({error})"
        counted = replace(counted, notes=(*counted.notes, note))
        return counted, fitting.bootstrap(counted.laws, runs, **options)


def _percent(weight: float) -> str:
    return f"{100 * weight:.0f}%" if weight >= 0.01 else f"{100 * weight:.1f}%"


def _nats(value: float) -> str:
    """A gain with three decimals, or two digits if it is small; never 0.000 for what is not 0."""
    return f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"


def called(baseline: str) -> str:
    """A baseline in a sentence.

    >>> called("uniform"), called("best run")
    ('uniform mixture', 'best mixture that was run')
    """
    if baseline == BEST_RUN:
        return "best mixture that was run"
    return baseline if "mixture" in baseline else f"{baseline} mixture"


def _step(progress: Progress | None, label: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(label, done, total)


def _chosen(
    table: RunTable, law: Law | str | None, names: Sequence[str], seed: int,
    progress: Progress | None,
) -> tuple[Law | str, tuple[str, ...], str | None]:  # fmt: skip
    """The law, why, and the rows that it trusts."""
    if law is not None:
        return law, (), None
    laws = default_laws(table)
    if len(laws) == 1:
        return laws[0], (), None
    options: dict[str, Any] = {**_CHOICE, "restarts": 8, "seed": seed}
    try:
        found = select(table, laws, targets=names, progress=progress, **options)
    except JaxmixError as error:
        return laws[0], (f"the table cannot be split to choose a law ({error})",), None
    return found.choice.law, (*found.reasons, *found.notes), found.where


def recommend_mixture(
    optimum: Optimum,
    ensemble: Ensemble,
    runs: RunTable,
    *,
    baselines: Baselines | None = None,
    level: float = LEVEL,
    confidence: float = CONFIDENCE,
) -> Recommendation:
    """The recommendation for the question that an optimum answers, from refits of its laws.

    Args:
        optimum: the laws' optimum; if its constraints do not say ``within`` what, the
            recommendation stays within the range that was run.
        ensemble: refits of its laws.
        runs: the rows that these were fitted on.
        baselines: as for ``recommend``.
        level: likewise.
        confidence: likewise.

    Raises:
        JaxmixError: a baseline that is no mixture, or a level or confidence outside (0, 1).
    """
    for name, value in (("level", level), ("confidence", confidence)):
        if not 0 < value < 1:
            raise JaxmixError(f"{name} must lie between 0 and 1, not {value:g}")
    within, law_optimum = optimum.constraints.within, optimum
    if within is None:
        optimum = optimize_anew(optimum, within="range")
    elif within != "anywhere":
        law_optimum = optimize_anew(optimum, within=None)
    measured = measured_mixtures(optimum.laws, optimum.inputs, optimum.w)
    counted = optimum.counted
    residual = fit_residual(counted.laws, runs) if residual_applies(optimum) else None
    compared = _compared(optimum, measured, baselines)
    risk = Risk(
        optimum=counted,
        ensemble=ensemble.only(*counted.targets),
        baseline=optimum.h,
        residual=residual,
        level=level,
        confidence=confidence,
    )
    anchor = _anchor(risk, compared, measured)
    risk = replace(risk, baseline=compared[anchor])
    h = safest_gain(risk, _ways(optimum, measured))
    gains = {
        name: _gain(replace(risk, baseline=baseline), h) for name, baseline in compared.items()
    }
    whole = replace(risk, optimum=optimum, ensemble=ensemble)
    found = Recommendation(
        optimum=optimum,
        law_optimum=law_optimum,
        h=h,
        predicted=_predicted(whole, h),
        gains=gains,
        baselines=compared,
        by_target={name: _gains_by_target(whole, h, b) for name, b in compared.items()},
        anchor=anchor,
        level=level,
        ensemble=ensemble,
        measured=measured,
    )
    return replace(found, notes=_notes(found), next_step=_next_step(found))


def _compared(
    optimum: Optimum, measured: MeasuredMixtures | None, baselines: Baselines | None
) -> dict[str, np.ndarray]:
    """Baselines as weights by name, the uniform mixture and the best that was run first."""
    found = check_baselines(None, optimum.domains)
    if measured is not None:
        inside = meets(optimum, measured.weights)
        value = np.where(inside, measured.objective, np.inf) if inside.any() else measured.objective
        found[BEST_RUN] = measured.weights[int(np.argmin(value))]
    given = check_baselines(baselines, optimum.domains) if baselines else {}
    return {**found, **given}


def _anchor(
    risk: Risk, compared: Mapping[str, np.ndarray], measured: MeasuredMixtures | None
) -> str:
    """The baseline with the lowest estimate among those that meet the constraints and were run."""
    names = [n for n, h in compared.items() if bool(meets(risk.optimum, h))] or [*compared]
    if measured is not None:
        far = {n: np.linalg.norm(measured.weights - compared[n], axis=1).min() for n in names}
        names = [n for n in names if far[n] <= _RUN] or names
    gains = risk.gain(np.array([compared[n] for n in names]))
    return names[int(np.argmax(gains))]


def _ways(optimum: Optimum, measured: MeasuredMixtures | None) -> np.ndarray:
    """Measured mixtures [s, k], the best first, toward which candidates lie."""
    if measured is None:
        return np.tile(optimum.h, (_MOST_WAYS, 1))
    order = np.resize(np.argsort(measured.objective, kind="stable"), _MOST_WAYS)
    return measured.weights[order]


def residual_applies(optimum: Optimum) -> bool:
    """Whether the residuals of the runs say something about this budget.

    With many mixtures they do near the budgets that were run (``benchmarks/near_ties.py``). What a
    law misses at small budgets does not carry over to large ones: at ten times the size and tokens
    residuals raised the regret of recommendations.
    """
    optimum = optimum.counted
    support = optimum.laws.support
    if support is None or len(support.mixtures) < _MANY:
        return False
    far = {"n_params": optimum.n_params, "tokens": optimum.tokens}
    largest = {name: min(getattr(f.data, name)[1] for f in optimum.laws) for name in far}
    return all(far[name] <= _NEAR * most for name, most in largest.items())


def _gain(risk: Risk, h: np.ndarray) -> Interval:
    """The gain of h [k] over the baseline with its interval."""
    if risk.residual is None:
        far = {**risk.optimum.inputs, "weights": h}
        distance = np.linalg.norm(h - risk.baseline)
        drawn = risk.ensemble.model_error_differences(far, risk.optimum.w, distance)
        errors = risk.errors(h) + drawn
    else:
        rng = np.random.default_rng(risk.ensemble.seed)
        errors = rng.standard_normal(risk.ensemble.resamples) * float(risk.spread(h))
    found = interval(float(risk.gain(h)), errors, risk.level)
    return Interval(*(float(x) for x in found))


def _gains_by_target(risk: Risk, h: np.ndarray, baseline: np.ndarray) -> dict[str, Interval]:
    """What h [k] gains over a baseline on every target."""
    optimum, ensemble = risk.optimum, risk.ensemble
    x = {**optimum.inputs, "weights": np.stack([baseline, h])}
    predicted = np.stack([f.predict(x) for f in optimum.laws])  # [m, 2]
    moved = _moved(risk, x["weights"])  # [m, 2]
    errors = ensemble.losses(x) - predicted[:, None]  # [m, B, 2]
    distance = np.linalg.norm(h - baseline)
    found = {}
    for i, target in enumerate(optimum.targets):
        w = np.eye(len(optimum.targets))[i]
        there = {**optimum.inputs, "weights": h}
        model = ensemble.model_error_differences(there, w, distance)  # [B]
        gain = float((predicted + moved)[i] @ [1.0, -1.0])
        ends = interval(gain, errors[i] @ [1.0, -1.0] + model, risk.level)
        found[target] = Interval(*(float(x) for x in ends))
    return found


def _predicted(risk: Risk, h: np.ndarray) -> dict[str, Interval]:
    """Losses by target at h with their intervals."""
    optimum = risk.optimum
    ends = risk.ensemble.predict({**optimum.inputs, "weights": h}, level=risk.level)
    rows = (np.stack(ends, axis=1) + _moved(risk, h)[:, None]).tolist()
    return {name: Interval(*row) for name, row in zip(optimum.targets, rows, strict=True)}


def _moved(risk: Risk, h: np.ndarray) -> np.ndarray:
    """What residuals add to the losses of all targets at mixtures [..., k], [m, ...]."""
    targets, moved = risk.optimum.targets, np.zeros((len(risk.optimum.targets), *h.shape[:-1]))
    if risk.residual is not None:
        moved[[targets.index(name) for name in risk.residual.targets]] = risk.residual.mean(h)
    return moved


def _far(optimum: Optimum, h: np.ndarray) -> bool:
    support = optimum.counted.laws.support
    return support is not None and bool(support.beyond(h))


def _notes(found: Recommendation) -> list[str]:
    """What was assumed, what the runs cannot tell, and where the mixture is no better."""
    optimum, best = found.optimum, found.law_optimum
    counted = optimum.counted.laws
    known = (*counted.mixture_notes, *(n for n in counted.notes if rank_of(n) < MINOR))
    notes: list[str] = [*known, *budget_notes(counted, optimum.inputs)]
    within = optimum.constraints.within
    if within == "range":
        notes.append("assumed: each weight stays between the least and the most that were run")
    elif within == "hull":
        notes.append("assumed: the mixture stays in the convex hull of those that were run")
    gain = found.gains[found.anchor]
    if gain.low <= 0 and not np.allclose(found.h, found.baselines[found.anchor]):
        none = f"no gain over the {called(found.anchor)} is shown: the interval has 0 in it"
        notes.append(Note(none, UNSAFE))
    if found.measured is not None:
        run = found.measured.run[found.measured.best]
        notes.append(
            f"the best mixture that was run, as measured at the largest size, is run {run}"
        )
    notes += _beaten(found)
    notes += _worse(found)
    if best is not optimum and np.abs(best.h - found.h).max() > 0.02:
        far = "; ".join(n for n in mixture_notes(counted, best.h))
        notes.append(
            f"the law alone would choose {best.short}, predicted {best.objective:.4f} where the "
            f"recommended mixture has {_objective(found):.4f}" + (f"; {far}" if far else "")
        )
    return list(ranked(notes))


def _objective(found: Recommendation) -> float:
    estimates = np.array([i.estimate for i in found.predicted.values()])
    w = found.optimum.w
    return float(np.sum(np.where(w > 0, w * estimates, 0.0)))


def _beaten(found: Recommendation) -> list[str]:
    """A note on mixtures that measured less at this very budget."""
    here = measured_mixtures(
        found.optimum.laws, found.optimum.inputs, found.optimum.w, only_here=True
    )
    return measured_notes(here, _objective(found)) if here is not None else []


def _worse(found: Recommendation) -> list[str]:
    """Notes on targets that a baseline is predicted to serve better."""
    notes = []
    for name, gains in found.by_target.items():
        worse = [f"{t} by {-g.estimate:.4f}" for t, g in gains.items() if g.estimate < -_SAME]
        if worse:
            more = f", and {len(worse) - 5} more" if len(worse) > 5 else ""
            said = f"worse than the {called(name)} on {', '.join(worse[:5])}{more}"
            notes.append(Note(said, GUESS))
    return notes


def _next_step(found: Recommendation) -> str:
    """What would tell more."""
    apart = found.law_optimum.h - found.h
    i = int(np.argmax(np.abs(apart)))
    if abs(apart[i]) > 0.05:
        more = "more" if apart[i] > 0 else "less"
        return (
            f"the law would use {more} {found.domains[i]} ({found.law_optimum.h[i]:.2f}): run a "
            "few small models on such mixtures, which jaxmix next chooses, before believing it"
        )
    if found.gains[found.anchor].low <= 0:
        return "run the mixtures that jaxmix next chooses: the gain is not settled"
    return "train a model of the largest size that was run on this mixture, and compare"
